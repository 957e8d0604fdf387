//! What the daemons of lb1 say in a healthy cluster, for the tests of the displays and of the program. `at` says when
//! something was that many seconds ago.

use std::time::Duration;

use pha_core::report::{LinkReport, Liveness, PeerReport, ResourceReport, ResourceState, SuperviseReport, Transition};
use pha_core::{BootTime, Dialect, Gateway, NodeId, Reason, Role, Saying, Serial, Term, Word};
use pha_status::{Contact, ReceiverSection};
use pha_wire::VERSION;

/// A clock.
pub(crate) type At = fn(u64) -> BootTime;

/// The id of the key that both nodes sign with.
pub(crate) const KEY: u8 = 0x3f;

/// The receiver with these peers.
pub(crate) fn receiver(peers: Vec<PeerReport>) -> ReceiverSection {
    let dialect = Dialect { version: VERSION, signer: KEY };
    ReceiverSection {
        contacts: peers.iter().map(|peer| (peer.node, Contact { serial: peer.serial, dialect })).collect(),
        peers,
        authentic: true,
        signers: vec![KEY],
        ..ReceiverSection::default()
    }
}

fn id(number: usize) -> NodeId {
    NodeId::new(number).expect("a small number")
}

fn saying(word: Word) -> Saying {
    let term = Term::next(Term::NONE, id(1));
    Saying { term, gateway: Gateway::Reachable, config_hash: 7, ..Saying::healthy(word) }
}

fn resource(name: &str, state: ResourceState, at: At) -> ResourceReport {
    let duration = Duration::from_millis(12);
    ResourceReport {
        name: name.to_owned(),
        state,
        since: at(120),
        failures: 0,
        restored: 0,
        held: false,
        last_error: None,
        duration,
    }
}

/// supervise with the two documented resources, up where it is active.
pub(crate) fn report(role: Role, word: Word, reason: Reason, at: At) -> SuperviseReport {
    let state = if role == Role::Active { ResourceState::Up } else { ResourceState::Down };
    let first = Transition {
        at: at(120),
        from: Word::Offline { clean: true },
        to: word,
        role,
        reason,
        term: saying(word).term,
    };
    SuperviseReport {
        saying: saying(word),
        progress_until: None,
        role,
        highest_term: saying(word).term,
        reason,
        since: at(120),
        until: None,
        announce: true,
        unfit_until: None,
        resources: vec![resource("service", state, at), resource("ipaddr", state, at)],
        history: vec![first],
        last_conflict: None,
        handover: None,
        moves: Vec::new(),
    }
}

/// lb2 as the receiver hears it; without a word it was never heard.
pub(crate) fn peer(liveness: Liveness, word: Option<Word>, at: At) -> PeerReport {
    let link = LinkReport {
        address: "10.0.0.2".to_owned(),
        heard_at: word.map(|_| at(0)),
        longest_gap: Duration::from_millis(210),
        received: 1000,
        lost: 3,
    };
    PeerReport {
        node: id(2),
        liveness,
        liveness_since: at(60),
        saying: word.map(saying),
        word_since: at(60),
        progress_until: None,
        serial: Serial { incarnation: 5, sequence: 1003 },
        heard_at: word.map(|_| at(0)),
        hears_us: Serial { incarnation: 9, sequence: 500 },
        hears_us_at: at(0),
        reply_wanted: Serial::default(),
        supervise_age: Duration::from_millis(300),
        config_differs: false,
        links: vec![link],
    }
}
