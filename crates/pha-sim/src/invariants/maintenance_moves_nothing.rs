//! Maintenance moves nothing.

use pha_core::Word;
use pha_core::supervisor::Note;

use super::Invariant;
use crate::cluster::Cluster;
use crate::fault::name;
use crate::happening::Happening;

/// Watches what begins under maintenance.
#[derive(Debug)]
pub struct MaintenanceMovesNothing;

impl Invariant for MaintenanceMovesNothing {
    fn name(&self) -> &'static str {
        "maintenance_moves_nothing"
    }

    fn promise(&self) -> &'static str {
        "Under `maintenance on` a node begins to start or stop nothing, once its supervise knows."
    }

    fn happened(&mut self, cluster: &Cluster, happening: &Happening) -> Result<(), String> {
        let Happening::Noted { node, note: Note::Transition(transition) } = happening else { return Ok(()) };
        // What begins in a rest shows when the rest ends.
        let begins = matches!(transition.from, Word::Online | Word::Offline { .. })
            && matches!(transition.to, Word::Progress { .. });
        let supervise = cluster.nodes[*node].supervise.core.as_ref();
        if begins && supervise.is_some_and(|supervise| supervise.outside.wishes.maintenance) {
            return Err(format!("{} moves under maintenance: {}", name(*node), transition.reason));
        }
        Ok(())
    }
}
