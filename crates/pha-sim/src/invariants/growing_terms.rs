//! Terms only grow.

use std::collections::{BTreeMap, BTreeSet};

use pha_core::{Role, Term};

use super::{Invariant, pairs};
use crate::cluster::Cluster;
use crate::fault::{Fault, name};
use crate::happening::Happening;

/// Watches the terms of each node.
#[derive(Debug, Default)]
pub struct GrowingTerms {
    acted: BTreeMap<usize, Term>,
    /// Nodes that have stood by since.
    rested: BTreeSet<usize>,
}

impl Invariant for GrowingTerms {
    fn name(&self) -> &'static str {
        "growing_terms"
    }

    fn promise(&self) -> &'static str {
        "The terms under which a node acts only grow, with each takeover, over restarts and reboots too, and no two nodes ever act under one term."
    }

    fn happened(&mut self, _: &Cluster, happening: &Happening) -> Result<(), String> {
        // What was only written in a database that is gone can only be learned again from the peers.
        if let Happening::Fault(Fault::LoseDatabase { node }) = happening {
            self.acted.remove(node);
        }
        Ok(())
    }

    fn look(&mut self, cluster: &Cluster) -> Result<(), String> {
        for (n, node) in cluster.nodes.iter().enumerate() {
            // A restart of supervise beside its resources goes on under the term that they have.
            if !node.supervise.core.as_ref().is_some_and(|supervise| supervise.core.is_settled()) {
                continue;
            }
            if node.role() == Role::Standby {
                self.rested.insert(n);
                continue;
            }
            let before = self.acted.insert(n, node.term()).unwrap_or_default();
            if node.term() < before || (self.rested.remove(&n) && node.term() == before) {
                return Err(format!("{} went from term {before} to {}", name(n), node.term()));
            }
        }
        for (a, b) in pairs(cluster) {
            let term = |n: usize| self.acted.get(&n).copied().unwrap_or_default();
            if term(a) == term(b) && term(a) > Term::NONE {
                return Err(format!("{} and {} act under term {}", name(a), name(b), term(a)));
            }
        }
        Ok(())
    }
}
