//! Resources that fail: restart in place, failover, and no end-less bouncing.

use std::time::Duration;

use anyhow::ensure;
use pha_core::Status;
use pha_lab::world::scenario;
use pha_lab::{Lab, LabOptions, Node, Onlookers, Program, lab};

const SOON: Duration = Duration::from_secs(20);

/// A resource `fault.a` that fails when told to, before the web service and the address.
fn options() -> LabOptions {
    LabOptions::default().resources(["RES_fault.a=a".to_owned(), lab::web(), lab::kept_address()])
}

fn failed_up(node: &Node) -> bool {
    node.fault_file("a", "up").exists()
}

fn all_calls(lab: &Lab, verb: &str) -> usize {
    lab.nodes().iter().map(|node| node.calls("a", verb)).sum()
}

// P1, P24
#[test]
fn a_resource_that_dies_is_restarted_in_place() {
    scenario(options(), |lab| {
        let active = lab.start_all()?;
        let node = lab.node(active);
        let eyes = Onlookers::start(lab)?;
        let starts = all_calls(lab, "start");
        node.clear_fault("a", "up");
        lab.wait(SOON, "the resource is up again", || failed_up(node))?;
        ensure!(lab.wait_settled(SOON)? == active, "another node is active");
        ensure!(all_calls(lab, "start") == starts + 1, "more than one start");
        ensure!(eyes.holders().moves(Duration::ZERO) <= 1, "the address moved");
        eyes.never_saw_two()
    });
}

// P23: the others are not touched by a restart.
#[test]
fn resources_in_the_wanted_state_are_not_started_again() {
    scenario(options(), |lab| {
        let active = lab.start_all()?;
        let calls = (all_calls(lab, "start"), all_calls(lab, "stop"));
        lab.stays(Duration::from_secs(5), "one is active", || lab.active_nodes() == [active])?;
        ensure!((all_calls(lab, "start"), all_calls(lab, "stop")) == calls, "called again without need");
        Ok(())
    });
}

// P1, P12 (was: a resource that cannot be restarted locally never failed over)
#[test]
fn a_resource_that_cannot_be_restarted_fails_over() {
    scenario(options(), |lab| {
        let first = lab.start_all()?;
        let (node, other) = (lab.node(first), lab.other(first));
        let eyes = Onlookers::start(lab)?;
        node.set_fault("a", "fail-start", "")?;
        node.clear_fault("a", "up");
        lab.wait(SOON, "the other is active", || other.is_active())?;
        lab.wait(SOON, "the node has released", || !node.holds_address() && node.status() == Some(Status::Offline))?;
        lab.stays(Duration::from_secs(5), "the other stays active", || other.is_active())?;
        ensure!(eyes.holders().moves(Duration::ZERO) <= 2, "{:?}", eyes.holders().spans());
        eyes.never_saw_two()
    });
}

// P1
#[test]
fn a_resource_that_fails_everywhere_does_not_bounce_for_ever() {
    let options = options().config(["UNFIT_TIME=600"]);
    scenario(options, |lab| {
        lab.start_all()?;
        let eyes = Onlookers::start(lab)?;
        for node in lab.nodes() {
            node.set_fault("a", "fail-start", "")?;
            node.clear_fault("a", "up");
        }
        std::thread::sleep(Duration::from_secs(10));
        let (before, mark) = (all_calls(lab, "start"), eyes.holders().mark());
        std::thread::sleep(Duration::from_secs(15));
        let tries = all_calls(lab, "start") - before;
        ensure!(tries <= 10, "{tries} starts in 15 s");
        ensure!(eyes.holders().moves(mark) <= 10, "{:?}", eyes.holders().spans());
        for node in lab.nodes() {
            node.clear_fault("a", "fail-start");
        }
        lab.wait(Duration::from_secs(90), "the service is back", || lab.nodes().iter().any(Node::is_active))?;
        eyes.never_saw_two()
    });
}

// P12, P13, P22
#[test]
fn a_slow_restart_is_waited_for_by_the_peer() {
    scenario(options().config(["START_TIMEOUT=10"]), |lab| {
        let first = lab.start_all()?;
        let (node, other) = (lab.node(first), lab.other(first));
        let eyes = Onlookers::start(lab)?;
        node.set_fault("a", "slow-start", "3")?;
        node.clear_fault("a", "up");
        lab.wait(SOON, "the peer sees PROGRESS", || other.record().receiver_in() == Some(Status::Progress))?;
        ensure!(lab.wait_settled(SOON)? == first, "another node is active");
        ensure!(other.calls("a", "start") == 0, "the peer started its copy");
        eyes.never_saw_two()
    });
}

// P12; a start that outlives its limit is a start that failed.
#[test]
fn a_start_that_hangs_fails_over_after_its_limit() {
    scenario(options().config(["START_TIMEOUT=2"]), |lab| {
        let first = lab.start_all()?;
        let (node, other) = (lab.node(first), lab.other(first));
        node.set_fault("a", "slow-start", "600")?;
        node.clear_fault("a", "up");
        lab.wait(Duration::from_secs(30), "the other is active", || other.is_active())?;
        lab.wait(SOON, "the node has released", || !node.holds_address())?;
        lab.wait(SOON, "the hanging start is gone", || !hangs(node)).map(drop)
    });
}

fn hangs(node: &Node) -> bool {
    let sleeps = |pid: &u32| std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm == "sleep\n");
    node.processes().iter().any(sleeps)
}

// No two calls of one resource at once, over a crash of supervise too.
#[test]
fn a_start_that_outlived_its_supervise_is_ended_by_the_next() {
    scenario(options(), |lab| {
        let node = lab.node(lab.start_all()?);
        node.set_fault("a", "slow-start", "600")?;
        node.clear_fault("a", "up");
        lab.wait(SOON, "the start hangs", || hangs(node))?;
        node.signal("KILL", &[Program::Supervise])?;
        ensure!(hangs(node), "a start comes to its end without its supervise");
        node.clear_fault("a", "slow-start");
        node.start()?;
        lab.wait(SOON, "the hanging start is gone", || !hangs(node))?;
        lab.wait_settled(SOON).map(drop)
    });
}

// P19; what the old toolkit showed: supervise killed on the active node while its resources die.
#[test]
fn supervise_killed_while_its_resources_die_lets_the_peer_take_over() {
    scenario(options(), |lab| {
        let first = lab.start_all()?;
        let (node, other) = (lab.node(first), lab.other(first));
        let eyes = Onlookers::start(lab)?;
        node.signal("KILL", &[Program::Supervise])?;
        node.clear_fault("a", "up");
        node.command(node.home().join("res/web")).args(["stop", "0.0.0.0:8080"]).status()?;
        lab.wait(SOON, "the other is active", || other.is_active())?;
        ensure!(!node.holds_address(), "the address outlived its keeper");
        eyes.saw_change_to(lab, other.name(), SOON)?;
        eyes.never_saw_two()?;
        node.start()?;
        ensure!(lab.wait_settled(SOON)? == other.id(), "the node stands by");
        eyes.never_saw_two()
    });
}

// P21: leftovers on a standby are stopped.
#[test]
fn leftovers_on_the_standby_are_stopped() {
    scenario(options(), |lab| {
        let active = lab.start_all()?;
        let standby = lab.other(active);
        let eyes = Onlookers::start(lab)?;
        standby.set_fault("a", "up", "")?;
        lab.wait(SOON, "the leftover is stopped", || !failed_up(standby))?;
        lab.wait_settled(SOON)?;
        eyes.saw_nothing_move()
    });
}
