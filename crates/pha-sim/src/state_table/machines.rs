//! The three small machines, each state with each event: failure detector, gateway, beat. They are built into a state,
//! given the event, and looked at.

use std::time::Duration;

use pha_core::beat::{Beat, BeatSettings, Said};
use pha_core::detector::{Arrival, DetectorSettings, PeerDetector};
use pha_core::gateway::{ECHOES, GatewayMonitor};
use pha_core::report::{Liveness, PeerReport};
use pha_core::{BootTime, Gateway, Heartbeat, LeaveCause, NodeId, Saying, Serial, Word};

use super::table;

/// A machine: its states, its events, and where each pair leads.
#[derive(Debug)]
pub struct Machine {
    /// The name of its block.
    pub name: &'static str,
    /// The first one is where it begins.
    pub states: Vec<String>,
    /// What can happen to it.
    pub events: Vec<&'static str>,
    /// A row for each state, a column for each event.
    pub next: Vec<Vec<String>>,
}

impl Machine {
    /// As it stands in the document; a state that stays is a dot.
    #[must_use]
    pub fn table(&self) -> String {
        let heading: Vec<String> = ["state"].iter().chain(&self.events).map(|word| (*word).to_owned()).collect();
        let row = |(state, next): (&String, &Vec<String>)| {
            let cells = next.iter().map(|to| if to == state { "·".to_owned() } else { to.clone() });
            [state.clone()].into_iter().chain(cells).collect::<Vec<_>>()
        };
        table(&heading, &self.states.iter().zip(&self.next).map(row).collect::<Vec<_>>())
    }
}

/// All three.
#[must_use]
pub fn machines() -> Vec<Machine> {
    vec![detector(), gateway(), beat()]
}

const INTERVAL: Duration = Duration::from_millis(200);
const DEAD_TIME: Duration = Duration::from_millis(600);
const INIT_DEAD: Duration = Duration::from_millis(1200);
const ROUND: Duration = Duration::from_millis(2100);
const SILENCE_LIMIT: Duration = Duration::from_millis(2400);
/// The moment at which every machine is built.
const BEGAN: Duration = Duration::from_secs(100);

fn began() -> BootTime {
    BootTime::since_boot(BEGAN)
}

fn peer() -> NodeId {
    NodeId::new(2).expect("2 is a node id")
}

const LEFT: Word = Word::Left { cause: LeaveCause::Operator };
const OFFLINE: Word = Word::Offline { clean: true };

fn hear(detector: &mut PeerDetector, word: Word, sequence: u64, arrival: Arrival, now: BootTime) {
    let none = Serial::default();
    let heartbeat = Heartbeat {
        node: peer(),
        serial: Serial { incarnation: 1, sequence },
        saying: Saying::healthy(word),
        reply_wanted: false,
        heard: none,
        supervise_age: Duration::ZERO,
    };
    detector.heartbeat_received(&heartbeat, 0, arrival, now);
}

fn silence(detector: &mut PeerDetector, lasts: Duration) {
    detector.deadline_passed(began() + lasts);
}

type Build<T> = fn() -> T;
type Happen<T> = fn(&mut T);

fn detector() -> Machine {
    fn new() -> PeerDetector {
        let settings = DetectorSettings { interval: INTERVAL, dead_time: DEAD_TIME, init_dead: INIT_DEAD };
        PeerDetector::new(peer(), vec![String::new()], 0, settings, began())
    }
    fn heard(word: Word, silent: Duration) -> PeerDetector {
        let mut detector = new();
        hear(&mut detector, word, 1, Arrival::Newest, began());
        silence(&mut detector, silent);
        detector
    }
    let build: [Build<PeerDetector>; 5] = [
        new,
        || heard(OFFLINE, Duration::ZERO),
        || heard(OFFLINE, INTERVAL * 3 / 2),
        || heard(OFFLINE, DEAD_TIME),
        || heard(LEFT, Duration::ZERO),
    ];
    let events: [(&str, Happen<PeerDetector>); 7] = [
        ("a heartbeat", |d| hear(d, OFFLINE, 2, Arrival::Newest, began() + DEAD_TIME)),
        ("LEFT or KEPT", |d| hear(d, LEFT, 2, Arrival::Newest, began() + DEAD_TIME)),
        ("a copy over another link", |d| hear(d, OFFLINE, 1, Arrival::Copy, began() + DEAD_TIME)),
        ("1.5 intervals of silence", |d| silence(d, INTERVAL * 3 / 2)),
        ("dead time of silence", |d| silence(d, DEAD_TIME)),
        ("init dead time of silence", |d| silence(d, INIT_DEAD)),
        ("as much, but slept through", |d| {
            d.was_late(INIT_DEAD, began() + INIT_DEAD);
            silence(d, INIT_DEAD);
        }),
    ];
    let name = |d: &PeerDetector| match d.report().liveness {
        Liveness::Unheard => "unheard",
        Liveness::Alive => "alive",
        Liveness::Suspect => "suspect",
        Liveness::Dead => "dead",
        Liveness::Absent => "absent",
    };
    explore("failure detector", &build, &events, name)
}

