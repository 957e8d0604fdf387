//! Who is heard, who is not, and what it costs.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
use std::path::Path;
use std::time::Duration;

use pha_core::detector::brings_news;
use pha_core::heartbeat::Saying;
use pha_core::{Direction, LeaveCause, Serial, Word};
use pha_status::{Contact, Durability, Patience, SenderSection};
use pha_sys::allocations::counted;
use pha_wire::{Key, Keyring, OLDEST, Trust, VERSION};

use super::*;

const OURS: u64 = 70;

fn config() -> Config {
    Config::parse("NODES=a b\nADDR_a=127.0.0.1\nADDR_b=127.0.0.2\n", Path::new("config")).unwrap()
}

fn nowhere() -> Arc<Database> {
    Arc::new(Database::new(Path::new("nowhere"), "a"))
}

fn at(ms: u64) -> BootTime {
    BootTime::ZERO + Duration::from_millis(10_000 + ms)
}

fn peers(codec: &Codec, database: &Arc<Database>) -> Peers {
    let config = config();
    let (resolver, known) = Resolver::start(&config.nodes);
    Peers::new(&config, &config.nodes[0], codec, database, (resolver, &known), at(0))
}

fn heartbeat(incarnation: u64, sequence: u64) -> Heartbeat {
    Heartbeat {
        node: NodeId::new(2).unwrap(),
        serial: Serial { incarnation, sequence },
        saying: Saying::healthy(Word::Offline { clean: true }),
        reply_wanted: false,
        heard: Serial::default(),
        supervise_age: Duration::ZERO,
    }
}

/// One that tells of our incarnation `ours`.
fn tells_of(ours: u64, heartbeat: Heartbeat) -> Heartbeat {
    Heartbeat { heard: Serial { incarnation: ours, sequence: 1 }, ..heartbeat }
}

fn key(byte: u8) -> Key {
    Key::from_bytes([byte; 32])
}

fn holders(keys: Keyring) -> Codec {
    Codec::new(&config().cluster, Trust::Holders(keys))
}

fn say(peers: &mut Peers, codec: &Codec, dialect: Dialect, heartbeat: Heartbeat, now: BootTime) {
    let bytes = codec.encode(&heartbeat, dialect);
    peers.heard(codec, &bytes, bytes.len(), "127.0.0.2".parse().unwrap(), now);
}

fn liveness(peers: &Peers) -> Liveness {
    peers.reports().next().unwrap().liveness
}

/// A database of this boot whose sender says heartbeats of the incarnation [`OURS`], and what was heard last.
fn database(dir: &Path, receiver: ReceiverSection) -> Arc<Database> {
    let database = Database::new(dir, "a");
    let speaks = |sender: &mut SenderSection| (sender.pid, sender.incarnation) = (1, OURS);
    database.update(Durability::Volatile, Patience::Daemon, speaks).unwrap();
    database.update(Durability::Volatile, Patience::Daemon, |section| *section = receiver.clone()).unwrap();
    Arc::new(database)
}

/// What an earlier receiver has heard of the peer.
fn contacts(incarnation: u64, sequence: u64) -> BTreeMap<NodeId, Contact> {
    let contact = Contact { serial: Serial { incarnation, sequence }, dialect: Dialect::default() };
    BTreeMap::from([(NodeId::new(2).unwrap(), contact)])
}

