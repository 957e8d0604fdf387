//! Two nodes with one system on them, the service, and who looks on: where every experiment takes place.
//!
//! The service runs on both nodes all the time and belongs to neither system, so that only the address moves. Before a
//! fault there is a pause drawn from the seed: no fault falls on the same moment after a heartbeat or a renewal.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail, ensure};

use super::PATIENCE;
use super::system::System;
use crate::lab::{Lab, LabOptions, WEB_PORT, kept_address};
use crate::network::{self, Link, Way};
use crate::node::Node;
use crate::onlookers::Onlookers;

/// The name of the service's process.
pub(super) const SERVICE: &str = "pha-lab";

/// A calm pair is left alone for so long before a fault, and then for a part of [`PHASE`].
const REST: Duration = Duration::from_millis(500);

/// A whole number of every heartbeat interval, and of pha's renewals.
const PHASE: Duration = Duration::from_secs(1);

/// Whoever does not stay calm so often in a row will not be measured.
const CALMINGS: u32 = 10;

/// The client knows that a datagram is lost when it is so old.
pub(super) const CLIENT_PATIENCE: Duration = Duration::from_secs(1);

/// One system on two nodes.
pub(super) struct Stage {
    pub(super) system: System,
    pub(super) lab: Lab,
    pub(super) eyes: Onlookers,
    /// How often the address moved while nothing was wrong.
    pub(super) unasked: u32,
    random: fastrand::Rng,
}

impl Stage {
    /// Builds the nodes with their trees in `dir` and starts `system`; `lines` are for pha's configuration.
    pub(super) fn set(system: System, lines: &[&str], dir: &Path, seed: u64) -> Result<Self> {
        let options = LabOptions::default().resources([kept_address()]).config(["PINGTIMEOUT=2.1"]);
        let lab = Lab::new(options.config(lines.iter().copied()).in_directory(dir))?;
        system.available(&lab)?;
        let started = lab.nodes().iter().try_for_each(|node| start(system, node));
        let eyes = started.and_then(|()| Onlookers::start(&lab));
        let eyes = eyes.map_err(|error| anyhow::anyhow!("{error:#}\n{}", lab.story()))?;
        Ok(Self { system, lab, eyes, unasked: 0, random: fastrand::Rng::with_seed(seed) })
    }

    /// Waits until the pair is well and the client is served by who has the address, then a while that chance decides.
    /// Returns the id of the active node; what the onlookers saw before counts no more.
    pub(super) fn settle(&mut self) -> Result<usize> {
        for _ in 0..CALMINGS {
            let id = self.well(PATIENCE)?;
            let mark = self.eyes.holders().mark();
            std::thread::sleep(self.system.calm() + REST + PHASE.mul_f64(self.random.f64()));
            if self.lab.active_nodes() == [id] && self.eyes.holders().moves(mark) == 0 {
                self.eyes.look_anew();
                return Ok(id);
            }
            self.unasked += 1;
        }
        bail!("the address moves by itself: {:?}", self.eyes.holders().spans())
    }

    /// Waits at most `bound` until one node has the address and all are well; returns its id.
    pub(super) fn well(&self, bound: Duration) -> Result<usize> {
        let well = || {
            let [id] = self.lab.active_nodes()[..] else { return false };
            let answers = self.eyes.client().answer().as_deref() == Some(self.lab.node(id).name());
            answers && self.lab.nodes().iter().all(|node| self.system.is_healthy(node))
        };
        self.lab.wait(bound, "the pair is well and serves the client", well)?;
        Ok(self.lab.active_nodes().first().copied().unwrap_or_default())
    }

    pub(super) fn node(&self, id: usize) -> &Node {
        self.lab.node(id)
    }

    /// The outage until the node beside `id` answers, in ms; for ever if it does not within [`PATIENCE`].
    pub(super) fn outage_until_other_than(&self, id: usize) -> f64 {
        let gap = self.eyes.saw_change_to(&self.lab, self.lab.other(id).name(), PATIENCE);
        gap.ok().and_then(|gap| gap.length()).map_or(f64::INFINITY, millis)
    }

    /// `kill -9` of all of the system on node `id`; the service stays.
    pub(super) fn kill(&self, id: usize) -> Result<()> {
        crate::command::signal("KILL", &self.system.processes(self.node(id)))
    }

    /// The machine crashes: off the wire at once, then all that ran and the address are gone.
    pub(super) fn crash(&self, id: usize) -> Result<()> {
        self.node(id).crash()
    }

    /// Boots a crashed machine and starts everything.
    pub(super) fn boot(&self, id: usize) -> Result<()> {
        self.node(id).boot()?;
        start(self.system, self.node(id))
    }

    /// Drops `percent` of the heartbeats that arrive, at both nodes, and nothing else.
    pub(super) fn lose_heartbeats(&self, percent: u32) -> Result<()> {
        let beat = self.system.beat(&self.lab);
        self.lab.nodes().iter().try_for_each(|node| network::drop_heartbeats(node.name(), Way::In, beat, percent))
    }

    /// Ends [`Self::lose_heartbeats`].
    pub(super) fn restore_heartbeats(&self) -> Result<()> {
        self.lab.nodes().iter().try_for_each(|node| network::restore_heartbeats(node.name()))
    }

    /// The nodes cannot reach each other, but each the client and the gateway.
    pub(super) fn between_nodes(&self, link: Link) -> Result<()> {
        self.lab.between_nodes(link)
    }

    /// How long two nodes held the address since the mark `since`, in ms; for ever if they still do.
    pub(super) fn two_holders(&self, since: Duration) -> f64 {
        if self.lab.active_nodes().len() > 1 {
            return f64::INFINITY;
        }
        let doubles = self.eyes.holders().doubles();
        // Each span was seen from its first look to its last; the next look found it ended.
        let spans = doubles.iter().filter(|span| span.to >= since).map(|span| span.length() + Duration::from_millis(1));
        millis(spans.sum())
    }

    /// The longest time without an answer that ended after the client's mark `since`, in ms, as far as it lay after it.
    pub(super) fn longest_outage(&self, since: Duration) -> f64 {
        let after = |gap: crate::client::Gap| gap.to.map_or(f64::INFINITY, |to| millis(to - gap.from.max(since)));
        self.eyes.client().gaps(since).into_iter().filter(|gap| gap.failed > 0).map(after).fold(0.0, f64::max)
    }
}

/// Starts `system` on `node`, and the service if it does not run there.
fn start(system: System, node: &Node) -> Result<()> {
    if node.named(|name| name == SERVICE).is_empty() {
        let mut service = node.command(node.home().join("bin/pha-lab"));
        service.args(["serve", "--background", &format!("0.0.0.0:{WEB_PORT}"), node.name()]);
        ensure!(service.status()?.success(), "{}: the service did not start", node.name());
    }
    system.start(node)
}

/// In milliseconds.
pub(super) fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
