//! A handover as a handshake: this node asks a peer to get ready, or gets ready itself, before anything is stopped.
//!
//! The active node releases as soon as the peer has answered that it is ready. If it answers that it is not, or not within
//! [`Supervisor::answer_time`], the wish is given up and nothing has moved. The node that is asked checks all its resources
//! once more; its next term is on its disk already. So neither stands between LEFT and the first start.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::plan::KILL_GRACE;
use super::{Command, Ending, Note, Supervisor};
use crate::decide::{OfflineRequest, PeerState};
use crate::handover::{Answer, Ask, GaveUp, Handover, Unready};
use crate::node::{NodeId, Term};
use crate::report::{Liveness, PeerReport, ResourceState};
use crate::time::BootTime;
use crate::word::{Gateway, LeaveCause, Role};

/// A peer that is asked has never longer than this, whatever its agents' limits are.
const LONGEST_ANSWER: Duration = Duration::from_secs(5);
/// So many heartbeats may be lost or late: the one that asks, the one that answers.
const ANSWER_BEATS: u32 = 5;
/// A term that could not be stored beforehand is tried again after this time, or when somebody asks.
const RESERVE_AGAIN: Duration = Duration::from_secs(60);

/// `offline` or `switchover`, whichever is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Leave {
    /// Tells it from other wishes.
    pub since: BootTime,
    until: BootTime,
    /// Whatever the peers say.
    pub force: bool,
    to: Option<NodeId>,
    /// `offline`: the heartbeat rests afterwards.
    pub rests: bool,
}

/// This node gets ready for a peer that asked.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Preparation {
    asker: NodeId,
    at: BootTime,
    /// Resources of which no check has ended since.
    unchecked: Vec<usize>,
}

/// The term for the next takeover, stored before it is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Reserve {
    /// None, and no attempt before then.
    No(BootTime),
    /// On its way to the disk.
    Storing(Term),
    /// On disk. Worth nothing any more as soon as a higher term was heard of.
    Stored(Term),
    /// A takeover acts under it: the next one takes another.
    Used,
}

impl Supervisor {
    /// The wish to leave that is in force.
    pub(super) fn leave_wish(&self) -> Option<Leave> {
        let wishes = &self.outside.wishes;
        let offline =
            wishes.offline.map(|w| Leave { since: w.since, until: w.until, force: w.force, to: None, rests: true });
        let switchover =
            wishes.switchover.map(|w| Leave { since: w.since, until: w.until, force: false, to: w.to, rests: false });
        offline.into_iter().chain(switchover).find(|leave| self.is_in_force(leave))
    }

    fn is_in_force(&self, leave: &Leave) -> bool {
        let in_time = self.now < leave.until;
        let holds = if leave.rests {
            in_time || self.is_handing_over()
        } else {
            // What another start of supervise released is not this one's to see through.
            // Nor is one that is over begun again when the service has come back meanwhile.
            let over = self.handover.is_some_and(|handover| handover.wish == leave.since && handover.is_over());
            self.is_agreed(leave) || (in_time && !over && self.role == Role::Active)
        };
        holds && self.given_up != Some(leave.since)
    }

    /// The peer was ready; for a `switchover`, it has not taken over yet.
    fn is_agreed(&self, leave: &Leave) -> bool {
        let ours = self.handover.filter(|handover| handover.wish == leave.since && handover.ready.is_some());
        ours.is_some_and(|handover| leave.rests || !handover.is_over())
    }

    /// The operator's `offline` or `switchover`, as the decision table wants it.
    pub(super) fn offline_request(&self) -> OfflineRequest {
        match self.leave_wish() {
            None => OfflineRequest::None,
            Some(leave) if leave.force => OfflineRequest::Forced,
            Some(leave) if self.must_ask(&leave) => OfflineRequest::Asking,
            Some(_) => OfflineRequest::Wanted,
        }
    }

    /// Only a node that is active has something to hand over, and who takes over already need not be asked.
    fn must_ask(&self, leave: &Leave) -> bool {
        let taken = |state| matches!(state, PeerState::Online | PeerState::Starting);
        self.role == Role::Active && !self.is_agreed(leave) && !self.any_peer(taken)
    }

    /// A `switchover` leaves this node available.
    pub(super) fn leaves_to_rest(&self) -> bool {
        self.leave_wish().is_none_or(|leave| leave.rests)
    }

