//! From what the supervisor knows to the [`View`] that the decision table wants.

use std::time::Duration;

use super::{Supervisor, TICK, witness};
use crate::decide::{Doing, OfflineRequest, PeerState, PeerView, Quorum, View, Witness};
use crate::handover::Unready;
use crate::node::Term;
use crate::reason::Reason;
use crate::report::{Liveness, PeerReport, ResourceState};
use crate::word::{Direction, Gateway, Role, Word};

impl Supervisor {
    pub(super) fn view(&self) -> View {
        View {
            me: self.settings.me,
            role: self.role,
            doing: self.doing(),
            all_up: self.all_up(),
            clean: self.clean(),
            term: self.own_term,
            fit: self.fitness.is_fit(),
            maintenance: self.outside.wishes.maintenance,
            offline: self.offline_request(),
            heir: self.heir(),
            gateway: self.gateway.state(),
            gateway_settled: self.gateway_settled(),
            quorum: match self.outside.quorum {
                None => Quorum::Unconfigured,
                Some(true) => Quorum::Held,
                Some(false) => Quorum::Lost,
            },
            away: self.away_since.is_some(),
            mute: self.unpublished_since.is_some_and(|since| self.now >= since + self.mute_time()),
            deaf: self.outside.deaf,
            witness: self.witness(),
            waited_turn: self.turn_since.is_some_and(|since| self.now >= since + self.settings.dead_time * 2),
            failback_due: self
                .preferred_since
                .is_some_and(|since| self.settings.failback.is_some_and(|after| self.now >= since + after)),
            peers: self.outside.peers.iter().map(|peer| self.peer_view(peer)).collect(),
        }
    }

    pub(super) fn doing(&self) -> Doing {
        match self.plan.as_ref().map(|plan| plan.direction) {
            Some(Direction::Starting) => Doing::Starting,
            Some(Direction::Stopping) => Doing::Stopping,
            None if self.claiming => Doing::Starting,
            None => Doing::Idle,
        }
    }

    pub(super) fn peer_view(&self, peer: &PeerReport) -> PeerView {
        let (term, willing, gateway) =
            peer.saying.map_or((Term::NONE, false, Gateway::Off), |s| (s.term, s.willing, s.gateway));
        PeerView {
            node: peer.node,
            state: self.peer_state(peer),
            silent: self.is_silent(peer),
            deaf: self.is_deaf_to_us(peer),
            term,
            willing,
            gateway,
        }
    }

    fn peer_state(&self, peer: &PeerReport) -> PeerState {
        if peer.liveness == Liveness::Unheard {
            return PeerState::Unheard;
        }
        let Some(word) = peer.saying.map(|saying| saying.word) else { return PeerState::Dead };
        match (peer.liveness, word) {
            (Liveness::Dead | Liveness::Unheard, _) => PeerState::Dead,
            (_, Word::Left { cause }) => PeerState::Left(cause),
            (_, Word::Kept) => PeerState::Kept,
            // Absent without a word of leaving cannot be; a peer that is gone without a word is dead.
            (Liveness::Absent, _) => PeerState::Dead,
            (Liveness::Alive | Liveness::Suspect, Word::Online) => PeerState::Online,
            (Liveness::Alive | Liveness::Suspect, Word::Offline { clean }) => {
                let leases_are_over = self.now >= peer.word_since + self.settings.lease;
                match (clean, leases_are_over) {
                    (true, _) => PeerState::Offline,
                    (false, false) => PeerState::Unclean,
                    (false, true) => PeerState::Unconfirmed,
                }
            }
            (Liveness::Alive | Liveness::Suspect, Word::Progress { direction, .. }) => {
                match (peer.progress_until.is_some_and(|until| self.now < until), direction) {
                    (true, Direction::Starting) => PeerState::Starting,
                    (true, Direction::Stopping) => PeerState::Stopping,
                    (false, _) => PeerState::Offline,
                }
            }
        }
    }

    pub(super) fn any_peer(&self, test: impl Fn(PeerState) -> bool) -> bool {
        self.outside.peers.iter().any(|peer| test(self.peer_state(peer)))
    }

    /// An `offline` whose time is over while scripts still stop resources goes on until the peer has had its turn.
    pub(super) fn is_handing_over(&self) -> bool {
        let under_way = match self.rest {
            None => self.rest_due && (self.plan.is_some() || self.clean()),
            Some(rest) => self.now < rest.since + self.handover_time(),
        };
        under_way && self.decision.reason == Reason::Operator
    }

    /// Would take over if asked.
    pub(super) fn willing(&self) -> bool {
        self.settled && self.offline_request() == OfflineRequest::None && self.hindrance().is_none()
    }

