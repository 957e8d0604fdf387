//! What the old program showed in the laboratory, and the rules around it, on two virtual nodes.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use pha_core::resource::Call;
use pha_core::{LeaveCause, Reason, Role, Status, Word};

use pha_sim::{Behaviour, Cluster, Fault, Program, settings};

#[test]
fn a_first_node_alone_becomes_active_after_the_grace() {
    // P19, P52
    let mut c = Cluster::new();
    c.start(0);
    let took = c.until(3000, "lb1 is active", |c| c.active() == [0]);
    assert!((1000..1400).contains(&took), "{took} ms");
    assert!(c.nodes[0].served());
}

#[test]
fn a_joining_node_moves_nothing_in_twenty_joins() {
    // P53
    for offset in 0..20 {
        let mut c = Cluster::new();
        c.start(0);
        c.until(3000, "lb1 is active", |c| c.active() == [0]);
        c.pass(offset * 37);
        let before = c.nodes[0].transitions();
        c.audit.reset();
        c.start(1);
        c.pass(5000);
        assert_eq!((c.active(), c.nodes[1].reason()), (vec![0], Some(Reason::PeerActive)));
        assert_eq!((c.nodes[0].transitions(), c.audit.none(), c.audit.two()), (before, 0, 0));
    }
}

#[test]
fn the_lower_id_joining_does_not_take_over_either() {
    // P53
    let mut c = Cluster::new();
    c.start(1);
    c.until(3000, "lb2 is active", |c| c.active() == [1]);
    c.start(0);
    c.pass(5000);
    assert_eq!(c.active(), [1]);
}

#[test]
fn both_nodes_starting_at_once_make_exactly_one_active() {
    // P20, P36
    for offset in [0, 1, 50, 100, 200, 300, 600, 1000, 1199, 1200, 1201, 1250, 1300] {
        for first in [0, 1] {
            let mut c = Cluster::new();
            c.start(first);
            c.pass(offset);
            c.start(1 - first);
            c.until(3000, "one is active", |c| !c.active().is_empty());
            c.pass(5000);
            assert_eq!(c.active().len(), 1, "offset {offset}");
            assert_eq!(c.audit.two(), 0, "offset {offset}\n{}", c.story());
        }
    }
}

#[test]
fn a_crash_of_the_active_node_is_taken_over_within_the_dead_time() {
    // P1, P61, P74
    let mut c = Cluster::running();
    c.apply(&Fault::Crash { node: 0 });
    let took = c.until(1000, "lb2 serves", |c| c.nodes[1].served());
    assert!((200..=420).contains(&took), "{took} ms");
    c.pass(100);
    assert_eq!(c.active(), [1]);
    assert!(c.nodes[1].term() > c.nodes[0].term());
}

#[test]
fn the_crashed_node_comes_back_as_standby_with_its_stale_database() {
    // P53
    let mut c = Cluster::running();
    c.apply(&Fault::Crash { node: 0 });
    c.until(1000, "lb2 is active", |c| c.active() == [1]);
    c.start(0);
    c.audit.reset();
    c.pass(5000);
    assert_eq!((c.active(), c.audit.none(), c.audit.two()), (vec![1], 0, 0));
}

#[test]
fn the_gateway_lost_for_both_moves_nothing() {
    // P18
    for (first, second) in [(0, 1), (1, 0)] {
        for offset in [0, 200, 700, 1500] {
            let mut c = Cluster::running();
            c.apply(&Fault::Gateway { node: first, answers: false });
            c.pass(offset);
            c.apply(&Fault::Gateway { node: second, answers: false });
            c.pass(90_000);
            assert_eq!(c.active(), [0], "offset {offset} first {first}");
            assert_eq!((c.audit.none(), c.audit.two()), (0, 0), "offset {offset}\n{}", c.story());
            c.apply(&Fault::Gateway { node: 0, answers: true });
            c.apply(&Fault::Gateway { node: 1, answers: true });
            c.pass(10_000);
            assert_eq!((c.active(), c.audit.none()), (vec![0], 0), "offset {offset} first {first}\n{}", c.story());
        }
    }
}

