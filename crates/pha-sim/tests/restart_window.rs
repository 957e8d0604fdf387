//! A resource that never works fails over, however long its scripts take to say so.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use pha_core::BootTime;
use pha_core::supervisor::Settings;
use pha_sim::{Cluster, settings};

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
    c.nodes[0].agents.up[0] = false;
    c.nodes[0].agents.start_hangs[0] = true;
    c.until(400_000, "lb2 serves", |c| c.active() == [1]);
    assert_eq!(c.most_two_up, 0);
}

#[test]
fn a_takeover_whose_start_hangs_for_the_whole_restart_window_goes_to_the_other_node() {
    let mut c = Cluster::with(default_limits(1), default_limits(2));
    c.nodes[0].agents.start_hangs[0] = true;
    c.start(0);
    c.start(1);
    c.until(400_000, "lb2 serves", |c| c.active() == [1]);
    assert_eq!(c.most_two_up, 0);
}

/// Whether a resource that dies as soon as it is known to be up moves, with three restarts; checks every 2 s see it, and take no time.
fn moves(restart_window: u64) -> bool {
    let mut c = running();
    let mut restarts = default_limits(1);
    restarts.restarts = 3;
    restarts.restart_window = Duration::from_secs(restart_window);
    c.nodes[0].supervise.as_mut().unwrap().reconfigure(restarts, BootTime::ZERO);
    (0..1000).any(|_| {
        c.nodes[0].agents.up[0] &= c.active() != [0];
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
        c.nodes[0].agents.up[0] = false;
        c.pass(70_000);
        assert_eq!(c.active(), [0]);
    }
}