    /// What keeps this node from taking over, even if it had nothing else to do.
    pub(super) fn hindrance(&self) -> Option<Unready> {
        let hindrances = [
            (self.outside.wishes.maintenance, Unready::Maintenance),
            (self.resources.iter().any(|resource| resource.held), Unready::Held),
            (!self.fitness.is_fit(), Unready::Unfit),
            (self.gateway.state() == Gateway::Lost, Unready::Gateway),
            (self.outside.deaf, Unready::Deaf),
        ];
        hindrances.into_iter().find_map(|(holds, why)| holds.then_some(why))
    }

    /// A heartbeat there and one back, with one lost: by then a peer that lost its gateway too has begun to say so.
    pub(super) fn gateway_answer_time(&self) -> Duration {
        self.settings.heartbeat_interval * 3
    }

    /// By then a peer's own round of echoes has ended.
    pub(super) fn gateway_patience(&self) -> Duration {
        self.settings.ping_timeout + self.settings.heartbeat_interval * 4
    }

    fn gateway_settled(&self) -> bool {
        let Some(alone_since) = self.alone_since else { return false };
        let alone_for = self.now.since(alone_since);
        let mut alive = self.outside.peers.iter().filter(|peer| self.is_alive(peer)).peekable();
        let all_fine = |peer: &PeerReport| peer.saying.is_some_and(|saying| saying.gateway == Gateway::Reachable);
        alive.peek().is_none()
            || alone_for >= self.gateway_patience()
            || (alone_for >= self.gateway_answer_time() && alive.all(all_fine))
    }

    /// Remembers since when the gateway is lost here and at no peer. If it was lost at a peer too until now, it may be back
    /// for both: this node looks again before it draws conclusions.
    pub(super) fn note_gateway_alone(&mut self) {
        let peer_lost_it = self.outside.peers.iter().any(|peer| self.peer_view(peer).lost_its_gateway());
        if self.gateway.state() != Gateway::Lost || peer_lost_it {
            self.alone_since = None;
        } else if self.alone_since.is_none() {
            self.alone_since = Some(self.now);
            if self.gateway.since() < self.now {
                self.gateway.retest(self.now);
            }
        }
    }

    /// The sender falls silent so long after the last publication.
    pub(super) fn mute_time(&self) -> Duration {
        self.settings.lease.saturating_sub(self.settings.dead_time)
    }

    /// Whether an address answers for this node while nobody hears it: its peers wait then, and take nothing over.
    #[must_use]
    pub fn is_witnessed(&self) -> bool {
        let answers =
            |r: &crate::resource::Resource| r.settings.leased && r.settings.probes && r.state == ResourceState::Up;
        self.settings.witness && self.role == Role::Active && self.resources.iter().any(answers)
    }

    fn is_deaf_to_us(&self, peer: &PeerReport) -> bool {
        self.now >= peer.hears_us_at + self.deaf_time()
    }

    /// A peer that hears us says so at least every second [`TICK`].
    pub(super) fn deaf_time(&self) -> Duration {
        self.settings.dead_time + 2 * TICK
    }

    fn is_silent(&self, peer: &PeerReport) -> bool {
        peer.heard_at.is_none_or(|at| self.now >= at + self.settings.dead_time)
    }

    fn is_alive(&self, peer: &PeerReport) -> bool {
        self.peer_state(peer).is_alive()
    }

    /// Remembers since when some peer is not plainly there, and since when a preferred one is healthy.
    pub(super) fn note_doubt(&mut self) {
        let doubtful = |peer: &PeerReport| match peer.liveness {
            Liveness::Suspect | Liveness::Dead | Liveness::Unheard => true,
            Liveness::Alive => peer.saying.is_some_and(|saying| saying.word == Word::Offline { clean: false }),
            Liveness::Absent => self.is_silent(peer),
        };
        let doubt = self.outside.peers.iter().any(doubtful);
        self.doubt_since = if doubt { self.doubt_since.or(Some(self.now)) } else { None };
        let preferred = |peer: &PeerReport| {
            peer.node < self.settings.me && self.is_alive(peer) && peer.saying.is_some_and(|s| s.willing)
        };
        let healthy = self.role == Role::Active && self.outside.peers.iter().any(preferred);
        self.preferred_since = if healthy { self.preferred_since.or(Some(self.now)) } else { None };
    }

    /// Resources whose address the wire can be asked about.
    pub(super) fn probing(&self) -> impl Iterator<Item = usize> {
        let wanted = |index: &usize| {
            let resource = &self.resources[*index];
            self.settings.witness && resource.settings.probes && resource.state != ResourceState::Up && !resource.held
        };
        (0..self.resources.len()).filter(wanted)
    }

    fn witness(&self) -> Witness {
        witness::combine(self.probing().map(|index| self.probed[index].witness(self.now)))
    }
}
