//! No time without an active node.

use super::{Invariant, Since};
use crate::clock::micros;
use crate::cluster::Cluster;
use crate::happening::Happening;
use crate::node::Node;
use crate::trial::recovery_bound;

/// Watches for how long nobody serves although everything is well.
#[derive(Debug, Default)]
pub struct NoGap {
    gap: Since<()>,
}

impl Invariant for NoGap {
    fn name(&self) -> &'static str {
        "no_gap"
    }

    fn promise(&self) -> &'static str {
        "While every node is well and fit, nobody serves for no longer than the stated bound."
    }

    fn happened(&mut self, _: &Cluster, happening: &Happening) -> Result<(), String> {
        if matches!(happening, Happening::Fault(_)) {
            self.gap = Since::default();
        }
        Ok(())
    }

    fn look(&mut self, cluster: &Cluster) -> Result<(), String> {
        let fit = cluster.nodes.iter().all(Node::is_fit);
        let served = cluster.nodes.iter().any(Node::served);
        let lasts = self.gap.note((), fit && !served && cluster.is_well(), cluster.now);
        if lasts > micros(recovery_bound(&cluster.nodes[0])) {
            return Err(format!("nobody has served for {lasts} us although all is well"));
        }
        Ok(())
    }
}
