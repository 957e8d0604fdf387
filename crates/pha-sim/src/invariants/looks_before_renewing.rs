//! Who was away looks before it renews.

use std::collections::BTreeMap;

use pha_core::resource::Call;
use pha_core::supervisor::Note;
use pha_core::{BootTime, Gateway, Role, Word};

use super::Invariant;
use crate::cluster::Cluster;
use crate::fault::name;
use crate::happening::Happening;

/// Watches active nodes that were suspended or starved.
#[derive(Debug, Default)]
pub struct LooksBeforeRenewing {
    back_since: BTreeMap<usize, BootTime>,
}

impl Invariant for LooksBeforeRenewing {
    fn name(&self) -> &'static str {
        "looks_before_renewing"
    }

    fn promise(&self) -> &'static str {
        "An active node that was away for longer than the dead time renews no lease before it has heard a peer, or no peer for \
         the dead time."
    }

    fn happened(&mut self, cluster: &Cluster, happening: &Happening) -> Result<(), String> {
        match happening {
            Happening::Noted { node, note: Note::WasAway(_) } => {
                self.back_since.insert(*node, cluster.local(*node));
            }
            Happening::Called { node, resource, call: Call::Check } => {
                let leased = cluster.nodes[*node].settings.resources[*resource].leased;
                let back_since = self.back_since.get(node).filter(|_| leased);
                if back_since.is_some_and(|since| is_blind(cluster, *node, *since)) {
                    return Err(format!(
                        "{} renews a lease before it knows what happened while it was away",
                        name(*node)
                    ));
                }
            }
            Happening::Fault(_)
            | Happening::Healed
            | Happening::Verdict { .. }
            | Happening::Noted { .. }
            | Happening::Called { .. }
            | Happening::Ended { .. }
            | Happening::Expired { .. } => {}
        }
        Ok(())
    }

    fn look(&mut self, cluster: &Cluster) -> Result<(), String> {
        self.back_since.retain(|n, _| cluster.nodes[*n].supervise.core.is_some());
        Ok(())
    }
}

/// Back since then, has heard nobody, and neither a plan nor the operator nor the gateway says what to do.
fn is_blind(cluster: &Cluster, n: usize, since: BootTime) -> bool {
    let Some(supervise) = &cluster.nodes[n].supervise.core else { return false };
    let (outside, report) = (&supervise.outside, supervise.core.report());
    let waited = cluster.local(n) >= since + cluster.nodes[n].settings.dead_time;
    let heard = outside.peers.iter().any(|peer| peer.heard_at.is_some_and(|at| at > since));
    let ordered = outside.wishes.maintenance || outside.wishes.offline.is_some() || cluster.nodes[n].stopping;
    let idle = !matches!(report.saying.word, Word::Progress { .. }) && supervise.core.is_settled();
    !waited && !heard && !ordered && idle && report.role == Role::Active && report.saying.gateway != Gateway::Lost
}
