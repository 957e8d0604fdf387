//! The whole decision table, every combination of its inputs, against the rules as they are documented.
//!
//! The rules stand here once more as a list of predicates, in their documented order, so that precedence is tested and not
//! only each rule for itself. Inputs that the table does not tell apart are taken once (a gateway that is off and one that
//! answers; no witness and a silent one). P9, P12, P18 to P22, P36.

use pha_core::decide::{Action, Decision, Doing, OfflineRequest, PeerState, PeerView, Quorum, View, Witness, decide};
use pha_core::{Gateway, LeaveCause, NodeId, Role, Term};

const PEER_STATES: [PeerState; 12] = [
    PeerState::Unheard,
    PeerState::Online,
    PeerState::Offline,
    PeerState::Unclean,
    PeerState::Unconfirmed,
    PeerState::Starting,
    PeerState::Stopping,
    PeerState::Dead,
    PeerState::Left(LeaveCause::Operator),
    PeerState::Left(LeaveCause::Gateway),
    PeerState::Left(LeaveCause::Stopped),
    PeerState::Kept,
];
const BOTH: [bool; 2] = [false, true];

fn node(number: usize) -> NodeId {
    NodeId::new(number).expect("a node id")
}

/// One peer each, with whom a node that left has asked to take over.
fn peers() -> Vec<(PeerView, Option<NodeId>)> {
    let mut all = Vec::new();
    for state in PEER_STATES {
        for willing in BOTH {
            let apart =
                [(Gateway::Lost, false, false), (Gateway::Reachable, true, false), (Gateway::Reachable, false, true)];
            let plain = (Gateway::Reachable, false, false);
            for (gateway, silent, deaf) in [plain].into_iter().chain(apart) {
                // This node has id 2 and acted under count 5: a peer before it in both orders, and one behind.
                for (id, count) in [(1, 6), (3, 4)] {
                    let term = Term::from_value(count * 256 + 256 - u64::from(node(id).number()));
                    let peer = PeerView { node: node(id), state, silent, deaf, term, willing, gateway };
                    all.push((peer, None));
                    if (gateway, silent, deaf) == plain {
                        all.extend([2, id].map(|heir| (peer, Some(node(heir)))));
                    }
                }
            }
        }
    }
    all
}

/// Calls `test` with every view; returns how many there were.
fn every_view(mut test: impl FnMut(&View)) -> u64 {
    let mut count = 0;
    let peers = peers();
    let resources = [(true, false), (false, true), (false, false)];
    let gateways =
        [(Gateway::Reachable, false), (Gateway::Testing, false), (Gateway::Lost, false), (Gateway::Lost, true)];
    for bits in 0..512_u32 {
        let bit = |n: u32| bits & (1 << n) != 0;
        for doing in [Doing::Idle, Doing::Starting, Doing::Stopping] {
            for (all_up, clean) in resources {
                for (gateway, gateway_settled) in gateways {
                    for offline in [OfflineRequest::None, OfflineRequest::Wanted, OfflineRequest::Forced] {
                        for witness in [Witness::Silent, Witness::Unknown, Witness::Answers] {
                            let mut view = View {
                                me: node(2),
                                role: if bit(0) { Role::Active } else { Role::Standby },
                                doing,
                                all_up,
                                clean,
                                term: Term::from_value(5 * 256 + 254),
                                fit: bit(1),
                                maintenance: bit(2),
                                offline,
                                heir: None,
                                gateway,
                                gateway_settled,
                                quorum: if bit(3) { Quorum::Lost } else { Quorum::Unconfigured },
                                away: bit(4),
                                mute: bit(8),
                                deaf: bit(5),
                                witness,
                                waited_turn: bit(6),
                                failback_due: bit(7),
                                peers: Vec::new(),
                            };
                            for (peer, heir) in &peers {
                                view.heir = *heir;
                                view.peers.clear();
                                view.peers.push(*peer);
                                count += 1;
                                test(&view);
                            }
                        }
                    }
                }
            }
        }
    }
    count
}

fn peer(number: usize, state: PeerState, term: Term, willing: bool) -> PeerView {
    PeerView { node: node(number), state, silent: false, deaf: false, term, willing, gateway: Gateway::Off }
}

