//! What goes into the supervisor and what comes out: settings, events, commands, notes.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::handover::GaveUp;
use crate::node::{NodeId, Term};
use crate::reason::Reason;
use crate::report::{PeerReport, SuperviseReport, Transition, Wishes};
use crate::resource::{Call, Outcome, ResourceSettings};
use crate::stages::Stages;
use crate::word::Gateway;

const SHORTEST_WINDOW: Duration = Duration::from_millis(3);
const LONGEST_WINDOW: Duration = Duration::from_millis(75);

/// What the configuration says, as far as decisions care.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Settings {
    /// This node.
    pub me: NodeId,
    /// `HEARTBEAT_INT`.
    pub heartbeat_interval: Duration,
    /// `DEADTIME`.
    pub dead_time: Duration,
    /// `SUPERVISE_INT`.
    pub supervise_interval: Duration,
    /// `PINGTIMEOUT`.
    pub ping_timeout: Duration,
    /// Whether there is any `GW`.
    pub gateway: bool,
    /// `LEASE`.
    pub lease: Duration,
    /// `RESTARTS`.
    pub restarts: u32,
    /// `RESTART_WINDOW`.
    pub restart_window: Duration,
    /// `UNFIT_TIME`.
    pub unfit_time: Duration,
    /// `FAILBACK_AFTER` if `FAILBACK=on`.
    pub failback: Option<Duration>,
    /// `WITNESS`.
    pub witness: bool,
    /// Hash of the configuration all nodes must share.
    pub config_hash: u32,
    /// In the order of the configuration file.
    pub resources: Vec<ResourceSettings>,
}

/// What the status database says about others, and what it remembered of this node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Outside {
    /// The receiver's section.
    pub peers: Vec<PeerReport>,
    /// The receiver is stale or missing.
    pub deaf: bool,
    /// The operator's section.
    pub wishes: Wishes,
    /// Whether a configured quorum is held; `None` if none is configured.
    pub quorum: Option<bool>,
}

/// What survives a restart of supervise: never a role.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Restored {
    /// The term this node last acted under in this boot.
    pub own_term: Term,
    /// The highest term ever seen.
    pub highest_term: Term,
    /// What happened earlier in this boot.
    pub history: Vec<Transition>,
    /// What the latest takeovers and releases were made of.
    pub moves: Vec<Stages>,
}

impl Settings {
    /// How long one probe asks the wire: as long as fits between suspicion and death of a peer with a quarter to spare, so
    /// that its verdict is there in time; not longer than any local network needs, and long enough for one answer.
    #[must_use]
    pub fn probe_window(&self) -> Duration {
        window(self.heartbeat_interval, self.dead_time)
    }
}

fn window(heartbeat_interval: Duration, dead_time: Duration) -> Duration {
    let doubtful = dead_time.saturating_sub(heartbeat_interval * 3 / 2);
    (doubtful * 3 / 4).clamp(SHORTEST_WINDOW, LONGEST_WINDOW)
}

impl From<&SuperviseReport> for Restored {
    fn from(report: &SuperviseReport) -> Self {
        Self {
            own_term: report.saying.term,
            highest_term: report.highest_term,
            history: report.history.clone(),
            moves: report.moves.clone(),
        }
    }
}

