//! Time alone changes nothing between two deadlines: a supervisor that is woken at [`Supervisor::next_deadline`] and no
//! earlier shows at every moment the same as a twin that is woken every millisecond. A timer that is forgotten, or set too
//! late, would let it decide up to a tick later than it could.

use std::time::Duration;

use pha_core::detector::{Arrival, DetectorSettings, PeerDetector, brings_news};
use pha_core::report::{OfflineWish, SuperviseReport, Wishes};
use pha_core::resource::{Call, Outcome, ResourceSettings};
use pha_core::supervisor::{Command, Event, Outside, Restored, Settings, Supervisor};
use pha_core::{BootTime, Direction, Gateway, Heartbeat, LeaveCause, NodeId, Saying, Serial, Term, Word};

const INTERVAL: u64 = 200;
const DEAD: u64 = 600;

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn at(milliseconds: u64) -> BootTime {
    BootTime::ZERO + ms(milliseconds)
}

fn node(id: usize) -> NodeId {
    NodeId::new(id).expect("a node id")
}

/// Short times, so that all of them end within a scene or two.
fn settings(me: usize) -> Settings {
    let resource = |name: &str, leased| ResourceSettings {
        name: name.into(),
        start_timeout: ms(900),
        stop_timeout: ms(900),
        check_timeout: ms(500),
        leased,
        probes: leased,
        announces: leased,
    };
    Settings {
        me: node(me),
        heartbeat_interval: ms(INTERVAL),
        dead_time: ms(DEAD),
        supervise_interval: ms(2000),
        ping_timeout: ms(700),
        gateway: true,
        lease: ms(3000),
        restarts: 1,
        restart_window: ms(5000),
        unfit_time: ms(3300),
        failback: Some(ms(2700)),
        witness: true,
        config_hash: 1,
        resources: vec![resource("service", false), resource("ipaddr", true)],
    }
}

/// Small and repeatable (Knuth's constants for a linear congruential generator).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// What surrounds both twins.
struct World {
    /// The peer says this, or nothing.
    peer: Option<Saying>,
    hears_us: bool,
    gateway_answers: bool,
    address_answers: bool,
    starts_fail: bool,
    slow: bool,
    writable: bool,
    deaf: bool,
    wishes: Wishes,
}

impl World {
    fn calm() -> Self {
        Self {
            peer: None,
            hears_us: true,
            gateway_answers: true,
            address_answers: false,
            starts_fail: false,
            slow: false,
            writable: true,
            deaf: false,
            wishes: Wishes::default(),
        }
    }

    fn turn(&mut self, dice: &mut Dice, now: u64) {
        let word = match dice.below(8) {
            0 | 1 => Some(Word::Online),
            2 => Some(Word::Offline { clean: true }),
            3 => Some(Word::Offline { clean: false }),
            4 => {
                let direction = if dice.one_in(2) { Direction::Starting } else { Direction::Stopping };
                Some(Word::Progress { direction, remaining: ms(400 + dice.below(900)) })
            }
            5 => Some(Word::Left { cause: LeaveCause::Operator }),
            6 => Some(Word::Kept),
            _ => None,
        };
        let gateway = if dice.one_in(3) { Gateway::Lost } else { Gateway::Reachable };
        let term = Term::next(Term::NONE, node(if dice.one_in(2) { 1 } else { 3 }));
        let willing = !dice.one_in(4);
        self.peer = word.map(|word| Saying { word, term, gateway, fit: willing, willing, config_hash: 1 });
        self.hears_us = !dice.one_in(4);
        self.gateway_answers = !dice.one_in(3);
        self.address_answers = dice.one_in(4);
        self.starts_fail = dice.one_in(5);
        self.slow = dice.one_in(4);
        self.writable = !dice.one_in(8);
        self.deaf = dice.one_in(10);
        let offline = OfflineWish { since: at(now), until: at(now + 500 + dice.below(3000)), force: dice.one_in(2) };
        self.wishes.offline = dice.one_in(4).then_some(offline);
        self.wishes.maintenance = dice.one_in(12);
        self.wishes.held = if dice.one_in(8) { vec!["service".into()] } else { Vec::new() };
        if dice.one_in(6) {
            self.wishes.forgiven = at(now);
        }
    }
}

/// One supervisor with its resources and the calls that run.
struct Twin {
    supervisor: Supervisor,
    up: [bool; 2],
    calls: Vec<(u64, usize, Call)>,
    echo: Option<u64>,
}

impl Twin {
    fn new(settings: Settings) -> Self {
        let supervisor = Supervisor::new(settings, Restored::default(), at(0));
        Self { supervisor, up: [false; 2], calls: Vec::new(), echo: None }
    }

