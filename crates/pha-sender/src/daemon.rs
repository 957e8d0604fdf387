//! The sender's loop.

use std::os::fd::AsFd as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use pha_core::beat::{Beat, BeatSettings, Round, Said};
use pha_core::{BootTime, Heartbeat, NodeId, Serial};
use pha_daemon::{Daemon, Published, Publisher, Recorder, key, now};
use pha_status::{Database, Durability, Record, SenderSection};
use pha_trace::BeatInput;
use pha_wire::Codec;

use crate::routes::Routes;

/// The sender's own sign of life. Only people look at it.
const TICK: Duration = Duration::from_secs(2);
/// It waits so long for a beat that wakes the sender anyway, or comes so much earlier with one.
const WITH_A_BEAT: Duration = Duration::from_millis(100);
/// The beat waits this part of an interval for the disk, once when it stalls: 20 ms by default.
const PATIENCE: u32 = 10;
/// A peer tells at least once a second what it has heard of us. Who has not heard the heartbeats of so long may not be reached:
/// the time that the kernel itself trusts a neighbour without an answer (`delay_first_probe_time`).
const TRUST: Duration = Duration::from_secs(5);
/// Nor is it trusted for less, where heartbeats are rare.
const TRUSTED: u64 = 5;
/// How often a farewell is said, since nobody repeats it.
const FAREWELLS: u32 = 3;
const FAREWELL_PAUSE: Duration = Duration::from_millis(20);
/// Every so many heartbeats a peer that speaks an older dialect hears the best one, too.
const OFFER: u64 = 10;

/// The sender and all it knows.
pub struct Sender {
    me: NodeId,
    beat: Beat,
    recorder: Recorder,
    codec: Codec,
    routes: Routes,
    serial: Serial,
    record: Record,
    section: SenderSection,
    publisher: Publisher<SenderSection>,
    interval: Duration,
    next_tick: BootTime,
}

impl Sender {
    /// Takes a new incarnation, which is on disk before the first heartbeat.
    pub fn new(daemon: &Daemon) -> anyhow::Result<Self> {
        let config = &daemon.config;
        let settings = BeatSettings::new(config.heartbeat_interval, config.dead_time, config.lease);
        let now = now();
        let mut sender = Self {
            me: daemon.me.id,
            beat: Beat::new(settings, now),
            recorder: Recorder::off(),
            codec: key::codec(&daemon.home, config)?,
            routes: Routes::new(config, &daemon.me, now),
            serial: Serial::default(),
            record: Record::default(),
            section: SenderSection { pid: std::process::id(), ..SenderSection::default() },
            publisher: Publisher::new(daemon)?,
            interval: config.heartbeat_interval,
            next_tick: now,
        };
        sender.read(&daemon.database);
        sender.begin_incarnation();
        sender.section.running = sender.beat.is_running();
        sender.section.tick = now;
        sender.next_tick = now + TICK;
        sender.record = sender.publisher.publish_first(sender.section.clone(), Durability::Lasting)?;
        Ok(sender)
    }

    /// Speaks until the daemon is told to end.
    pub fn run(&mut self, daemon: &mut Daemon) -> anyhow::Result<()> {
        let mut waker = daemon.waker()?;
        self.recorder = Recorder::begin(daemon, &self.beat, now());
        // What was written before somebody listened rings no more.
        self.read(&daemon.database);
        daemon.is_ready();
        loop {
            let woken = waker.wait([self.publisher.as_fd()].into_iter(), self.next_deadline(now()))?;
            let now = now();
            let written = self.publisher.collect();
            self.note(written);
            if woken.record_changed {
                self.read(&daemon.database);
            }
            if woken.hangup && key::reload(daemon, &mut self.codec) {
                self.speak_anew();
            }
            self.speak(now);
            if woken.terminate {
                self.say_farewell(now);
                self.section = SenderSection { pid: 0, running: false, ..self.section.clone() };
                self.publish(now, true);
                self.recorder.end(&self.beat, now);
                return Ok(());
            }
            self.routes.deadline_passed(now);
            self.tick(now);
            self.recorder.flush(now);
        }
    }

    /// Later than any before, also if the status database was lost.
    fn begin_incarnation(&mut self) {
        let last = self.record.sender.incarnation.max(self.section.incarnation);
        let incarnation = last.saturating_add(1).max(wall_clock());
        self.serial = Serial { incarnation, sequence: 0 };
        self.section.incarnation = incarnation;
    }

    /// With other keys this is another sender: peers forget what the one before has spoken. It need not be on disk before its
    /// first heartbeat, since the clock alone lets the next one be later.
    fn speak_anew(&mut self) {
        self.begin_incarnation();
        let written = self.publisher.store(self.section.clone(), Durability::Lasting, self.interval / PATIENCE);
        self.note(Some(written));
    }