/// A healthy standby that has never decided anything.
fn standby(me: usize, peers: Vec<PeerView>) -> View {
    View {
        me: node(me),
        role: Role::Standby,
        doing: Doing::Idle,
        all_up: false,
        clean: true,
        term: Term::NONE,
        fit: true,
        maintenance: false,
        offline: OfflineRequest::None,
        heir: None,
        gateway: Gateway::Off,
        gateway_settled: false,
        quorum: Quorum::Unconfigured,
        away: false,
        mute: false,
        deaf: false,
        witness: Witness::Off,
        waited_turn: false,
        failback_due: false,
        peers,
    }
}

fn alive(state: PeerState) -> bool {
    matches!(
        state,
        PeerState::Online
            | PeerState::Offline
            | PeerState::Unclean
            | PeerState::Unconfirmed
            | PeerState::Starting
            | PeerState::Stopping
    )
}

/// The documented rules for one peer: the first that matches, with what it does.
fn documented(v: &View) -> (u8, Action) {
    let peer = v.peers[0];
    let s = peer.state;
    let behind = peer.term > v.term;
    let online = v.role == Role::Active && v.doing == Doing::Idle && v.all_up;
    let active = v.role == Role::Active;
    let takes_over = match s {
        PeerState::Online | PeerState::Starting => true,
        PeerState::Offline | PeerState::Unclean | PeerState::Unconfirmed | PeerState::Stopping => peer.willing,
        PeerState::Unheard | PeerState::Dead | PeerState::Left(_) | PeerState::Kept => false,
    };
    let peer_lost = (alive(s) && peer.gateway == Gateway::Lost) || s == PeerState::Left(LeaveCause::Gateway);
    let notices = (alive(s) && peer.willing) || s == PeerState::Left(LeaveCause::Operator);
    let busy = matches!(s, PeerState::Starting | PeerState::Stopping);
    let gateway = v.gateway == Gateway::Reachable;
    let left_long_ago = matches!(s, PeerState::Left(_)) && peer.silent;
    let unsure = matches!(s, PeerState::Dead | PeerState::Unconfirmed) || left_long_ago;
    let forced = v.offline == OfflineRequest::Forced;
    let rules: [(u8, bool, Action); 24] = [
        (1, v.maintenance, Action::Keep),
        (2, forced || (v.offline == OfflineRequest::Wanted && takes_over), Action::ReleaseAndRest),
        (3, v.gateway == Gateway::Lost && !peer_lost && v.gateway_settled, Action::ReleaseAndRest),
        (3, v.gateway == Gateway::Lost && !peer_lost && s != PeerState::Online, Action::Keep),
        (4, v.quorum == Quorum::Lost, Action::Release),
        (5, v.away, Action::Pause),
        (6, v.mute && active && notices, Action::Release),
        (6, v.deaf, Action::Keep),
        (6, s == PeerState::Unheard, Action::Keep),
        (7, s == PeerState::Starting && active && !online && (behind || peer.deaf), Action::Release),
        (7, busy, Action::Keep),
        (8, s == PeerState::Online && !online, Action::Release),
        (9, s == PeerState::Online && (behind || peer.deaf), Action::Release),
        (9, s == PeerState::Online, Action::BeActive),
        (7, s == PeerState::Kept && !active, Action::Keep),
        (10, active && v.fit && v.failback_due, Action::Release),
        (10, active && v.fit, Action::BeActive),
        (11, active && !v.fit && alive(s) && peer.willing, Action::Release),
        (11, active, Action::BeActive),
        (6, v.mute, Action::Keep),
        (13, !gateway, Action::Keep),
        (12, s == PeerState::Unclean, Action::Keep),
        (13, !v.fit && alive(s) && (peer.willing || behind), Action::Keep),
        (14, unsure && v.witness != Witness::Silent, Action::Keep),
    ];
    if let Some((rule, _, action)) = rules.into_iter().find(|(_, matches, _)| *matches) {
        return (rule, action);
    }
    let peers_turn = match v.heir {
        Some(heir) if heir == v.me => false,
        Some(heir) if heir == peer.node => true,
        Some(_) | None => peer.node < v.me,
    };
    if alive(s) && peer.willing && peers_turn && !v.waited_turn {
        return (12, Action::Keep);
    }
    let rule = match (v.fit, alive(s)) {
        (false, _) => 11,
        (true, true) => 12,
        (true, false) => 13,
    };
    (rule, Action::BeActive)
}

