//! What an operator asks for: switchover, return, stop, release, maintenance.

use std::time::Duration;

use anyhow::{Result, ensure};
use pha_core::{Reason, Term};
use pha_lab::world::scenario;
use pha_lab::{Lab, LabOptions, Node, Onlookers, Program, network};

const SOON: Duration = Duration::from_secs(20);

/// The outage that a switchover may cost on a busy test machine; the demo measures what it really costs.
const OUTAGE: Duration = Duration::from_secs(3);

/// `offline` on the active node, by whichever of its names, until the other is active. Returns (left, taken over).
fn switch_over(lab: &Lab, eyes: &Onlookers, word: &str) -> Result<(usize, usize)> {
    let from = lab.active_nodes()[0];
    let to = lab.other(from);
    lab.node(from).order(&[word])?;
    let gap = eyes.saw_change_to(lab, to.name(), SOON)?;
    ensure!(gap.length().is_some_and(|length| length < OUTAGE), "{gap:?}");
    lab.wait(SOON, "the other is active", || to.is_active())?;
    Ok((from, to.id()))
}

// P57, P58, P59, P60 (was: 0.9 s overlap)
#[test]
fn offline_moves_the_service_and_the_node_returns_by_itself() {
    scenario(LabOptions::default().config(["OFFLINE_TIME=4"]), |lab| {
        lab.start_all()?;
        let mut eyes = Onlookers::start(lab)?;
        let (from, to) = switch_over(lab, &eyes, "offline")?;
        lab.wait(SOON, "the heartbeat rests", || !lab.node(from).record().sender.running)?;
        eyes.look_anew();
        let back = || lab.node(from).is_standby() && lab.node(from).record().sender.running;
        let took = lab.wait(SOON, "the node returns", back)?;
        ensure!(took > Duration::from_secs(1), "it returned before OFFLINE_TIME was over: {took:?}");
        lab.stays(Duration::from_secs(2), "the other stays active", || lab.node(to).is_active())?;
        eyes.saw_nothing_move()
    });
}

// P57, P60
#[test]
fn online_ends_the_rest_early() {
    scenario(LabOptions::default().config(["OFFLINE_TIME=600"]), |lab| {
        lab.start_all()?;
        let mut eyes = Onlookers::start(lab)?;
        let (from, _) = switch_over(lab, &eyes, "disable")?;
        lab.wait(SOON, "the heartbeat rests", || !lab.node(from).record().sender.running)?;
        eyes.look_anew();
        lab.node(from).order(&["enable"])?;
        let back = || lab.node(from).is_standby() && lab.node(from).record().sender.running;
        lab.wait(SOON, "the node returns", back)?;
        eyes.saw_nothing_move()
    });
}

// P57, P69
#[test]
fn the_service_can_be_switched_to_and_fro() {
    scenario(LabOptions::default().config(["OFFLINE_TIME=600"]), |lab| {
        lab.start_all()?;
        let mut eyes = Onlookers::start(lab)?;
        for _ in 0..4 {
            eyes.look_anew();
            let (from, _) = switch_over(lab, &eyes, "off")?;
            lab.node(from).order(&["on"])?;
            lab.wait_settled(SOON)?;
        }
        eyes.never_saw_two()
    });
}

// P57: where nobody can take over, the resources stay, with the reason.
#[test]
fn offline_without_a_peer_keeps_the_service() {
    scenario(LabOptions::default(), |lab| {
        let node = lab.node(1);
        node.start()?;
        lab.wait(SOON, "lb1 is active", || node.is_active())?;
        let eyes = Onlookers::start(lab)?;
        let said = node.cli(&["offline"])?;
        ensure!(!(said.stdout + &said.stderr).trim().is_empty(), "no reason was given");
        lab.stays(Duration::from_secs(3), "the node keeps the address", || node.holds_address())?;
        eyes.saw_nothing_move()
    });
}

// P62, P63, P64, P65, P66, P67
#[test]
fn stop_keeps_the_service_until_res_stop_lets_the_peer_have_it() {
    scenario(LabOptions::default(), |lab| {
        let first = lab.start_all()?;
        let (node, other) = (lab.node(first), lab.other(first));
        let mut eyes = Onlookers::start(lab)?;
        node.stop()?;
        let stat = node.order(&["stat"])?;
        ensure!(stat.contains("'SUPERVISE' => 0") && stat.contains("'STATUS' => undef"), "{stat}");
        lab.wait(SOON, "the peer knows that they are kept", || other.reason() == Some(Reason::PeerKept))?;
        let held = node.addresses()?;
        let lasts = held.iter().any(|held| held.address == network::VIP && held.valid.is_none());
        ensure!(lasts, "the address has a lifetime and no keeper: {held:?}");
        lab.stays(Duration::from_secs(5), "the address stays", || lab.active_nodes() == [first])?;
        eyes.saw_nothing_move()?;
        eyes.look_anew();
        node.order(&["res", "stop"])?;
        let gap = eyes.saw_change_to(lab, other.name(), SOON)?;
        ensure!(gap.length().is_some_and(|length| length < OUTAGE), "{gap:?}");
        lab.wait(SOON, "the other is active", || other.is_active())?;
        eyes.never_saw_two()
    });
}

