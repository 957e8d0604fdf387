//! The decision table as rows and columns: every own situation with every state of one peer, and what each other input
//! changes about it.

use std::collections::BTreeSet;

use pha_core::decide::{Action, Doing, OfflineRequest, PeerState, PeerView, Quorum, View, Witness, decide};
use pha_core::{Gateway, LeaveCause, NodeId, Reason, Role, Term};

use super::table;

/// What this node is at the moment.
#[derive(Debug, Clone, Copy)]
enum Own {
    Standby,
    Stopping,
    Starting,
    Online,
    Degraded,
}

impl Own {
    const ALL: [(Self, &str); 5] = [
        (Self::Standby, "standby"),
        (Self::Stopping, "stopping"),
        (Self::Starting, "starting"),
        (Self::Online, "ONLINE"),
        (Self::Degraded, "active, something down"),
    ];

    const fn parts(self) -> (Role, Doing, bool, bool) {
        match self {
            Self::Standby => (Role::Standby, Doing::Idle, false, true),
            Self::Stopping => (Role::Standby, Doing::Stopping, false, false),
            Self::Starting => (Role::Active, Doing::Starting, false, false),
            Self::Online => (Role::Active, Doing::Idle, true, false),
            Self::Degraded => (Role::Active, Doing::Idle, false, false),
        }
    }
}

/// Which of two decided later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Later {
    Here,
    Peer,
}

/// What the peer is, in the order of the table.
const PEERS: [(PeerState, Later, &str); 14] = [
    (PeerState::Unheard, Later::Here, "not heard yet"),
    (PeerState::Online, Later::Here, "ONLINE, lower term"),
    (PeerState::Online, Later::Peer, "ONLINE, higher term"),
    (PeerState::Starting, Later::Here, "PROGRESS starting, lower term"),
    (PeerState::Starting, Later::Peer, "PROGRESS starting, higher term"),
    (PeerState::Stopping, Later::Here, "PROGRESS stopping"),
    (PeerState::Offline, Later::Here, "OFFLINE, all down"),
    (PeerState::Unclean, Later::Here, "OFFLINE, something may be up"),
    (PeerState::Unconfirmed, Later::Here, "the same for a lease"),
    (PeerState::Dead, Later::Here, "dead"),
    (PeerState::Left(LeaveCause::Operator), Later::Here, "LEFT, operator"),
    (PeerState::Left(LeaveCause::Gateway), Later::Here, "LEFT, gateway"),
    (PeerState::Left(LeaveCause::Stopped), Later::Here, "LEFT, stopped"),
    (PeerState::Kept, Later::Here, "KEPT"),
];

type Change = fn(&mut View);

/// One input that differs from the plain view.
const DEVIATIONS: [(&str, Change); 23] = [
    ("nothing", |_| {}),
    ("maintenance is on", |view| view.maintenance = true),
    ("`offline` or `switchover`, a peer is asked", |view| view.offline = OfflineRequest::Asking),
    ("`offline` or `switchover`, the peer is ready", |view| view.offline = OfflineRequest::Wanted),
    ("`offline --force`", |view| view.offline = OfflineRequest::Forced),
    ("gateway lost here, peers not asked yet", |view| view.gateway = Gateway::Lost),
    ("gateway lost here only", |view| (view.gateway, view.gateway_settled) = (Gateway::Lost, true)),
    ("gateway lost everywhere", |view| {
        view.gateway = Gateway::Lost;
        view.peers.iter_mut().for_each(|peer| peer.gateway = Gateway::Lost);
    }),
    ("gateway being tested", |view| view.gateway = Gateway::Testing),
    ("quorum not held", |view| view.quorum = Quorum::Lost),
    ("this process was away", |view| view.away = true),
    ("the database cannot be written", |view| view.mute = true),
    ("the receiver is missing", |view| view.deaf = true),
    ("unfit here", |view| view.fit = false),
    ("unfit here, the peer not willing", |view| {
        view.fit = false;
        view.peers.iter_mut().for_each(|peer| peer.willing = false);
    }),
    ("the peer is preferred", |view| prefer_peer(view)),
    ("the peer is preferred, a node that left asked this one", |view| {
        prefer_peer(view);
        view.heir = Some(view.me);
    }),
    ("a node that left asked the peer", |view| view.heir = view.peers.first().map(|peer| peer.node)),
    ("the peer is preferred and has let its turn pass", |view| {
        prefer_peer(view);
        view.waited_turn = true;
    }),
    ("the peer is preferred, `FAILBACK` is due", |view| {
        prefer_peer(view);
        view.failback_due = true;
    }),
    ("the address answers", |view| view.witness = Witness::Answers),
    ("the wire has not answered yet", |view| view.witness = Witness::Unknown),
    ("the peer does not hear this node", |view| view.peers.iter_mut().for_each(|peer| peer.deaf = true)),
];