#[test]
fn every_combination_is_decided_as_documented() {
    let count = every_view(|view| {
        let Decision { action, reason } = decide(view);
        let (rule, expected) = documented(view);
        assert_eq!((reason.rule(), action), (Some(rule), expected), "{reason}: {view:?}");
    });
    println!("{count} views");
    assert!(count > 2_000_000);
}

#[test]
fn nobody_takes_over_on_missing_knowledge() {
    every_view(|view| {
        let takes_over = view.role == Role::Standby && decide(view).action == Action::BeActive;
        if !takes_over {
            return;
        }
        let peer = view.peers[0];
        let may_hold = matches!(
            peer.state,
            PeerState::Unheard
                | PeerState::Online
                | PeerState::Unclean
                | PeerState::Starting
                | PeerState::Stopping
                | PeerState::Kept
        );
        assert!(!may_hold, "{view:?}");
        assert!(!view.maintenance && !view.away && !view.deaf && view.quorum != Quorum::Lost, "{view:?}");
        assert!(view.gateway == Gateway::Reachable, "{view:?}");
        let silent = matches!(peer.state, PeerState::Dead | PeerState::Unconfirmed);
        assert!(!silent || view.witness == Witness::Silent, "{view:?}");
    });
}

#[test]
fn of_two_active_nodes_exactly_one_stays_whatever_their_terms() {
    // P21
    for (mine, theirs) in [(0, 0), (511, 0), (0, 511), (511, 766), (766, 511)] {
        let at = |me: usize, term, other: usize, other_term| View {
            role: Role::Active,
            all_up: true,
            clean: false,
            term: Term::from_value(term),
            ..standby(me, vec![peer(other, PeerState::Online, Term::from_value(other_term), true)])
        };
        let stays = [decide(&at(1, mine, 2, theirs)).action, decide(&at(2, theirs, 1, mine)).action];
        assert_eq!(stays.iter().filter(|action| **action == Action::BeActive).count(), 1, "{mine} {theirs}: {stays:?}");
    }
}

#[test]
fn asking_a_peer_to_get_ready_changes_no_decision() {
    let asking = |view: &View| View { offline: OfflineRequest::Asking, ..view.clone() };
    let mut count = 0_u32;
    every_view(|view| {
        count += 1;
        if view.offline == OfflineRequest::None && count.is_multiple_of(11) {
            assert_eq!(decide(&asking(view)), decide(view), "{view:?}");
        }
    });
}

#[test]
fn of_three_nodes_the_one_that_was_asked_comes_before_the_lowest() {
    let left = |me: usize, other, heir| {
        let gone = PeerState::Left(LeaveCause::Operator);
        let peers = vec![peer(1, gone, Term::NONE, false), peer(other, PeerState::Offline, Term::NONE, true)];
        decide(&View { heir: Some(node(heir)), ..standby(me, peers) }).action
    };
    assert_eq!((left(2, 3, 3), left(3, 2, 3)), (Action::Keep, Action::BeActive));
    assert_eq!((left(2, 3, 2), left(3, 2, 2)), (Action::BeActive, Action::Keep));
}

#[test]
fn of_three_nodes_the_lowest_willing_one_claims_and_a_dead_one_is_asked_for_on_the_wire() {
    // P3, P36
    let dead_first = |me: usize, other, willing, witness| {
        let peers =
            vec![peer(1, PeerState::Dead, Term::NONE, false), peer(other, PeerState::Offline, Term::NONE, willing)];
        decide(&View { witness, ..standby(me, peers) }).action
    };
    assert_eq!(dead_first(2, 3, true, Witness::Silent), Action::BeActive);
    assert_eq!(dead_first(3, 2, true, Witness::Silent), Action::Keep);
    assert_eq!(dead_first(3, 2, false, Witness::Silent), Action::BeActive);
    assert_eq!(dead_first(2, 3, true, Witness::Answers), Action::Keep);
    assert_eq!(dead_first(2, 3, true, Witness::Unknown), Action::Keep);
}
