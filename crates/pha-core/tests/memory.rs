//! What the supervisor remembers, for how long, and what it takes over from another one.

mod virtual_node;

use pha_core::detector::{Arrival, DetectorSettings, PeerDetector};
use pha_core::report::ResourceState;
use pha_core::resource::Call;
use pha_core::supervisor::{Command, Event, Note, Outside, Settings};
use pha_core::{Gateway, Heartbeat, Reason, Role, Saying, Serial, Word};
use virtual_node::{DEAD, INTERVAL, VirtualNode, World, at, ms, node, settings};

/// A node, what surrounds it, and its clock in milliseconds.
struct Scene {
    node: VirtualNode,
    world: World,
    now: u64,
}

impl Scene {
    fn new(settings: Settings) -> Self {
        Self { node: VirtualNode::new(settings), world: World::calm(), now: 0 }
    }

    /// The only node that anybody hears of, active.
    fn alone() -> Self {
        let mut scene = Self::new(Settings { gateway: false, ..settings(1) });
        scene.node.up = [true; 2];
        scene.feed(Event::OutsideChanged(Box::default()));
        scene.pass(10);
        assert_eq!(scene.node.supervisor.role(), Role::Active);
        scene
    }

    fn feed(&mut self, event: Event) {
        self.node.feed(event, &self.world, self.now);
    }

    /// Wakes the supervisor when it wants to be, and when something ended.
    fn pass(&mut self, milliseconds: u64) {
        for _ in 0..milliseconds {
            self.now += 1;
            for event in self.node.what_ended(&self.world, self.now) {
                self.feed(event);
            }
            if at(self.now) >= self.node.supervisor.next_deadline() {
                self.feed(Event::DeadlinePassed);
            }
        }
    }

    fn dies(&mut self, resource: usize) {
        self.node.up[resource] = false;
    }

    fn failures(&self) -> u32 {
        self.node.supervisor.report().resources.iter().map(|resource| resource.failures).sum()
    }

    /// How often that was commanded since the last time.
    fn commanded(&mut self, which: impl Fn(&Command) -> bool) -> usize {
        self.node.commands.drain(..).filter(which).count()
    }

    /// lb2 said this `ago`.
    fn hears(&mut self, word: Word, gateway: Gateway, ago: u64) {
        let times = DetectorSettings { interval: ms(INTERVAL), dead_time: ms(DEAD), init_dead: ms(DEAD) };
        let (peer, heard) = (node(2), self.now - ago);
        let mut detector = PeerDetector::new(peer, vec!["10.0.0.2".into()], 1, times, at(heard));
        let saying = Saying { gateway, config_hash: 1, ..Saying::healthy(word) };
        let serial = Serial { incarnation: 1, sequence: heard + 1 };
        let heartbeat =
            Heartbeat { node: peer, serial, saying, reply_wanted: false, heard: serial, supervise_age: ms(0) };
        detector.heartbeat_received(&heartbeat, 0, Arrival::Newest, at(heard));
        detector.deadline_passed(at(self.now));
        let peers = vec![detector.report().clone()];
        self.feed(Event::OutsideChanged(Box::new(Outside { peers, ..Outside::default() })));
    }
}

const fn is_ping(command: &Command) -> bool {
    matches!(command, Command::Ping)
}

#[test]
fn a_restarted_supervise_adopts_what_is_all_up_and_nothing_less() {
    for (up, role) in [([true, true], Role::Active), ([true, false], Role::Standby), ([false, false], Role::Standby)] {
        let mut scene = Scene::new(settings(1));
        scene.node.up = up;
        scene.feed(Event::OutsideChanged(Box::new(Outside { deaf: true, ..Outside::default() })));
        scene.pass(10);
        assert_eq!(scene.node.supervisor.role(), role, "{up:?}");
    }
}

#[test]
fn what_is_found_up_later_makes_no_standby_active() {
    let mut scene = Scene::new(settings(1));
    scene.feed(Event::OutsideChanged(Box::new(Outside { deaf: true, ..Outside::default() })));
    scene.pass(10);
    scene.node.up = [true; 2];
    scene.pass(3000);
    let report = scene.node.supervisor.report();
    assert!(report.resources.iter().all(|resource| resource.state == ResourceState::Up), "{report:?}");
    assert_eq!(report.role, Role::Standby);
}

