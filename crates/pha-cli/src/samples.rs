//! Views of a two-node cluster for the tests of the displays.

use std::collections::BTreeMap;
use std::time::Duration;

use pha_core::report::{
    LinkReport, Liveness, PeerReport, ResourceReport, ResourceState, SuperviseReport, Transition, Wishes,
};
use pha_core::{BootTime, Gateway, NodeId, Reason, Role, Saying, Serial, Term, Word};
use pha_status::{OperatorSection, ReceiverSection, Record, SenderSection, SuperviseSection};

use crate::programs::Program;
use crate::view::View;

/// A thousand seconds after boot.
pub(crate) const NOW: Duration = Duration::from_secs(1000);

pub(crate) fn at(seconds_ago: u64) -> BootTime {
    BootTime::since_boot(NOW - Duration::from_secs(seconds_ago))
}

fn view(record: Record) -> View {
    View::new(record, at(0), pids)
}

fn pids(program: Program) -> Option<u32> {
    Some(match program {
        Program::Sender => 16468,
        Program::Receiver => 16470,
        Program::Supervise => 16472,
    })
}

fn id(number: usize) -> NodeId {
    NodeId::new(number).expect("a small number")
}

pub(crate) fn saying(word: Word) -> Saying {
    let term = Term::next(Term::NONE, id(1));
    Saying { word, term, gateway: Gateway::Reachable, fit: true, willing: true, config_hash: 7 }
}

pub(crate) fn resource(name: &str, state: ResourceState) -> ResourceReport {
    let duration = Duration::from_millis(12);
    ResourceReport {
        name: name.to_owned(),
        state,
        since: at(120),
        failures: 0,
        held: false,
        last_error: None,
        duration,
    }
}

pub(crate) fn report(role: Role, word: Word, reason: Reason) -> SuperviseReport {
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
        resources: vec![resource("service", state), resource("ipaddr", state)],
        history: vec![first],
        last_conflict: None,
    }
}

pub(crate) fn peer(liveness: Liveness, word: Option<Word>) -> PeerReport {
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
        reply_wanted: Serial::default(),
        supervise_age: Duration::from_millis(300),
        config_differs: false,
        links: vec![link],
    }
}

pub(crate) fn record(report: SuperviseReport, peers: Vec<PeerReport>) -> Record {
    Record {
        node: "lb1".to_owned(),
        generation: 40,
        boot_id: "boot".to_owned(),
        sender: SenderSection { pid: 16468, incarnation: 9, running: true, tick: at(0), errors: Vec::new() },
        receiver: ReceiverSection { pid: 16470, tick: at(0), peers, drops: BTreeMap::new(), authentic: true, late: 0 },
        supervise: SuperviseSection { pid: 16472, tick: at(0), report: Some(report), config_loaded: at(200) },
        operator: OperatorSection { wishes: Wishes::default(), by: "root".to_owned(), at: BootTime::ZERO },
    }
}

pub(crate) fn never_started() -> View {
    View::new(Record::default(), at(0), |_| None)
}

pub(crate) fn active_alone() -> View {
    view(record(report(Role::Active, Word::Online, Reason::PeerDead), vec![peer(Liveness::Unheard, None)]))
}

pub(crate) fn active_with_standby() -> View {
    let peers = vec![peer(Liveness::Alive, Some(Word::Offline { clean: true }))];
    view(record(report(Role::Active, Word::Online, Reason::Active), peers))
}

pub(crate) fn standby() -> View {
    let own = report(Role::Standby, Word::Offline { clean: true }, Reason::PeerActive);
    view(record(own, vec![peer(Liveness::Alive, Some(Word::Online))]))
}

pub(crate) fn beside_kept_peer() -> View {
    let own = report(Role::Standby, Word::Offline { clean: true }, Reason::PeerKept);
    view(record(own, vec![peer(Liveness::Absent, Some(Word::Kept))]))
}

/// The processes are gone, their last words are still in the file.
pub(crate) fn stopped() -> View {
    View::new(active_with_standby().record, at(0), |_| None)
}
