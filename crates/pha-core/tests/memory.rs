//! What the supervisor remembers, for how long, and what it takes over from another one.

mod scene;
mod virtual_node;

use pha_core::report::{OfflineWish, ResourceState};
use pha_core::resource::Call;
use pha_core::supervisor::{Command, Event, Note, Outside, Settings};
use pha_core::{Answer, BootTime, Direction, Gateway, GaveUp, LeaveCause, Reason, Role, Word};
use scene::Scene;
use virtual_node::{DEAD, INTERVAL, at, ms, node, settings};

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
fn a_peer_that_does_not_know_its_own_gateway_is_waited_for_as_long_as_a_round_of_its_echoes_may_take() {
    // So that no echo of its own falls on that moment.
    let mut scene = Scene::new(Settings { supervise_interval: ms(2050), ..settings(1) });
    scene.world.gateway_answers = false;
    scene.hears(Word::Offline { clean: true }, Gateway::Testing, 0);
    let reason = |scene: &Scene| scene.node.supervisor.report().reason;
    while reason(&scene) != Reason::GatewayDoubtful {
        scene.pass(1);
    }
    scene.pass(700 + 4 * INTERVAL - 1);
    assert_eq!(reason(&scene), Reason::GatewayDoubtful);
    scene.pass(1);
    assert_eq!(reason(&scene), Reason::GatewayLost);
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

#[test]
fn what_was_put_back_ten_times_is_given_in_to_until_the_restart_window_is_over() {
    for (after, put_back) in [(4999, 0), (5000, 1)] {
        let mut scene = Scene::alone();
        let removed = |scene: &mut Scene| {
            scene.feed(Event::ResourceRemoved { resource: 1 });
            scene.commanded(|command| matches!(command, Command::Run { call: Call::Restore, .. }))
        };
        let first = scene.now + 3;
        for _ in 0..10 {
            assert_eq!(removed(&mut scene), 1);
            scene.pass(10);
        }
        scene.pass(first + after - 1 - scene.now);
        scene.now += 1;
        assert_eq!(removed(&mut scene), put_back, "{after} ms after the first time");
    }
}

#[test]
fn a_prediction_goes_on_with_the_rest_of_one_that_left_because_of_its_gateway() {
    let mut scene = Scene::new(settings(1));
    scene.world.gateway_answers = false;
    scene.feed(Event::OutsideChanged(Box::default()));
    scene.pass(1000);
    assert_eq!(scene.word(), Word::Offline { clean: true }, "a standby goes on saying that it has lost it");
    scene.node.supervisor.resume_rest();
    scene.pass(1000);
    assert_eq!(scene.word(), Word::Left { cause: LeaveCause::Gateway });
}

#[test]
fn a_peer_that_has_been_stopping_for_a_heartbeat_is_no_second_active_node() {
    for (ago, conflicts) in [(INTERVAL - 1, 1), (INTERVAL, 0)] {
        let mut scene = Scene::alone();
        scene.pass(ago);
        scene.hears(Word::Progress { direction: Direction::Stopping, remaining: ms(5000) }, Gateway::Off, ago);
        scene.pass(300);
        scene.hears(Word::Offline { clean: true }, Gateway::Off, 0);
        let noted = scene.commanded(|command| matches!(command, Command::Note(Note::ConflictEnded(_))));
        assert_eq!(noted, conflicts, "stopping for {ago} ms");
    }
}

#[test]
fn a_node_says_once_that_it_became_unfit_and_not_at_the_first_failure() {
    let is_unfit = |command: &Command| matches!(command, Command::Note(Note::Fitness { fit: false }));
    let mut scene = Scene::alone();
    scene.world.starts_fail = true;
    scene.dies(1);
    while scene.failures() < 2 {
        assert_eq!(scene.commanded(is_unfit), 0);
        scene.pass(1);
    }
    assert_eq!(scene.commanded(is_unfit), 1);
    while scene.failures() < 3 {
        scene.pass(1);
    }
    assert_eq!(scene.commanded(is_unfit), 0, "that is known");
}

/// lb2 is ready, and this node has just left; since when.
fn has_left() -> (Scene, BootTime) {
    let mut scene = Scene::alone();
    let standby = Word::Offline { clean: true };
    scene.wishes.offline = Some(OfflineWish { since: at(scene.now), until: at(60_000), force: false });
    scene.hears(standby, Gateway::Off, 0);
    let asks = scene.node.supervisor.report().saying.asks.expect("it asks");
    scene.answer = Some(Answer { node: node(1), at: asks.at, unready: None });
    scene.hears(standby, Gateway::Off, 0);
    while scene.word() != (Word::Left { cause: LeaveCause::Operator }) {
        scene.pass(1);
    }
    let left = at(scene.now);
    (scene, left)
}

#[test]
fn who_has_left_says_so_for_three_heartbeats_and_then_rests() {
    let (mut scene, left) = has_left();
    assert_eq!(scene.node.supervisor.report().handover.and_then(|handover| handover.left), Some(left));
    scene.pass(3 * INTERVAL - 1);
    assert!(scene.node.supervisor.report().announce);
    scene.pass(1);
    assert!(!scene.node.supervisor.report().announce);
}

#[test]
fn a_handover_that_nobody_takes_is_given_up_after_twice_the_dead_time() {
    let (mut scene, _) = has_left();
    let gave_up = |scene: &Scene| scene.node.supervisor.report().handover.and_then(|handover| handover.gave_up);
    scene.pass(2 * DEAD - 1);
    assert_eq!(gave_up(&scene), None);
    scene.pass(1);
    assert_eq!(gave_up(&scene), Some(GaveUp::NotTakenOver));
}
