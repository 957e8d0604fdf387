//! The later decision stays.

use std::cmp::Reverse;

use pha_core::supervisor::{Note, TICK};
use pha_core::{Direction, Reason, Word};

use super::Invariant;
use crate::cluster::Cluster;
use crate::fault::name;
use crate::happening::Happening;

/// Watches which of several active nodes gives way.
#[derive(Debug)]
pub struct LaterDecisionStays;

impl Invariant for LaterDecisionStays {
    fn name(&self) -> &'static str {
        "later_decision_stays"
    }

    fn promise(&self) -> &'static str {
        "Of two active nodes one gives way only to a later term, or, under equal terms, to a lower id, or to a peer that does \
         not hear it."
    }

    fn happened(&mut self, cluster: &Cluster, happening: &Happening) -> Result<(), String> {
        let Happening::Noted { node, note: Note::Transition(transition) } = happening else { return Ok(()) };
        let gives_way = matches!(transition.to, Word::Progress { direction: Direction::Stopping, .. })
            && (transition.from, transition.reason) == (Word::Online, Reason::BothActive);
        let Some(supervise) = cluster.nodes[*node].supervise.core.as_ref().filter(|_| gives_way) else { return Ok(()) };
        let settings = &cluster.nodes[*node].settings;
        let excused = supervise.outside.peers.iter().any(|peer| {
            let later = peer.saying.is_some_and(|saying| {
                saying.word == Word::Online
                    && (saying.term, Reverse(peer.node)) > (transition.term, Reverse(settings.me))
            });
            later || cluster.local(*node) >= peer.hears_us_at + settings.dead_time + 2 * TICK
        });
        if excused { Ok(()) } else { Err(format!("{} gives way to an earlier decision", name(*node))) }
    }
}
