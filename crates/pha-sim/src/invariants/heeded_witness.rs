//! The wire's word is heeded.

use std::time::Duration;

use pha_core::report::{Liveness, ResourceState};
use pha_core::supervisor::Note;
use pha_core::{Direction, Reason, Word};

use super::{Invariant, Since};
use crate::clock::{Micros, micros};
use crate::cluster::Cluster;
use crate::fault::name;
use crate::happening::Happening;

/// What a probe found may be so old, and so long may it take a starved node to act on it.
const OLDEST_ANSWER: Duration = Duration::from_millis(1500);

/// Watches takeovers from dead peers while another machine answers for an address.
#[derive(Debug, Default)]
pub struct HeededWitness {
    seen: Since<(usize, usize)>,
    answers_for: Vec<Micros>,
}

impl Invariant for HeededWitness {
    fn name(&self) -> &'static str {
        "heeded_witness"
    }

    fn promise(&self) -> &'static str {
        "No node takes over from a dead peer while an address that it would take answers on its wire."
    }

    fn happened(&mut self, cluster: &Cluster, happening: &Happening) -> Result<(), String> {
        let Happening::Noted { node, note: Note::Transition(transition) } = happening else { return Ok(()) };
        let claims = matches!(transition.to, Word::Progress { direction: Direction::Starting, .. })
            && matches!(transition.reason, Reason::PeerDead | Reason::Claim | Reason::Unfit);
        let answers_for = self.answers_for.get(*node).copied().unwrap_or_default();
        if claims && wants_witness(cluster, *node) && answers_for > micros(OLDEST_ANSWER) {
            let takes = name(*node);
            return Err(format!(
                "{takes} takes over from a dead peer while its address has answered for {answers_for} us"
            ));
        }
        Ok(())
    }

    fn look(&mut self, cluster: &Cluster) -> Result<(), String> {
        let count = cluster.nodes.len();
        self.answers_for.resize(count, 0);
        for n in 0..count {
            let others = (0..count).filter(|other| *other != n);
            let answers = others.map(|other| {
                let answers = cluster.nodes[other].holds_address() && cluster.network.same_wire(n, other);
                self.seen.note((n, other), answers && cluster.nodes[n].is_awake(), cluster.now)
            });
            self.answers_for[n] = answers.max().unwrap_or(0);
        }
        Ok(())
    }
}

/// A peer is dead, and the address is one that this node asks for.
fn wants_witness(cluster: &Cluster, n: usize) -> bool {
    let node = &cluster.nodes[n];
    let Some(supervise) = &node.supervise.core else { return false };
    let resources = supervise.core.resources();
    let asks = node.addresses().any(|index| !resources[index].held && resources[index].state != ResourceState::Up);
    node.settings.witness && asks && supervise.outside.peers.iter().any(|peer| peer.liveness == Liveness::Dead)
}