#[test]
fn a_failure_is_forgotten_when_the_restart_window_is_over_and_not_before() {
    let mut scene = Scene::alone();
    scene.dies(1);
    while scene.failures() == 0 {
        scene.pass(1);
    }
    let failed = scene.now;
    while scene.node.supervisor.report().saying.word != Word::Online {
        scene.pass(1);
    }
    // The time in which scripts ran is not counted.
    let over = failed + 5000 + (scene.now - failed);
    scene.pass(over - scene.now - 1);
    scene.feed(Event::DeadlinePassed);
    assert_eq!(scene.failures(), 1);
    scene.pass(1);
    scene.feed(Event::DeadlinePassed);
    assert_eq!(scene.failures(), 0);
}

#[test]
fn who_has_been_healthy_for_the_restart_window_begins_with_a_short_unfit_time_again() {
    for (healthy, unfit_for) in [(4000, 6600), (6000, 3300)] {
        let mut scene = Scene::alone();
        let became_unfit = |scene: &mut Scene| {
            scene.world.starts_fail = true;
            scene.dies(1);
            while scene.node.supervisor.report().unfit_until.is_none() {
                scene.pass(1);
            }
            let until = scene.node.supervisor.report().unfit_until;
            scene.world.starts_fail = false;
            until.map(|until| until.since(at(scene.now)))
        };
        assert_eq!(became_unfit(&mut scene), Some(ms(3300)));
        while scene.node.supervisor.report().saying.word != Word::Online || !scene.node.supervisor.report().saying.fit {
            scene.pass(1);
        }
        scene.pass(healthy);
        let unfit_for = ms(unfit_for);
        assert_eq!(became_unfit(&mut scene), Some(unfit_for), "after {healthy} ms of health");
    }
}

#[test]
fn a_fit_node_does_not_become_fit_again_and_again() {
    let mut scene = Scene::alone();
    scene.pass(3000);
    assert_eq!(scene.commanded(|command| matches!(command, Command::Note(Note::Fitness { .. }))), 0);
}

#[test]
fn a_supervisor_woken_a_dead_time_late_was_not_away_and_a_moment_later_it_was() {
    for (late, away) in [(DEAD, 0), (DEAD + 1, 1)] {
        let mut scene = Scene::alone();
        let due = scene.node.supervisor.next_deadline();
        scene.now = u64::try_from(due.since(at(0)).as_millis()).expect("a time of this test") + late;
        scene.feed(Event::DeadlinePassed);
        let noted = scene.commanded(|command| matches!(command, Command::Note(Note::WasAway(_))));
        assert_eq!(noted, away, "{late} ms late");
    }
}

#[test]
fn an_absence_ends_with_a_word_of_the_peer_or_a_dead_time_of_silence() {
    let comes_back = || {
        let mut scene = Scene::alone();
        scene.now += 5000;
        scene.feed(Event::DeadlinePassed);
        assert_eq!(scene.node.supervisor.report().reason, Reason::WasAway);
        scene
    };
    let reason = |scene: &Scene| scene.node.supervisor.report().reason;
    let mut scene = comes_back();
    scene.hears(Word::Offline { clean: true }, Gateway::Off, 0);
    assert_eq!(reason(&scene), Reason::WasAway, "what was heard in the very moment may have waited in the socket");
    scene.pass(1);
    scene.hears(Word::Offline { clean: true }, Gateway::Off, 0);
    assert_eq!(reason(&scene), Reason::Active);
    let mut scene = comes_back();
    scene.pass(DEAD - 1);
    assert_eq!(reason(&scene), Reason::WasAway);
    scene.pass(1);
    assert_eq!(reason(&scene), Reason::Active);
}

