//! No false accusation.

use pha_core::report::Liveness;

use super::Invariant;
use crate::clock::micros;
use crate::cluster::Cluster;
use crate::fault::name;
use crate::happening::Happening;

/// Watches verdicts of death.
#[derive(Debug)]
pub struct NoFalseAccusation;

impl Invariant for NoFalseAccusation {
    fn name(&self) -> &'static str {
        "no_false_accusation"
    }

    fn promise(&self) -> &'static str {
        "No node calls a peer dead whose heartbeat came to its machine within the dead time, however late its own programs run."
    }

    fn happened(&mut self, cluster: &Cluster, happening: &Happening) -> Result<(), String> {
        let Happening::Verdict { node, peer, liveness: Liveness::Dead } = happening else { return Ok(()) };
        let Some((came, _)) = cluster.nodes[*node].came[*peer] else { return Ok(()) };
        let silent = cluster.now - came;
        if silent < micros(cluster.nodes[*node].settings.dead_time) * 98 / 100 {
            return Err(format!("{} calls {} dead {silent} us after its heartbeat came", name(*node), name(*peer)));
        }
        Ok(())
    }
}
