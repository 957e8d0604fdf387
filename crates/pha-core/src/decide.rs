//! The decision table: a pure function of a [`View`] to a [`Decision`] with one reason.
//!
//! The documented four lines are its heart (peer silent or OFFLINE: resources up; ONLINE: down; PROGRESS: wait). Around
//! them stand the rules that make it safe; the first that matches wins. Whatever is unknown keeps or waits: no rule takes
//! over on missing knowledge.

use serde::{Deserialize, Serialize};

use crate::node::{NodeId, Term};
use crate::reason::Reason;
use crate::word::{Gateway, LeaveCause, Role};

/// What a peer is doing, as far as a decision cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PeerState {
    /// Never heard yet, and the start-up grace is not over.
    Unheard,
    /// Alive and active.
    Online,
    /// Alive, not active, everything confirmed down (or its PROGRESS is overdue).
    Offline,
    /// Alive, not active, but something may be up there.
    Unclean,
    /// The same for longer than a lease: only an address that still answers tells that something is up.
    Unconfirmed,
    /// Alive, starting resources, its deadline not passed.
    Starting,
    /// Alive, stopping resources, its deadline not passed.
    Stopping,
    /// Silent for the dead time.
    Dead,
    /// Said that it went with everything down.
    Left(LeaveCause),
    /// Said that it stopped and left its resources running.
    Kept,
}

impl PeerState {
    pub(crate) const fn is_alive(self) -> bool {
        match self {
            Self::Online | Self::Offline | Self::Unclean | Self::Unconfirmed | Self::Starting | Self::Stopping => true,
            Self::Unheard | Self::Dead | Self::Left(_) | Self::Kept => false,
        }
    }
}

/// A peer in a [`View`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PeerView {
    /// Who.
    pub node: NodeId,
    /// What it does.
    pub state: PeerState,
    /// Nothing was heard of it for the dead time: what it said last may not be true any more.
    pub silent: bool,
    /// It speaks, but has not heard this node for long: it cannot give way.
    pub deaf: bool,
    /// The term it last acted under.
    pub term: Term,
    /// It would take over if asked.
    pub willing: bool,
    /// Its gateway.
    pub gateway: Gateway,
}

impl PeerView {
    /// Says so, or said so as it left.
    pub(crate) fn lost_its_gateway(&self) -> bool {
        let says_so = self.state.is_alive() && self.gateway == Gateway::Lost;
        says_so || self.state == PeerState::Left(LeaveCause::Gateway)
    }

    /// May hold an address of ours without our knowing.
    fn may_hold_an_address(&self) -> bool {
        match self.state {
            PeerState::Dead | PeerState::Unconfirmed => true,
            PeerState::Left(_) => self.silent,
            PeerState::Unheard
            | PeerState::Online
            | PeerState::Offline
            | PeerState::Unclean
            | PeerState::Starting
            | PeerState::Stopping
            | PeerState::Kept => false,
        }
    }

    /// Will take over if this node falls silent: one that rests for its operator gives that up if nobody serves.
    fn acts_on_silence(&self) -> bool {
        (self.state.is_alive() && self.willing) || self.state == PeerState::Left(LeaveCause::Operator)
    }

    /// Could be active soon if this node released, or is.
    pub(crate) fn can_take_over(&self) -> bool {
        match self.state {
            PeerState::Online | PeerState::Starting => true,
            PeerState::Offline | PeerState::Unclean | PeerState::Unconfirmed | PeerState::Stopping => self.willing,
            PeerState::Unheard | PeerState::Dead | PeerState::Left(_) | PeerState::Kept => false,
        }
    }
}

/// What this node is doing with its resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Doing {
    /// Nothing at the moment.
    Idle,
    /// Taking over or restarting.
    Starting,
    /// Releasing.
    Stopping,
}

/// The operator's `offline` or `switchover`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OfflineRequest {
    /// Not asked for, expired, or given up because no peer took over.
    None,
    /// A peer is being asked to get ready: until it is, nothing moves for it.
    Asking,
    /// Release if some peer can take over.
    Wanted,
    /// Release in any case.
    Forced,
}

/// Votes beyond the nodes' own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Quorum {
    /// None is configured.
    Unconfigured,
    /// This node may act.
    Held,
    /// This node must not be active.
    Lost,
}

/// Whether one of our addresses answers on the wire although its keeper is silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Witness {
    /// No leased address, or `WITNESS=off`.
    Off,
    /// Asked lately; nobody answered.
    Silent,
    /// Asked; the answer is not there yet.
    Unknown,
    /// A machine answers for one of our addresses.
    Answers,
}

