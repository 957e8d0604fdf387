//! What nobody asked for: crashes, lost gateways, isolated nodes, dead keepers.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use pha_core::{Gateway, Reason};
use pha_lab::network::Link;
use pha_lab::world::scenario;
use pha_lab::{Lab, LabOptions, Node, Onlookers, Program};

const SOON: Duration = Duration::from_secs(20);

/// The outage that a takeover may cost on a busy test machine; the demo measures what it really costs.
const OUTAGE: Duration = Duration::from_secs(3);

/// Default of `LEASE`, what the kernel adds (it looks up to a quarter of a second late), and a busy machine.
const LEASE: Duration = Duration::from_millis(3000 + 750);

fn gateway(node: &Node) -> Option<Gateway> {
    node.record().supervise.report.map(|report| report.saying.gateway)
}

// P1, P61, P74; the return is P53 again.
#[test]
fn a_crashed_active_node_is_replaced_and_returns_as_standby() {
    scenario(LabOptions::default(), |lab| {
        let first = lab.start_all()?;
        let second = lab.other(first);
        let mut eyes = Onlookers::start(lab)?;
        lab.node(first).crash()?;
        let gap = eyes.saw_change_to(lab, second.name(), SOON)?;
        ensure!(gap.length().is_some_and(|length| length < OUTAGE), "{gap:?}");
        lab.wait(SOON, "the second is active", || second.is_active())?;
        eyes.look_anew();
        lab.node(first).boot()?;
        lab.node(first).start()?;
        lab.wait(SOON, "the first stands by", || lab.node(first).is_standby())?;
        lab.stays(Duration::from_secs(2), "the second stays active", || second.is_active())?;
        eyes.saw_nothing_move()
    });
}

// P1
#[test]
fn a_crash_of_the_standby_disturbs_nobody() {
    scenario(LabOptions::default(), |lab| {
        let active = lab.start_all()?;
        let eyes = Onlookers::start(lab)?;
        lab.other(active).crash()?;
        lab.wait(SOON, "the peer is seen dead", || lab.node(active).record().receiver_in().is_none())?;
        lab.stays(Duration::from_secs(2), "the active stays active", || lab.node(active).is_active())?;
        eyes.saw_nothing_move()
    });
}

// P17, P18
#[test]
fn a_gateway_lost_on_the_active_node_moves_the_service_once() {
    scenario(LabOptions::default(), |lab| {
        let first = lab.start_all()?;
        let (node, other) = (lab.node(first), lab.other(first));
        let mut eyes = Onlookers::start(lab)?;
        node.gateway(Link::Down)?;
        let gap = eyes.saw_change_to(lab, other.name(), SOON)?;
        ensure!(gap.length().is_some_and(|length| length < OUTAGE), "{gap:?}");
        lab.wait(SOON, "the other is active", || other.is_active())?;
        lab.wait(SOON, "the heartbeat rests", || !node.record().sender.running)?;
        eyes.look_anew();
        node.gateway(Link::Up)?;
        lab.wait(SOON, "the node stands by again", || node.is_standby() && node.record().sender.running)?;
        lab.stays(Duration::from_secs(2), "the other stays active", || other.is_active())?;
        eyes.saw_nothing_move()
    });
}

// P18 (was: two actives for 83 of 90 s)
#[test]
fn a_gateway_lost_on_both_nodes_moves_nothing() {
    scenario(LabOptions::default(), |lab| {
        let active = lab.start_all()?;
        let eyes = Onlookers::start(lab)?;
        lab.gateway(Link::Down)?;
        let lost = || lab.nodes().iter().all(|node| gateway(node) == Some(Gateway::Lost));
        lab.wait(SOON, "both know that the gateway is lost", lost)?;
        lab.stays(Duration::from_secs(12), "the active stays active", || lab.node(active).holds_address())?;
        lab.gateway(Link::Up)?;
        ensure!(lab.wait_settled(SOON)? == active, "another node is active");
        lab.stays(Duration::from_secs(2), "the active stays active", || lab.node(active).is_active())?;
        eyes.saw_nothing_move()
    });
}

// P18, P19
#[test]
fn a_standby_without_gateway_takes_nothing_over_until_it_is_back() {
    scenario(LabOptions::default(), |lab| {
        let first = lab.start_all()?;
        let standby = lab.other(first);
        let eyes = Onlookers::start(lab)?;
        standby.gateway(Link::Down)?;
        lab.wait(SOON, "the standby knows", || gateway(standby) == Some(Gateway::Lost))?;
        eyes.saw_nothing_move()?;
        lab.node(first).crash()?;
        lab.stays(Duration::from_secs(4), "the standby takes nothing over", || !standby.holds_address())?;
        standby.gateway(Link::Up)?;
        lab.wait(SOON, "the standby takes over", || standby.is_active())?;
        eyes.never_saw_two()
    });
}

// P18
#[test]
fn an_isolated_standby_takes_nothing_over() {
    scenario(LabOptions::default(), |lab| {
        let active = lab.start_all()?;
        let standby = lab.other(active);
        let eyes = Onlookers::start(lab)?;
        standby.port(Link::Down)?;
        lab.stays(Duration::from_secs(8), "the standby takes nothing over", || !standby.holds_address())?;
        standby.port(Link::Up)?;
        ensure!(lab.wait_settled(SOON)? == active, "another node is active");
        eyes.saw_nothing_move()
    });
}