#[test]
fn the_gateway_lost_on_the_active_node_hands_over_and_the_heartbeat_rests() {
    // P18
    let mut c = Cluster::running();
    c.apply(&Fault::Gateway { node: 0, answers: false });
    let took = c.until(8000, "lb2 serves", |c| c.active() == [1]);
    assert!(took < 6000, "{took} ms");
    c.pass(5000);
    assert_eq!(c.audit.two(), 0);
    assert!(c.audit.none() < 100_000, "{} us without an owner", c.audit.none());
    assert_eq!(c.nodes[0].word(), Some(Word::Left { cause: LeaveCause::Gateway }));
    assert!(!c.nodes[0].sender.core.as_ref().unwrap().core.is_running());
    c.apply(&Fault::Gateway { node: 0, answers: true });
    c.pass(5000);
    assert_eq!((c.active(), c.nodes[0].status()), (vec![1], Some(Status::Offline)));
}

#[test]
fn the_gateway_lost_on_the_new_active_node_too_moves_nothing_more() {
    let mut c = Cluster::running();
    c.apply(&Fault::Gateway { node: 0, answers: false });
    c.until(8000, "lb2 serves", |c| c.active() == [1]);
    c.pass(3000);
    c.apply(&Fault::Gateway { node: 1, answers: false });
    c.audit.reset();
    c.pass(20_000);
    assert_eq!((c.active(), c.audit.none()), (vec![1], 0));
}

#[test]
fn an_isolated_standby_takes_nothing_over() {
    // P18, P19
    let mut c = Cluster::running();
    c.apply(&Fault::Isolate { node: 0, cut: true });
    c.apply(&Fault::Gateway { node: 1, answers: false });
    c.pass(10_000);
    assert_eq!((c.active(), c.audit.two()), (vec![0], 0), "{}", c.story());
    c.apply(&Fault::Isolate { node: 0, cut: false });
    c.apply(&Fault::Gateway { node: 1, answers: true });
    c.pass(10_000);
    assert_eq!((c.active(), c.audit.two(), c.audit.none()), (vec![0], 0, 0));
}

#[test]
fn a_split_heals_to_the_later_decision_within_one_heartbeat() {
    // P21
    let mut c = Cluster::running();
    c.apply(&Fault::Isolate { node: 0, cut: true });
    c.until(2000, "both are active", |c| c.active() == [0, 1]);
    c.pass(5000);
    c.apply(&Fault::Isolate { node: 0, cut: false });
    c.audit.reset();
    c.pass(3000);
    assert_eq!(c.active(), [1], "the later decision has the higher term");
    assert!(c.audit.two() <= 300_000, "{} us", c.audit.two());
    assert_eq!(c.audit.none(), 0);
    let again = c.calls(1).filter(|(when, _, call)| *call == Call::Announce && *when + 3000 > c.ms());
    assert!(again.count() >= 2, "the winner announces again\n{}", c.story());
}

#[test]
fn a_cut_heartbeat_path_is_no_reason_to_take_an_address_that_answers() {
    // P19, P68
    let mut c = Cluster::running();
    c.apply(&Fault::Cut { from: 0, to: 1, link: None, cut: true });
    c.apply(&Fault::Cut { from: 1, to: 0, link: None, cut: true });
    c.pass(20_000);
    assert_eq!((c.active(), c.nodes[1].reason(), c.audit.two()), (vec![0], Some(Reason::AddressHeld), 0));
    c.apply(&Fault::Crash { node: 0 });
    c.until(1000, "lb2 takes over once the address is silent", |c| c.nodes[1].served());
}

#[test]
fn one_way_loss_makes_no_second_active_node() {
    for direction in [0, 1] {
        let mut c = Cluster::running();
        c.apply(&Fault::Cut { from: direction, to: 1 - direction, link: None, cut: true });
        c.pass(20_000);
        assert_eq!((c.active(), c.audit.two()), (vec![0], 0), "direction {direction}");
    }
}

#[test]
fn all_daemons_killed_leave_the_address_to_the_kernel_and_never_two_holders() {
    let mut c = Cluster::running();
    c.apply(&Fault::KillAll { node: 0 });
    let took = c.until(4000, "lb2 serves", |c| c.nodes[1].agents[1].up);
    assert!((2000..=3300).contains(&took), "{took} ms");
    assert_eq!(c.audit.two(), 0);
}

