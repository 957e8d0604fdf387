//! No change without a cause.

use pha_core::Reason;
use pha_core::supervisor::Note;

use super::{Invariant, Since};
use crate::clock::{Micros, micros};
use crate::cluster::Cluster;
use crate::fault::name;
use crate::happening::Happening;
use crate::node::Node;
use crate::trial::recovery_bound;

/// Watches for changes of role or word long after everything has become well.
#[derive(Debug, Default)]
pub struct NoMoveWithoutCause {
    well: Since<()>,
    well_for: Micros,
}

impl Invariant for NoMoveWithoutCause {
    fn name(&self) -> &'static str {
        "no_move_without_cause"
    }

    fn promise(&self) -> &'static str {
        "Where nothing has been wrong and nothing been ordered for longer than the recovery bound, no node changes its role \
         or its word, but for a failback that is asked for."
    }

    fn happened(&mut self, cluster: &Cluster, happening: &Happening) -> Result<(), String> {
        if matches!(happening, Happening::Fault(_)) {
            self.well = Since::default();
            self.well_for = 0;
        }
        let Happening::Noted { node, note: Note::Transition(transition) } = happening else { return Ok(()) };
        let asked_for = cluster.nodes[*node].settings.failback.is_some()
            && matches!(transition.reason, Reason::Failback | Reason::Claim | Reason::ClaimTurn);
        if self.well_for > micros(recovery_bound(&cluster.nodes[0])) && !asked_for {
            let after = self.well_for;
            return Err(format!("{} moved after {after} us of peace: {}", name(*node), transition.reason));
        }
        Ok(())
    }

    fn look(&mut self, cluster: &Cluster) -> Result<(), String> {
        let fit = cluster.nodes.iter().all(Node::is_fit);
        self.well_for = self.well.note((), fit && cluster.is_well(), cluster.now);
        Ok(())
    }
}