    fn feed(&mut self, event: Event, world: &World, now: u64) {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            for command in self.supervisor.handle(event, at(now)) {
                match command {
                    Command::Publish if !world.writable => events.push(Event::Published(false)),
                    Command::Publish => events.push(Event::Published(true)),
                    Command::StoreTerm => events.push(Event::TermStored(world.writable)),
                    Command::Run { resource, call, .. } => {
                        let slow = world.slow && matches!(call, Call::Start | Call::Stop);
                        self.calls.push((now + if slow { 700 } else { 3 }, resource, call));
                    }
                    Command::Cancel { resource } => {
                        self.calls.iter_mut().filter(|(_, of, _)| *of == resource).for_each(|(due, ..)| *due = now + 1);
                    }
                    Command::Ping => self.echo = Some(now + 1),
                    Command::Note(_) | Command::Exit => {}
                }
            }
        }
    }

    fn what_ended(&mut self, world: &World, now: u64) -> Vec<Event> {
        let mut events = Vec::new();
        for (_, resource, call) in self.calls.extract_if(.., |(due, ..)| *due <= now) {
            let succeeded = match call {
                Call::Start | Call::Keep if world.starts_fail => false,
                Call::Start | Call::Keep => {
                    self.up[resource] = true;
                    true
                }
                Call::Stop => {
                    self.up[resource] = false;
                    true
                }
                Call::Check => self.up[resource],
                Call::Probe => world.address_answers,
                Call::Announce => true,
            };
            let outcome = if succeeded { Outcome::Succeeded } else { Outcome::Failed };
            let (message, duration) = (String::new(), ms(3));
            events.push(Event::CallFinished { resource, call, outcome, message, duration });
        }
        if self.echo.take_if(|due| *due <= now).is_some() && world.gateway_answers {
            events.push(Event::GatewayAnswered);
        }
        events
    }

    /// All but the count of failures: that they are over is found when it is asked, and shown with the next tick.
    fn shows(&self) -> SuperviseReport {
        let mut report = self.supervisor.report();
        report.resources.iter_mut().for_each(|resource| resource.failures = 0);
        report
    }
}

/// This node's receiver, the same for both.
struct Ears {
    detector: PeerDetector,
    sequence: u64,
    told: Outside,
}

impl Ears {
    fn new(peer: usize) -> Self {
        let times = DetectorSettings { interval: ms(INTERVAL), dead_time: ms(DEAD), init_dead: ms(2 * DEAD) };
        let detector = PeerDetector::new(node(peer), vec!["10.0.0.1".into()], 1, times, at(0));
        Self { detector, sequence: 0, told: Outside::default() }
    }

    fn hear(&mut self, world: &World, peer: usize, now: u64) -> Option<Event> {
        if let Some(saying) = world.peer.filter(|_| now.is_multiple_of(INTERVAL)) {
            self.sequence += 1;
            let heard = Serial { incarnation: 1, sequence: if world.hears_us { self.sequence } else { 0 } };
            let heartbeat = Heartbeat {
                node: node(peer),
                serial: Serial { incarnation: 1, sequence: self.sequence },
                saying,
                reply_wanted: false,
                heard,
                supervise_age: Duration::ZERO,
            };
            self.detector.heartbeat_received(&heartbeat, 0, Arrival::Newest, at(now));
        }
        self.detector.deadline_passed(at(now));
        let peers = vec![self.detector.report().clone()];
        let outside = Outside { peers, deaf: world.deaf, wishes: world.wishes.clone(), quorum: None };
        let news = brings_news(&self.told.peers, &outside.peers)
            || (self.told.deaf, &self.told.wishes) != (outside.deaf, &outside.wishes);
        (news || now.is_multiple_of(1000)).then(|| {
            self.told = outside.clone();
            Event::OutsideChanged(Box::new(outside))
        })
    }
}

fn live(seed: u64, me: usize, seconds: u64) {
    let peer = 3 - me;
    let mut dice = Dice(seed);
    let mut world = World::calm();
    let mut ears = Ears::new(peer);
    let [mut punctual, mut restless] = [Twin::new(settings(me)), Twin::new(settings(me))];
    let (mut scene_ends, mut now) = (2000, 0);
    while now < seconds * 1000 {
        now += 1;
        if now >= scene_ends {
            world.turn(&mut dice, now);
            scene_ends = now + 100 + dice.below(5000);
            if dice.one_in(20) {
                // Both were away.
                now += 300 + dice.below(2000);
            }
            if dice.one_in(4) {
                let dies = usize::from(dice.one_in(2));
                (punctual.up[dies], restless.up[dies]) = (false, false);
            }
        }
        let heard = ears.hear(&world, peer, now);
        for twin in [&mut punctual, &mut restless] {
            let events = heard.iter().cloned().chain(twin.what_ended(&world, now)).collect::<Vec<_>>();
            events.into_iter().for_each(|event| twin.feed(event, &world, now));
        }
        if at(now) >= punctual.supervisor.next_deadline() {
            punctual.feed(Event::DeadlinePassed, &world, now);
        }
        restless.feed(Event::DeadlinePassed, &world, now);
        let (shown, should) = (punctual.shows(), restless.shows());
        assert!(shown == should, "seed {seed}, node {me}, {now} ms: {}, not {}", brief(&shown), brief(&should));
        assert_eq!(punctual.calls, restless.calls, "seed {seed}, node {me}, {now} ms");
    }
}

fn brief(report: &SuperviseReport) -> String {
    format!(
        "{:?}, {} since {:?}, until {:?}, {:?}",
        report.saying, report.reason, report.since, report.until, report.resources
    )
}

#[test]
fn time_alone_changes_nothing_between_two_deadlines() {
    for seed in 0..8 {
        live(seed, 1 + (seed % 2) as usize, 150);
    }
}