    /// For a node whose daemons are stopped: says its last word once more.
    pub fn farewell(&mut self) -> anyhow::Result<()> {
        let round =
            self.beat.farewell(now()).context("this node has not left: its supervise has not said LEFT or KEPT")?;
        for _ in 0..FAREWELLS {
            self.send(round);
            std::thread::sleep(FAREWELL_PAUSE);
        }
        Ok(())
    }

    /// A sender that is silent looks as often as it would speak: a sign of life from supervise, which rings for nobody, may
    /// end its silence.
    fn next_deadline(&self, now: BootTime) -> BootTime {
        let looks = self.beat.next_deadline().unwrap_or(now + self.interval);
        self.routes.next_deadline().unwrap_or(looks).min(looks).min(self.next_tick + WITH_A_BEAT)
    }

    fn read(&mut self, database: &Database) {
        match database.read() {
            Ok(record) => {
                let supervise = &record.supervise;
                let said = supervise.report.as_ref().map(|report| Said::from_report(report, supervise.tick));
                let input = BeatInput::RecordChanged { said, peers: record.receiver.peers.clone() };
                self.recorder.feed(&mut self.beat, input, now());
                self.take(record);
            }
            Err(error) => log::error!("{error}; what was said before stays said"),
        }
    }

    /// Sends the round that is due, if one is. Takes no lock and allocates nothing, but for the trace.
    fn speak(&mut self, now: BootTime) {
        if let Some(round) = self.recorder.feed(&mut self.beat, BeatInput::DeadlinePassed, now) {
            self.send(round);
        }
    }

    fn send(&mut self, round: Round) {
        self.serial.sequence += 1;
        let (me, serial, codec, record) = (self.me, self.serial, &self.codec, &self.record);
        let beats = TRUST.as_nanos() / self.interval.as_nanos();
        let trusted = u64::try_from(beats).unwrap_or(u64::MAX).max(TRUSTED);
        let contact = |peer| record.receiver.contacts.get(&peer).copied().unwrap_or_default();
        let said_to = |peer, dialect| {
            let heartbeat = Heartbeat {
                node: me,
                serial,
                saying: round.saying,
                reply_wanted: round.reply_wanted,
                heard: contact(peer).serial,
                supervise_age: round.supervise_age,
            };
            let report = record.receiver.peers.iter().find(|report| report.node == peer);
            let hears_us = report.is_some_and(|report| report.has_heard(serial, trusted));
            (codec.encode(&heartbeat, dialect), hears_us)
        };
        // Nobody is to answer with a key that this node's receiver has not read yet.
        let best = codec.best_of(&record.receiver.signers);
        let usual = |peer| codec.answer_to(contact(peer).dialect, best);
        if serial.sequence % OFFER == 1 {
            // First: who understands both is to hear this one, and drops the other as a replay.
            self.routes.send(|peer| (usual(peer) != best).then(|| said_to(peer, best)));
        }
        self.routes.send(|peer| Some(said_to(peer, usual(peer))));
    }

    fn say_farewell(&mut self, now: BootTime) {
        if let Some(round) = self.recorder.feed(&mut self.beat, BeatInput::Farewell, now) {
            (0..FAREWELLS).for_each(|_| self.send(round));
        }
    }

    fn tick(&mut self, now: BootTime) {
        let running = self.beat.is_running();
        let overwritten = self.publisher.was_overwritten(&mut self.record);
        let news = running != self.section.running || overwritten;
        if now + WITH_A_BEAT >= self.next_tick || news {
            self.section.running = running;
            self.section.errors = self.routes.errors();
            self.publish(now, news);
        }
    }

    fn publish(&mut self, now: BootTime, news: bool) {
        self.section.tick = now;
        self.next_tick = now + TICK;
        if news {
            self.recorder.hurry(now);
            let written = self.publisher.publish(self.section.clone(), self.interval / PATIENCE);
            self.note(Some(written));
        } else {
            self.publisher.publish_later(self.section.clone());
        }
    }

    fn note(&mut self, published: Option<Published>) {
        if let Some(Published::Written(record)) = published {
            self.take(*record);
        }
    }

    /// What peers understand is known also while the receiver's section is missing: a database that was lost is made anew by
    /// whoever writes first.
    fn take(&mut self, mut record: Record) {
        let (new, known) = (&mut record.receiver, &mut self.record.receiver);
        if new.pid == 0 && new.contacts.is_empty() {
            new.contacts = std::mem::take(&mut known.contacts);
            new.signers = std::mem::take(&mut known.signers);
        }
        self.record = record;
    }
}