#[test]
fn killing_and_restarting_any_single_daemon_moves_nothing() {
    // P75
    for daemon in [Program::Receiver, Program::Sender, Program::Supervise] {
        for n in 0..2 {
            let mut c = Cluster::running();
            let before = c.nodes[0].transitions();
            c.apply(&Fault::Kill { node: n, program: daemon });
            c.pass(950);
            c.apply(&Fault::StartProgram { node: n, program: daemon });
            c.pass(5000);
            assert_eq!((c.active(), c.audit.none(), c.audit.two()), (vec![0], 0, 0), "{daemon:?} on lb{}", n + 1);
            assert_eq!(c.nodes[0].transitions(), before, "{daemon:?} on lb{}", n + 1);
        }
    }
}

#[test]
fn a_deaf_standby_does_not_take_over_from_a_crashed_active_node_until_it_hears() {
    // P19
    let mut c = Cluster::running();
    c.apply(&Fault::Kill { node: 1, program: Program::Receiver });
    c.pass(500);
    c.apply(&Fault::Crash { node: 0 });
    c.pass(5000);
    assert_eq!((c.active(), c.nodes[1].reason()), (vec![], Some(Reason::Deaf)));
    c.apply(&Fault::StartProgram { node: 1, program: Program::Receiver });
    c.until(3000, "lb2 takes over", |c| c.active() == [1]);
}

#[test]
fn supervise_dead_for_long_makes_the_sender_silent_and_the_peer_takes_over_never_both() {
    let mut c = Cluster::running();
    c.apply(&Fault::Kill { node: 0, program: Program::Supervise });
    let took = c.until(5000, "lb2 has the address", |c| c.nodes[1].agents[1].up);
    assert!((2000..=3700).contains(&took), "{took} ms");
    assert_eq!(c.audit.two(), 0);
}

#[test]
fn a_resource_that_dies_is_restarted_in_place() {
    // P12, P13
    let mut c = Cluster::running();
    c.apply(&Fault::ResourceDies { node: 0, resource: 0 });
    c.pass(5000);
    assert_eq!(c.active(), [0]);
    assert!(c.nodes[0].served());
    assert!(c.calls(1).all(|(_, _, call)| call != Call::Start));
}

/// Somebody else removes the address on lb1; how long it is away, in microseconds.
fn removal(c: &mut Cluster) -> u64 {
    let removed = c.now;
    c.apply(&Fault::Removed { node: 0, resource: 1 });
    assert!(!c.nodes[0].agents[1].up);
    c.until(1000, "it is restored", |c| c.nodes[0].agents[1].up);
    c.now - removed
}

#[test]
fn an_address_that_somebody_else_removes_is_put_back_at_once_and_nothing_moves() {
    let mut c = Cluster::running();
    for times in 1..=4 {
        assert!(removal(&mut c) < 50_000);
        c.pass(2000);
        assert_eq!(c.nodes[0].report().unwrap().resources[1].restored, times);
    }
    assert_eq!((c.active(), c.audit.two()), (vec![0], 0));
    assert!(c.nodes[0].is_fit() && c.calls(0).all(|(_, _, call)| call != Call::Stop));
}

#[test]
fn whoever_fights_for_an_address_is_given_in_to() {
    let mut c = Cluster::running();
    for _ in 0..40 {
        c.apply(&Fault::Removed { node: 0, resource: 1 });
        c.pass(1000);
    }
    assert_eq!((c.active(), c.audit.two()), (vec![1], 0), "{}", c.story());
}

#[test]
fn an_address_is_not_restored_in_maintenance_or_by_a_node_that_was_away() {
    let mut c = Cluster::running();
    c.apply(&Fault::Maintenance { node: 0, on: true });
    c.pass(100);
    c.apply(&Fault::Removed { node: 0, resource: 1 });
    c.pass(5000);
    assert!(!c.nodes[0].agents[1].up);

    let mut c = Cluster::running();
    c.apply(&Fault::Suspend { node: 0, ms: 2000 });
    c.apply(&Fault::Removed { node: 0, resource: 1 });
    c.pass(8000);
    assert!(c.calls(0).all(|(_, _, call)| call != Call::Restore));
    assert_eq!(c.audit.two(), 0);
}

