//! The states of a node as an onlooker tells them apart. The supervisor has no field that holds them: they follow from its
//! role, its plan and its resources.

use std::fmt;

use pha_core::{Direction, LeaveCause, Role, Word};

use super::table;
use crate::node::Node;

/// What a node is, seen from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NodeState {
    /// Supervise does not run, and did not say goodbye.
    NotRunning,
    /// Supervise looks at its resources for the first time.
    Looking,
    /// Standby, everything confirmed down.
    Standby,
    /// Standby, and something is up or may be.
    Unclean,
    /// Standby, and `res stop` holds a resource.
    Held,
    /// Standby, and a resource failed too often.
    Unfit,
    /// PROGRESS: taking over, or restarting in place.
    Starting,
    /// Active, everything up.
    Online,
    /// Active, something not up, and nothing being done about it at the moment.
    Degraded,
    /// Active, PROGRESS: stopping what `res stop` holds.
    Holding,
    /// PROGRESS: releasing.
    Stopping,
    /// Told to stop: what is under way comes to its end.
    Ending,
    /// LEFT because of `offline`.
    LeftOperator,
    /// LEFT because its gateway is lost.
    LeftGateway,
    /// Stopped with everything down.
    LeftStopped,
    /// Stopped, and its resources go on.
    Kept,
}

impl NodeState {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::NotRunning,
        Self::Looking,
        Self::Standby,
        Self::Unclean,
        Self::Held,
        Self::Unfit,
        Self::Starting,
        Self::Online,
        Self::Degraded,
        Self::Holding,
        Self::Stopping,
        Self::Ending,
        Self::LeftOperator,
        Self::LeftGateway,
        Self::LeftStopped,
        Self::Kept,
    ];

    /// The state of a node.
    #[must_use]
    pub fn of(node: &Node) -> Self {
        let Some(supervise) = node.supervise.core.as_ref().filter(|_| node.powered) else {
            return match node.report().map(|report| report.saying.word).filter(|_| node.powered) {
                Some(Word::Kept) => Self::Kept,
                Some(Word::Left { cause: LeaveCause::Stopped }) => Self::LeftStopped,
                Some(Word::Online | Word::Offline { .. } | Word::Progress { .. } | Word::Left { .. }) | None => {
                    Self::NotRunning
                }
            };
        };
        if node.stopping {
            return Self::Ending;
        }
        if !supervise.core.is_settled() {
            return Self::Looking;
        }
        let Some(report) = node.report() else { return Self::Looking };
        match (report.saying.word, report.role) {
            (Word::Online, _) => Self::Online,
            (Word::Progress { direction: Direction::Starting, .. }, _) => Self::Starting,
            (Word::Progress { direction: Direction::Stopping, .. }, Role::Active) => Self::Holding,
            (Word::Progress { direction: Direction::Stopping, .. }, Role::Standby) => Self::Stopping,
            (Word::Offline { .. }, Role::Active) => Self::Degraded,
            (Word::Offline { .. }, Role::Standby) if !report.saying.fit => Self::Unfit,
            (Word::Offline { .. }, Role::Standby) if report.resources.iter().any(|r| r.held) => Self::Held,
            (Word::Offline { clean: true }, Role::Standby) => Self::Standby,
            (Word::Offline { clean: false }, Role::Standby) => Self::Unclean,
            (Word::Left { cause: LeaveCause::Operator }, _) => Self::LeftOperator,
            (Word::Left { cause: LeaveCause::Gateway }, _) => Self::LeftGateway,
            (Word::Left { cause: LeaveCause::Stopped }, _) => Self::LeftStopped,
            (Word::Kept, _) => Self::Kept,
        }
    }

    /// What it means, for the document.
    const fn meaning(self) -> &'static str {
        match self {
            Self::NotRunning => "supervise does not run and did not say goodbye: no power, killed, or never started",
            Self::Looking => "supervise has started and looks at its resources for the first time",
            Self::Standby => "OFFLINE, everything confirmed down",
            Self::Unclean => "OFFLINE, something is up or may be",
            Self::Held => "OFFLINE, a resource held down by `res stop`",
            Self::Unfit => "OFFLINE, a resource failed too often here",
            Self::Starting => "PROGRESS, taking over or restarting in place",
            Self::Online => "ONLINE, all that is not held is up",
            Self::Degraded => "active, something is not up, and it is not time yet to try again",
            Self::Holding => "active, PROGRESS, stopping what `res stop` holds",
            Self::Stopping => "PROGRESS, releasing",
            Self::Ending => "told to `stop`; what is under way comes to its end",
            Self::LeftOperator => "LEFT, `offline`; the heartbeat rests",
            Self::LeftGateway => "LEFT, gateway lost here; the heartbeat rests",
            Self::LeftStopped => "stopped with everything down",
            Self::Kept => "stopped, its resources go on without pha",
        }
    }
}

impl fmt::Display for NodeState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// The states and what they mean.
pub(super) fn states() -> String {
    let row = |state: NodeState| vec![state.to_string(), state.meaning().to_owned()];
    table(&["state", "what it is"].map(str::to_owned), &NodeState::ALL.map(row))
}
