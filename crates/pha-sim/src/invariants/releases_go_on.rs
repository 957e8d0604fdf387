//! A release goes on until all is down.

use std::collections::BTreeSet;
use std::time::Duration;

use pha_core::report::ResourceState;
use pha_core::supervisor::Note;
use pha_core::{Direction, Reason, Role, Word};

use super::{Invariant, Since};
use crate::clock::micros;
use crate::cluster::Cluster;
use crate::fault::name;
use crate::happening::Happening;

/// A program's own steps, and the clocks' faults.
const SLACK: Duration = Duration::from_millis(100);

/// Watches what releases leave behind.
#[derive(Debug, Default)]
pub struct ReleasesGoOn {
    released: BTreeSet<usize>,
    idle: Since<usize>,
}

impl Invariant for ReleasesGoOn {
    fn name(&self) -> &'static str {
        "releases_go_on"
    }

    fn promise(&self) -> &'static str {
        "What a release could not stop is tried again every SUPERVISE_INT, whatever is decided meanwhile but maintenance, until \
         it is down or its node is about to be active."
    }

    fn happened(&mut self, _: &Cluster, happening: &Happening) -> Result<(), String> {
        if let Happening::Noted { node, note: Note::Transition(transition) } = happening
            && transition.role == Role::Standby
            && matches!(transition.to, Word::Progress { direction: Direction::Stopping, .. })
        {
            self.released.insert(*node);
        }
        Ok(())
    }

    fn look(&mut self, cluster: &Cluster) -> Result<(), String> {
        self.released.retain(|n| owes(cluster, *n));
        for (n, node) in cluster.nodes.iter().enumerate() {
            let lasts = self.idle.note(n, self.released.contains(&n) && is_idle(cluster, n), cluster.now);
            if lasts > micros(node.settings.supervise_interval + SLACK) {
                return Err(format!("{} has left something up for {lasts} us after a release", name(n)));
            }
        }
        Ok(())
    }
}

/// It is standby, and something is not known to be down.
fn owes(cluster: &Cluster, n: usize) -> bool {
    let Some(supervise) = &cluster.nodes[n].supervise.core else { return false };
    let all_down = supervise.core.resources().iter().all(|resource| resource.state == ResourceState::Down);
    supervise.core.role() == Role::Standby && !all_down
}

/// Nothing is being stopped, although the node could and may.
fn is_idle(cluster: &Cluster, n: usize) -> bool {
    let node = &cluster.nodes[n];
    let Some(supervise) = &node.supervise.core else { return false };
    let report = supervise.core.report();
    node.is_awake()
        && (node.supervise.stalled_until, node.starved) == (0, 0)
        && !node.stopping
        && !matches!(report.saying.word, Word::Progress { .. })
        && !matches!(report.reason, Reason::Maintenance | Reason::WasAway)
        // About to be active, as soon as its pause is over.
        && !matches!(report.reason, Reason::PeerDead | Reason::PeerLeft | Reason::Claim | Reason::Unfit)
}