#[test]
fn a_resource_that_cannot_be_restarted_here_fails_over() {
    // P12
    let mut c = Cluster::running();
    c.apply(&Fault::ResourceDies { node: 0, resource: 0 });
    c.nodes[0].agents[0].start = Behaviour::Fails;
    c.until(5000, "lb2 serves", |c| c.active() == [1]);
    assert_eq!(c.audit.two(), 0);
    assert!(!c.nodes[0].anything_up());
}

#[test]
fn a_restart_that_hangs_fails_over_when_its_deadline_has_passed() {
    // P12
    let mut c = Cluster::running();
    c.apply(&Fault::ResourceDies { node: 0, resource: 0 });
    c.nodes[0].agents[0].start = Behaviour::Hangs;
    c.until(40_000, "lb2 serves", |c| c.active() == [1]);
    assert_eq!(c.audit.two(), 0);
}

#[test]
fn a_resource_broken_on_both_nodes_does_not_bounce_for_ever() {
    let mut c = Cluster::running();
    for n in 0..2 {
        c.apply(&Fault::ResourceDies { node: n, resource: 0 });
        c.nodes[n].agents[0].start = Behaviour::Fails;
    }
    c.pass(3_600_000);
    let terms = c.nodes[0].term().count().max(c.nodes[1].term().count());
    let late = c.ms() - 600_000;
    let moves = |n: usize| c.calls(n).filter(|(w, r, k)| *w > late && *r == 1 && *k == Call::Start).count();
    assert!(moves(0) == 0 || moves(1) == 0, "{} {} starts in the last ten minutes, {terms} terms", moves(0), moves(1));
    assert_eq!(c.audit.two(), 0);
    c.nodes[0].agents[0].start = Behaviour::Works;
    c.nodes[1].agents[0].start = Behaviour::Works;
    c.until(200_000, "it comes back by itself once it can", |c| c.active().len() == 1);
}

#[test]
fn offline_hands_over_within_milliseconds_rests_and_comes_back_as_standby() {
    // P57, P58, P59, P60
    let mut c = Cluster::running();
    c.apply(&Fault::Offline { node: 0, seconds: 30, force: false });
    let took = c.until(200, "lb2 serves", |c| c.nodes[1].served());
    assert!(took < 60, "{took} ms\n{}", c.story());
    assert_eq!(c.audit.two(), 0);
    c.pass(1000);
    assert!(!c.nodes[0].sender.core.as_ref().unwrap().core.is_running());
    assert_eq!(c.nodes[0].status(), None);
    c.pass(27_000);
    assert_eq!(c.active(), [1]);
    c.pass(5000);
    assert_eq!((c.active(), c.nodes[0].status()), (vec![1], Some(Status::Offline)));
}

#[test]
fn online_ends_the_rest_earlier() {
    // P60
    let mut c = Cluster::running();
    c.apply(&Fault::Offline { node: 0, seconds: 30, force: false });
    c.pass(3000);
    c.apply(&Fault::Online { node: 0 });
    c.pass(1000);
    assert_eq!((c.active(), c.nodes[0].status()), (vec![1], Some(Status::Offline)));
}

#[test]
fn offline_without_a_peer_changes_nothing() {
    // P57
    let mut c = Cluster::running();
    c.apply(&Fault::Crash { node: 1 });
    c.pass(2000);
    c.apply(&Fault::Offline { node: 0, seconds: 30, force: false });
    c.audit.reset();
    c.pass(40_000);
    assert_eq!((c.active(), c.audit.none()), (vec![0], 0));
}

#[test]
fn a_peer_that_cannot_start_gives_the_resources_back_at_once() {
    // P57
    let mut c = Cluster::running();
    c.nodes[1].agents[0].start = Behaviour::Fails;
    c.apply(&Fault::Offline { node: 0, seconds: 30, force: false });
    c.until(3000, "lb1 serves again", |c| c.ms() > 8000 || (c.nodes[1].transitions() > 3 && c.active() == [0]));
    c.pass(40_000);
    assert_eq!((c.active(), c.audit.two()), (vec![0], 0));
}

