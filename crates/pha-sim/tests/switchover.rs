//! `switchover` and `offline` as a handshake: the peer gets ready before anything is stopped.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use pha_core::resource::Call;
use pha_core::{GaveUp, Status, Unready};
use pha_sim::{Behaviour, Cluster, Fault, Making, Program, settings};

const SWITCHOVER: Fault = Fault::Switchover { node: 0, to: None };

fn gave_up(c: &Cluster) -> Option<GaveUp> {
    c.nodes[0].report().unwrap().handover.and_then(|handover| handover.gave_up)
}

#[test]
fn switchover_hands_over_within_milliseconds_and_the_node_stands_by_and_takes_over_again_only_if_needed() {
    let mut c = Cluster::running();
    c.apply(&SWITCHOVER);
    let took = c.until(200, "lb2 is ONLINE", |c| c.active() == [1]);
    assert!(took < 80, "{took} ms\n{}", c.story());
    c.until(100, "lb1 stands by", |c| c.nodes[0].status() == Some(Status::Offline));
    c.pass(60_000);
    assert_eq!((c.active(), c.audit.two()), (vec![1], 0));
    assert!(c.nodes[0].sender.core.as_ref().unwrap().core.is_running(), "it does not rest");
    c.apply(&Fault::Crash { node: 1 });
    c.until(1500, "lb1 serves", |c| c.nodes[0].served());
}

#[test]
fn nothing_is_stopped_before_the_peer_is_ready_and_a_peer_that_never_is_moves_nothing() {
    for (behaviour, why) in [(Behaviour::Hangs, Some(GaveUp::Refused(Unready::Unchecked))), (Behaviour::Works, None)] {
        let mut c = Cluster::running();
        c.nodes[1].agents[0].behave(Call::Check, behaviour);
        let began = c.ms();
        c.apply(&SWITCHOVER);
        c.pass(10_000);
        let stops = c.calls(0).filter(|(at, _, call)| *at >= began && *call == Call::Stop).count();
        assert_eq!((gave_up(&c), stops > 0), (why, why.is_none()), "{}", c.story());
        assert_eq!(c.active(), if why.is_some() { [0] } else { [1] });
    }
}

#[test]
fn a_peer_that_does_not_answer_is_given_up_in_a_bounded_time() {
    let mut c = Cluster::running();
    // It is heard, and hears nothing: a second is too short for the others to notice.
    c.apply(&Fault::Stall { node: 1, program: Program::Supervise, ms: 7000 });
    c.audit.reset();
    c.apply(&SWITCHOVER);
    c.until(5500, "it is given up", |c| gave_up(c).is_some());
    c.pass(5000);
    assert_eq!((c.active(), c.audit.none()), (vec![0], 0), "{}", c.story());
}

#[test]
fn the_handshake_comes_through_a_network_that_loses_every_third_heartbeat() {
    for seed in 0..40 {
        let making = Making { settings: vec![settings(1), settings(2)], links: 1, clocks: vec![0, 0], seed };
        let mut c = Cluster::made(making);
        c.start(0);
        c.until(3000, "lb1 becomes active", |c| c.active() == [0]);
        c.start(1);
        c.pass(3000);
        c.apply(&Fault::Weather { loss_percent: 30, repeat_percent: 20, jitter_ms: 2 });
        c.apply(&SWITCHOVER);
        c.until(3000, "lb2 is ONLINE", |c| c.active() == [1]);
        assert_eq!(c.audit.two(), 0, "seed {seed}\n{}", c.story());
    }
}

#[test]
fn either_node_may_die_at_any_moment_of_the_handshake() {
    for ms in 0..45 {
        for dies in [0, 1] {
            let mut c = Cluster::running();
            c.apply(&SWITCHOVER);
            c.pass(ms);
            c.apply(&Fault::Crash { node: dies });
            c.until(5000, "the other serves", |c| c.nodes[1 - dies].served());
            c.apply(&Fault::Start { node: dies });
            c.pass(5000);
            assert_eq!((c.active(), c.audit.two()), (vec![1 - dies], 0), "{ms} ms, {dies}\n{}", c.story());
        }
    }
}

#[test]
fn of_three_nodes_the_one_that_is_named_takes_over() {
    for to in [1, 2] {
        let mut c =
            Cluster::made(Making { settings: (1..=3).map(settings).collect(), links: 1, clocks: vec![0; 3], seed: 7 });
        c.start(0);
        c.start(1);
        c.start(2);
        c.until(4000, "lb1 becomes active", |c| c.active() == [0]);
        c.pass(3000);
        c.apply(&Fault::Switchover { node: 0, to: Some(to) });
        let took = c.until(500, "it is ONLINE", |c| c.active() == [to]);
        assert!(took < 200, "{took} ms\n{}", c.story());
        c.pass(20_000);
        assert_eq!((c.active(), c.audit.two()), (vec![to], 0));
    }
}

#[test]
fn a_switchover_back_is_asked_for_on_the_node_that_has_taken_over() {
    let mut c = Cluster::running();
    for node in [0, 1, 0, 1] {
        c.apply(&Fault::Switchover { node, to: Some(1 - node) });
        c.until(500, "the other is ONLINE", |c| c.active() == [1 - node]);
        c.pass(2000);
        let over = c.nodes[node].report().unwrap().handover.unwrap();
        assert!(over.taken.is_some() && over.gave_up.is_none(), "{over:?}");
    }
    c.pass(1000);
    let first = c.nodes[0].report().unwrap().handover.unwrap();
    assert!(first.gave_up.is_none(), "a wish that was followed begins again: {first:?}");
    assert_eq!(c.audit.two(), 0);
}
