//! Configurations exactly at the edge of each inequality between times: what is accepted keeps its promises.
//!
//! The inequalities are those of `docs/times.md`; the other side of each edge is refused.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;
use std::time::Duration;

use pha_config::{Config, times};
use pha_core::Status;
use pha_core::resource::{Call, ResourceSettings};
use pha_core::supervisor::Settings;
use pha_sim::{Behaviour, Cluster, Fault, Making, Program, settings};

/// The settings of a node under `config`, with the simulator's service and address and the limits of the first resource.
fn at_the_edge(config: &Config, id: usize) -> Settings {
    let limits = config.resources.first();
    let resource = |each: ResourceSettings| ResourceSettings {
        start_timeout: limits.map_or(each.start_timeout, |limits| limits.start_timeout),
        stop_timeout: limits.map_or(each.stop_timeout, |limits| limits.stop_timeout),
        check_timeout: limits.map_or(each.check_timeout, |limits| limits.check_timeout),
        ..each
    };
    Settings {
        heartbeat_interval: config.heartbeat_interval,
        dead_time: config.dead_time,
        supervise_interval: config.supervise_interval,
        ping_timeout: config.ping_timeout,
        lease: config.lease,
        restarts: config.restarts,
        restart_window: config.restart_window,
        unfit_time: config.unfit_time,
        failback: config.failback,
        resources: settings(id).resources.into_iter().map(resource).collect(),
        ..settings(id)
    }
}

/// A running pair, lb1 active.
fn pair(config: &Config, seed: u64) -> Cluster {
    let making = Making {
        settings: vec![at_the_edge(config, 1), at_the_edge(config, 2)],
        links: 1,
        clocks: vec![10_000, -10_000],
        seed,
    };
    let mut c = Cluster::made(making);
    c.nodes.iter_mut().for_each(|node| node.init_dead = config.init_dead);
    c.start(0);
    c.until(ms(config.init_dead) + 2000, "lb1 is active", |c| c.active() == [0]);
    c.start(1);
    c.until(10_000, "lb2 stands by", |c| c.nodes[1].status() == Some(Status::Offline));
    c.pass(5000 + seed * 37);
    c.audit.reset();
    c
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap()
}

fn keeps_its_promises(config: &Config, seed: u64) {
    let dead = ms(config.dead_time);
    // Health: nothing moves, and one lost heartbeat moves nothing either.
    let mut c = pair(config, seed);
    let before = c.nodes[0].transitions();
    let interval = ms(config.heartbeat_interval);
    for _ in 0..20 {
        c.apply(&Fault::Cut { from: 0, to: 1, link: None, cut: true });
        c.pass(interval * 9 / 10);
        c.apply(&Fault::Cut { from: 0, to: 1, link: None, cut: false });
        c.pass(interval * 4);
    }
    assert_eq!((c.active(), c.nodes[0].transitions(), c.audit.none()), (vec![0], before, 0), "{}", c.story());
    // A crash.
    let mut c = pair(config, seed);
    c.apply(&Fault::Crash { node: 0 });
    c.until(dead * 102 / 100 + 300, "lb2 serves after a crash", |c| c.nodes[1].served());
    // Supervise dies: never two, and the peer has the address.
    let mut c = pair(config, seed);
    c.apply(&Fault::Kill { node: 0, program: Program::Supervise });
    c.until((ms(config.lease) + dead) * 102 / 100 + 1000, "lb2 has the address", |c| c.nodes[1].holds_address());
    assert_eq!(c.audit.two(), 0, "{}", c.story());
    // A switchover: the peer takes over, and the node returns to stand by.
    let mut c = pair(config, seed);
    c.apply(&Fault::Offline { node: 0, seconds: config.offline_time.as_secs(), force: false });
    c.until(500, "lb2 is active", |c| c.active() == [1]);
    c.pass(ms(config.offline_time) * 102 / 100 + 2 * dead + 1000);
    let back = config.failback.is_none();
    assert!(!back || c.nodes[0].status() == Some(Status::Offline), "{}", c.story());
    assert!(c.active().len() == 1 && c.audit.two() == 0, "{}", c.story());
    // A resource that cannot be restarted here moves.
    let mut c = pair(config, seed);
    c.nodes[0].agents[0].behave(Call::Start, Behaviour::Fails);
    c.apply(&Fault::ResourceDies { node: 0, resource: 0 });
    let limit = ms(config.supervise_interval) * (u64::from(config.restarts) + 2) + ms(config.restart_window) + 10_000;
    c.until(limit, "lb2 has the resource", |c| c.active() == [1]);
}

#[test]
fn what_is_accepted_at_an_edge_keeps_its_promises_and_the_other_side_is_refused() {
    assert!(times::edges().len() >= 5);
    for edge in times::edges() {
        let config = Config::parse(&edge.accepted, Path::new("edge")).unwrap();
        for seed in 0..5 {
            keeps_its_promises(&config, seed);
        }
        Config::parse(&edge.refused, Path::new("edge")).unwrap_err();
    }
}
