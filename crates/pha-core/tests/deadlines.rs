//! Time alone changes nothing between two deadlines: a supervisor that is woken at [`Supervisor::next_deadline`] and no
//! earlier shows at every moment the same as a twin that is woken every millisecond. A timer that is forgotten, or set too
//! late, would let it decide up to a tick later than it could.

mod virtual_node;

use std::time::Duration;

use pha_core::detector::{Arrival, DetectorSettings, PeerDetector, brings_news};
use pha_core::report::{OfflineWish, SuperviseReport, Wishes};
use pha_core::supervisor::{Event, Outside};
use pha_core::{Direction, Gateway, Heartbeat, LeaveCause, Saying, Serial, Term, Word};
use virtual_node::{DEAD, INTERVAL, VirtualNode, World, at, ms, node, settings};

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

/// What both twins live through.
struct Scene {
    world: World,
    /// The peer says this, or nothing.
    peer: Option<Saying>,
    hears_us: bool,
    deaf: bool,
    wishes: Wishes,
}

/// Everything may be different from now on.
fn turn(scene: &mut Scene, dice: &mut Dice, now: u64) {
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
    scene.peer =
        word.map(|word| Saying { term, gateway, fit: willing, willing, config_hash: 1, ..Saying::healthy(word) });
    scene.hears_us = !dice.one_in(4);
    scene.world.gateway_answers = !dice.one_in(3);
    scene.world.address_answers = dice.one_in(4);
    scene.world.starts_fail = dice.one_in(5);
    scene.world.slow = dice.one_in(4);
    scene.world.writable = !dice.one_in(8);
    scene.deaf = dice.one_in(10);
    let offline = OfflineWish { since: at(now), until: at(now + 500 + dice.below(3000)), force: dice.one_in(2) };
    scene.wishes.offline = dice.one_in(4).then_some(offline);
    scene.wishes.maintenance = dice.one_in(12);
    scene.wishes.held = if dice.one_in(8) { vec!["service".into()] } else { Vec::new() };
    if dice.one_in(6) {
        scene.wishes.forgiven = at(now);
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

    fn hear(&mut self, scene: &Scene, peer: usize, now: u64) -> Option<Event> {
        if let Some(saying) = scene.peer.filter(|_| now.is_multiple_of(INTERVAL)) {
            self.sequence += 1;
            let heard = Serial { incarnation: 1, sequence: if scene.hears_us { self.sequence } else { 0 } };
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
        let outside = Outside { peers, deaf: scene.deaf, wishes: scene.wishes.clone(), quorum: None };
        let news = brings_news(&self.told.peers, outside.peers.iter())
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
    let (hears_us, wishes) = (true, Wishes::default());
    let mut scene = Scene { world: World::calm(), peer: None, hears_us, deaf: false, wishes };
    let mut ears = Ears::new(peer);
    let [mut punctual, mut restless] = [VirtualNode::new(settings(me)), VirtualNode::new(settings(me))];
    let (mut scene_ends, mut now) = (2000, 0);
    while now < seconds * 1000 {
        now += 1;
        if now >= scene_ends {
            turn(&mut scene, &mut dice, now);
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
        let heard = ears.hear(&scene, peer, now);
        for twin in [&mut punctual, &mut restless] {
            let events = heard.iter().cloned().chain(twin.what_ended(&scene.world, now)).collect::<Vec<_>>();
            events.into_iter().for_each(|event| twin.feed(event, &scene.world, now));
        }
        if at(now) >= punctual.supervisor.next_deadline() {
            punctual.feed(Event::DeadlinePassed, &scene.world, now);
        }
        restless.feed(Event::DeadlinePassed, &scene.world, now);
        let (shown, should) = (shows(&punctual), shows(&restless));
        assert!(shown == should, "seed {seed}, node {me}, {now} ms: {}, not {}", brief(&shown), brief(&should));
        assert_eq!(punctual.calls, restless.calls, "seed {seed}, node {me}, {now} ms");
    }
}

/// All but the count of failures: that they are over is found when it is asked, and shown with the next tick.
fn shows(twin: &VirtualNode) -> SuperviseReport {
    let mut report = twin.supervisor.report();
    report.resources.iter_mut().for_each(|resource| resource.failures = 0);
    report
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
