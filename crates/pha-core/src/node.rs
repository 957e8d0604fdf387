//! Who is who: node ids and terms.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Nodes a cluster may have; two is the documented case.
pub const MAX_NODES: usize = 16;

/// A node's number: its position in `NODES`, counted from 1. The lowest wins ties.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeId(u8);

impl NodeId {
    /// `number` must lie in 1..=[`MAX_NODES`]; anything else is `None`.
    #[must_use]
    pub fn new(number: usize) -> Option<Self> {
        (1..=MAX_NODES).contains(&number).then(|| u8::try_from(number).ok().map(Self)).flatten()
    }

    /// 1..=[`MAX_NODES`].
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One decision about who is active: `count × 256 + (256 − node id)`.
///
/// Two nodes never share a term, and comparing two terms is the whole precedence: the later decision wins, then the
/// lower id. Agents get it as `PHA_TERM`, a fencing token that only grows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Term(u64);

impl Term {
    /// Nobody has ever decided.
    pub const NONE: Self = Self(0);

    /// The term `node` takes over with: one count above the highest ever seen.
    #[must_use]
    pub fn next(highest: Self, node: NodeId) -> Self {
        Self((highest.count() + 1).saturating_mul(256).saturating_add(256 - u64::from(node.number())))
    }

    /// How many decisions came before and including this one.
    #[must_use]
    pub const fn count(self) -> u64 {
        self.0 / 256
    }

    /// The integer itself, as it travels in heartbeats and `PHA_TERM`.
    #[must_use]
    pub const fn value(self) -> u64 {
        self.0
    }

    /// A term as received; any integer is one.
    #[must_use]
    pub const fn from_value(value: u64) -> Self {
        Self(value)
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