/// The own situations and peers for which deviations are shown.
const SHOWN: [(Own, PeerState, &str); 5] = [
    (Own::Standby, PeerState::Dead, "standby, peer dead"),
    (Own::Standby, PeerState::Offline, "standby, peer OFFLINE"),
    (Own::Starting, PeerState::Starting, "both starting"),
    (Own::Online, PeerState::Offline, "ONLINE, peer OFFLINE"),
    (Own::Online, PeerState::Online, "both ONLINE"),
];

fn node(number: usize) -> NodeId {
    NodeId::new(number).expect("1 to 3 are node ids")
}

fn prefer_peer(view: &mut View) {
    view.peers.iter_mut().for_each(|peer| peer.node = node(1));
}

/// Node 2 with a willing peer behind it, a gateway that answers and a silent wire.
fn plain(own: Own, state: PeerState, later: Later) -> View {
    let (role, doing, all_up, clean) = own.parts();
    let term = Term::next(Term::NONE, node(2));
    let peer_term = if later == Later::Peer { Term::next(term, node(3)) } else { Term::NONE };
    let peer = PeerView {
        node: node(3),
        state,
        silent: false,
        deaf: false,
        term: peer_term,
        willing: true,
        gateway: Gateway::Reachable,
    };
    View {
        me: node(2),
        role,
        doing,
        all_up,
        clean,
        term,
        fit: true,
        maintenance: false,
        offline: OfflineRequest::None,
        heir: None,
        gateway: Gateway::Reachable,
        gateway_settled: false,
        quorum: Quorum::Unconfigured,
        away: false,
        mute: false,
        deaf: false,
        witness: Witness::Silent,
        waited_turn: false,
        failback_due: false,
        peers: vec![peer],
    }
}

fn cell(view: &View) -> String {
    let decision = decide(view);
    let action = match (decision.action, view.role) {
        (Action::Keep, Role::Standby) => "wait",
        (Action::Keep, Role::Active) => "go on",
        (Action::Pause, _) => "pause",
        (Action::BeActive, Role::Standby) => "**take over**",
        (Action::BeActive, Role::Active) => "be active",
        (Action::Release, Role::Standby) => "be down",
        (Action::Release, Role::Active) => "**release**",
        (Action::ReleaseAndRest, Role::Standby) => "be down, rest",
        (Action::ReleaseAndRest, Role::Active) => "**release**, rest",
    };
    format!("{action}: `{}`", decision.reason)
}

/// Every own situation with every state of the peer, all else plain.
pub(super) fn by_peer() -> String {
    let heading: Vec<String> = ["peer"].into_iter().chain(Own::ALL.map(|(_, name)| name)).map(str::to_owned).collect();
    let row = |(state, later, name): (PeerState, Later, &str)| {
        let cells = Own::ALL.iter().map(|(own, _)| cell(&plain(*own, state, later)));
        [name.to_owned()].into_iter().chain(cells).collect::<Vec<_>>()
    };
    table(&heading, &PEERS.map(row))
}

/// What one other input changes.
pub(super) fn by_deviation() -> String {
    let heading: Vec<String> =
        ["what differs"].into_iter().chain(SHOWN.map(|(.., name)| name)).map(str::to_owned).collect();
    let row = |(name, change): (&str, Change)| {
        let cells = SHOWN.iter().map(|(own, state, _)| {
            let mut view = plain(*own, *state, Later::Here);
            change(&mut view);
            cell(&view)
        });
        [name.to_owned()].into_iter().chain(cells).collect::<Vec<_>>()
    };
    table(&heading, &DEVIATIONS.map(row))
}

/// Every reason that stands in one of the two tables.
#[must_use]
pub fn reasons() -> BTreeSet<String> {
    let shown = by_peer() + &by_deviation();
    Reason::ALL
        .into_iter()
        .map(|reason| reason.to_string())
        .filter(|reason| shown.contains(&format!("`{reason}`")))
        .collect()
}
