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
    /// It has a built-in check, which needs no agent; never on a leased resource, whose check renews the lease.
    pub watched: bool,
    /// It may start and stop together with the one before it.
    pub beside_previous: bool,
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
    /// No agent is called: the built-in check looks whether what was up still is.
    Watch,
    /// `start` of what somebody else removed a moment ago: back in place before anybody else acts on it.
    Restore,
}

impl Call {
    /// The word the agent is called with, or what is done without it.
    #[must_use]
    pub const fn verb(self) -> &'static str {
        match self {
            Self::Start | Self::Keep | Self::Restore => "start",
            Self::Stop => "stop",
            Self::Check => "check",
            Self::Probe => "probe",
            Self::Announce => "announce",
            Self::Watch => "built-in check",
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

/// What the end of a built-in check means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watched {
    /// It is taken as it is.
    Decided,
    /// It says nothing yet: the agent is asked.
    Doubtful,
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
    /// Whether its built-in check has found it up since it came up: from then on that check has the last word.
    pub proved: bool,
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
            proved: false,
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
            Call::Check | Call::Probe | Call::Announce | Call::Watch => self.settings.check_timeout,
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
            self.proved = false;
            if self.settings.watched && found == ResourceState::Up {
                // The sooner the built-in check has found it up, the sooner it counts.
                self.next_check = now;
            }
        }
    }

    /// Whether a built-in check that says "down" is believed.
    #[must_use]
    pub fn watch_counts(&self, now: BootTime) -> bool {
        self.proved || now >= self.since + self.settings.start_timeout
    }

    /// What the built-in check found, and whether that counts. A daemon may open its port some time after its `start` has
    /// ended: "down" counts once "up" was found, or when the time that a `start` may take is over.
    pub fn watch_finished(&mut self, outcome: Outcome, now: BootTime) -> Watched {
        match outcome {
            Outcome::Succeeded => self.proved = true,
            Outcome::Failed | Outcome::TimedOut if self.watch_counts(now) => {}
            Outcome::Failed | Outcome::TimedOut | Outcome::NotRun => return Watched::Doubtful,
            Outcome::Cancelled => return Watched::Decided,
        }
        let proved = self.proved;
        self.check_finished(outcome, now);
        self.proved = proved && self.state == ResourceState::Up;
        Watched::Decided
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