/// Everything a decision depends on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct View {
    /// This node.
    pub me: NodeId,
    /// Its role.
    pub role: Role,
    /// What it is doing.
    pub doing: Doing,
    /// Every resource that is not held is confirmed up.
    pub all_up: bool,
    /// Every resource is confirmed down.
    pub clean: bool,
    /// The term it last acted under.
    pub term: Term,
    /// No resource failed here more often than allowed.
    pub fit: bool,
    /// `maintenance on`.
    pub maintenance: bool,
    /// `offline` or `switchover`.
    pub offline: OfflineRequest,
    /// Whom a peer that has just left by `offline` or `switchover` asked to take over.
    pub heir: Option<NodeId>,
    /// The gateway, as tested here.
    pub gateway: Gateway,
    /// The gateway is lost and every peer has had the time to say whether it lost it too.
    pub gateway_settled: bool,
    /// The quorum, if one is configured.
    pub quorum: Quorum,
    /// This process was suspended or starved and does not know yet how things stand.
    pub away: bool,
    /// The status database has not been writable for so long that the peers have not heard of this node.
    pub mute: bool,
    /// The receiver is stale or missing.
    pub deaf: bool,
    /// The wire's word.
    pub witness: Witness,
    /// This node has waited for its turn to claim for twice the dead time.
    pub waited_turn: bool,
    /// `FAILBACK=on` and a preferred node has been healthy for long enough.
    pub failback_due: bool,
    /// All other nodes.
    pub peers: Vec<PeerView>,
}

impl View {
    /// Active with everything up and nothing going on: what the heartbeat calls ONLINE.
    #[must_use]
    pub fn is_online(&self) -> bool {
        self.role == Role::Active && self.doing == Doing::Idle && self.all_up
    }

    fn any(&self, state: PeerState) -> bool {
        self.peers.iter().any(|peer| peer.state == state)
    }

    /// Whether it is that peer's turn before it is this node's: first whom the node that left has asked, then the lowest id.
    fn comes_before(&self, peer: NodeId) -> bool {
        let rank = |node: NodeId| (self.heir != Some(node), node);
        rank(peer) < rank(self.me)
    }

    /// Greater wins; ids break a tie between nodes that never decided anything.
    const fn precedence(term: Term, node: NodeId) -> (Term, std::cmp::Reverse<NodeId>) {
        (term, std::cmp::Reverse(node))
    }

    /// Of two nodes that are both active, or both about to be, this one gives way: the later decision stays. A peer that
    /// does not hear this node cannot give way, so this one must.
    fn gives_way_to(&self, peer: &PeerView) -> bool {
        peer.deaf || self.outranked_by(peer)
    }

    fn outranked_by(&self, peer: &PeerView) -> bool {
        Self::precedence(peer.term, peer.node) > Self::precedence(self.term, self.me)
    }
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Action {
    /// Change nothing; what is under way goes on.
    Keep,
    /// Change nothing, announce nothing and renew nothing.
    Pause,
    /// Be active: start what is not up, under a new term if this node is not active yet.
    BeActive,
    /// Be standby: stop what is not confirmed down.
    Release,
    /// Release, then let the heartbeat rest while this stands.
    ReleaseAndRest,
}

/// What to do and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Decision {
    /// What.
    pub action: Action,
    /// Why.
    pub reason: Reason,
}

const fn decision(action: Action, reason: Reason) -> Decision {
    Decision { action, reason }
}

/// The decision for `view`: the first of the numbered rules that matches.
#[must_use]
pub fn decide(view: &View) -> Decision {
    standing_orders(view)
        .or_else(|| knowledge(view))
        .or_else(|| peers_first(view))
        .or_else(|| active_here(view))
        .unwrap_or_else(|| claim(view))
}

/// Rules 1 to 4: what the operator, the gateway and the quorum demand.
fn standing_orders(view: &View) -> Option<Decision> {
    if view.maintenance {
        return Some(decision(Action::Keep, Reason::Maintenance));
    }
    let someone_can = view.peers.iter().any(PeerView::can_take_over);
    match view.offline {
        OfflineRequest::Forced => return Some(decision(Action::ReleaseAndRest, Reason::Operator)),
        OfflineRequest::Wanted if someone_can => return Some(decision(Action::ReleaseAndRest, Reason::Operator)),
        OfflineRequest::Wanted | OfflineRequest::Asking | OfflineRequest::None => {}
    }
    if view.gateway == Gateway::Lost && !view.peers.iter().any(PeerView::lost_its_gateway) {
        if view.gateway_settled {
            return Some(decision(Action::ReleaseAndRest, Reason::GatewayLost));
        }
        // Asking must not hold up giving way to a peer that is active.
        if !view.any(PeerState::Online) {
            return Some(decision(Action::Keep, Reason::GatewayDoubtful));
        }
    }
    (view.quorum == Quorum::Lost).then_some(decision(Action::Release, Reason::NoQuorum))
}

