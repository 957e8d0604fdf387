//! What a decision costs: the table alone, and a turn of supervise in which nothing happened.

use std::time::Duration;

use divan::{Bencher, black_box};
use pha_core::decide::{Doing, OfflineRequest, PeerState, PeerView, Quorum, View, Witness, decide};
use pha_core::resource::{Call, Outcome, ResourceSettings};
use pha_core::supervisor::{Event, Restored, Settings, Supervisor};
use pha_core::{BootTime, Gateway, NodeId, Role, Term};

fn main() {
    divan::main();
}

fn node(number: usize) -> NodeId {
    NodeId::new(number).expect("a small number is a node id")
}

/// The active node of a healthy pair.
fn view() -> View {
    let peer = PeerView {
        node: node(2),
        state: PeerState::Offline,
        silent: false,
        deaf: false,
        term: Term::NONE,
        willing: true,
        gateway: Gateway::Reachable,
    };
    View {
        me: node(1),
        role: Role::Active,
        doing: Doing::Idle,
        all_up: true,
        clean: false,
        term: Term::from_value(0x3fe),
        fit: true,
        maintenance: false,
        offline: OfflineRequest::None,
        gateway: Gateway::Reachable,
        gateway_settled: false,
        quorum: Quorum::Unconfigured,
        away: false,
        mute: false,
        deaf: false,
        witness: Witness::Unknown,
        waited_turn: false,
        failback_due: false,
        heir: None,
        peers: vec![peer],
    }
}

#[divan::bench]
fn decide_in_a_healthy_pair(bencher: Bencher<'_, '_>) {
    let view = view();
    bencher.bench_local(|| decide(black_box(&view)));
}

/// A supervisor that has looked at its one resource.
fn supervisor() -> Supervisor {
    let address = ResourceSettings {
        name: "ipaddr".into(),
        start_timeout: Duration::from_secs(60),
        stop_timeout: Duration::from_secs(60),
        check_timeout: Duration::from_secs(10),
        leased: true,
        probes: true,
        announces: true,
        watched: false,
        beside_previous: false,
    };
    let settings = Settings {
        me: node(1),
        heartbeat_interval: Duration::from_millis(200),
        dead_time: Duration::from_millis(600),
        supervise_interval: Duration::from_secs(2),
        ping_timeout: Duration::from_millis(2100),
        gateway: true,
        lease: Duration::from_secs(3),
        restarts: 1,
        restart_window: Duration::from_secs(60),
        unfit_time: Duration::from_secs(60),
        failback: None,
        witness: true,
        config_hash: 1,
        resources: vec![address],
    };
    let mut supervisor = Supervisor::new(settings, Restored::default(), BootTime::ZERO);
    supervisor.handle(Event::DeadlinePassed, BootTime::ZERO);
    let (call, outcome, duration) = (Call::Check, Outcome::Failed, Duration::from_millis(3));
    let checked = Event::CallFinished { resource: 0, call, outcome, message: String::new(), duration };
    supervisor.handle(checked, BootTime::ZERO + duration);
    supervisor
}

#[divan::bench]
fn a_quiet_tick_of_supervise(bencher: Bencher<'_, '_>) {
    let supervisor = supervisor();
    let soon = BootTime::ZERO + Duration::from_millis(4);
    bencher
        .with_inputs(|| supervisor.clone())
        .bench_local_refs(|supervisor| supervisor.handle(black_box(Event::DeadlinePassed), soon));
}
