//! The peer is asked first.

use pha_core::report::PeerReport;
use pha_core::supervisor::Note;
use pha_core::{Direction, Reason, Word};

use super::Invariant;
use crate::cluster::Cluster;
use crate::fault::name;
use crate::happening::Happening;

/// Watches what an operator's wish begins to stop.
#[derive(Debug)]
pub struct AskedFirst;

impl Invariant for AskedFirst {
    fn name(&self) -> &'static str {
        "asked_first"
    }

    fn promise(&self) -> &'static str {
        "A node that serves stops nothing for `offline` or `switchover` before the peer has answered this very request with \
         \"ready\", unless a peer is active or taking over already, or `--force` was typed."
    }

    fn happened(&mut self, cluster: &Cluster, happening: &Happening) -> Result<(), String> {
        let Happening::Noted { node, note: Note::Transition(change) } = happening else { return Ok(()) };
        let stops = matches!(change.to, Word::Progress { direction: Direction::Stopping, .. });
        let Some(supervise) = &cluster.nodes[*node].supervise.core else { return Ok(()) };
        if !stops || change.from != Word::Online || change.reason != Reason::Operator {
            return Ok(());
        }
        let wishes = &supervise.outside.wishes;
        let (me, asks) = (cluster.nodes[*node].id, supervise.core.report().handover.map(|handover| handover.asked));
        let ready = |peer: &PeerReport| {
            let answer = peer.saying.and_then(|saying| saying.answer);
            answer.is_some_and(|answer| answer.node == me && Some(answer.at) == asks && answer.unready.is_none())
        };
        let takes_over = |peer: &PeerReport| {
            let starting = |word| matches!(word, Word::Progress { direction: Direction::Starting, .. });
            peer.saying.is_some_and(|saying| saying.word == Word::Online || starting(saying.word))
        };
        // `res stop` is an operator's wish too.
        let ordered = !wishes.held.is_empty() || wishes.offline.is_some_and(|wish| wish.force);
        let agreed = supervise.outside.peers.iter().any(|peer| ready(peer) || takes_over(peer));
        if ordered || agreed {
            return Ok(());
        }
        Err(format!("{} stops its resources, but no peer has said that it is ready", name(*node)))
    }
}
