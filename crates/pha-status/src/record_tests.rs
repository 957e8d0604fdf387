//! A record in which nothing is left at its default, and what is read off records.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use pha_core::report::{LinkReport, OfflineWish, ResourceReport, ResourceState, SwitchoverWish, Transition};
use pha_core::{CallSpan, Direction, GaveUp, Handover, LeaveCause, NodeId, Serial, Stages, Term, Unready};

use super::*;

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn at(time: u64) -> BootTime {
    BootTime::since_boot(seconds(time))
}

fn term() -> Term {
    Term::next(Term::from_value(6 * 256), NodeId::new(1).unwrap())
}

fn saying(word: Word) -> Saying {
    Saying { term: term(), gateway: Gateway::Reachable, config_hash: 0xfeed_f00d, ..Saying::healthy(word) }
}

fn peer(node: usize, liveness: Liveness, word: Word) -> PeerReport {
    PeerReport {
        node: NodeId::new(node).unwrap(),
        liveness,
        liveness_since: at(80),
        saying: Some(saying(word)),
        word_since: at(81),
        progress_until: Some(at(200)),
        serial: Serial { incarnation: 5, sequence: 77 },
        heard_at: Some(at(101)),
        hears_us: Serial { incarnation: 9, sequence: 500 },
        hears_us_at: at(100),
        reply_wanted: Serial { incarnation: 5, sequence: 60 },
        supervise_age: Duration::from_millis(150),
        config_differs: true,
        links: vec![LinkReport {
            address: "192.168.42.12".into(),
            heard_at: Some(at(101)),
            longest_gap: Duration::from_millis(201),
            received: 76,
            lost: 1,
        }],
    }
}

/// One in each state; those that count are OFFLINE.
fn contact() -> Contact {
    Contact { serial: Serial { incarnation: 5, sequence: 77 }, dialect: Dialect { version: 2, signer: 0xa7 } }
}

fn peers() -> Vec<PeerReport> {
    let offline = Word::Offline { clean: false };
    let mut peers = vec![
        peer(2, Liveness::Alive, Word::Offline { clean: true }),
        peer(3, Liveness::Suspect, offline),
        peer(4, Liveness::Dead, Word::Online),
        peer(5, Liveness::Absent, Word::Kept),
        PeerReport { saying: None, heard_at: None, ..peer(6, Liveness::Unheard, offline) },
    ];
    let gateways = [Gateway::Off, Gateway::Testing, Gateway::Reachable, Gateway::Lost];
    for (peer, gateway) in peers.iter_mut().zip(gateways) {
        peer.saying = peer.saying.map(|saying| Saying { gateway, ..saying });
    }
    peers
}

fn resource(name: &str, state: ResourceState, last_error: Option<&str>) -> ResourceReport {
    ResourceReport {
        name: name.into(),
        state,
        since: at(90),
        failures: 1,
        restored: 2,
        held: state == ResourceState::Down,
        last_error: last_error.map(Into::into),
        duration: Duration::from_millis(12),
    }
}

fn report() -> SuperviseReport {
    SuperviseReport {
        saying: saying(Word::Online),
        progress_until: Some(at(110)),
        role: Role::Active,
        highest_term: term(),
        reason: Reason::Active,
        since: at(91),
        until: Some(at(120)),
        announce: true,
        unfit_until: Some(at(130)),
        resources: vec![
            resource("ipaddr", ResourceState::Up, None),
            resource("service.web", ResourceState::Down, Some("can't bind: $(reboot) `x`")),
            resource("test", ResourceState::Unknown, None),
        ],
        history: history(),
        last_conflict: Some(Duration::from_millis(230)),
        handover: Some(handover()),
        moves: vec![stages()],
    }
}

/// One that was refused: what comes after the answer did not happen.
fn handover() -> Handover {
    let gave_up = Some(GaveUp::Refused(Unready::Unwritable));
    Handover { gave_up, ..Handover::asked(at(60), NodeId::new(2), at(61)) }
}

fn stages() -> Stages {
    let mut stages = Stages::decided(Direction::Starting, term(), Reason::PeerDead, at(90));
    stages.declared_dead = Some(at(89));
    stages.note(CallSpan { resource: 1, began: at(90), ended: at(91) });
    stages
}

