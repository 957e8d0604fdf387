//! One heartbeat, decoded: what a node tells its peers every interval and whenever its status changes.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::handover::{Answer, Ask};
use crate::node::{NodeId, Term};
use crate::word::{Gateway, Word};

/// Identifies a heartbeat of one node: incarnation first, then sequence. Later ones compare greater.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Serial {
    /// One start of a sender; grows over reboots.
    pub incarnation: u64,
    /// Counts heartbeats within the incarnation, from 1.
    pub sequence: u64,
}

/// What a node says of itself, apart from who says it to whom and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Saying {
    /// Its word.
    pub word: Word,
    /// Its term: the one it is active under, else the highest it has seen.
    pub term: Term,
    /// Its gateway.
    pub gateway: Gateway,
    /// No resource failed here more often than allowed.
    pub fit: bool,
    /// It would take over if asked: fit, gateway reachable, not deaf, no hold, no maintenance.
    pub willing: bool,
    /// Hash of the configuration all nodes must share.
    pub config_hash: u32,
    /// Whom it asks to get ready to take over from it.
    pub asks: Option<Ask>,
    /// Whether it is ready to take over from the node that asked it.
    pub answer: Option<Answer>,
}

impl Saying {
    /// What a node says that is well, has decided nothing yet, tests no gateway, and asks and answers nobody.
    #[must_use]
    pub const fn healthy(word: Word) -> Self {
        Self {
            word,
            term: Term::NONE,
            gateway: Gateway::Off,
            fit: true,
            willing: true,
            config_hash: 0,
            asks: None,
            answer: None,
        }
    }
}

/// A heartbeat as the datagram carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Heartbeat {
    /// Who says it.
    pub node: NodeId,
    /// Which one it is.
    pub serial: Serial,
    /// What is said.
    pub saying: Saying,
    /// The sender asks for an answer at once (quick probing during suspicion).
    pub reply_wanted: bool,
    /// The highest serial the sender has heard from the receiver of this datagram; shows a one-way link.
    pub heard: Serial,
    /// Age of the sender's supervise tick when the heartbeat was sent.
    pub supervise_age: Duration,
}

/// In which form a heartbeat was put into a datagram: what its sender and its hearer must both know.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Dialect {
    /// The protocol's version.
    pub version: u8,
    /// The id of the key that it is signed with; 0 if with none.
    pub signer: u8,
}

/// Why a datagram was counted and dropped. None of them is ever answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum DropReason {
    /// Shorter than a heartbeat.
    TooShort,
    /// Longer than a heartbeat.
    TooLong,
    /// Not a pha datagram.
    BadMagic,
    /// Another protocol version.
    BadVersion,
    /// Another cluster's.
    WrongCluster,
    /// Tag missing or wrong.
    NotAuthentic,
    /// A field holds a value that does not exist.
    Malformed,
    /// Not a peer of ours, or not from one of the peer's addresses.
    UnknownNode,
    /// Not newer than what was heard already.
    Replayed,
}

impl DropReason {
    /// The word in the status database and in logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TooShort => "too short",
            Self::TooLong => "too long",
            Self::BadMagic => "not pha",
            Self::BadVersion => "wrong version",
            Self::WrongCluster => "wrong cluster",
            Self::NotAuthentic => "not authentic",
            Self::Malformed => "malformed",
            Self::UnknownNode => "unknown node",
            Self::Replayed => "replayed",
        }
    }
}