/// Rules 5 and 6: who does not know how things stand changes nothing, and who cannot say how they stand gives way.
fn knowledge(view: &View) -> Option<Decision> {
    if view.away {
        return Some(decision(Action::Pause, Reason::WasAway));
    }
    if view.mute && view.role == Role::Active && view.peers.iter().any(PeerView::acts_on_silence) {
        return Some(decision(Action::Release, Reason::Mute));
    }
    if view.deaf {
        return Some(decision(Action::Keep, Reason::Deaf));
    }
    // Whoever is active may be given way to before the others have been heard.
    (view.any(PeerState::Unheard) && !view.any(PeerState::Online)).then_some(decision(Action::Keep, Reason::Grace))
}

/// Rules 7 to 9: a peer is busy, kept its resources, or is active. Giving way to one that is active need not wait for
/// another that is busy.
fn peers_first(view: &View) -> Option<Decision> {
    if view.any(PeerState::Online) {
        let outranked = view.peers.iter().any(|peer| peer.state == PeerState::Online && view.gives_way_to(peer));
        match (view.is_online(), outranked) {
            (false, _) => return Some(decision(Action::Release, Reason::PeerActive)),
            (true, true) => return Some(decision(Action::Release, Reason::BothActive)),
            (true, false) => {}
        }
    }
    if view.any(PeerState::Starting) || view.any(PeerState::Stopping) {
        let claimed = |peer: &PeerView| peer.state == PeerState::Starting && view.gives_way_to(peer);
        // Also where this node has lost what it had up: waiting for the peer's deadline would leave the rest running here.
        let incomplete = view.role == Role::Active && !view.is_online();
        return Some(if incomplete && view.peers.iter().any(claimed) {
            decision(Action::Release, Reason::PeerClaimed)
        } else {
            decision(Action::Keep, Reason::PeerBusy)
        });
    }
    if view.any(PeerState::Online) {
        return Some(decision(Action::BeActive, Reason::BothActive));
    }
    if view.any(PeerState::Kept) && view.role == Role::Standby {
        return Some(decision(Action::Keep, Reason::PeerKept));
    }
    None
}

/// Rules 10 and 11: this node is active.
fn active_here(view: &View) -> Option<Decision> {
    if view.role == Role::Standby {
        return None;
    }
    Some(match (view.fit, view.failback_due) {
        (true, true) => decision(Action::Release, Reason::Failback),
        (true, false) => decision(Action::BeActive, Reason::Active),
        (false, _) if view.peers.iter().any(|peer| peer.state.is_alive() && peer.willing) => {
            decision(Action::Release, Reason::Unfit)
        }
        (false, _) => decision(Action::BeActive, Reason::Unfit),
    })
}

/// Rules 12 to 14: nobody is active; whose turn is it?
fn claim(view: &View) -> Decision {
    let alive = || view.peers.iter().filter(|peer| peer.state.is_alive());
    if view.mute {
        return decision(Action::Keep, Reason::Mute);
    }
    if !matches!(view.gateway, Gateway::Off | Gateway::Reachable) {
        return decision(Action::Keep, Reason::NotEligible);
    }
    if view.any(PeerState::Unclean) {
        return decision(Action::Keep, Reason::PeerUnclean);
    }
    if !view.fit {
        let another_first = alive().any(|peer| peer.willing || view.outranked_by(peer));
        if another_first {
            return decision(Action::Keep, Reason::NotEligible);
        }
    }
    let silent = view.any(PeerState::Dead);
    let may_hold = view.peers.iter().any(PeerView::may_hold_an_address);
    match view.witness {
        Witness::Answers if may_hold => return decision(Action::Keep, Reason::AddressHeld),
        Witness::Unknown if may_hold => return decision(Action::Keep, Reason::Probing),
        Witness::Answers | Witness::Unknown | Witness::Off | Witness::Silent => {}
    }
    let preferred = alive().any(|peer| peer.willing && view.comes_before(peer.node));
    if preferred && !view.waited_turn {
        return decision(Action::Keep, Reason::ClaimTurn);
    }
    let reason = if !view.fit {
        Reason::Unfit
    } else if alive().next().is_some() {
        Reason::Claim
    } else if silent {
        Reason::PeerDead
    } else {
        Reason::PeerLeft
    };
    decision(Action::BeActive, reason)
}