/// Every reason and every word, in the order of their declaration: bincode counts variants, so that one put between
/// others would change what an old file says.
fn history() -> Vec<Transition> {
    let words = [
        Word::Online,
        Word::Offline { clean: true },
        Word::Progress { direction: Direction::Starting, remaining: seconds(10) },
        Word::Progress { direction: Direction::Stopping, remaining: seconds(20) },
        Word::Left { cause: LeaveCause::Operator },
        Word::Left { cause: LeaveCause::Gateway },
        Word::Left { cause: LeaveCause::Stopped },
        Word::Kept,
    ];
    let transition = |(reason, index): (Reason, usize)| Transition {
        at: at(90),
        from: words[index % words.len()],
        to: words[(index + 1) % words.len()],
        role: if index % 2 == 0 { Role::Active } else { Role::Standby },
        reason,
        term: term(),
    };
    Reason::ALL.into_iter().zip(0..).map(transition).collect()
}

const DROPS: [DropReason; 9] = [
    DropReason::TooShort,
    DropReason::TooLong,
    DropReason::BadMagic,
    DropReason::BadVersion,
    DropReason::WrongCluster,
    DropReason::NotAuthentic,
    DropReason::Malformed,
    DropReason::UnknownNode,
    DropReason::Replayed,
];

/// Every field differs from its default, and every variant of every enum stands somewhere in it. Frozen: the golden
/// file holds it.
pub(crate) fn full_record() -> Record {
    Record {
        node: "lb1".into(),
        generation: 42,
        boot_id: "5e9e3d2c-0000-4000-8000-000000000001".into(),
        sender: SenderSection {
            pid: 16_468,
            incarnation: 9,
            running: true,
            tick: at(100),
            errors: vec![SendError { address: "10.0.0.2".into(), count: 3, last: "Network is unreachable".into() }],
        },
        receiver: ReceiverSection {
            pid: 16_470,
            tick: at(101),
            peers: peers(),
            contacts: BTreeMap::from([(NodeId::new(2).unwrap(), contact())]),
            drops: DROPS.into_iter().zip(1..).collect(),
            authentic: true,
            signers: vec![0xa7, 0x3f],
            late: 2,
        },
        supervise: SuperviseSection { pid: 16_472, tick: at(102), report: Some(report()), config_loaded: at(50) },
        operator: OperatorSection {
            wishes: Wishes {
                offline: Some(OfflineWish { since: at(60), until: at(90), force: true }),
                switchover: Some(SwitchoverWish { since: at(40), until: at(50), to: NodeId::new(2) }),
                maintenance: true,
                held: vec!["service.web".into()],
                forgiven: at(55),
            },
            by: "root".into(),
            at: at(60),
        },
    }
}

#[test]
fn status_is_undefined_without_supervise_and_follows_its_word_with_it() {
    // P46, P63
    let mut record = full_record();
    assert_eq!(record.status(), Some(Status::Online));
    record.supervise.pid = 0;
    assert_eq!((record.status(), record.prompt_state()), (None, "NOTRUNNING"));
    record.supervise = SuperviseSection { pid: 1, ..SuperviseSection::default() };
    assert_eq!((record.status(), record.prompt_state()), (None, "Standby"));
}

#[test]
fn the_prompt_shows_progress_while_starting_or_stopping() {
    // P44, P45
    let mut record = full_record();
    assert_eq!(record.prompt_state(), "Active");
    for direction in [Direction::Starting, Direction::Stopping] {
        record.supervise.report.as_mut().unwrap().saying.word = Word::Progress { direction, remaining: seconds(1) };
        assert_eq!(record.prompt_state(), "Progress");
    }
    let report = record.supervise.report.as_mut().unwrap();
    report.saying.word = Word::Offline { clean: true };
    report.role = Role::Standby;
    assert_eq!(record.prompt_state(), "Standby");
}

#[test]
fn an_online_peer_outshines_busy_ones_and_those_outshine_offline_ones() {
    // P8, P14
    let busy = Word::Progress { direction: Direction::Stopping, remaining: seconds(1) };
    let mut record = full_record();
    let mut heard = |peers: &[(Liveness, Word)]| {
        let numbered = peers.iter().enumerate();
        record.receiver.peers = numbered.map(|(index, (liveness, word))| peer(index + 2, *liveness, *word)).collect();
        record.receiver_in()
    };
    let offline = (Liveness::Alive, Word::Offline { clean: false });
    assert_eq!(heard(&[]), None);
    assert_eq!(heard(&[offline]), Some(Status::Offline));
    assert_eq!(heard(&[(Liveness::Alive, busy), offline]), Some(Status::Progress));
    assert_eq!(heard(&[offline, (Liveness::Suspect, Word::Online), (Liveness::Alive, busy)]), Some(Status::Online));
    assert_eq!(heard(&[(Liveness::Dead, Word::Online), offline]), Some(Status::Offline));
    assert_eq!(heard(&[(Liveness::Absent, Word::Kept), (Liveness::Unheard, Word::Online)]), None);
}