#[test]
fn the_gateway_is_tested_anew_when_a_peer_loses_its_own_or_falls_silent_for_a_standby() {
    let quiet = |word| {
        let mut scene = Scene::new(settings(1));
        scene.feed(Event::OutsideChanged(Box::default()));
        scene.hears(word, Gateway::Reachable, 0);
        scene.pass(900);
        scene.hears(word, Gateway::Reachable, 0);
        scene.pass(50);
        scene.commanded(is_ping);
        scene
    };
    let mut scene = quiet(Word::Online);
    scene.hears(Word::Online, Gateway::Reachable, 1);
    assert_eq!(scene.commanded(is_ping), 0, "no news");
    scene.hears(Word::Online, Gateway::Lost, 0);
    assert_eq!(scene.commanded(is_ping), 1, "the peer lost its gateway");
    scene.pass(5);
    scene.commanded(is_ping);
    scene.hears(Word::Online, Gateway::Lost, 0);
    assert_eq!(scene.commanded(is_ping), 0, "that is known");
    let mut scene = quiet(Word::Online);
    scene.hears(Word::Online, Gateway::Reachable, 300);
    assert_eq!(scene.commanded(is_ping), 1, "a suspect peer");
    scene.pass(5);
    scene.commanded(is_ping);
    scene.hears(Word::Online, Gateway::Reachable, 1);
    assert_eq!(scene.commanded(is_ping), 0, "it is back");
}

#[test]
fn an_active_node_does_not_test_its_gateway_because_a_standby_is_silent() {
    let mut scene = Scene::new(settings(1));
    scene.node.up = [true; 2];
    scene.feed(Event::OutsideChanged(Box::default()));
    scene.pass(10);
    scene.hears(Word::Offline { clean: true }, Gateway::Reachable, 0);
    scene.pass(500);
    scene.commanded(is_ping);
    scene.hears(Word::Offline { clean: true }, Gateway::Reachable, 400);
    assert_eq!((scene.node.supervisor.role(), scene.commanded(is_ping)), (Role::Active, 0));
}

#[test]
fn new_settings_are_taken_over_and_a_gateway_round_goes_on_unless_its_own_times_change() {
    let mut scene = Scene::new(settings(1));
    scene.feed(Event::OutsideChanged(Box::default()));
    scene.pass(10);
    let gateway = |scene: &Scene| scene.node.supervisor.report().gateway();
    assert_eq!(gateway(&scene), Gateway::Reachable);
    let longer = Settings { unfit_time: ms(9000), ..settings(1) };
    scene.node.supervisor.reconfigure(longer.clone(), at(scene.now));
    assert_eq!(gateway(&scene), Gateway::Reachable);
    scene.world.starts_fail = true;
    scene.dies(1);
    while scene.node.supervisor.report().unfit_until.is_none() {
        scene.pass(1);
    }
    let until = scene.node.supervisor.report().unfit_until;
    assert!(until > Some(at(scene.now) + ms(8000)), "{until:?}");
    for own in [
        Settings { ping_timeout: ms(800), ..longer.clone() },
        Settings { supervise_interval: ms(2500), ..longer.clone() },
    ] {
        scene.pass(10);
        assert_eq!(gateway(&scene), Gateway::Reachable);
        scene.node.supervisor.reconfigure(own, at(scene.now));
        assert_eq!(gateway(&scene), Gateway::Testing);
    }
}

#[test]
fn a_prediction_goes_on_with_the_failures_and_the_unfit_time_of_another() {
    let mut scene = Scene::alone();
    scene.node.supervisor.resume(Some(Some(at(9000))), &[0, 2]);
    let report = scene.node.supervisor.report();
    assert_eq!((report.saying.fit, report.unfit_until, scene.failures()), (false, Some(at(9000)), 2));
    scene.node.supervisor.resume(None, &[1, 0]);
    assert_eq!((scene.node.supervisor.report().unfit_until, scene.failures()), (Some(at(9000)), 1));
}

#[test]
fn a_takeover_that_was_asleep_begins_nothing_before_it_knows_how_things_stand() {
    let is_start = |command: &Command| matches!(command, Command::Run { call: Call::Start, .. });
    let mut scene = Scene::new(Settings { gateway: false, ..settings(1) });
    scene.world.slow = true;
    scene.hears(Word::Online, Gateway::Off, 0);
    scene.pass(1000);
    scene.hears(Word::Online, Gateway::Off, 1000);
    scene.pass(100);
    assert_eq!(scene.commanded(is_start), 1, "the first of two resources is being started");
    scene.now += 5000;
    for event in scene.node.what_ended(&scene.world, scene.now) {
        scene.feed(event);
    }
    scene.pass(DEAD - 1);
    assert_eq!(scene.commanded(is_start), 0, "the peer may have the other one by now");
    scene.pass(1);
    let start = scene.node.commands.drain(..).find(is_start);
    assert!(matches!(start, Some(Command::Run { resource: 1, sole: true, .. })), "{start:?}");
}