/// Something happened.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Event {
    /// The status database changed.
    OutsideChanged(Box<Outside>),
    /// A call ended.
    CallFinished {
        /// Index of the resource.
        resource: usize,
        /// Which call.
        call: Call,
        /// How.
        outcome: Outcome,
        /// Its last line of output, or why it could not run.
        message: String,
        /// How long it took.
        duration: Duration,
    },
    /// What a built-in check watches has just changed: do not wait for the next check.
    WatchTripped {
        /// Index of the resource.
        resource: usize,
    },
    /// A gateway answered an echo.
    GatewayAnswered,
    /// The carrier of a heartbeat interface was lost or came back: test the gateway now.
    CarrierChanged,
    /// Somebody else took away what this node had in place: no call of ours, and no lease that ended. Whoever tells it has
    /// seen that, and knows it at once.
    ResourceRemoved {
        /// Index of the resource.
        resource: usize,
    },
    /// The answer to [`Command::StoreTerm`] or [`Command::PublishTerm`].
    TermStored(bool),
    /// The answer to [`Command::ReserveTerm`].
    TermReserved(bool),
    /// [`Command::Publish`] could not be carried out, or can be again: told when it changes and at every failure.
    Published(bool),
    /// The daemon is to end; resources stay as they are.
    StopRequested,
    /// Time has come for [`Supervisor::next_deadline`](super::Supervisor::next_deadline).
    DeadlinePassed,
}

/// Something to be done, in order.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Command {
    /// Publish [`Supervisor::report`](super::Supervisor::report) now.
    Publish,
    /// Publish it durably, then answer with [`Event::TermStored`]: no resource starts under a term that is not on disk.
    StoreTerm,
    /// The term is on disk already: publish that it is acted under, then answer with [`Event::TermStored`]. No resource
    /// starts while the heartbeat still says that this node stands by.
    PublishTerm,
    /// Publish durably without waiting for it, then answer with [`Event::TermReserved`]: the highest term is this node's next.
    ReserveTerm,
    /// Run an agent, or a built-in check; its end comes back as [`Event::CallFinished`].
    Run {
        /// Index of the resource.
        resource: usize,
        /// Which call.
        call: Call,
        /// Its time limit.
        limit: Duration,
        /// For `PHA_REASON`.
        reason: Reason,
        /// For `PHA_TERM`.
        term: Term,
        /// A leased resource gets or keeps its lease: only an active node renews.
        lease: bool,
        /// No other machine can hold the resource: the agent need not look for a duplicate.
        sole: bool,
    },
    /// End a running call; [`Event::CallFinished`] follows.
    Cancel {
        /// Index of the resource.
        resource: usize,
    },
    /// Send an ICMP echo to every gateway.
    Ping,
    /// Log something.
    Note(Note),
    /// All is said and done: end.
    Exit,
}

/// What an operator may want to read in the log.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Note {
    /// The word or the role changed.
    Transition(Transition),
    /// The decision's reason changed without a change of word.
    Reason(Reason),
    /// A call failed.
    CallFailed {
        /// Index of the resource.
        resource: usize,
        /// Which call.
        call: Call,
        /// How.
        outcome: Outcome,
        /// What it said.
        message: String,
    },
    /// A resource was found not up on the active node.
    ResourceLost {
        /// Index of the resource.
        resource: usize,
    },
    /// What somebody else removed is in place again.
    Restored {
        /// Index of the resource.
        resource: usize,
        /// How often that has happened.
        times: u32,
    },
    /// A check outlived its interval.
    Overrun {
        /// Index of the resource.
        resource: usize,
        /// How long it took.
        took: Duration,
    },
    /// The node became unfit, or fit again.
    Fitness {
        /// Fit now.
        fit: bool,
    },
    /// The gateway was lost or came back.
    Gateway(Gateway),
    /// `offline` or `switchover` is not, or no longer, honoured.
    OfflineGivenUp(GaveUp),
    /// The term could not be stored: nothing is started.
    TermNotStored,
    /// Two nodes were active at once for this long.
    ConflictEnded(Duration),
    /// This process did not run for this long.
    WasAway(Duration),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_that_begins_with_suspicion_ends_before_the_peer_is_dead() {
        let micros = |interval, dead| window(Duration::from_millis(interval), Duration::from_millis(dead)).as_micros();
        assert_eq!(micros(200, 380), 60_000);
        assert_eq!(micros(200, 600), 75_000, "no longer than a local network needs");
        assert_eq!(micros(50, 150), 56_250);
        assert_eq!(micros(10, 20), 3_750);
        assert_eq!(micros(200, 200), 3_000, "long enough for one answer");
    }
}
