//! A handover that the operator asked for: what the two nodes say to each other, and how far it has come.
//!
//! ```text
//!   active                              standby
//!   asks ──────────────────────────────▶ checks its resources; its next term is on disk
//!   releases ◀──────────────── answers   (ready, or why not: then nothing moves)
//!   LEFT ──────────────────────────────▶ takes over
//! ```
//!
//! What is asked and answered rides in every heartbeat, so that a lost one is only late. It is advice: whatever becomes of
//! the two nodes meanwhile, the decision table decides as always.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::node::NodeId;
use crate::time::BootTime;

/// "Get ready to take over from me."
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Ask {
    /// Who is asked.
    pub node: NodeId,
    /// When, on the asker's clock: tells this request from an earlier one, and means nothing else to others.
    pub at: BootTime,
}

/// "I am ready to take over from you", or why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Answer {
    /// Who asked.
    pub node: NodeId,
    /// Which request this answers.
    pub at: BootTime,
    /// Why not; `None` is "ready".
    pub unready: Option<Unready>,
}

/// Why a node that is asked would not take over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Unready {
    /// It is starting or stopping resources, or has only just begun to look at them.
    Busy,
    /// `maintenance on`.
    Maintenance,
    /// `offline` was typed there, or its daemons are being stopped.
    Leaving,
    /// `res stop` holds a resource down there.
    Held,
    /// A resource failed there too often.
    Unfit,
    /// Its gateway is lost.
    Gateway,
    /// Its receiver is missing or stale.
    Deaf,
    /// A `check` there did not say what a resource is: it timed out or could not be run.
    Unchecked,
    /// Its status database cannot be written, so that its next term cannot be stored.
    Unwritable,
}

impl Unready {
    /// Every reason, in the order of the enum.
    pub const ALL: [Self; 9] = [
        Self::Busy,
        Self::Maintenance,
        Self::Leaving,
        Self::Held,
        Self::Unfit,
        Self::Gateway,
        Self::Deaf,
        Self::Unchecked,
        Self::Unwritable,
    ];
}

impl fmt::Display for Unready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Busy => "it is busy with its resources",
            Self::Maintenance => "maintenance is on there",
            Self::Leaving => "it is offline or being stopped",
            Self::Held => "'res stop' holds a resource down there",
            Self::Unfit => "it is unfit",
            Self::Gateway => "it has lost its gateway",
            Self::Deaf => "its receiver does not work",
            Self::Unchecked => "a check there does not say whether a resource is up or down",
            Self::Unwritable => "its status database cannot be written",
        })
    }
}

/// Why a handover came to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum GaveUp {
    /// No peer, or not the one that was named, could take over.
    NobodyAble,
    /// The peer said why not.
    Refused(Unready),
    /// It did not answer in time.
    NoAnswer,
    /// Everything was released, and nobody began to take over.
    NotTakenOver,
}

impl fmt::Display for GaveUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NobodyAble => f.write_str("no peer could take over"),
            Self::Refused(why) => write!(f, "the peer is not ready: {why}"),
            Self::NoAnswer => f.write_str("the peer does not say that it is ready"),
            Self::NotTakenOver => f.write_str("no peer takes over"),
        }
    }
}

/// How far a handover has come, by this node's clock. The last one is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Handover {
    /// The wish that began it, by the moment at which it was typed.
    pub wish: BootTime,
    /// Who is asked, and who took over in the end; `None` if nobody could be asked.
    pub to: Option<NodeId>,
    /// Since when it is asked.
    pub asked: BootTime,
    /// When its answer was acted on.
    pub ready: Option<BootTime>,
    /// When everything was down here.
    pub left: Option<BootTime>,
    /// When it said that it had begun.
    pub begun: Option<BootTime>,
    /// When it said that it was ONLINE.
    pub taken: Option<BootTime>,
    /// Why it came to nothing.
    pub gave_up: Option<GaveUp>,
}

impl Handover {
    /// Nobody has answered yet.
    #[must_use]
    pub const fn asked(wish: BootTime, to: Option<NodeId>, now: BootTime) -> Self {
        Self { wish, to, asked: now, ready: None, left: None, begun: None, taken: None, gave_up: None }
    }

    /// Somebody took over, or nobody will.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.taken.is_some() || self.gave_up.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_reasons_to_refuse_are_listed_once_and_in_order() {
        for (index, reason) in Unready::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index, "{reason:?}");
        }
        assert_eq!(Unready::Unwritable as usize + 1, Unready::ALL.len());
    }
}
