//! Views of a two-node cluster for the tests of the displays.

use std::time::Duration;

use pha_core::report::{Liveness, PeerReport, SuperviseReport, Wishes};
use pha_core::{BootTime, Reason, Role, Word};
use pha_status::{OperatorSection, ReceiverSection, Record, SenderSection, SuperviseSection};

use crate::programs::Program;
use crate::view::View;

#[path = "../tests/cli/reports.rs"]
mod reports;

pub(crate) use reports::KEY;

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

pub(crate) fn report(role: Role, word: Word, reason: Reason) -> SuperviseReport {
    reports::report(role, word, reason, at)
}

pub(crate) fn peer(liveness: Liveness, word: Option<Word>) -> PeerReport {
    reports::peer(liveness, word, at)
}

pub(crate) fn record(report: SuperviseReport, peers: Vec<PeerReport>) -> Record {
    Record {
        node: "lb1".to_owned(),
        generation: 40,
        boot_id: "boot".to_owned(),
        sender: SenderSection { pid: 16468, incarnation: 9, running: true, tick: at(0), errors: Vec::new() },
        receiver: ReceiverSection { pid: 16470, tick: at(0), ..reports::receiver(peers) },
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
