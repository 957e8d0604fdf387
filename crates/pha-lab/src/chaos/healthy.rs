//! When nodes that a fault befell are healthy again, and if not, what is missing.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use pha_core::Gateway;
use pha_core::report::{Liveness, ResourceState};

use super::faults::RESOURCE;
use crate::lab::Lab;
use crate::node::{Node, Program};
use crate::onlookers::Onlookers;

/// The longest wait. Most faults are over in a second or two; a node that was unfit has to be sure that it is no more.
const BOUND: Duration = Duration::from_secs(60);

/// Waits until the nodes are healthy and the client was answered after its mark `since`; returns who is active.
///
/// # Errors
/// They are not after [`BOUND`]; it says what was missing.
pub(super) fn wait(lab: &Lab, eyes: &Onlookers, since: Duration) -> Result<usize> {
    let began = Instant::now();
    loop {
        match look(lab, eyes, since) {
            Err(error) if began.elapsed() > BOUND => bail!("not healthy after {BOUND:?}: {error:#}"),
            Err(_) => std::thread::sleep(Duration::from_millis(5)),
            Ok(active) => return Ok(active),
        }
    }
}

/// Who is active, if all nodes are healthy and the client was answered after its mark `since`.
///
/// # Errors
/// What is missing.
pub(super) fn look(lab: &Lab, eyes: &Onlookers, since: Duration) -> Result<usize> {
    let holders = lab.active_nodes();
    let [active] = holders[..] else { bail!("the address is held by {} nodes: {holders:?}", holders.len()) };
    for node in lab.nodes() {
        let role_fits = if node.id() == active { node.is_active() } else { node.is_standby() };
        ensure!(role_fits, "{} says that it is {:?}, {:?}", node.name(), node.role(), node.reason());
        Program::ALL.iter().try_for_each(|program| node.pid(*program).map(drop))?;
        hears_all(node)?;
        is_fit(node, node.id() == active)?;
        // A check that failed while the resource was up told the node that there is nothing to stop.
        let up = node.fault_file(RESOURCE, "up").exists();
        ensure!(up == (node.id() == active), "{}: {RESOURCE} is {}", node.name(), if up { "up" } else { "down" });
    }
    let answer = eyes.client().answer_since(since);
    ensure!(answer.as_deref() == Some(lab.node(active).name()), "the client is answered by {answer:?}");
    Ok(active)
}

fn hears_all(node: &Node) -> Result<()> {
    let record = node.record();
    ensure!(record.sender.running, "{}: its heartbeats rest", node.name());
    for peer in &record.receiver.peers {
        ensure!(peer.liveness == Liveness::Alive, "{}: node {} is {:?}", node.name(), peer.node, peer.liveness);
    }
    Ok(())
}

fn is_fit(node: &Node, active: bool) -> Result<()> {
    let Some(report) = node.record().supervise.report else { bail!("{}: no report", node.name()) };
    ensure!(report.saying.fit, "{} is unfit", node.name());
    ensure!(report.gateway() == Gateway::Reachable, "{}: its gateway is {:?}", node.name(), report.gateway());
    let wanted = if active { ResourceState::Up } else { ResourceState::Down };
    for resource in &report.resources {
        ensure!(resource.state == wanted, "{}: {} is {:?}", node.name(), resource.name, resource.state);
    }
    Ok(())
}
