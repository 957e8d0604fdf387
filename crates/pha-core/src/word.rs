//! What a node says of itself: the old toolkit's words, with what rides along.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The three documented words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Status {
    /// All resources are confirmed up here.
    Online,
    /// Resources are not all up here.
    Offline,
    /// Resources are being started or stopped here.
    Progress,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Online => "ONLINE",
            Self::Offline => "OFFLINE",
            Self::Progress => "PROGRESS",
        })
    }
}

/// Which way a node in PROGRESS is going.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Direction {
    /// Resources are being started.
    Starting,
    /// Resources are being stopped.
    Stopping,
}

/// Why a node left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum LeaveCause {
    /// `offline` was typed there; it comes back when the time is over.
    Operator,
    /// It lost its gateway; it comes back when the gateway answers.
    Gateway,
    /// Its daemons were stopped.
    Stopped,
}

/// A node's word about itself, as its heartbeat carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Word {
    /// All resources confirmed up.
    Online,
    /// Not active.
    Offline {
        /// Every resource is confirmed down.
        clean: bool,
    },
    /// Busy; peers take no decision until `remaining` has passed.
    Progress {
        /// Starting or stopping.
        direction: Direction,
        /// Time until the announced deadline, counted from when the word is said.
        remaining: Duration,
    },
    /// Gone, everything confirmed down: peers may take over at once.
    Left {
        /// Why it went.
        cause: LeaveCause,
    },
    /// Daemons stopped, resources left running on purpose: nobody takes over.
    Kept,
}

impl Word {
    /// The documented word; `None` for a node that is gone.
    #[must_use]
    pub const fn status(self) -> Option<Status> {
        match self {
            Self::Online => Some(Status::Online),
            Self::Offline { .. } => Some(Status::Offline),
            Self::Progress { .. } => Some(Status::Progress),
            Self::Left { .. } | Self::Kept => None,
        }
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Online => "ONLINE",
            Self::Offline { clean: true } => "OFFLINE",
            Self::Offline { clean: false } => "OFFLINE (not confirmed down)",
            Self::Progress { direction: Direction::Starting, .. } => "PROGRESS (starting)",
            Self::Progress { direction: Direction::Stopping, .. } => "PROGRESS (stopping)",
            Self::Left { cause: LeaveCause::Operator } => "LEFT (offline)",
            Self::Left { cause: LeaveCause::Gateway } => "LEFT (gateway lost)",
            Self::Left { cause: LeaveCause::Stopped } => "LEFT (stopped)",
            Self::Kept => "KEPT (stopped, resources left running)",
        })
    }
}

/// What a node knows of its gateway.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Gateway {
    /// No `GW` configured: the test is off.
    #[default]
    Off,
    /// No round of echoes has ended yet, or one is running since a peer lost its gateway.
    Testing,
    /// The last round was answered.
    Reachable,
    /// A whole round of echoes stayed unanswered.
    Lost,
}

/// Active or Standby: the role a node plays.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Role {
    /// Has taken over and keeps the resources up.
    Active,
    /// Waits.
    #[default]
    Standby,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Active => "Active",
            Self::Standby => "Standby",
        })
    }
}
