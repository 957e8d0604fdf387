//! Whether a schedule that somebody wrote can be played.

use std::ops::RangeInclusive;

use crate::fault::Fault;
use crate::node::settings;
use crate::schedule::{Schedule, Step};

/// Nodes that a schedule may have.
const NODES: RangeInclusive<usize> = 2..=5;
/// Heartbeat links between a pair.
const LINKS: RangeInclusive<usize> = 1..=2;
/// The worst clock: 1 %, in parts in a million.
const WORST_CLOCK: u32 = 10_000;
/// No step waits or lasts longer; milliseconds.
const LONGEST: u64 = 24 * 3_600_000;

impl Schedule {
    /// Whether this can be played: what was drawn always can, what stands in a file may have been written by hand.
    ///
    /// # Errors
    /// What is wrong, and in which step (counted from 1).
    pub fn check(&self) -> Result<(), String> {
        if !NODES.contains(&self.nodes) {
            return Err(format!("nodes: {}: there may be {} to {}", self.nodes, NODES.start(), NODES.end()));
        }
        if !LINKS.contains(&self.links) {
            return Err(format!("links: {}: there may be {} to {}", self.links, LINKS.start(), LINKS.end()));
        }
        if self.clocks.len() != self.nodes {
            return Err(format!("clocks: there are {} for {} nodes", self.clocks.len(), self.nodes));
        }
        if let Some(clock) = self.clocks.iter().find(|clock| clock.unsigned_abs() > WORST_CLOCK) {
            return Err(format!("clocks: {clock} ppm: at most {WORST_CLOCK}, either way"));
        }
        if self.failback.is_some_and(|seconds| seconds > LONGEST / 1000) {
            return Err("failback: longer than a day".to_owned());
        }
        let mut steps = self.steps.iter().enumerate();
        steps.try_for_each(|(n, step)| self.check_step(step).map_err(|why| format!("step {}: {why}", n + 1)))
    }

    fn check_step(&self, step: &Step) -> Result<(), String> {
        if step.after_ms > LONGEST {
            return Err(format!("after_ms: {}: longer than a day", step.after_ms));
        }
        match step.fault {
            Fault::Crash { node }
            | Fault::Start { node }
            | Fault::Kill { node, .. }
            | Fault::StartProgram { node, .. }
            | Fault::KillAll { node }
            | Fault::Stop { node }
            | Fault::Isolate { node, .. }
            | Fault::OtherProtocol { node, .. }
            | Fault::Gateway { node, .. }
            | Fault::Writable { node, .. }
            | Fault::LoseDatabase { node }
            | Fault::Online { node }
            | Fault::Maintenance { node, .. } => self.check_node(node),
            Fault::Switchover { node, to } => {
                self.check_node(node).and_then(|()| to.map_or(Ok(()), |to| self.check_node(to)))
            }
            Fault::Stall { node, ms, .. }
            | Fault::Suspend { node, ms }
            | Fault::Starve { node, ms }
            | Fault::SlowAgents { node, ms } => self.check_node(node).and_then(|()| check_time(ms)),
            Fault::Offline { node, seconds, .. } => {
                self.check_node(node).and_then(|()| check_time(seconds.saturating_mul(1000)))
            }
            Fault::ResourceDies { node, resource }
            | Fault::Removed { node, resource }
            | Fault::Agent { node, resource, .. }
            | Fault::Hold { node, resource, .. } => self.check_node(node).and_then(|()| check_resource(resource)),
            Fault::Cut { from, to, link, .. } => self.check_cut(from, to, link),
            Fault::Weather { loss_percent, repeat_percent, jitter_ms } => {
                if loss_percent.max(repeat_percent) > 100 {
                    return Err("more than 100 %".to_owned());
                }
                check_time(jitter_ms)
            }
        }
    }

    fn check_node(&self, node: usize) -> Result<(), String> {
        let found = (node < self.nodes).then_some(());
        found.ok_or_else(|| format!("there is no node {node}: {} nodes are counted from 0", self.nodes))
    }

    fn check_cut(&self, from: usize, to: usize, link: Option<usize>) -> Result<(), String> {
        self.check_node(from)?;
        self.check_node(to)?;
        if from == to {
            return Err(format!("there is no link from node {from} to itself"));
        }
        match link.filter(|link| *link >= self.links) {
            Some(link) => {
                Err(format!("there is no link {link}: links are counted from 0 and there are {}", self.links))
            }
            None => Ok(()),
        }
    }
}

fn check_resource(resource: usize) -> Result<(), String> {
    let count = settings(1).resources.len();
    let found = (resource < count).then_some(());
    found.ok_or_else(|| format!("there is no resource {resource}: {count} resources are counted from 0"))
}

fn check_time(ms: u64) -> Result<(), String> {
    if ms > LONGEST { Err("longer than a day".to_owned()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use crate::schedule::Class;

    #[test]
    fn every_drawn_schedule_can_be_played() {
        for class in Class::ALL {
            for seed in 0..200 {
                assert_eq!(Schedule::drawn(seed, Some(class)).check(), Ok(()), "{seed} {class}");
            }
        }
    }

    #[test]
    fn a_schedule_written_by_hand_is_refused_with_its_step() {
        let sound = Schedule { nodes: 2, links: 1, clocks: vec![0; 2], steps: Vec::new(), ..Schedule::drawn(1, None) };
        let with = |fault| {
            let steps = [Fault::Crash { node: 1 }, fault].map(|fault| Step { after_ms: 5, fault });
            Schedule { steps: steps.to_vec(), ..sound.clone() }.check().unwrap_err()
        };
        assert_eq!(with(Fault::Crash { node: 7 }), "step 2: there is no node 7: 2 nodes are counted from 0");
        let dies = Fault::ResourceDies { node: 0, resource: 9 };
        assert_eq!(with(dies), "step 2: there is no resource 9: 2 resources are counted from 0");
        assert!(with(Fault::Cut { from: 0, to: 1, link: Some(1), cut: true }).contains("no link 1"));
        assert!(with(Fault::Suspend { node: 0, ms: u64::MAX }).contains("longer than a day"));
        for nodes in [0, 1, 200] {
            assert!(Schedule { nodes, ..sound.clone() }.check().unwrap_err().starts_with("nodes: "), "{nodes}");
        }
        let clocks = Schedule { clocks: vec![0], ..sound.clone() }.check();
        assert_eq!(clocks.unwrap_err(), "clocks: there are 1 for 2 nodes");
    }
}
