//! When nodes that a fault befell are healthy again, and if not, what is missing.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use pha_core::report::{Liveness, ResourceState};
use pha_core::{BootTime, Gateway, Role};
use pha_status::Record;
use pha_sys::clock::boot_time;

use super::audit;
use super::faults::RESOURCE;
use crate::lab::Lab;
use crate::node::{Node, Program};
use crate::onlookers::Onlookers;

/// The longest wait. Most faults are over in a second or two; a node that was unfit has to be sure that it is no more.
const BOUND: Duration = Duration::from_secs(60);

/// An operator looks again after so long.
const MENDING: Duration = Duration::from_secs(3);

/// Waits until the nodes are healthy and the client is served, both as seen from now on; returns who is active. Meanwhile
/// `mend` is done now and then: what is wrong may show only later.
///
/// # Errors
/// They are not after [`BOUND`]; it says what was missing.
pub(super) fn wait(lab: &Lab, eyes: &Onlookers, mend: impl Fn() -> Result<()>) -> Result<usize> {
    let (began, since, mark) = (Instant::now(), boot_time(), eyes.client().mark());
    let mut mended = Instant::now();
    loop {
        match look(lab, since).and_then(|active| is_served(lab, eyes, active, mark).map(|()| active)) {
            Err(error) if began.elapsed() > BOUND => bail!("not healthy after {BOUND:?}: {error:#}"),
            Err(_) if mended.elapsed() > MENDING => {
                mend()?;
                mended = Instant::now();
            }
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
            Ok(active) => return Ok(active),
        }
    }
}

/// Nothing has moved: `active` has the address and is active, and all others stand by. A busy machine may make them doubt.
///
/// # Errors
/// What is different.
pub(super) fn calm(lab: &Lab, active: usize) -> Result<()> {
    let holders = lab.active_nodes();
    ensure!(holders == [active], "lb{active} had the address, and {holders:?} have it");
    for node in lab.nodes() {
        let role = if node.id() == active { Role::Active } else { Role::Standby };
        ensure!(node.role() == Some(role), "{} says that it is {:?}, {:?}", node.name(), node.role(), node.reason());
    }
    Ok(())
}

/// Who is active, if all nodes are healthy and have said so after `since`.
fn look(lab: &Lab, since: Duration) -> Result<usize> {
    let holders = lab.active_nodes();
    let [active] = holders[..] else { bail!("the address is held by {} nodes: {holders:?}", holders.len()) };
    for node in lab.nodes() {
        let role_fits = if node.id() == active { node.is_active() } else { node.is_standby() };
        ensure!(role_fits, "{} says that it is {:?}, {:?}", node.name(), node.role(), node.reason());
        Program::ALL.iter().try_for_each(|program| node.pid(*program).map(drop))?;
        let record = node.record();
        hears_all(node, &record, since)?;
        is_fit(node, &record, node.id() == active)?;
        audit::service(node, node.id() == active)?;
        // A check that failed while the resource was up told the node that there is nothing to stop.
        let up = node.fault_file(RESOURCE, "up").exists();
        ensure!(up == (node.id() == active), "{}: {RESOURCE} is {}", node.name(), if up { "up" } else { "down" });
    }
    Ok(active)
}

fn is_served(lab: &Lab, eyes: &Onlookers, active: usize, since: Duration) -> Result<()> {
    let answer = eyes.client().answer_since(since);
    ensure!(answer.as_deref() == Some(lab.node(active).name()), "the client is answered by {answer:?}");
    Ok(())
}

fn hears_all(node: &Node, record: &Record, since: Duration) -> Result<()> {
    ensure!(record.sender.running, "{}: its heartbeats rest", node.name());
    let ticks = [record.receiver.tick, record.supervise.tick];
    let fresh = ticks.iter().all(|tick| tick.since(BootTime::ZERO) >= since);
    ensure!(fresh, "{}: a daemon gives no sign of life", node.name());
    for peer in &record.receiver.peers {
        ensure!(peer.liveness == Liveness::Alive, "{}: node {} is {:?}", node.name(), peer.node, peer.liveness);
    }
    Ok(())
}

fn is_fit(node: &Node, record: &Record, active: bool) -> Result<()> {
    let Some(report) = &record.supervise.report else { bail!("{}: no report", node.name()) };
    ensure!(report.saying.fit, "{} is unfit", node.name());
    ensure!(report.gateway() == Gateway::Reachable, "{}: its gateway is {:?}", node.name(), report.gateway());
    let wanted = if active { ResourceState::Up } else { ResourceState::Down };
    for resource in &report.resources {
        ensure!(resource.state == wanted, "{}: {} is {:?}", node.name(), resource.name, resource.state);
    }
    Ok(())
}