/// The active node is cut off by `cut` and comes back; the client is served all the time but for one takeover.
fn active_is_cut_off(lab: &Lab, cut: fn(&Node, Link) -> Result<()>) -> Result<()> {
    let first = lab.start_all()?;
    let (node, other) = (lab.node(first), lab.other(first));
    let mut eyes = Onlookers::start(lab)?;
    cut(node, Link::Down)?;
    let gap = eyes.saw_change_to(lab, other.name(), SOON)?;
    ensure!(gap.length().is_some_and(|length| length < OUTAGE), "{gap:?}");
    lab.wait(SOON, "the isolated node releases", || !node.holds_address())?;
    lab.wait(SOON, "the other is active", || other.is_active())?;
    eyes.look_anew();
    cut(node, Link::Up)?;
    lab.wait(SOON, "the node stands by", || node.is_standby())?;
    lab.stays(Duration::from_secs(2), "the other stays active", || other.is_active())?;
    let gaps = eyes.client().gaps(gap.to.unwrap_or_default() + Duration::from_secs(1));
    ensure!(gaps.is_empty(), "the return disturbed the client: {gaps:?}");
    Ok(())
}

// P18, P1
#[test]
fn an_isolated_active_node_is_replaced_releases_and_stands_by_when_it_is_back() {
    scenario(LabOptions::default(), |lab| active_is_cut_off(lab, Node::port));
}

// P18: without a carrier a node need not wait for its gateway.
#[test]
fn an_active_node_whose_cable_is_pulled_is_replaced() {
    scenario(LabOptions::default(), |lab| active_is_cut_off(lab, Node::cable));
}

// P68; the lease: the kernel removes the address, and only then the peer takes over.
#[test]
fn an_address_dies_with_its_keepers_before_the_peer_takes_it() {
    scenario(LabOptions::default(), |lab| {
        let first = lab.start_all()?;
        let (node, other) = (lab.node(first), lab.other(first));
        let eyes = Onlookers::start(lab)?;
        node.signal("KILL", &Program::ALL)?;
        let killed = Instant::now();
        lab.wait(SOON, "the kernel removes the address", || !node.holds_address())?;
        ensure!(killed.elapsed() < LEASE, "the kernel removed the address after {:?}", killed.elapsed());
        let gap = eyes.saw_change_to(lab, other.name(), SOON)?;
        ensure!(gap.length().is_some_and(|length| length < OUTAGE), "{gap:?}");
        lab.wait(SOON, "the other is active", || other.is_active())?;
        eyes.never_saw_two()?;
        node.start()?;
        ensure!(lab.wait_settled(SOON)? == other.id(), "the killed node stands by");
        eyes.never_saw_two()
    });
}

// P19: what a silent peer still holds is not taken from it.
#[test]
fn while_the_address_of_killed_daemons_answers_the_peer_says_so() {
    scenario(LabOptions::default(), |lab| {
        let first = lab.start_all()?;
        lab.node(first).signal("KILL", &Program::ALL)?;
        let held = || lab.other(first).reason() == Some(Reason::AddressHeld);
        lab.wait(LEASE, "the peer sees the address answer", held).map(drop)
    });
}

// Promise 3: a node whose daemons are stopped (SIGSTOP) is a node without keepers.
#[test]
fn stopped_daemons_lose_the_address_and_stand_by_when_they_go_on() {
    scenario(LabOptions::default(), |lab| {
        let first = lab.start_all()?;
        let (node, other) = (lab.node(first), lab.other(first));
        let eyes = Onlookers::start(lab)?;
        node.signal("STOP", &Program::ALL)?;
        let gap = eyes.saw_change_to(lab, other.name(), SOON)?;
        ensure!(gap.length().is_some_and(|length| length < OUTAGE), "{gap:?}");
        lab.wait(SOON, "the other is active", || other.is_active())?;
        node.signal("CONT", &Program::ALL)?;
        lab.wait(SOON, "the node stands by", || node.is_standby())?;
        lab.stays(Duration::from_secs(2), "the other stays active", || other.is_active())?;
        eyes.never_saw_two()
    });
}

// H38 of the database: history and reason tell what happened.
#[test]
fn a_takeover_is_explained() {
    scenario(LabOptions::default(), |lab| {
        let first = lab.start_all()?;
        let second = lab.other(first);
        lab.node(first).crash()?;
        lab.wait(SOON, "the second is active", || second.is_active())?;
        let report = second.record().supervise.report.context("no report")?;
        let reasons: Vec<Reason> = report.history.iter().map(|transition| transition.reason).collect();
        ensure!(reasons.contains(&Reason::PeerDead), "{reasons:?}");
        ensure!(!second.order(&["explain"])?.trim().is_empty(), "`explain` says nothing");
        Ok(())
    });
}

#[test]
fn a_prediction_says_what_then_happens() {
    scenario(LabOptions::default(), |lab| {
        let first = lab.start_all()?;
        let second = lab.other(first);
        let question = format!("{} dies", lab.node(first).name());
        let mut answer = serde_json::Value::Null;
        lab.wait(SOON, "the state is quiet", || {
            let said = second.order(&["what-if", &question, "--json"]).unwrap_or_default();
            answer = serde_json::from_str(&said).unwrap_or_default();
            answer["differences"].as_array().is_some_and(Vec::is_empty)
        })?;
        ensure!(answer["ends"][0]["active"][0] == second.name(), "{answer:#}");
        let bound = |which: &str| Some(Duration::from_millis(answer["outage_ms"][which].as_u64()?));
        let (least, most) = bound("least").zip(bound("most")).context("no outage")?;
        let eyes = Onlookers::start(lab)?;
        lab.node(first).crash()?;
        let gap = eyes.saw_change_to(lab, second.name(), SOON)?;
        // A busy machine is slower than a virtual one, and a client may look a little late.
        let near = |length: Duration| length > least / 2 && length < most * 2 + Duration::from_secs(1);
        ensure!(gap.length().is_some_and(near), "predicted {least:?} to {most:?}, measured {gap:?}");
        eyes.never_saw_two()
    });
}