#[test]
fn stop_leaves_the_resources_and_the_peer_does_not_start_a_second_copy() {
    // P62, P67
    let mut c = Cluster::running();
    c.apply(&Fault::Stop { node: 0 });
    c.until(1000, "supervise ends", |c| !c.nodes[0].runs(Program::Supervise));
    assert_eq!(c.nodes[0].report().unwrap().saying.word, Word::Kept);
    c.pass(100);
    c.pass(20_000);
    assert!(c.nodes[0].served() && !c.nodes[1].anything_up());
    assert_eq!(c.nodes[1].reason(), Some(Reason::PeerKept));
    c.start(0);
    c.pass(5000);
    assert_eq!((c.active(), c.audit.none(), c.audit.two()), (vec![0], 0, 0));
}

#[test]
fn stop_in_the_middle_of_a_start_that_brought_nothing_up_lets_the_peer_take_over() {
    // P62, P65
    let mut c = Cluster::new();
    c.nodes[0].agents[0].start = Behaviour::Hangs;
    c.start(0);
    c.start(1);
    c.until(3000, "lb1 starts", |c| c.nodes[0].status() == Some(Status::Progress));
    c.apply(&Fault::Stop { node: 0 });
    c.until(1000, "supervise ends", |c| !c.nodes[0].runs(Program::Supervise));
    assert_eq!(c.nodes[0].report().unwrap().saying.word, Word::Left { cause: LeaveCause::Stopped });
    c.until(1000, "lb2 serves", |c| c.active() == [1]);
}

#[test]
fn maintenance_changes_nothing() {
    let mut c = Cluster::running();
    c.apply(&Fault::Maintenance { node: 1, on: true });
    c.apply(&Fault::Crash { node: 0 });
    c.pass(10_000);
    assert_eq!((c.active(), c.nodes[1].reason()), (vec![], Some(Reason::Maintenance)));
    c.apply(&Fault::Maintenance { node: 1, on: false });
    c.until(2000, "lb2 takes over", |c| c.active() == [1]);
}

#[test]
fn a_held_resource_does_not_move() {
    let mut c = Cluster::running();
    c.apply(&Fault::Hold { node: 0, resource: 0, on: true });
    c.pass(5000);
    assert_eq!((c.nodes[0].agents[0].up, c.nodes[0].agents[1].up, c.active()), (false, true, vec![0]));
    c.apply(&Fault::Hold { node: 0, resource: 0, on: false });
    c.pass(5000);
    assert!(c.nodes[0].served());
}

#[test]
fn what_a_mute_node_could_not_stop_is_tried_again_although_it_would_rather_claim() {
    let mut c = Cluster::running();
    c.apply(&Fault::Writable { node: 0, writable: false });
    c.apply(&Fault::Agent { node: 0, resource: 1, call: Call::Check, behaviour: Behaviour::Hangs });
    c.pass(20_000);
    let stops = c.calls(0).filter(|(_, resource, call)| (*resource, *call) == (1, Call::Stop)).count();
    assert!(stops > 2, "{stops} stops\n{}", c.story());
}

#[test]
fn what_is_held_while_others_start_is_not_started() {
    let mut c = Cluster::running();
    c.apply(&Fault::SlowAgents { node: 1, ms: 1000 });
    c.apply(&Fault::Crash { node: 0 });
    c.until(5000, "lb2 starts the service", |c| {
        c.calls(1).any(|(_, resource, call)| (resource, call) == (0, Call::Start))
    });
    c.apply(&Fault::Hold { node: 1, resource: 1, on: true });
    c.pass(20_000);
    assert!(!c.calls(1).any(|(_, resource, call)| (resource, call) == (1, Call::Start)), "{}", c.story());
}

#[test]
fn nothing_starts_under_a_term_that_is_not_on_disk() {
    let mut c = Cluster::running();
    c.apply(&Fault::Writable { node: 1, writable: false });
    c.apply(&Fault::Crash { node: 0 });
    c.pass(5000);
    assert!(!c.nodes[1].anything_up());
    c.apply(&Fault::Writable { node: 1, writable: true });
    c.until(120_000, "lb2 takes over when its database can be written", |c| c.active() == [1]);
}

