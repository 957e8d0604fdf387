//! One active node.

use std::time::Duration;

use pha_core::Role;

use super::{Invariant, Since, can_talk, pairs};
use crate::clock::micros;
use crate::cluster::Cluster;
use crate::fault::name;

/// Watches for how long two nodes that can talk are both active.
#[derive(Debug, Default)]
pub struct OneActive {
    both: Since<(usize, usize)>,
}

/// What the way of a heartbeat and the programs' own steps take.
const SLACK: Duration = Duration::from_millis(20);

impl Invariant for OneActive {
    fn name(&self) -> &'static str {
        "one_active"
    }

    fn promise(&self) -> &'static str {
        "Two nodes that hear each other and are not in maintenance are never both active for longer than one heartbeat that \
         arrives."
    }

    fn look(&mut self, cluster: &Cluster) -> Result<(), String> {
        let network = &cluster.network;
        for (a, b) in pairs(cluster) {
            let active = |n: usize| cluster.nodes[n].role() == Role::Active;
            let both = active(a) && active(b) && can_talk(cluster, a, b);
            let lasts = self.both.note((a, b), both, cluster.now);
            let s = &cluster.nodes[a].settings;
            // A lost heartbeat is made up for by the next; one in a thousand million runs of thirteen at 30 % is lost.
            let heartbeats = if network.loss_percent == 0 { 1 } else { 18 };
            let bound = micros((s.heartbeat_interval * heartbeats + SLACK) * 102 / 100) + network.jitter;
            if lasts > bound {
                return Err(format!("{} and {} have both been active for {lasts} us", name(a), name(b)));
            }
        }
        Ok(())
    }
}
