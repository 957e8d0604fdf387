//! What a takeover or a release was made of, moment by moment, so that its length can be explained.

use serde::{Deserialize, Serialize};

use crate::node::Term;
use crate::reason::Reason;
use crate::time::BootTime;
use crate::word::Direction;

/// Takeovers and releases kept in the report.
pub const MOVES: usize = 4;
/// Calls kept of each: the first ones and the last.
pub const CALLS: usize = 16;

/// One takeover or release by this node. All times are of this node's clock.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Stages {
    /// Starting: a takeover. Stopping: a release.
    pub direction: Direction,
    /// The term after it was decided.
    pub term: Term,
    /// Why.
    pub reason: Reason,
    /// Takeover: the newest heartbeat of the node that was active before.
    pub last_heard: Option<BootTime>,
    /// Takeover: when that node was suspected, if it was.
    pub suspected: Option<BootTime>,
    /// Takeover: when it was declared dead, if it was.
    pub declared_dead: Option<BootTime>,
    /// Takeover: when it said that it was stopping its resources, if that was heard.
    pub releasing: Option<BootTime>,
    /// Takeover: when it said that everything was down there, if it did.
    pub let_go: Option<BootTime>,
    /// When the decision table said so.
    pub decided: BootTime,
    /// Takeover: when the term was on disk; `None` if it was stored beforehand.
    pub stored: Option<BootTime>,
    /// `start` or `stop` of each resource, in the order in which they ended.
    pub calls: Vec<CallSpan>,
    /// When all was checked and the next word was published: ONLINE after a takeover, LEFT or OFFLINE after a release.
    pub done: Option<BootTime>,
}

/// From the beginning of a call to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CallSpan {
    /// Index of the resource.
    pub resource: usize,
    /// When it began.
    pub began: BootTime,
    /// When its end was known.
    pub ended: BootTime,
}

impl Stages {
    /// Decided at `now`; nothing else is known.
    #[must_use]
    pub const fn decided(direction: Direction, term: Term, reason: Reason, now: BootTime) -> Self {
        Self {
            direction,
            term,
            reason,
            last_heard: None,
            suspected: None,
            declared_dead: None,
            releasing: None,
            let_go: None,
            decided: now,
            stored: None,
            calls: Vec::new(),
            done: None,
        }
    }

    /// Notes a call that ended.
    pub fn note(&mut self, call: CallSpan) {
        self.calls.truncate(CALLS - 1);
        self.calls.push(call);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_calls_and_the_last_are_kept() {
        let mut stages = Stages::decided(Direction::Starting, Term::NONE, Reason::Claim, BootTime::ZERO);
        for resource in 0..100 {
            stages.note(CallSpan { resource, began: BootTime::ZERO, ended: BootTime::ZERO });
        }
        assert_eq!(stages.calls.len(), CALLS);
        assert_eq!((stages.calls[0].resource, stages.calls[CALLS - 1].resource), (0, 99));
    }
}
