//! A term is stored before anything starts under it.

use std::collections::BTreeMap;

use pha_core::Term;
use pha_core::resource::Call;

use super::Invariant;
use crate::cluster::Cluster;
use crate::fault::name;
use crate::happening::Happening;

/// Watches starts, and the terms that each disk has held.
#[derive(Debug, Default)]
pub struct StoredTerms {
    stored: BTreeMap<usize, Term>,
}

impl Invariant for StoredTerms {
    fn name(&self) -> &'static str {
        "stored_terms"
    }

    fn promise(&self) -> &'static str {
        "No resource starts under a term that is not on its node's disk."
    }

    fn happened(&mut self, cluster: &Cluster, happening: &Happening) -> Result<(), String> {
        let Happening::Called { node, call: Call::Start, .. } = happening else { return Ok(()) };
        let Some(supervise) = &cluster.nodes[*node].supervise.core else { return Ok(()) };
        let term = supervise.core.report().saying.term;
        let stored = self.stored.get(node).copied().unwrap_or_default().max(cluster.nodes[*node].lasting);
        if stored < term {
            return Err(format!("{} starts under term {term}, but its disk knows only {stored}", name(*node)));
        }
        Ok(())
    }

    fn look(&mut self, cluster: &Cluster) -> Result<(), String> {
        for (n, node) in cluster.nodes.iter().enumerate() {
            let stored = self.stored.entry(n).or_default();
            *stored = node.lasting.max(*stored);
        }
        Ok(())
    }
}