#[test]
fn after_a_boot_a_peer_is_heard_when_it_tells_of_a_heartbeat_of_this_boot_or_after_a_while() {
    let dir = tempfile::tempdir().unwrap();
    let database = database(dir.path(), ReceiverSection::default());
    let codec = holders(key(1).into());
    let mut heard = peers(&codec, &database);
    for (sequence, told) in [(1, 0), (2, OURS - 1), (3, OURS + 1)] {
        say(&mut heard, &codec, codec.best(), tells_of(told, heartbeat(5, sequence)), at(100));
        assert_eq!((liveness(&heard), heard.drops().len()), (Liveness::Unheard, 0));
        assert_eq!(heard.contacts()[&NodeId::new(2).unwrap()].serial.sequence, sequence, "it is told what was heard");
    }
    say(&mut heard, &codec, codec.best(), tells_of(OURS, heartbeat(5, 4)), at(100));
    assert_eq!(liveness(&heard), Liveness::Alive);
    // Once it has shown that, it need not again.
    say(&mut heard, &codec, codec.best(), heartbeat(5, 5), at(200));
    assert_eq!(heard.reports().next().unwrap().serial.sequence, 5);

    let until = u64::try_from((config().init_dead - config().dead_time).as_millis()).unwrap();
    let mut deaf_peer = peers(&codec, &database);
    say(&mut deaf_peer, &codec, codec.best(), heartbeat(5, 1), at(until - 1));
    assert_eq!(liveness(&deaf_peer), Liveness::Unheard);
    say(&mut deaf_peer, &codec, codec.best(), heartbeat(5, 2), at(until));
    assert_eq!(liveness(&deaf_peer), Liveness::Alive);
}

#[test]
fn a_peer_that_makes_others_wait_is_heard_at_once_and_what_lets_them_act_has_to_be_fresh_still() {
    let dir = tempfile::tempdir().unwrap();
    let codec = holders(key(1).into());
    let mut peers = peers(&codec, &database(dir.path(), ReceiverSection::default()));
    let progress = Word::Progress { direction: Direction::Starting, remaining: Duration::from_secs(9) };
    for (sequence, word) in (1..).zip([Word::Online, progress, Word::Kept, Word::Online]) {
        let heartbeat = Heartbeat { saying: Saying::healthy(word), ..heartbeat(5, sequence) };
        say(&mut peers, &codec, codec.best(), heartbeat, at(0));
        assert_eq!(peers.reports().next().unwrap().serial.sequence, sequence);
    }
    for word in [Word::Offline { clean: false }, Word::Left { cause: LeaveCause::Operator }] {
        let heartbeat = Heartbeat { saying: Saying::healthy(word), ..heartbeat(5, 9) };
        say(&mut peers, &codec, codec.best(), heartbeat, at(0));
        assert_eq!(peers.reports().next().unwrap().serial.sequence, 4, "{word:?}");
    }
}

#[test]
fn without_a_key_nothing_shows_anything() {
    let codec = Codec::new(&config().cluster, Trust::Anybody);
    let mut peers = peers(&codec, &nowhere());
    say(&mut peers, &codec, codec.best(), heartbeat(5, 1), at(0));
    assert_eq!(liveness(&peers), Liveness::Alive);
}

#[test]
fn what_was_recorded_before_a_restart_of_the_receiver_or_the_machine_is_a_replay() {
    let dir = tempfile::tempdir().unwrap();
    let codec = holders(key(1).into());
    let first = peers(&codec, &nowhere()).reports().next().unwrap().clone();
    let of_this_boot = vec![PeerReport { heard_at: Some(at(0)), ..first }];
    for (before, fresh) in [(of_this_boot, true), (Vec::new(), false)] {
        let section =
            ReceiverSection { peers: before, contacts: contacts(5, 40), authentic: true, ..ReceiverSection::default() };
        let database = database(dir.path(), section);
        for (incarnation, sequence, expected) in [(4, 99, 0), (5, 39, 0), (5, 41, 41)] {
            let mut peers = peers(&codec, &database);
            let said = heartbeat(incarnation, sequence);
            let said = if fresh { said } else { tells_of(OURS, said) };
            say(&mut peers, &codec, codec.best(), said, at(10));
            assert_eq!(peers.reports().next().unwrap().serial.sequence, expected, "{incarnation} {sequence} {fresh}");
        }
    }
}