/// Milliseconds since 1970: an incarnation that grows even if the status database is lost.
fn wall_clock() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use std::path::Path;
    use std::sync::Arc;

    use pha_config::Config;
    use pha_core::Dialect;
    use pha_core::Word;
    use pha_core::heartbeat::Saying;
    use pha_status::Contact;
    use pha_sys::allocations::counted;
    use pha_sys::writer::Writer;
    use pha_wire::{Key, Keyring, OLDEST, Trust, VERSION};

    use super::*;

    fn sender(now: BootTime) -> Sender {
        sender_to(9, now)
    }

    fn sender_to(port: u16, now: BootTime) -> Sender {
        let text = "NODES=a b c\nADDR_a=127.0.0.1\nADDR_b=127.0.0.2 127.0.0.3\nADDR_c=127.0.0.4\n";
        let config = Config::parse(&format!("{text}PORT={port}\n"), Path::new("config")).unwrap();
        let times = BeatSettings::new(config.heartbeat_interval, config.dead_time, config.lease);
        let nowhere = Arc::new(Database::new(Path::new("nowhere"), "a"));
        Sender {
            me: config.nodes[0].id,
            beat: Beat::new(times, now),
            recorder: Recorder::off(),
            codec: Codec::new(&config.cluster, Trust::Anybody),
            routes: Routes::new(&config, &config.nodes[0], now),
            serial: Serial::default(),
            record: Record::default(),
            section: SenderSection::default(),
            publisher: Publisher::with(Writer::start("writer").unwrap(), nowhere).unwrap(),
            interval: config.heartbeat_interval,
            next_tick: now,
        }
    }

    #[test]
    fn who_is_silent_for_want_of_a_sign_of_life_looks_for_one_as_often_as_it_would_speak() {
        let mut now = BootTime::ZERO + TICK;
        let mut sender = sender(now);
        let said = Said { saying: Saying::healthy(Word::Online), progress_until: None, announce: true, tick: now };
        sender.beat.record_changed(Some(said), &[], now);
        while let Some(due) = sender.beat.next_deadline() {
            now = due;
            sender.speak(now);
        }
        sender.next_tick = now + TICK;
        assert_eq!(sender.next_deadline(now), now + Duration::from_millis(200));
    }

    #[test]
    fn a_peer_is_spoken_to_as_it_speaks_and_hears_the_best_now_and_then_which_must_come_first() {
        let ear = std::net::UdpSocket::bind("127.0.0.2:0").unwrap();
        ear.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut sender = sender_to(ear.local_addr().unwrap().port(), BootTime::ZERO + TICK);
        let [old, new] = [1, 2].map(|byte| Key::from_bytes([byte; 32]));
        let keys = Keyring::new(new.clone(), Some(old.clone())).unwrap();
        sender.codec = Codec::new("pha", Trust::Holders(keys));
        let peer = NodeId::new(2).unwrap();
        let contact = Contact {
            serial: Serial { incarnation: 7, sequence: 8 },
            dialect: Dialect { version: OLDEST, signer: old.id() },
        };
        sender.record.receiver.contacts.insert(peer, contact);
        let round = Round { saying: Saying::healthy(Word::Online), reply_wanted: false, supervise_age: Duration::ZERO };
        let mut spoken = Vec::new();
        for _ in 0..=OFFER {
            sender.send(round);
        }
        for _ in 0..OFFER + 3 {
            let mut bytes = [0; 200];
            let length = ear.recv(&mut bytes).unwrap();
            let (heartbeat, dialect) = sender.codec.decode(&bytes[..length]).unwrap();
            assert_eq!(heartbeat.heard, contact.serial);
            spoken.push((heartbeat.serial.sequence, dialect));
        }
        let best = Dialect { version: VERSION, signer: new.id() };
        let mut expected: Vec<_> = (1..=OFFER + 1).map(|sequence| (sequence, contact.dialect)).collect();
        expected.insert(usize::try_from(OFFER).unwrap(), (OFFER + 1, best));
        expected.insert(0, (1, best));
        assert_eq!(spoken, expected);
    }

    #[test]
    fn a_beat_allocates_nothing_on_its_way_from_the_timer_to_the_wire() {
        let mut now = BootTime::ZERO + TICK;
        let mut sender = sender(now);
        let saying = Saying::healthy(Word::Online);
        let said = Said { saying, progress_until: None, announce: true, tick: now };
        sender.beat.record_changed(Some(said), &[], now);
        for beats in 1..=5 {
            now = sender.beat.next_deadline().unwrap();
            let ((), allocations) = counted(|| sender.speak(now));
            assert_eq!((sender.serial.sequence, allocations), (beats, 0));
        }
        assert_eq!(sender.routes.errors().len(), 0);
    }
}
