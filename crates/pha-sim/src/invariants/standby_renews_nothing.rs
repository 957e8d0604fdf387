//! A standby renews nothing.

use std::collections::BTreeSet;

use pha_core::Role;

use super::Invariant;
use crate::cluster::Cluster;
use crate::fault::name;
use crate::happening::Happening;

/// Watches calls that give or renew a lease.
#[derive(Debug, Default)]
pub struct StandbyRenewsNothing {
    /// Nodes that knew before this moment that they are standby.
    standby: BTreeSet<usize>,
}

impl Invariant for StandbyRenewsNothing {
    fn name(&self) -> &'static str {
        "standby_renews_nothing"
    }

    fn promise(&self) -> &'static str {
        "A standby renews no lease: what it cannot stop, the kernel takes away."
    }

    fn happened(&mut self, cluster: &Cluster, happening: &Happening) -> Result<(), String> {
        let Happening::Called { node, resource, .. } = happening else { return Ok(()) };
        let renews = cluster.nodes[*node].agents[*resource].running.iter().any(|call| call.lease && !call.orphaned);
        if renews && self.standby.contains(node) && cluster.nodes[*node].role() == Role::Standby {
            return Err(format!("{} is standby and renews the lease of resource {resource}", name(*node)));
        }
        Ok(())
    }

    fn look(&mut self, cluster: &Cluster) -> Result<(), String> {
        let is_standby = |n: &usize| {
            let supervise = cluster.nodes[*n].supervise.core.as_ref();
            supervise.is_some_and(|supervise| supervise.core.is_settled() && supervise.core.role() == Role::Standby)
        };
        self.standby = (0..cluster.nodes.len()).filter(is_standby).collect();
        Ok(())
    }
}
