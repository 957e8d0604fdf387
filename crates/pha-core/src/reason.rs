//! Why a node is what it is. One enum reaches the log, the database and the screen.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The rule that decided; the numbers are those of the decision table (`docs/state-machine.md`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Reason {
    /// Just started; resources are being looked at for the first time.
    Starting,
    /// Rule 1.
    Maintenance,
    /// Rule 2: `offline` or `switchover` was typed here.
    Operator,
    /// Rule 3.
    GatewayLost,
    /// Rule 3, waiting: the gateway is lost here and peers are asked whether they lost it too.
    GatewayDoubtful,
    /// Rule 4.
    NoQuorum,
    /// Rule 5.
    WasAway,
    /// Rule 6: the receiver is stale or missing.
    Deaf,
    /// Rule 6: the start-up grace is not over and no heartbeat was heard.
    Grace,
    /// Rule 7: a peer is starting or stopping resources.
    PeerBusy,
    /// Rule 7: both start, or this node is active without having everything up; the peer's term is higher.
    PeerClaimed,
    /// Rule 7: a peer was stopped and left its resources running.
    PeerKept,
    /// Rule 8.
    PeerActive,
    /// Rule 9: both active; the higher term stays.
    BothActive,
    /// Rule 10.
    Active,
    /// Rule 10 with `FAILBACK=on`: the preferred node is healthy again.
    Failback,
    /// Rule 11.
    Unfit,
    /// Rule 12: nobody is active and it is this node's turn.
    Claim,
    /// Rule 12: nobody is active and it is another node's turn.
    ClaimTurn,
    /// Rule 12: a peer is OFFLINE but could not confirm that everything is down.
    PeerUnclean,
    /// Rule 13: every peer is dead.
    PeerDead,
    /// Rule 13: every peer is dead or left.
    PeerLeft,
    /// Rule 13, waiting: nobody is active and this node must not take over (unfit, gateway not reachable, hold).
    NotEligible,
    /// Rule 14: the wire is being asked whether a silent peer still holds an address.
    Probing,
    /// Rule 14: a silent peer's address still answers.
    AddressHeld,
    /// The daemons were stopped.
    Stopped,
    /// Resources were found up after a restart of supervise.
    Adopted,
    /// A resource failed here: it is restarted in place, or what was started with it is stopped.
    ResourceFailed,
    /// Rule 6: the status database cannot be written, so that peers do not hear of this node and take over.
    Mute,
}

impl Reason {
    /// Every reason there is, in the order of the enum. A missing one does not go unnoticed: see the test.
    pub const ALL: [Self; 29] = [
        Self::Starting,
        Self::Maintenance,
        Self::Operator,
        Self::GatewayLost,
        Self::GatewayDoubtful,
        Self::NoQuorum,
        Self::WasAway,
        Self::Deaf,
        Self::Grace,
        Self::PeerBusy,
        Self::PeerClaimed,
        Self::PeerKept,
        Self::PeerActive,
        Self::BothActive,
        Self::Active,
        Self::Failback,
        Self::Unfit,
        Self::Claim,
        Self::ClaimTurn,
        Self::PeerUnclean,
        Self::PeerDead,
        Self::PeerLeft,
        Self::NotEligible,
        Self::Probing,
        Self::AddressHeld,
        Self::Stopped,
        Self::Adopted,
        Self::ResourceFailed,
        Self::Mute,
    ];

    /// The rule's number in the decision table; `None` outside the table.
    #[must_use]
    pub const fn rule(self) -> Option<u8> {
        Some(match self {
            Self::Maintenance => 1,
            Self::Operator => 2,
            Self::GatewayLost | Self::GatewayDoubtful => 3,
            Self::NoQuorum => 4,
            Self::WasAway => 5,
            Self::Deaf | Self::Grace | Self::Mute => 6,
            Self::PeerBusy | Self::PeerClaimed | Self::PeerKept => 7,
            Self::PeerActive => 8,
            Self::BothActive => 9,
            Self::Active | Self::Failback => 10,
            Self::Unfit => 11,
            Self::Claim | Self::ClaimTurn | Self::PeerUnclean => 12,
            Self::PeerDead | Self::PeerLeft | Self::NotEligible => 13,
            Self::Probing | Self::AddressHeld => 14,
            Self::Starting | Self::Stopped | Self::Adopted | Self::ResourceFailed => return None,
        })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Starting => "starting",
            Self::Maintenance => "maintenance",
            Self::Operator => "operator",
            Self::GatewayLost => "gateway lost",
            Self::GatewayDoubtful => "gateway lost here, asking the peer",
            Self::NoQuorum => "no quorum",
            Self::WasAway => "was away",
            Self::Deaf => "deaf",
            Self::Grace => "waiting for a first heartbeat",
            Self::PeerBusy => "peer busy",
            Self::PeerClaimed => "peer claimed first",
            Self::PeerKept => "peer kept its resources",
            Self::PeerActive => "peer active",
            Self::BothActive => "both active",
            Self::Active => "active",
            Self::Failback => "failback",
            Self::Unfit => "unfit",
            Self::Claim => "claim",
            Self::ClaimTurn => "another node's turn to claim",
            Self::PeerUnclean => "peer not confirmed down",
            Self::PeerDead => "peer dead",
            Self::PeerLeft => "peer left",
            Self::NotEligible => "not eligible to take over",
            Self::Probing => "peer silent, asking the wire",
            Self::AddressHeld => "peer silent, address held",
            Self::Stopped => "stopped",
            Self::Adopted => "adopted",
            Self::ResourceFailed => "resource failed",
            Self::Mute => "status database cannot be written",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_reasons_are_listed_once_and_in_order() {
        for (index, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index, "{reason:?}");
        }
        // The last variant: one that is added behind it moves this number.
        assert_eq!(Reason::Mute as usize + 1, Reason::ALL.len());
    }
}
