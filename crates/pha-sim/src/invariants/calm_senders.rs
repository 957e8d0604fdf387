//! Senders are calm.

use std::collections::BTreeMap;

use pha_core::Serial;
use pha_core::beat::BeatSettings;

use super::Invariant;
use crate::clock::{Micros, micros};
use crate::cluster::Cluster;
use crate::fault::name;

/// A sender is watched over so long, in microseconds.
const WINDOW: Micros = 1_000_000;

/// Watches how often each sender speaks.
#[derive(Debug, Default)]
pub struct CalmSenders {
    began: BTreeMap<usize, (Micros, Serial)>,
}

impl Invariant for CalmSenders {
    fn name(&self) -> &'static str {
        "calm_senders"
    }

    fn promise(&self) -> &'static str {
        "No sender speaks more often than twice what its own quick beats and those of all its peers ask for."
    }

    fn look(&mut self, cluster: &Cluster) -> Result<(), String> {
        for (n, node) in cluster.nodes.iter().enumerate() {
            let Some(sender) = &node.sender.core else { continue };
            let (began, first) = *self.began.entry(n).or_insert((cluster.now, sender.serial));
            let another = first.incarnation != sender.serial.incarnation;
            if another || cluster.now - began > WINDOW {
                self.began.insert(n, (cluster.now, sender.serial));
                continue;
            }
            let said = sender.serial.sequence - first.sequence;
            let times = &node.settings;
            let beat = BeatSettings::new(times.heartbeat_interval, times.dead_time, times.lease);
            // Copies of news come ten to an interval.
            let each = WINDOW / micros(beat.question_pause().min(times.heartbeat_interval / 10));
            if said > 2 * each * cluster.nodes.len() as u64 {
                return Err(format!("{} has spoken {said} times within a second", name(n)));
            }
        }
        Ok(())
    }
}
