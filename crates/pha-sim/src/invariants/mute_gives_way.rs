//! Who cannot be heard gives way.

use pha_core::report::{Liveness, PeerReport};
use pha_core::{Gateway, Reason, Role};

use super::{Invariant, Since};
use crate::clock::micros;
use crate::cluster::Cluster;
use crate::fault::name;
use crate::node::Node;

/// Watches active nodes whose status database cannot be written.
#[derive(Debug, Default)]
pub struct MuteGivesWay {
    mute: Since<usize>,
}

impl Invariant for MuteGivesWay {
    fn name(&self) -> &'static str {
        "mute_gives_way"
    }

    fn promise(&self) -> &'static str {
        "A node whose status database cannot be written is not active for longer than LEASE if it knows a peer that would \
         take over."
    }

    fn look(&mut self, cluster: &Cluster) -> Result<(), String> {
        for (n, node) in cluster.nodes.iter().enumerate() {
            let lasts = self.mute.note(n, !node.writable && is_free(node), cluster.now);
            if lasts > micros(node.settings.lease + node.settings.heartbeat_interval) {
                return Err(format!("{} is still active {lasts} us after it became mute", name(n)));
            }
        }
        Ok(())
    }
}

/// Active, and bound by nothing but what it knows of its peers.
fn is_free(node: &Node) -> bool {
    let Some(supervise) = &node.supervise.core else { return false };
    let report = supervise.core.report();
    let would_take_over = |peer: &PeerReport| {
        matches!(peer.liveness, Liveness::Alive | Liveness::Suspect) && peer.saying.is_some_and(|saying| saying.willing)
    };
    node.is_awake()
        && (node.supervise.stalled_until, node.starved) == (0, 0)
        && supervise.core.is_settled()
        && !node.stopping
        && supervise.core.role() == Role::Active
        && report.saying.gateway != Gateway::Lost
        && report.reason != Reason::WasAway
        && !supervise.outside.wishes.maintenance
        && supervise.outside.peers.iter().any(would_take_over)
}
