//! What pha promises, one file each: a sentence, and what watches over it while anything may happen.

mod asked_first;
mod bounded_bounce;
mod bounded_progress;
mod calm_senders;
mod growing_terms;
mod heeded_witness;
mod heir_takes_over;
mod held_stays;
mod later_decision_stays;
mod looks_before_renewing;
mod maintenance_moves_nothing;
mod mute_gives_way;
mod no_false_accusation;
mod no_gap;
mod no_move_without_cause;
mod no_stale_word;
mod one_active;
mod one_call;
mod one_holder;
mod ordered_starts;
mod releases_go_on;
mod standby_renews_nothing;
mod stored_terms;
mod supported_reasons;

use std::collections::BTreeMap;

use pha_core::Reason;

use crate::clock::Micros;
use crate::cluster::Cluster;
use crate::fault::Program;
use crate::happening::Happening;

/// Watches over one promise.
pub trait Invariant: Send {
    /// The name of its file.
    fn name(&self) -> &'static str;

    /// The promise, in one sentence.
    fn promise(&self) -> &'static str;

    /// Something happened. An error tells how the promise was broken.
    ///
    /// # Errors
    /// How the promise was broken.
    fn happened(&mut self, cluster: &Cluster, happening: &Happening) -> Result<(), String> {
        let _ = (cluster, happening);
        Ok(())
    }

    /// After everything that happens.
    ///
    /// # Errors
    /// How the promise was broken.
    fn look(&mut self, cluster: &Cluster) -> Result<(), String> {
        let _ = cluster;
        Ok(())
    }
}

/// All of them, with nothing seen yet.
#[must_use]
pub fn all() -> Vec<Box<dyn Invariant>> {
    vec![
        Box::new(one_active::OneActive::default()),
        Box::new(one_holder::OneHolder::default()),
        Box::new(no_gap::NoGap::default()),
        Box::new(heir_takes_over::HeirTakesOver::default()),
        Box::new(no_move_without_cause::NoMoveWithoutCause::default()),
        Box::new(one_call::OneCall),
        Box::new(growing_terms::GrowingTerms::default()),
        Box::new(held_stays::HeldStays),
        Box::new(bounded_progress::BoundedProgress),
        Box::new(no_false_accusation::NoFalseAccusation),
        Box::new(bounded_bounce::BoundedBounce::default()),
        Box::new(supported_reasons::SupportedReasons),
        Box::new(later_decision_stays::LaterDecisionStays),
        Box::new(stored_terms::StoredTerms::default()),
        Box::new(heeded_witness::HeededWitness::default()),
        Box::new(no_stale_word::NoStaleWord::default()),
        Box::new(calm_senders::CalmSenders::default()),
        Box::new(mute_gives_way::MuteGivesWay::default()),
        Box::new(looks_before_renewing::LooksBeforeRenewing::default()),
        Box::new(standby_renews_nothing::StandbyRenewsNothing::default()),
        Box::new(releases_go_on::ReleasesGoOn::default()),
        Box::new(maintenance_moves_nothing::MaintenanceMovesNothing),
        Box::new(ordered_starts::OrderedStarts),
        Box::new(asked_first::AskedFirst),
    ]
}

/// Those that judge by what is, and need not have seen what was: for a search that comes to a cluster from nowhere.
#[must_use]
pub fn without_memory() -> Vec<Box<dyn Invariant>> {
    vec![
        Box::new(one_call::OneCall),
        Box::new(held_stays::HeldStays),
        Box::new(bounded_progress::BoundedProgress),
        Box::new(no_false_accusation::NoFalseAccusation),
        Box::new(supported_reasons::SupportedReasons),
        Box::new(asked_first::AskedFirst),
    ]
}

/// Shows `news` to every one of `invariants`, then how things stand; the first that is broken: its name, and how.
pub(crate) fn judge(
    invariants: &mut [Box<dyn Invariant>],
    cluster: &Cluster,
    news: &[(Micros, Happening)],
) -> Result<(), (&'static str, String)> {
    invariants.iter_mut().try_for_each(|invariant| {
        let seen = news.iter().try_for_each(|(_, happening)| invariant.happened(cluster, happening));
        let promise = invariant.name();
        seen.and_then(|()| invariant.look(cluster)).map_err(|how| (promise, how))
    })
}

/// Since when something has been so.
#[derive(Debug, Clone, Default)]
struct Since<K: Ord>(BTreeMap<K, Micros>);

impl<K: Ord> Since<K> {
    /// Notes whether it is so now; for how long it has been.
    fn note(&mut self, key: K, is_so: bool, now: Micros) -> Micros {
        if is_so {
            return now - *self.0.entry(key).or_insert(now);
        }
        self.0.remove(&key);
        0
    }
}

/// A node's programs all run, are not delayed by anything, and know how things stand.
fn acts_freely(cluster: &Cluster, n: usize) -> bool {
    let node = &cluster.nodes[n];
    let settled =
        node.supervise.core.as_ref().is_some_and(|supervise| supervise.core.is_settled() && supervise.could_publish);
    let stalled = [node.supervise.stalled_until, node.receiver.stalled_until, node.sender.stalled_until];
    node.is_awake()
        && settled
        && Program::ALL.into_iter().all(|program| node.runs(program))
        && stalled == [0; 3]
        && node.starved == 0
        && node.writable
        && !node.other_protocol
        && !matches!(node.reason(), Some(Reason::WasAway | Reason::Deaf))
        && !node.record.operator.wishes.maintenance
}

/// Both act freely and hear each other.
fn can_talk(cluster: &Cluster, a: usize, b: usize) -> bool {
    acts_freely(cluster, a) && acts_freely(cluster, b) && cluster.network.carries(a, b) && cluster.network.carries(b, a)
}

/// Every pair of nodes.
fn pairs(cluster: &Cluster) -> impl Iterator<Item = (usize, usize)> {
    let count = cluster.nodes.len();
    (0..count).flat_map(move |a| (a + 1..count).map(move |b| (a, b)))
}
