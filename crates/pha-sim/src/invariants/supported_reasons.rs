//! Reasons that hold.

use pha_core::report::{Liveness, PeerReport, ResourceState};
use pha_core::supervisor::Note;
use pha_core::{BootTime, Direction, Gateway, Reason, Word};

use super::Invariant;
use crate::cluster::Cluster;
use crate::fault::name;
use crate::happening::Happening;
use crate::node::Supervise;

/// Watches whether the reason of a change stands in what its node knows.
#[derive(Debug)]
pub struct SupportedReasons;

impl Invariant for SupportedReasons {
    fn name(&self) -> &'static str {
        "supported_reasons"
    }

    fn promise(&self) -> &'static str {
        "The reason that a node gives for its decision stands in what the node knows at that moment."
    }

    fn happened(&mut self, cluster: &Cluster, happening: &Happening) -> Result<(), String> {
        let Happening::Noted { node, note: Note::Reason(reason) } = happening else { return Ok(()) };
        let Some(supervise) = &cluster.nodes[*node].supervise.core else { return Ok(()) };
        let has_moved_on = supervise.core.report().reason != *reason;
        if has_moved_on || is_supported(*reason, supervise, cluster.local(*node) - cluster.nodes[*node].settings.lease)
        {
            return Ok(());
        }
        let peers: Vec<_> =
            supervise.outside.peers.iter().map(|p| (p.node, p.liveness, p.saying.map(|s| s.word))).collect();
        Err(format!("{} says '{reason}', but knows {peers:?}", name(*node)))
    }
}

/// What must be true for a reason to be given; the decision table in other words. Leases that were renewed before
/// `leases_from` are over.
fn is_supported(reason: Reason, supervise: &Supervise, leases_from: BootTime) -> bool {
    let (outside, report) = (&supervise.outside, supervise.core.report());
    let peers = &outside.peers;
    let alive = |peer: &PeerReport| matches!(peer.liveness, Liveness::Alive | Liveness::Suspect);
    let says = |test: fn(Word) -> bool| peers.iter().any(|p| alive(p) && p.saying.is_some_and(|s| test(s.word)));
    let is = |liveness| peers.iter().any(|peer| peer.liveness == liveness);
    let kept = |p: &PeerReport| p.liveness == Liveness::Absent && p.saying.is_some_and(|s| s.word == Word::Kept);
    let unclean = |p: &PeerReport| {
        let fresh = alive(p) && p.word_since > leases_from;
        fresh && p.saying.is_some_and(|s| s.word == Word::Offline { clean: false })
    };
    // Nobody is known to hold anything, and everybody has been heard or waited for.
    let free = || !is(Liveness::Unheard) && !peers.iter().any(|peer| kept(peer) || unclean(peer));
    if outside.deaf && reason.rule().is_some_and(|rule| rule > 6) {
        return false;
    }
    match reason {
        Reason::Maintenance => outside.wishes.maintenance,
        Reason::Operator => outside.wishes.offline.is_some() || outside.wishes.switchover.is_some(),
        Reason::GatewayLost | Reason::GatewayDoubtful => {
            let lost_too = |peer: &PeerReport| alive(peer) && peer.saying.is_some_and(|s| s.gateway == Gateway::Lost);
            report.saying.gateway == Gateway::Lost && !peers.iter().any(lost_too)
        }
        Reason::NoQuorum => outside.quorum == Some(false),
        Reason::Deaf => outside.deaf,
        Reason::Mute => !supervise.could_publish,
        Reason::Grace => is(Liveness::Unheard),
        Reason::PeerBusy => says(|word| matches!(word, Word::Progress { .. })),
        Reason::PeerClaimed => says(|word| matches!(word, Word::Progress { direction: Direction::Starting, .. })),
        Reason::PeerKept => peers.iter().any(|p| p.saying.is_some_and(|s| s.word == Word::Kept)),
        Reason::PeerActive | Reason::BothActive => says(|word| word == Word::Online),
        Reason::PeerUnclean => says(|word| word == Word::Offline { clean: false }),
        Reason::PeerDead => is(Liveness::Dead) && free(),
        Reason::PeerLeft => peers.iter().all(|peer| !alive(peer)) && !is(Liveness::Dead) && free(),
        Reason::Claim | Reason::ClaimTurn => peers.iter().any(alive) && free(),
        Reason::Unfit => !report.saying.fit || report.resources.iter().any(|r| r.failures > 0),
        Reason::NotEligible => {
            let gateway_is_there = matches!(report.saying.gateway, Gateway::Off | Gateway::Reachable);
            !gateway_is_there || !report.saying.fit
        }
        Reason::Failback => peers.iter().any(|peer| alive(peer) && peer.saying.is_some_and(|s| s.willing)),
        Reason::Probing | Reason::AddressHeld => {
            report.resources.iter().any(|resource| resource.state != ResourceState::Up)
                && peers
                    .iter()
                    .any(|peer| !alive(peer) || peer.saying.is_some_and(|s| s.word == Word::Offline { clean: false }))
        }
        Reason::WasAway
        | Reason::Active
        | Reason::Starting
        | Reason::Stopped
        | Reason::Adopted
        | Reason::ResourceFailed => true,
    }
}
