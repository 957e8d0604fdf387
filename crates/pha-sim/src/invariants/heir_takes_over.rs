//! The heir takes over.

use pha_core::Word;

use super::{Invariant, Since};
use crate::clock::micros;
use crate::cluster::Cluster;
use crate::fault::Behaviour;
use crate::happening::Happening;
use crate::node::Node;
use crate::trial::recovery_bound;

/// Watches for how long nobody serves although one node could, whatever is wrong with the others.
#[derive(Debug, Default)]
pub struct HeirTakesOver {
    idle: Since<usize>,
}

impl Invariant for HeirTakesOver {
    fn name(&self) -> &'static str {
        "heir_takes_over"
    }

    fn promise(&self) -> &'static str {
        "While one node is well and fit and the network is whole, nobody serves for no longer than the recovery bound, whatever \
         is wrong with the others, unless an operator ordered it (maintenance, `stop`, `res stop`) or an agent lies."
    }

    fn happened(&mut self, _: &Cluster, happening: &Happening) -> Result<(), String> {
        if matches!(happening, Happening::Fault(_)) {
            self.idle = Since::default();
        }
        Ok(())
    }

    fn look(&mut self, cluster: &Cluster) -> Result<(), String> {
        let served = cluster.nodes.iter().any(Node::served);
        let ordered = cluster.nodes.iter().any(|node| is_ordered(node) || lies(node));
        let possible = !served && !ordered && cluster.network.is_whole();
        for (n, node) in cluster.nodes.iter().enumerate() {
            let lasts = self.idle.note(n, possible && node.is_fit() && node.is_well(cluster.now), cluster.now);
            if lasts > micros(recovery_bound(node)) {
                return Err(format!("nobody has served for {lasts} us although {} could", crate::fault::name(n)));
            }
        }
        Ok(())
    }
}

fn is_ordered(node: &Node) -> bool {
    let wishes = &node.record.operator.wishes;
    let kept = node.report().is_some_and(|report| report.saying.word == Word::Kept);
    wishes.maintenance || !wishes.held.is_empty() || kept || node.other_protocol
}

fn lies(node: &Node) -> bool {
    node.agents.iter().any(|agent| [agent.start, agent.stop, agent.check].contains(&Behaviour::Lies))
}
