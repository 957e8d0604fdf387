//! Broken resources do not bounce.

use pha_core::supervisor::{MAX_ROUNDS, Note};
use pha_core::{Direction, Word};

use super::Invariant;
use crate::cluster::Cluster;
use crate::happening::Happening;

/// Watches how often the resources change hands after the last fault or order.
#[derive(Debug, Default)]
pub struct BoundedBounce {
    holder: Option<usize>,
    moves: usize,
}

impl Invariant for BoundedBounce {
    fn name(&self) -> &'static str {
        "bounded_bounce"
    }

    fn promise(&self) -> &'static str {
        "Nodes throw a broken resource at each other only so often after the last fault: twice for each of the six rounds after \
         which a node stays unfit, and for each node."
    }

    fn happened(&mut self, cluster: &Cluster, happening: &Happening) -> Result<(), String> {
        if matches!(happening, Happening::Fault(_) | Happening::Healed) {
            self.moves = 0;
            return Ok(());
        }
        let Happening::Noted { node, note: Note::Transition(transition) } = happening else { return Ok(()) };
        let begins = matches!(transition.to, Word::Progress { direction: Direction::Starting, .. });
        if begins && self.holder != Some(*node) {
            self.holder = Some(*node);
            self.moves += 1;
        }
        // Each round may take a node one move there and one back.
        let bound = cluster.nodes.len() * (usize::try_from(MAX_ROUNDS).unwrap_or(usize::MAX) + 1) * 2;
        if self.moves > bound {
            return Err(format!("the resources have changed hands {} times since the last fault", self.moves));
        }
        Ok(())
    }
}
