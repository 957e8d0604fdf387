//! No word outlives the supervise that gave it.

use std::collections::BTreeMap;

use pha_core::{BootTime, Serial};

use super::Invariant;
use crate::cluster::Cluster;
use crate::fault::name;

/// Watches what senders say while supervise does not.
#[derive(Debug, Default)]
pub struct NoStaleWord {
    said: BTreeMap<usize, Serial>,
    /// When the word was given that was last said when it was too old.
    stale: BTreeMap<usize, BootTime>,
}

impl Invariant for NoStaleWord {
    fn name(&self) -> &'static str {
        "no_stale_word"
    }

    fn promise(&self) -> &'static str {
        "What supervise said longer than LEASE − DEADTIME ago is said once more at most, unless it was a farewell."
    }

    fn look(&mut self, cluster: &Cluster) -> Result<(), String> {
        for (n, node) in cluster.nodes.iter().enumerate() {
            let Some(sender) = &node.sender.core else { continue };
            let before = self.said.insert(n, sender.serial).unwrap_or_default();
            if before.incarnation != sender.serial.incarnation {
                self.stale.remove(&n);
                continue;
            }
            let ages = node.report().is_some_and(|report| report.saying.word.status().is_some());
            let (tick, limit) =
                (node.record.supervise.tick, node.settings.lease.saturating_sub(node.settings.dead_time));
            let age = cluster.local(n).since(tick);
            let is_stale = before != sender.serial && ages && age >= limit;
            if is_stale && self.stale.insert(n, tick) == Some(tick) {
                return Err(format!("{} goes on saying what supervise said {} ms ago", name(n), age.as_millis()));
            }
        }
        Ok(())
    }
}
