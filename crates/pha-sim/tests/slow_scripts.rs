//! However long scripts take: what never works fails over, and who lets go does not take back before its peer's turn.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use pha_core::resource::Call;
use pha_core::supervisor::Settings;
use pha_core::{BootTime, Role};
use pha_sim::{Behaviour, Cluster, Fault, settings};

/// The limits that a file without any has: a single start that hangs takes as long as the whole restart window.
fn default_limits(id: usize) -> Settings {
    let mut settings = settings(id);
    for resource in &mut settings.resources {
        resource.start_timeout = Duration::from_secs(60);
        resource.stop_timeout = Duration::from_secs(60);
        resource.check_timeout = Duration::from_secs(10);
    }
    settings
}

fn running() -> Cluster {
    let mut c = Cluster::with(default_limits(1), default_limits(2));
    c.start(0);
    c.until(3000, "lb1 is active", |c| c.active() == [0]);
    c.start(1);
    c.pass(3000);
    c
}

#[test]
fn a_restart_that_hangs_for_the_whole_restart_window_fails_over() {
    let mut c = running();
    c.apply(&Fault::ResourceDies { node: 0, resource: 0 });
    c.nodes[0].agents[0].start = Behaviour::Hangs;
    c.until(400_000, "lb2 serves", |c| c.active() == [1]);
    assert_eq!(c.audit.two(), 0);
}

#[test]
fn a_takeover_whose_start_hangs_for_the_whole_restart_window_goes_to_the_other_node() {
    let mut c = Cluster::with(default_limits(1), default_limits(2));
    c.nodes[0].agents[0].start = Behaviour::Hangs;
    c.start(0);
    c.start(1);
    c.until(400_000, "lb2 serves", |c| c.active() == [1]);
    assert_eq!(c.audit.two(), 0);
}

/// Whether a resource that dies as soon as it is known to be up moves, with three restarts; checks every 2 s see it, and take no time.
fn moves(restart_window: u64) -> bool {
    let mut c = running();
    let mut restarts = default_limits(1);
    restarts.restarts = 3;
    restarts.restart_window = Duration::from_secs(restart_window);
    c.nodes[0].supervise.core.as_mut().unwrap().core.reconfigure(restarts, BootTime::ZERO);
    (0..1000).any(|_| {
        c.nodes[0].agents[0].up &= c.active() != [0];
        c.pass(50);
        c.active() == [1]
    })
}

#[test]
fn a_resource_that_dies_right_after_each_restart_moves_if_the_window_holds_that_many_checks() {
    assert!(moves(7));
    assert!(!moves(5));
}

#[test]
fn failures_that_lie_further_apart_than_the_restart_window_move_nothing() {
    let mut c = running();
    for _ in 0..5 {
        c.apply(&Fault::ResourceDies { node: 0, resource: 0 });
        c.pass(70_000);
        assert_eq!(c.active(), [0]);
    }
}

fn slow_down(c: &mut Cluster, ms: u64) {
    (0..2).for_each(|node| c.apply(&Fault::SlowAgents { node, ms }));
}

/// A pair whose scripts take up to 4 s.
fn slow(seed: u64, one: Settings) -> Cluster {
    let mut c = Cluster::with(one, default_limits(2));
    c.start(0);
    c.until(3000, "lb1 is active", |c| c.active() == [0]);
    c.start(1);
    c.pass(3000 + seed * 17);
    slow_down(&mut c, 4000);
    c
}

#[test]
fn an_offline_that_is_over_before_the_resources_are_down_hands_over_all_the_same() {
    for seed in 0..20 {
        let mut c = slow(seed, default_limits(1));
        c.apply(&Fault::Offline { node: 0, seconds: 2, force: false });
        c.until(25_000, "lb2 takes over", |c| c.nodes[1].role() == Role::Active);
        // From here on quick again: a check that takes longer than the lease loses the address.
        slow_down(&mut c, 0);
        c.pass(25_000);
        assert!(c.nodes[0].status().is_some(), "the heartbeat rests for ever");
        assert_eq!((c.nodes[0].role(), c.audit.two()), (Role::Standby, 0));
    }
}

#[test]
fn an_offline_that_nobody_takes_up_ends_although_its_time_was_over_before() {
    let mut c = slow(0, default_limits(1));
    c.apply(&Fault::Offline { node: 0, seconds: 2, force: false });
    c.pass(1000);
    c.apply(&Fault::Crash { node: 1 });
    c.until(40_000, "lb1 serves again", |c| c.active() == [0]);
}

#[test]
fn an_unfit_time_that_is_over_before_the_resources_are_down_still_lets_the_peer_go_first() {
    for seed in 0..20 {
        let mut one = default_limits(1);
        one.unfit_time = Duration::from_secs(2);
        let mut c = slow(seed, one);
        c.apply(&Fault::ResourceDies { node: 0, resource: 0 });
        c.nodes[0].agents[0].start = Behaviour::Fails;
        c.until(40_000, "lb2 takes over", |c| c.nodes[1].role() == Role::Active);
        let tries = c.calls(0).filter(|(_, r, call)| *r == 0 && *call == Call::Start).count();
        assert_eq!((tries, c.audit.two()), (2, 0), "the takeover, and one restart");
    }
}
