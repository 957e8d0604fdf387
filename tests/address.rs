//! Kept addresses on real nodes: what others remove is put back, and what their keeper loses is taken over soon.

use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};
use pha_lab::network;
use pha_lab::world::scenario;
use pha_lab::{Lab, LabOptions, Node, Onlookers, Program};

const SOON: Duration = Duration::from_secs(20);

/// Somebody else takes the address off the device.
fn rob(lab: &Lab, node: &Node) -> Result<()> {
    network::remove_address(node.name())?;
    lab.wait(SOON, "the address is restored", || node.holds_address()).map(drop)
}

fn restored(node: &Node) -> u32 {
    let report = node.record().supervise.report;
    report.map_or(0, |report| report.resources.iter().map(|resource| resource.restored).sum())
}

fn log_of(node: &Node) -> String {
    let files = fs::read_dir(node.home().join("var/log")).into_iter().flatten().flatten();
    files.filter_map(|file| fs::read_to_string(file.path()).ok()).collect()
}

#[test]
fn an_address_that_somebody_else_removes_is_restored_counted_and_named() {
    scenario(LabOptions::default(), |lab| {
        let active = lab.start_all()?;
        let node = lab.node(active);
        let eyes = Onlookers::start(lab)?;
        for times in 1..=4 {
            rob(lab, node)?;
            lab.wait(SOON, "it is counted", || restored(node) == times)?;
        }
        let said = format!("{} was removed from eth0 by somebody else", network::VIP);
        lab.wait(SOON, "the log names it", || log_of(node).contains(&said))?;
        lab.stays(Duration::from_secs(3), "the node stays active", || node.is_active())?;
        ensure!(lab.active_nodes() == [active], "another node has the address");
        eyes.never_saw_two()
    });
}

#[test]
fn a_stop_and_the_end_of_a_lease_are_nobodys_removal() {
    scenario(LabOptions::default(), |lab| {
        let first = lab.start_all()?;
        let node = lab.node(first);
        node.signal("STOP", &Program::ALL)?;
        lab.wait(SOON, "the kernel removes the address", || !node.holds_address())?;
        lab.wait(SOON, "the other is active", || lab.other(first).is_active())?;
        node.signal("CONT", &Program::ALL)?;
        lab.wait(SOON, "the node stands by", || node.is_standby())?;
        ensure!(!log_of(node).contains("by somebody else") && restored(node) == 0, "{}", log_of(node));
        Ok(())
    });
}