// P10: a term only grows, also where agents are called by hand before pha is started again.
#[test]
fn res_stop_after_a_reboot_forgets_no_term() {
    scenario(LabOptions::default(), |lab| {
        let node = lab.node(1);
        node.start()?;
        lab.wait(SOON, "lb1 is active", || node.is_active())?;
        node.crash()?;
        node.boot()?;
        let term = |node: &Node| node.record().supervise.report.map(|report| report.highest_term);
        let before = term(node);
        ensure!(before > Some(Term::NONE), "no term was kept: {before:?}");
        node.order(&["res", "stop"])?;
        ensure!(term(node) == before, "{before:?}, then {:?}", term(node));
        Ok(())
    });
}

// P64, P65: only supervise has died.
#[test]
fn res_stop_beside_a_sender_that_runs_still_lets_the_peer_have_the_service() {
    scenario(LabOptions::default(), |lab| {
        let first = lab.start_all()?;
        let (node, other) = (lab.node(first), lab.other(first));
        let eyes = Onlookers::start(lab)?;
        node.signal("KILL", &[Program::Supervise])?;
        node.order(&["res", "stop"])?;
        lab.wait(SOON, "the peer has the service", || other.is_active())?;
        eyes.never_saw_two()
    });
}

// P62: started again, the node finds its resources up and keeps them.
#[test]
fn a_node_stopped_and_started_again_adopts_its_resources() {
    scenario(LabOptions::default(), |lab| {
        let first = lab.start_all()?;
        let eyes = Onlookers::start(lab)?;
        lab.node(first).stop()?;
        lab.node(first).start()?;
        ensure!(lab.wait_settled(SOON)? == first, "another node is active");
        let renewed = || {
            let held = lab.node(first).addresses().unwrap_or_default();
            held.iter().any(|held| held.address == network::VIP && held.valid.is_some())
        };
        lab.wait(SOON, "the address has a lifetime again", renewed)?;
        eyes.saw_nothing_move()
    });
}

// P62, P67
#[test]
fn stop_with_release_hands_over_first() {
    scenario(LabOptions::default(), |lab| {
        let first = lab.start_all()?;
        let (node, other) = (lab.node(first), lab.other(first));
        let eyes = Onlookers::start(lab)?;
        node.order(&["stop", "--release"])?;
        let gap = eyes.saw_change_to(lab, other.name(), SOON)?;
        ensure!(gap.length().is_some_and(|length| length < OUTAGE), "{gap:?}");
        lab.wait(SOON, "the other is active", || other.is_active())?;
        ensure!(!node.holds_address(), "the stopped node kept the address");
        eyes.never_saw_two()
    });
}

// P62
#[test]
fn stop_of_the_standby_disturbs_nobody() {
    scenario(LabOptions::default(), |lab| {
        let active = lab.start_all()?;
        let eyes = Onlookers::start(lab)?;
        lab.other(active).stop()?;
        lab.stays(Duration::from_secs(3), "the active stays active", || lab.node(active).is_active())?;
        ensure!(lab.other(active).processes().is_empty(), "something still runs on the stopped node");
        eyes.saw_nothing_move()
    });
}

// Rule 1
#[test]
fn in_maintenance_a_failed_resource_is_watched_and_left_alone() {
    let resources = ["RES_fault=a".to_owned(), pha_lab::lab::web(), pha_lab::lab::kept_address()];
    scenario(LabOptions::default().resources(resources), |lab| {
        let active = lab.start_all()?;
        let node = lab.node(active);
        let starts = node.calls("a", "start");
        node.order(&["maintenance", "on"])?;
        lab.wait(SOON, "maintenance is known", || node.reason() == Some(Reason::Maintenance))?;
        let eyes = Onlookers::start(lab)?;
        node.clear_fault("a", "up");
        lab.stays(Duration::from_secs(5), "nothing is started", || node.calls("a", "start") == starts)?;
        eyes.saw_nothing_move()?;
        node.order(&["maintenance", "off"])?;
        lab.wait(SOON, "the resource is started again", || node.fault_file("a", "up").exists())?;
        ensure!(lab.wait_settled(SOON)? == active, "another node is active");
        Ok(())
    });
}