#[test]
fn what_anybody_may_have_said_keeps_no_holder_of_a_key_from_being_heard() {
    let dir = tempfile::tempdir().unwrap();
    let (open, codec) = (Codec::new(&config().cluster, Trust::Untagged(key(1).into())), holders(key(1).into()));
    let untagged = Dialect { version: VERSION, signer: 0 };
    let database_then = database(dir.path(), ReceiverSection::default());
    let real = |sequence| tells_of(OURS, heartbeat(5, sequence));
    // The key comes into force while the receiver runs.
    let mut before = peers(&open, &database_then);
    say(&mut before, &open, untagged, heartbeat(u64::MAX, 1), at(0));
    before.distrust();
    say(&mut before, &codec, codec.best(), heartbeat(5, 1), at(100));
    assert_eq!(before.reports().next().unwrap().serial.incarnation, u64::MAX, "it has to show that it is fresh");
    say(&mut before, &codec, codec.best(), real(2), at(100));
    assert_eq!(before.reports().next().unwrap().serial.incarnation, 5);
    // Or with a restart of it.
    let section = ReceiverSection { contacts: contacts(u64::MAX, 1), ..ReceiverSection::default() };
    let mut after = peers(&codec, &database(dir.path(), section));
    say(&mut after, &codec, codec.best(), real(3), at(100));
    assert_eq!(after.reports().next().unwrap().serial.sequence, 3);
}

#[test]
fn while_a_peer_is_not_fresh_only_what_is_newer_is_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let codec = holders(key(1).into());
    let section = ReceiverSection { contacts: contacts(5, 40), authentic: true, ..ReceiverSection::default() };
    let mut peers = peers(&codec, &database(dir.path(), section));
    say(&mut peers, &codec, codec.best(), tells_of(OURS, heartbeat(5, 40)), at(100));
    assert_eq!((liveness(&peers), peers.drops().len()), (Liveness::Unheard, 0));
    say(&mut peers, &codec, codec.best(), tells_of(OURS, heartbeat(5, 41)), at(100));
    assert_eq!(liveness(&peers), Liveness::Alive);
}

#[test]
fn what_a_peer_speaks_now_and_then_it_understands_until_it_starts_anew() {
    let codec = holders(Keyring::new(key(1), Some(key(2))).unwrap());
    let (best, old) = (codec.best(), Dialect { version: OLDEST, signer: key(2).id() });
    let mut peers = peers(&codec, &nowhere());
    let now = at(60_000);
    let expected = [
        (5, 1, old, old, true),
        (5, 2, old, old, false),
        (5, 3, best, best, true),
        (5, 4, old, best, false),
        (6, 1, old, old, true),
        (5, 5, best, old, false),
        (7, 1, old, old, true),
    ];
    for (incarnation, sequence, spoken, known, news) in expected {
        say(&mut peers, &codec, spoken, heartbeat(incarnation, sequence), now);
        assert_eq!(peers.contacts()[&NodeId::new(2).unwrap()].dialect, known, "{incarnation} {sequence}");
        assert_eq!(peers.speak_anew(), news, "{incarnation} {sequence}");
    }
}

#[test]
fn a_heartbeat_without_news_allocates_nothing() {
    let config = config();
    let (codec, from) = (Codec::new(&config.cluster, Trust::Anybody), "127.0.0.2".parse().unwrap());
    let mut now = at(0);
    let mut peers = peers(&codec, &nowhere());
    let mut published = Vec::new();
    for sequence in 1..=5 {
        now = now + config.heartbeat_interval;
        let bytes = codec.encode(&heartbeat(1, sequence), codec.best());
        let (news, allocations) = counted(|| {
            peers.woke(now);
            peers.heard(&codec, &bytes, bytes.len(), from, now);
            peers.deadline_passed(&codec, now);
            brings_news(&published, peers.reports())
        });
        assert_eq!(news, sequence == 1);
        assert!(news || allocations == 0, "heartbeat {sequence}: {allocations}");
        published = peers.reports().cloned().collect();
    }
    assert!(peers.drops().is_empty());
}
