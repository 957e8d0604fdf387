//! What is compared: pha, and keepalived, each behind the same few verbs.
//!
//! Everything that differs between the two stands here, so that the faults and the measures cannot.

use std::time::Duration;

use anyhow::{Context, Result};
use pha_core::Reason;

use super::series::Skip;
use crate::keepalived::{self, Keepalived};
use crate::lab::Lab;
use crate::network::Beat;
use crate::node::Node;

/// A system, as it is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum System {
    Pha,
    Keepalived(Keepalived),
}

impl System {
    /// Its name in the table.
    pub(super) fn name(self) -> String {
        match self {
            Self::Pha => "pha".to_owned(),
            Self::Keepalived(Keepalived { priority: Keepalived::USUAL_PRIORITY, .. }) => "keepalived".to_owned(),
            Self::Keepalived(Keepalived { priority, .. }) => format!("keepalived, priority {priority}"),
        }
    }

    /// Whether it can run here, on the nodes of `lab`.
    pub(super) fn available(self, lab: &Lab) -> Result<()> {
        match self {
            Self::Pha => {
                let said = lab.node(1).cli(&["check"])?;
                let text = format!("{}{}", said.stdout, said.stderr);
                let refused = said.status.code() == Some(78);
                let why = text.lines().find_map(|line| line.split_once("etc/config:")).map_or("", |(_, why)| why);
                if refused { Err(Skip(format!("pha refuses etc/config:{why}")).into()) } else { Ok(()) }
            }
            Self::Keepalived(_) => Keepalived::version().map(drop).map_err(|why| Skip(why.to_string()).into()),
        }
    }

    pub(super) fn start(self, node: &Node) -> Result<()> {
        match self {
            Self::Pha => node.start(),
            Self::Keepalived(keepalived) => keepalived.start(node),
        }
    }

    /// Asks `node`, which has the address, to hand over.
    pub(super) fn hand_over(self, node: &Node) -> Result<()> {
        match self {
            Self::Pha => node.order(&["switchover"]).map(drop),
            Self::Keepalived(_) => Keepalived::end(node),
        }
    }

    /// Makes a node that handed over one that stands by.
    pub(super) fn stand_by(self, lab: &Lab, node: &Node) -> Result<()> {
        match self {
            // Where it stands by of its own accord there is nothing to end.
            Self::Pha => node.cli(&["online"]).map(drop),
            Self::Keepalived(keepalived) => {
                lab.wait(super::PATIENCE, "keepalived ends", || keepalived::processes(node).is_empty())?;
                keepalived.start(node)
            }
        }
    }

    /// Whether `node` is seen to stand by, or to be active, as far as the system itself says so.
    pub(super) fn is_healthy(self, node: &Node) -> bool {
        match self {
            Self::Pha if node.holds_address() => node.is_active(),
            // It has heard the active node: its start-up grace is over.
            Self::Pha => node.is_standby() && node.reason() == Some(Reason::PeerActive),
            Self::Keepalived(_) => keepalived::processes(node).len() >= 2,
        }
    }

    /// Its processes on `node`, children included.
    pub(super) fn processes(self, node: &Node) -> Vec<u32> {
        // All that is there but the service.
        node.named(|name| name != super::stage::SERVICE)
    }

    /// Its heartbeats on the wire.
    pub(super) fn beat(self, lab: &Lab) -> Beat {
        match self {
            Self::Pha => Beat::Udp(lab.port()),
            Self::Keepalived(_) => Beat::Vrrp,
        }
    }

    /// How long it takes at most until a pair that has just been started or mended is calm.
    pub(super) const fn calm(self) -> Duration {
        match self {
            Self::Pha => Duration::ZERO,
            // Nothing tells what keepalived has heard: more than three of its intervals, whatever they are.
            Self::Keepalived(Keepalived { interval, .. }) => interval.saturating_mul(5),
        }
    }

    /// How many lines of level WARN or ERROR the system has logged on `node`; `None` where it has no such thing.
    pub(super) fn warnings(self, node: &Node) -> Option<usize> {
        match self {
            Self::Pha => {
                let logs = std::fs::read_dir(node.home().join("var/log")).into_iter().flatten().flatten();
                let texts = logs.filter_map(|entry| std::fs::read_to_string(entry.path()).ok());
                let loud = |line: &&str| line.contains(" WARN ") || line.contains(" ERROR ");
                Some(texts.map(|text| text.lines().filter(loud).count()).sum())
            }
            Self::Keepalived(_) => None,
        }
    }
}

/// Microseconds from the verdict that the peer is dead to the beginning of the last start, as `node` says of its last
/// takeover; `None` if it says nothing.
pub(super) fn takeover_overhead(node: &Node) -> Result<Option<f64>> {
    let status: serde_json::Value =
        serde_json::from_str(&node.order(&["status", "--json"])?).context("status --json")?;
    let moves = status["moves"].as_array().map(Vec::as_slice).unwrap_or_default();
    let takeover = moves.iter().rev().find(|step| step["kind"] == "takeover");
    Ok(takeover.and_then(|step| step["overhead_us"].as_f64()))
}
