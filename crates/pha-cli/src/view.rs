//! This node's state at one moment, as every display shows it.
//!
//! The status database holds what the daemons last said. A daemon that was killed cannot take its words back, so this
//! does it: what a program said of itself counts only while that program holds its pid file's lock. Reading takes no
//! lock and disturbs nobody.

use std::time::Duration;

use pha_core::report::{Liveness, PeerReport, SuperviseReport};
use pha_core::{BootTime, Role, Status, Word};
use pha_status::{Record, StatusError};
use pha_sys::{clock, exit, pidfile};

use crate::failure::Failure;
use crate::programs::{DISPLAY_ORDER, Program};
use crate::session::Session;

/// A daemon whose last sign of life is older does not work any more, though its process exists. All three publish at
/// least every two seconds.
pub(crate) const STALE_AFTER: Duration = Duration::from_secs(3);

/// The state.
#[derive(Debug, Clone)]
pub(crate) struct View {
    /// The database, without the words of programs that do not run.
    pub(crate) record: Record,
    /// When it was read.
    pub(crate) now: BootTime,
}

impl View {
    /// Reads the database and looks which daemons run.
    ///
    /// # Errors
    /// [`exit::IO_ERR`] or [`exit::NO_PERM`] if there is a database that cannot be read. One that is missing is not an
    /// error: nothing was started yet.
    pub(crate) fn take(session: &Session) -> Result<Self, Failure> {
        let record = session.database().read().map_err(|error| status_failure(&error))?;
        let now = BootTime::since_boot(clock::boot_time());
        Ok(Self::new(record, now, |program| pidfile::running(&session.pid_file(program))))
    }

    /// `running` tells the process id of a daemon that runs.
    pub(crate) fn new(mut record: Record, now: BootTime, running: impl Fn(Program) -> Option<u32>) -> Self {
        record.sender.pid = running(Program::Sender).unwrap_or(0);
        record.receiver.pid = running(Program::Receiver).unwrap_or(0);
        record.supervise.pid = running(Program::Supervise).unwrap_or(0);
        record.sender.running &= record.sender.pid != 0;
        if record.receiver.pid == 0 {
            for peer in &mut record.receiver.peers {
                peer.liveness = Liveness::Unheard;
                peer.config_differs = false;
            }
        }
        Self { record, now }
    }

    /// A program's process id; 0 if it does not run.
    pub(crate) fn pid(&self, program: Program) -> u32 {
        match program {
            Program::Sender => self.record.sender.pid,
            Program::Receiver => self.record.receiver.pid,
            Program::Supervise => self.record.supervise.pid,
        }
    }

    /// Time since a program's last sign of life; `None` if it does not run.
    pub(crate) fn age(&self, program: Program) -> Option<Duration> {
        let tick = match program {
            Program::Sender => self.record.sender.tick,
            Program::Receiver => self.record.receiver.tick,
            Program::Supervise => self.record.supervise.tick,
        };
        (self.pid(program) != 0).then(|| self.now.since(tick))
    }

    /// How old a peer's last word was when the receiver last wrote, which it does once a second: what came since then
    /// stands nowhere. By now, where the receiver writes no more.
    pub(crate) fn silence(&self, heard_at: BootTime) -> Duration {
        let asked = if self.is_stale(Program::Receiver) { self.now } else { self.record.receiver.tick };
        asked.since(heard_at)
    }

    /// The process exists and gives no sign of life.
    pub(crate) fn is_stale(&self, program: Program) -> bool {
        self.age(program).is_some_and(|age| age > STALE_AFTER)
    }

    /// The daemons have been started here at least once.
    pub(crate) fn ever_started(&self) -> bool {
        let record = &self.record;
        record.sender.incarnation > 0
            || record.supervise.report.is_some()
            || !record.receiver.peers.is_empty()
            || DISPLAY_ORDER.iter().any(|program| self.pid(*program) != 0)
    }

    /// supervise runs: the node has a role.
    pub(crate) fn is_running(&self) -> bool {
        self.record.supervise.pid != 0
    }

    /// What supervise says, while it runs.
    pub(crate) fn report(&self) -> Option<&SuperviseReport> {
        self.record.supervise.report.as_ref().filter(|_| self.is_running())
    }

    /// What supervise said last, even if it does not run any more.
    pub(crate) fn last_report(&self) -> Option<&SuperviseReport> {
        self.record.supervise.report.as_ref()
    }

    /// This node is active, and supervise runs.
    pub(crate) fn is_active(&self) -> bool {
        self.report().is_some_and(|report| report.role == Role::Active)
    }

    /// STATUS; `None` (undef) without supervise. A node that has left and rests is OFFLINE.
    pub(crate) fn status(&self) -> Option<Status> {
        self.report().map(|report| report.saying.word.status().unwrap_or(Status::Offline))
    }

    /// RECEIVER_IN; `None` (undef) without a receiver.
    pub(crate) fn receiver_in(&self) -> Option<Status> {
        self.record.receiver_in()
    }

    /// The peers that speak now.
    pub(crate) fn audible_peers(&self) -> impl Iterator<Item = &PeerReport> {
        self.record.receiver.peers.iter().filter(|peer| is_audible(peer))
    }

    /// A peer that says it is active.
    pub(crate) fn active_peer(&self) -> Option<&PeerReport> {
        self.audible_peers().find(|peer| peer.saying.is_some_and(|saying| saying.word == Word::Online))
    }
}

/// The peer is heard now.
pub(crate) fn is_audible(peer: &PeerReport) -> bool {
    matches!(peer.liveness, Liveness::Alive | Liveness::Suspect)
}

/// Since when a node has said what it says. The reason may have changed meanwhile.
pub(crate) fn word_since(report: &SuperviseReport) -> BootTime {
    let last = report.history.last().filter(|step| step.to == report.saying.word);
    last.map_or(report.since, |step| step.at)
}

/// What a database that cannot be used means for the operator.
pub(crate) fn status_failure(error: &StatusError) -> Failure {
    let text = error.to_string();
    if matches!(error, StatusError::Bad { .. }) {
        return Failure::new(exit::IO_ERR, format!("NOTRUNNING: {text}"));
    }
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        if inner.downcast_ref::<std::io::Error>().is_some_and(|io| io.kind() == std::io::ErrorKind::PermissionDenied) {
            return Failure::new(exit::NO_PERM, format!("{text}; run pha-cli as root (sudo pha-cli)"));
        }
        source = inner.source();
    }
    Failure::new(exit::IO_ERR, text)
}
