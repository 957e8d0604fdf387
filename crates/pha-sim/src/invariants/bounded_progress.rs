//! PROGRESS ends.

use std::time::Duration;

use super::{Invariant, acts_freely};
use crate::cluster::Cluster;
use crate::fault::name;

/// A program's own steps.
const SLACK: Duration = Duration::from_millis(50);

/// Watches announced deadlines.
#[derive(Debug)]
pub struct BoundedProgress;

impl Invariant for BoundedProgress {
    fn name(&self) -> &'static str {
        "bounded_progress"
    }

    fn promise(&self) -> &'static str {
        "PROGRESS is over at its announced deadline, unless supervise is kept from running."
    }

    fn look(&mut self, cluster: &Cluster) -> Result<(), String> {
        for (n, node) in cluster.nodes.iter().enumerate() {
            let Some(until) = node.report().and_then(|report| report.progress_until) else { continue };
            let late = cluster.local(n).since(until);
            if acts_freely(cluster, n) && late > SLACK {
                return Err(format!("{} is in PROGRESS {} ms after its deadline", name(n), late.as_millis()));
            }
        }
        Ok(())
    }
}
