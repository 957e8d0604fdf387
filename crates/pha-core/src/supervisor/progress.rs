//! Notes the stages of each takeover and release, moment by moment. Nothing here decides anything.

use std::time::Duration;

use super::{Outside, Supervisor};
use crate::reason::Reason;
use crate::report::{Liveness, PeerReport};
use crate::stages::{CallSpan, MOVES, Stages};
use crate::word::{Direction, Word};

impl Supervisor {
    /// Remembers when a peer began to be silent, as long as it is.
    pub(super) fn note_suspicion(&mut self, outside: &Outside) {
        let find = |liveness| outside.peers.iter().find(|peer| peer.liveness == liveness);
        match find(Liveness::Suspect) {
            Some(peer) => self.suspected = Some(peer.liveness_since),
            None if find(Liveness::Dead).is_none() => self.suspected = None,
            None => {}
        }
        let stops = |peer: &PeerReport| {
            let stopping = Word::Progress { direction: Direction::Stopping, remaining: Duration::ZERO };
            peer.saying.filter(|saying| saying.word == stopping).map(|_| peer.word_since)
        };
        self.peer_releasing = outside.peers.iter().filter_map(stops).max().or(self.peer_releasing);
    }

    pub(super) fn note_takeover(&mut self, reason: Reason) {
        let mut stages = Stages::decided(Direction::Starting, self.own_term, reason, self.now);
        // Whoever decided last before this was the one that served.
        let term = |peer: &&PeerReport| peer.saying.map(|saying| saying.term);
        if let Some(before) = self.outside.peers.iter().filter(|peer| peer.saying.is_some()).max_by_key(term) {
            stages.last_heard = before.heard_at;
            if before.liveness == Liveness::Dead {
                stages.suspected = self.suspected;
                stages.declared_dead = Some(before.liveness_since);
            } else {
                stages.releasing = self.peer_releasing.filter(|at| *at <= before.word_since);
                let down = |word| matches!(word, Word::Left { .. } | Word::Offline { clean: true });
                stages.let_go = before.saying.filter(|saying| down(saying.word)).map(|_| before.word_since);
            }
        }
        self.begin_move(stages);
    }

    pub(super) fn note_release(&mut self, reason: Reason) {
        self.begin_move(Stages::decided(Direction::Stopping, self.own_term, reason, self.now));
    }

    fn begin_move(&mut self, stages: Stages) {
        if self.moves.len() >= MOVES {
            self.moves.remove(0);
        }
        self.moves.push(stages);
    }

    /// The last one, if it is still under way.
    fn current_move(&mut self) -> Option<&mut Stages> {
        self.moves.last_mut().filter(|stages| stages.done.is_none())
    }

    pub(super) fn note_stored(&mut self) {
        let now = self.now;
        if let Some(stages) = self.current_move() {
            stages.stored = Some(now);
        }
    }

    pub(super) fn note_call(&mut self, resource: usize, duration: Duration) {
        let ended = self.now;
        if let Some(stages) = self.current_move() {
            stages.note(CallSpan { resource, began: ended - duration, ended });
        }
    }

    pub(super) fn note_done(&mut self, direction: Direction) {
        let now = self.now;
        if let Some(stages) = self.current_move().filter(|stages| stages.direction == direction) {
            stages.done = Some(now);
        }
    }
}