    /// Whom this node asks to get ready.
    pub(super) fn asks(&self) -> Option<Ask> {
        let leave = self.leave_wish()?;
        let handover = self.handover.filter(|handover| handover.wish == leave.since && !handover.is_over())?;
        Some(Ask { node: handover.to?, at: handover.asked })
    }

    /// Whether this node is ready for the peer that asked; `None` while it gets ready.
    pub(super) fn answer(&self) -> Option<Answer> {
        let Preparation { asker, at, unchecked } = self.preparation.as_ref()?;
        let failed = self.reserve_again_at().filter(|at| self.now < *at).map(|_| Unready::Unwritable);
        let unready = self.unready().or(failed);
        let done = unchecked.is_empty() && self.reserved_term().is_some() && self.gateway.state() != Gateway::Testing;
        (unready.is_some() || done).then_some(Answer { node: *asker, at: *at, unready })
    }

    fn unready(&self) -> Option<Unready> {
        let checked = self.preparation.as_ref().is_none_or(|preparation| preparation.unchecked.is_empty());
        let unknown = self.resources.iter().any(|resource| resource.state == ResourceState::Unknown);
        let occupied = [
            (self.ending != Ending::No || self.offline_request() != OfflineRequest::None, Unready::Leaving),
            // Before "busy": what is not known is stopped, again and again.
            (checked && unknown, Unready::Unchecked),
            (!self.settled || self.plan.is_some() || self.role == Role::Active, Unready::Busy),
        ];
        let occupied = occupied.into_iter().find_map(|(holds, why)| holds.then_some(why));
        let mute = self.unpublished_since.map(|_| Unready::Unwritable);
        occupied.or_else(|| self.hindrance()).or(mute)
    }

    /// Asks, and looks for the answer; nothing is released before.
    pub(super) fn drive_handover(&mut self) {
        self.follow_handover();
        let Some(leave) = self.leave_wish() else { return };
        if leave.force || !self.must_ask(&leave) {
            return;
        }
        match self.handover.filter(|handover| handover.wish == leave.since) {
            Some(handover) => self.look_for_answer(handover),
            None => self.ask(leave),
        }
    }

    fn ask(&mut self, leave: Leave) {
        let able =
            |peer: &&PeerReport| leave.to.is_none_or(|to| to == peer.node) && self.peer_view(peer).can_take_over();
        let to = self.outside.peers.iter().filter(able).map(|peer| peer.node).min();
        self.handover = Some(Handover::asked(leave.since, to, self.now));
        if to.is_none() {
            self.give_up_leaving(GaveUp::NobodyAble);
        }
    }

    fn look_for_answer(&mut self, handover: Handover) {
        let Some(peer) = self.outside.peers.iter().find(|peer| Some(peer.node) == handover.to) else { return };
        let to_us = |answer: &Answer| answer.node == self.settings.me && answer.at == handover.asked;
        let view = self.peer_view(peer);
        let answer = peer.saying.and_then(|saying| saying.answer).filter(to_us);
        match answer {
            Some(Answer { unready: Some(why), .. }) => self.give_up_leaving(GaveUp::Refused(why)),
            _ if !view.can_take_over() => self.give_up_leaving(GaveUp::NobodyAble),
            Some(Answer { unready: None, .. }) => {
                self.handover = Some(Handover { ready: Some(self.now), ..handover });
            }
            None if self.now >= handover.asked + self.answer_time() => self.give_up_leaving(GaveUp::NoAnswer),
            None => {}
        }
    }

    /// How long a peer may take to get ready: a few heartbeats and its slowest check.
    pub(super) fn answer_time(&self) -> Duration {
        let slowest = self.settings.resources.iter().map(|resource| resource.check_timeout + KILL_GRACE).max();
        (self.settings.heartbeat_interval * ANSWER_BEATS + slowest.unwrap_or_default()).min(LONGEST_ANSWER)
    }

    /// When [`Self::look_for_answer`] does not wait any longer.
    pub(super) fn answer_due(&self) -> Option<BootTime> {
        let waiting = self.handover.filter(|handover| handover.ready.is_none() && !handover.is_over());
        waiting.map(|handover| handover.asked + self.answer_time())
    }