fn gateway() -> Machine {
    fn new(configured: bool) -> GatewayMonitor {
        GatewayMonitor::new(configured, Duration::from_secs(2), ROUND, began())
    }
    fn answered() -> GatewayMonitor {
        let mut monitor = new(true);
        monitor.answered(began());
        monitor
    }
    fn unanswered(monitor: &mut GatewayMonitor, deadlines: u32) {
        for _ in 0..deadlines {
            if let Some(due) = monitor.next_deadline() {
                let _ = monitor.deadline_passed(due);
            }
        }
    }
    let build: [Build<GatewayMonitor>; 4] = [
        || new(true),
        answered,
        || {
            let mut monitor = new(true);
            unanswered(&mut monitor, ECHOES + 1);
            monitor
        },
        || new(false),
    ];
    let events: [(&str, Happen<GatewayMonitor>); 4] = [
        ("an answer", |m| m.answered(began() + ROUND * 4)),
        ("one echo unanswered", |m| unanswered(m, 2)),
        ("a whole round unanswered", |m| unanswered(m, 2 * (ECHOES + 1))),
        ("look again: a peer lost its own, or died", |m| m.retest(began() + ROUND * 4)),
    ];
    let name = |m: &GatewayMonitor| match m.state() {
        Gateway::Off => "off: no `GW`",
        Gateway::Testing => "testing",
        Gateway::Reachable => "reachable",
        Gateway::Lost => "lost",
    };
    explore("gateway", &build, &events, name)
}

/// The beat with what was last written for it, and the time.
struct Sender {
    beat: Beat,
    said: Option<Said>,
    now: BootTime,
}

impl Sender {
    fn new() -> Self {
        let settings = BeatSettings { interval: INTERVAL, dead_time: DEAD_TIME, silence_limit: SILENCE_LIMIT };
        Self { beat: Beat::new(settings, began()), said: None, now: began() }
    }

    fn says(word: Word, announce: bool) -> Self {
        let mut sender = Self::new();
        sender.write(word, announce);
        sender
    }

    /// Supervise publishes now.
    fn write(&mut self, word: Word, announce: bool) {
        self.said = Some(Said { saying: Saying::healthy(word), progress_until: None, announce, tick: self.now });
        self.see(Liveness::Alive);
    }

    /// Supervise publishes the same again now.
    fn tick(&mut self) {
        self.said = self.said.map(|said| Said { tick: self.now, ..said });
        self.see(Liveness::Alive);
    }

    /// What the receiver says of the peer.
    fn see(&mut self, liveness: Liveness) {
        let detector = PeerDetector::new(
            peer(),
            Vec::new(),
            0,
            DetectorSettings { interval: INTERVAL, dead_time: DEAD_TIME, init_dead: INIT_DEAD },
            began(),
        );
        let report = PeerReport { liveness, ..detector.report().clone() };
        self.beat.record_changed(self.said, &[report], self.now);
    }

    /// Every round that is due within `time`.
    fn pass(mut self, time: Duration) -> Self {
        self.let_pass(time);
        self
    }

    fn let_pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(due) = self.beat.next_deadline().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            let _ = self.beat.deadline_passed(self.now);
        }
        self.now = until;
    }

    fn name(&self) -> &'static str {
        let mut beat = self.beat.clone();
        let Some(due) = beat.next_deadline() else {
            return match self.said {
                None => "silent: nothing to say",
                Some(said) if said.announce => "silent: supervise is",
                Some(_) => "resting",
            };
        };
        let asks = beat.deadline_passed(due).is_some_and(|round| round.reply_wanted);
        let quick = beat.next_deadline().is_none_or(|next| next < due + INTERVAL);
        let left = self.said.is_some_and(|said| said.saying.word == LEFT);
        match (asks, left, quick) {
            (true, ..) => "asking, quickly",
            (false, true, _) => "saying LEFT",
            (false, false, true) => "news, quickly",
            (false, false, false) => "speaking",
        }
    }
}

fn beat() -> Machine {
    const SETTLED: Duration = Duration::from_millis(500);
    let build: [Build<Sender>; 7] = [
        Sender::new,
        || Sender::says(OFFLINE, true),
        || Sender::says(OFFLINE, true).pass(SETTLED),
        || {
            let mut sender = Sender::says(OFFLINE, true).pass(SETTLED);
            sender.see(Liveness::Suspect);
            sender
        },
        || Sender::says(LEFT, true).pass(SETTLED),
        || Sender::says(LEFT, false),
        || Sender::says(OFFLINE, true).pass(SILENCE_LIMIT * 2),
    ];
    let events: [(&str, Happen<Sender>); 7] = [
        ("half a second", |s| s.let_pass(SETTLED)),
        ("supervise ticks", Sender::tick),
        ("another word", |s| s.write(Word::Online, true)),
        ("LEFT", |s| s.write(LEFT, true)),
        ("rest", |s| s.write(LEFT, false)),
        ("a peer is suspect", |s| s.see(Liveness::Suspect)),
        ("supervise silent for LEASE − DEADTIME", |s| s.let_pass(SILENCE_LIMIT * 2)),
    ];
    explore("beat", &build, &events, Sender::name)
}

/// Gives every event to every state.
fn explore<T, const S: usize, const E: usize>(
    name: &'static str,
    build: &[Build<T>; S],
    events: &[(&'static str, Happen<T>); E],
    state: fn(&T) -> &'static str,
) -> Machine {
    let next = |build: &Build<T>| {
        let after = |(_, happen): &(&str, Happen<T>)| {
            let mut machine = build();
            happen(&mut machine);
            state(&machine).to_owned()
        };
        events.iter().map(after).collect()
    };
    Machine {
        name,
        states: build.iter().map(|build| state(&build()).to_owned()).collect(),
        events: events.iter().map(|(event, _)| *event).collect(),
        next: build.iter().map(next).collect(),
    }
}