#[test]
fn a_node_that_was_suspended_does_not_disturb_its_successor() {
    let mut c = Cluster::running();
    c.apply(&Fault::Suspend { node: 0, ms: 5000 });
    c.until(5000, "lb2 is active", |c| c.nodes[1].status() == Some(Status::Online));
    c.until(5000, "lb1 awakes", |c| c.nodes[0].is_awake());
    c.audit.reset();
    c.pass(5000);
    assert_eq!((c.active(), c.audit.none()), (vec![1], 0));
    assert!(c.audit.two() <= 10_000, "{}", c.story());
}

#[test]
fn failback_returns_to_the_preferred_node_only_if_asked_for() {
    for (failback, expected) in [(None, 1), (Some(Duration::from_secs(10)), 0)] {
        let mut two = settings(2);
        two.failback = failback;
        let mut c = Cluster::with(settings(1), two);
        c.start(1);
        c.until(3000, "lb2 is active", |c| c.active() == [1]);
        c.start(0);
        c.pass(20_000);
        assert_eq!(c.active(), [expected]);
        assert!(c.audit.two() == 0);
    }
}

#[test]
fn the_role_is_never_read_from_disk() {
    let mut c = Cluster::running();
    c.apply(&Fault::Crash { node: 0 });
    c.apply(&Fault::Crash { node: 1 });
    c.pass(5000);
    c.start(0);
    c.pass(300);
    assert_eq!(c.nodes[0].role(), Role::Standby);
}

#[test]
fn checks_run_at_their_interval_and_nothing_is_started_twice() {
    // P15, P23, P24
    let mut c = Cluster::running();
    let from = c.ms();
    c.pass(20_000);
    let count =
        |n: usize, r: usize, k: Call| c.calls(n).filter(|(w, i, call)| *w > from && *i == r && *call == k).count();
    assert!((9..=11).contains(&count(0, 0, Call::Check)));
    assert!((19..=21).contains(&count(0, 1, Call::Check)));
    for n in 0..2 {
        for r in 0..2 {
            assert_eq!((count(n, r, Call::Start), count(n, r, Call::Stop)), (0, 0));
        }
    }
}

#[test]
fn a_receiver_restarted_on_the_standby_takes_nothing_over_even_without_a_witness() {
    // P19
    let mut two = settings(2);
    two.witness = false;
    let mut c = Cluster::with(settings(1), two);
    c.start(0);
    c.start(1);
    c.pass(5000);
    assert_eq!(c.active(), [0]);
    c.apply(&Fault::StartProgram { node: 1, program: Program::Receiver });
    c.pass(5000);
    assert_eq!((c.active(), c.audit.two()), (vec![0], 0));
}

#[test]
fn two_nodes_that_stood_still_together_go_on_as_they_were() {
    for ms in [100, 400, 610, 630, 900, 1500, 2500] {
        let mut c = Cluster::running();
        (0..2).for_each(|node| c.apply(&Fault::Suspend { node, ms }));
        c.pass(5000);
        assert_eq!((c.active(), c.audit.two()), (vec![0], 0), "{ms} ms\n{}", c.story());
    }
}

#[test]
fn a_standby_that_holds_a_resource_down_is_no_heir() {
    // P57
    let mut c = Cluster::running();
    c.apply(&Fault::Hold { node: 1, resource: 0, on: true });
    c.pass(1000);
    c.apply(&Fault::Offline { node: 0, seconds: 30, force: false });
    c.pass(5000);
    assert_eq!(c.active(), [0]);
}

#[test]
fn of_two_active_nodes_the_one_that_is_not_heard_gives_way() {
    // P21
    for direction in [0, 1] {
        let mut c = Cluster::running();
        c.apply(&Fault::Isolate { node: 0, cut: true });
        c.until(2000, "both are active", |c| c.active() == [0, 1]);
        c.apply(&Fault::Isolate { node: 0, cut: false });
        c.apply(&Fault::Cut { from: direction, to: 1 - direction, link: None, cut: true });
        c.until(5000, "one is left", |c| c.active().len() == 1);
        c.pass(10_000);
        assert_eq!(c.active().len(), 1, "direction {direction}");
    }
}