    /// Notes what the peers say while they take over.
    fn follow_handover(&mut self) {
        let Some(handover) = self.handover.filter(|handover| handover.ready.is_some() && !handover.is_over()) else {
            return;
        };
        if self.role == Role::Active {
            return;
        }
        let began = |peer: &&PeerReport| matches!(self.peer_view(peer).state, PeerState::Starting | PeerState::Online);
        let Some(peer) = self.outside.peers.iter().find(began) else { return };
        let online = self.peer_view(peer).state == PeerState::Online;
        let (to, begun) = (Some(peer.node), handover.begun.or(Some(peer.word_since)));
        self.handover = Some(Handover { to, begun, taken: online.then_some(peer.word_since), ..handover });
    }

    /// Nobody takes over: the wish counts no more.
    pub(super) fn give_up_leaving(&mut self, why: GaveUp) {
        let Some(leave) = self.leave_wish() else { return };
        self.given_up = Some(leave.since);
        if let Some(handover) = &mut self.handover
            && handover.wish == leave.since
        {
            handover.gave_up = Some(why);
        }
        self.commands.push(Command::Note(Note::OfflineGivenUp(why)));
    }

    /// The peer that a node which has just left asked to take over: before all others it is its turn.
    pub(super) fn heir(&self) -> Option<NodeId> {
        let peers = self.outside.peers.iter().map(|peer| (self.peer_view(peer), peer));
        let mut left = peers.filter(|(view, _)| view.state == PeerState::Left(LeaveCause::Operator) && !view.silent);
        left.find_map(|(_, peer)| peer.saying?.asks.map(|ask| ask.node))
    }

    /// Begins to get ready if a peer asks, and stops when it does not ask any more.
    pub(super) fn note_request(&mut self) {
        let heard = |peer: &&PeerReport| match peer.liveness {
            Liveness::Alive | Liveness::Suspect | Liveness::Absent => true,
            Liveness::Unheard | Liveness::Dead => false,
        };
        let request = |peer: &PeerReport| Some((peer.node, peer.saying?.asks?));
        let mut requests = self.outside.peers.iter().filter(heard).filter_map(request);
        let Some((asker, ask)) = requests.find(|(_, ask)| ask.node == self.settings.me) else {
            self.preparation = None;
            return;
        };
        let known = self.preparation.as_ref().is_some_and(|known| (known.asker, known.at) == (asker, ask.at));
        if self.role == Role::Active || known {
            return;
        }
        if self.reserve_again_at().is_some() {
            self.reserve = Reserve::No(self.now);
        }
        let unchecked = (0..self.resources.len()).collect();
        self.preparation = Some(Preparation { asker, at: ask.at, unchecked });
        self.resources.iter_mut().for_each(|resource| resource.next_check = self.now);
    }

    pub(super) fn note_checked(&mut self, index: usize) {
        if let Some(preparation) = &mut self.preparation {
            preparation.unchecked.retain(|unchecked| *unchecked != index);
        }
    }

    /// The term that is on disk already, if it is still the highest.
    pub(super) fn reserved_term(&self) -> Option<Term> {
        match self.reserve {
            Reserve::Stored(term) if term == self.highest_term => Some(term),
            Reserve::No(_) | Reserve::Storing(_) | Reserve::Stored(_) | Reserve::Used => None,
        }
    }

    /// When there is none, and one may be stored.
    pub(super) const fn reserve_again_at(&self) -> Option<BootTime> {
        match self.reserve {
            Reserve::No(at) => Some(at),
            Reserve::Storing(_) | Reserve::Stored(_) | Reserve::Used => None,
        }
    }

    /// Whoever could take over has its next term on disk, so that a takeover, planned or not, need not wait for a flush. It
    /// is said to nobody before it is acted under.
    pub(super) fn drive_reserve(&mut self) {
        let due = match self.reserve {
            Reserve::No(at) => self.now >= at,
            Reserve::Storing(_) => false,
            Reserve::Stored(_) | Reserve::Used => self.reserved_term().is_none(),
        };
        if !due || self.unready().is_some() {
            return;
        }
        self.highest_term = Term::next(self.highest_term, self.settings.me);
        self.reserve = Reserve::Storing(self.highest_term);
        self.commands.push(Command::ReserveTerm);
    }

    pub(super) fn term_reserved(&mut self, stored: bool) {
        if let Reserve::Storing(term) = self.reserve {
            self.reserve = if stored { Reserve::Stored(term) } else { Reserve::No(self.now + RESERVE_AGAIN) };
        }
    }
}
