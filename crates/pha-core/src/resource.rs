//! One resource as supervise manages it: its state, its failures, the one call that may run at a time.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::report::{ResourceReport, ResourceState};
use crate::time::BootTime;

/// How a resource is configured, as far as decisions care.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ResourceSettings {
    /// Its name: `ipaddr` or `service.web`.
    pub name: String,
    /// Limit of a `start`.
    pub start_timeout: Duration,
    /// Limit of a `stop`.
    pub stop_timeout: Duration,
    /// Limit of a `check`, `probe` or `announce`.
    pub check_timeout: Duration,
    /// Its agent renews a lease at every check.
    pub leased: bool,
    /// Its agent can ask the wire whether another machine holds it.
    pub probes: bool,
    /// Its agent can announce it again.
    pub announces: bool,
}

/// What an agent is called for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Call {
    /// `start`; leased resources get a lease.
    Start,
    /// `stop`.
    Stop,
    /// `check`; renews the lease of a leased resource.
    Check,
    /// `probe`: does another machine hold it?
    Probe,
    /// `announce`: tell the wire again who holds it.
    Announce,
    /// `start` without a lease: what is up stays up without pha.
    Keep,
    /// `start` of what somebody else removed a moment ago: back in place before anybody else acts on it.
    Restore,
}

impl Call {
    /// The word the agent is called with.
    #[must_use]
    pub const fn verb(self) -> &'static str {
        match self {
            Self::Start | Self::Keep | Self::Restore => "start",
            Self::Stop => "stop",
            Self::Check => "check",
            Self::Probe => "probe",
            Self::Announce => "announce",
        }
    }
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Outcome {
    /// Exit status 0.
    Succeeded,
    /// Any other exit status, or killed by a signal from elsewhere.
    Failed,
    /// Outlived its limit and was killed.
    TimedOut,
    /// Could not be run at all.
    NotRun,
    /// Cancelled by a [`super::supervisor::Command::Cancel`].
    Cancelled,
}

/// A resource and all that is remembered of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Resource {
    /// Its settings.
    pub settings: ResourceSettings,
    /// What the last check found.
    pub state: ResourceState,
    /// Since when.
    pub since: BootTime,
    /// Whether any check has ended.
    pub checked: bool,
    /// The call that runs now.
    pub running: Option<Call>,
    /// When the next check is due.
    pub next_check: BootTime,
    /// `res stop` keeps it down.
    pub held: bool,
    /// Failures within the restart window, oldest first; each is put forward by the time that plans have taken since.
    pub failures: Vec<BootTime>,
    /// Somebody else has removed it, and nothing was done about that yet.
    pub removed: bool,
    /// When it was put back in place after that, within the restart window.
    pub restorations: Vec<BootTime>,
    /// How often since supervise started.
    pub restored: u32,
    /// The last error and the last duration, for display.
    pub last_error: Option<String>,
    /// How long the last call took.
    pub duration: Duration,
}

impl Resource {
    /// Nothing known yet; to be checked at once.
    #[must_use]
    pub const fn new(settings: ResourceSettings, now: BootTime) -> Self {
        Self {
            settings,
            state: ResourceState::Unknown,
            since: now,
            checked: false,
            running: None,
            next_check: now,
            held: false,
            failures: Vec::new(),
            removed: false,
            restorations: Vec::new(),
            restored: 0,
            last_error: None,
            duration: Duration::ZERO,
        }
    }

    /// The limit of `call`.
    #[must_use]
    pub const fn limit(&self, call: Call) -> Duration {
        match call {
            Call::Start | Call::Keep | Call::Restore => self.settings.start_timeout,
            Call::Stop => self.settings.stop_timeout,
            Call::Check | Call::Probe | Call::Announce => self.settings.check_timeout,
        }
    }

    /// What a check that ended found; a cancelled one found nothing.
    pub fn check_finished(&mut self, outcome: Outcome, now: BootTime) {
        let found = match outcome {
            Outcome::Succeeded => ResourceState::Up,
            Outcome::Failed => ResourceState::Down,
            Outcome::TimedOut | Outcome::NotRun => ResourceState::Unknown,
            Outcome::Cancelled => return,
        };
        self.checked = true;
        if self.state != found {
            self.state = found;
            self.since = now;
        }
    }

    /// What stands in the status database.
    #[must_use]
    pub fn report(&self) -> ResourceReport {
        ResourceReport {
            name: self.settings.name.clone(),
            state: self.state,
            since: self.since,
            failures: u32::try_from(self.failures.len()).unwrap_or(u32::MAX),
            restored: self.restored,
            held: self.held,
            last_error: self.last_error.clone(),
            duration: self.duration,
        }
    }
}