#[test]
fn a_stopped_receiver_and_a_stopped_sender_say_nothing() {
    // P63
    let mut record = full_record();
    record.receiver.pid = 0;
    assert_eq!(record.receiver_in(), None);
    assert!(record.sender_runs());
    record.sender.pid = 0;
    assert!(!record.sender_runs());
}

#[test]
fn after_a_reboot_only_term_incarnation_and_lasting_wishes_are_left() {
    let before = full_record();
    let after = before.clone().after_reboot("another boot");
    assert_eq!(after.sender, SenderSection { incarnation: 9, ..SenderSection::default() });
    let contacts = before.receiver.contacts.clone();
    assert_eq!(after.receiver, ReceiverSection { contacts, ..ReceiverSection::default() });
    assert_eq!((after.supervise.pid, after.supervise.tick), (0, BootTime::ZERO));
    let report = after.supervise.report.as_ref().unwrap();
    assert_eq!(report.highest_term, before.supervise.report.as_ref().unwrap().highest_term);
    assert_eq!((report.role, report.announce, report.saying.willing), (Role::Standby, false, false));
    assert!(report.resources.is_empty() && report.history.is_empty());
    assert_eq!((after.operator.wishes.offline, after.operator.at), (None, BootTime::ZERO));
    assert!(after.operator.wishes.maintenance);
    assert_eq!(after.operator.wishes.held, before.operator.wishes.held);
    assert_eq!((after.boot_id.as_str(), after.generation), ("another boot", 42));
    assert_eq!((after.status(), after.receiver_in(), after.prompt_state()), (None, None, "NOTRUNNING"));
}

#[test]
fn a_second_reboot_changes_nothing_more() {
    let once = full_record().after_reboot("b");
    assert_eq!(once.clone().after_reboot("b"), once);
}

#[test]
fn signs_of_life_and_figures_are_no_news() {
    fn news<S: Section>(change: impl FnOnce(&mut S)) -> bool {
        let (mut before, mut after) = (full_record(), full_record());
        // Resource by resource, a plan under way is no news.
        for record in [&mut before, &mut after] {
            report(&mut record.supervise).progress_until = None;
        }
        change(S::of(&mut after));
        S::of(&mut after).is_news(S::of(&mut before))
    }
    fn report(supervise: &mut SuperviseSection) -> &mut SuperviseReport {
        supervise.report.as_mut().unwrap()
    }
    assert!(!news(|sender: &mut SenderSection| (sender.tick, sender.errors) = (at(900), Vec::new())));
    assert!(news(|sender: &mut SenderSection| sender.running = !sender.running));
    assert!(!news(|receiver: &mut ReceiverSection| (receiver.tick, receiver.late) = (at(900), 77)));
    assert!(!news(|receiver: &mut ReceiverSection| receiver.peers[0].heard_at = Some(at(900))));
    assert!(news(|receiver: &mut ReceiverSection| receiver.peers[0].liveness = Liveness::Suspect));
    let spoken = |change: fn(&mut Contact)| {
        news(|receiver: &mut ReceiverSection| receiver.contacts.values_mut().for_each(change))
    };
    assert!(!spoken(|contact| contact.serial.sequence += 1));
    assert!(spoken(|contact| contact.dialect.signer = 1));
    assert!(news(|receiver: &mut ReceiverSection| receiver.contacts.clear()));
    assert!(news(|receiver: &mut ReceiverSection| receiver.pid = 0));
    assert!(!news(|supervise: &mut SuperviseSection| supervise.tick = at(900)));
    assert!(!news(|supervise: &mut SuperviseSection| report(supervise).resources[0].duration = seconds(9)));
    assert!(news(|supervise: &mut SuperviseSection| report(supervise).resources[0].state = ResourceState::Unknown));
    assert!(news(|supervise: &mut SuperviseSection| report(supervise).role = Role::Standby));
    assert!(news(|supervise: &mut SuperviseSection| supervise.report = None));
    let (mut under_way, before) = (full_record(), full_record());
    report(&mut under_way.supervise).resources[0].state = ResourceState::Unknown;
    assert!(!under_way.supervise.is_news(&before.supervise), "how far a plan has come");
    assert!(news(|operator: &mut OperatorSection| operator.wishes.maintenance = false));
}
