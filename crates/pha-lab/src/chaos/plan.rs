//! Which faults, where, when and for how long: drawn from the seed alone, before anything runs.
//!
//! Faults come from a deck that is shuffled anew when it is empty, so that none is forgotten. A plan of fewer faults is the
//! beginning of a longer one with the same seed.

use std::time::Duration;

use clap::ValueEnum;

use super::faults::Fault;

/// With a mixed number of nodes it changes after so many faults.
const STRETCH: u32 = 25;

/// One step of so many has two faults at once.
const PAIRS: u32 = 4;

/// A fault begins so long after the nodes were found healthy, at most: a whole number of every heartbeat interval and renewal.
const LONGEST_PAUSE: u64 = 1000;

/// The second of two faults begins so long after the first, at most.
const LONGEST_DELAY: u64 = 800;

/// How many nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Nodes {
    /// Two.
    #[value(name = "2")]
    Two,
    /// Three.
    #[value(name = "3")]
    Three,
    /// Two, then three, and so on.
    Mixed,
}

/// Whom a fault befalls; who is active is known only when it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whom {
    /// The active node.
    Active,
    /// One of the others, counted round.
    Standby(usize),
}

/// One fault of a step.
#[derive(Debug, Clone)]
pub(super) struct Blow {
    /// Which.
    pub fault: &'static Fault,
    /// Whom.
    pub whom: Whom,
    /// How long.
    pub lasts: Duration,
    /// What the fault itself leaves to chance.
    pub chance: u64,
}

/// One step of a plan.
#[derive(Debug, Clone)]
pub(super) struct Step {
    /// Counted from 1.
    pub number: u32,
    /// On so many nodes.
    pub nodes: usize,
    /// How long to wait before.
    pub pause: Duration,
    /// What happens.
    pub blow: Blow,
    /// What happens besides, so much later.
    pub second: Option<(Duration, Blow)>,
}

/// So many steps; two faults at once only with `pairs`.
pub(super) fn draw(seed: u64, steps: u32, nodes: Nodes, table: &[&'static Fault], pairs: bool) -> Vec<Step> {
    let mut drawing = Drawing { random: fastrand::Rng::with_seed(seed), table, deck: Vec::new() };
    (1..=steps).map(|number| drawing.step(number, nodes, pairs)).collect()
}

struct Drawing<'a> {
    random: fastrand::Rng,
    table: &'a [&'static Fault],
    deck: Vec<&'static Fault>,
}

impl Drawing<'_> {
    fn step(&mut self, number: u32, nodes: Nodes, pairs: bool) -> Step {
        let nodes = match nodes {
            Nodes::Two => 2,
            Nodes::Three => 3,
            Nodes::Mixed => 2 + (number as usize - 1) / STRETCH as usize % 2,
        };
        let pause = self.milliseconds(0, LONGEST_PAUSE);
        if self.deck.is_empty() {
            self.deck = self.table.to_vec();
            self.random.shuffle(&mut self.deck);
        }
        let fault = self.deck.pop().unwrap_or(self.table[0]);
        let blow = self.blow(fault);
        let second = (pairs && self.random.u32(..PAIRS) == 0).then(|| self.second(fault)).flatten();
        Step { number, nodes, pause, blow, second }
    }

    fn blow(&mut self, fault: &'static Fault) -> Blow {
        let whom = if self.random.bool() { Whom::Active } else { Whom::Standby(self.random.usize(..12)) };
        let lasts = self.milliseconds(fault.lasts.0, fault.lasts.1);
        Blow { fault, whom, lasts, chance: self.random.u64(..) }
    }

    fn second(&mut self, first: &Fault) -> Option<(Duration, Blow)> {
        let others: Vec<_> = self.table.iter().filter(|other| other.goes_with(first)).collect();
        let fault = **self.random.choice(&others)?;
        let delay = self.milliseconds(0, LONGEST_DELAY);
        Some((delay, self.blow(fault)))
    }

    fn milliseconds(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_millis(self.random.u64(least..=most))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chaos::faults::all;

    #[test]
    fn the_same_seed_makes_the_same_plan_and_another_seed_another_one() {
        let text = |seed, steps| -> Vec<String> {
            let drawn = draw(seed, steps, Nodes::Mixed, &all(), true);
            drawn.iter().map(|step| format!("{step:?}")).collect()
        };
        assert_eq!(text(7, 300), text(7, 300));
        assert_eq!(text(7, 300)[..40], text(7, 40)[..], "a shorter plan is the beginning of a longer one");
        assert_ne!(text(7, 300), text(8, 300));
    }

    #[test]
    fn every_fault_befalls_active_and_standby_nodes_on_two_and_on_three() {
        let drawn = draw(1, 3000, Nodes::Mixed, &all(), true);
        for fault in all() {
            for nodes in [2, 3] {
                let mut whom = drawn.iter().filter(|s| s.nodes == nodes && s.blow.fault.name == fault.name);
                assert!(whom.clone().any(|s| s.blow.whom == Whom::Active), "{}", fault.name);
                assert!(whom.any(|s| s.blow.whom != Whom::Active), "{}", fault.name);
            }
        }
    }

    #[test]
    fn two_faults_at_once_do_not_spoil_each_other() {
        let pairs: Vec<_> =
            draw(1, 3000, Nodes::Two, &all(), true).into_iter().filter(|s| s.second.is_some()).collect();
        assert!(pairs.len() > 500);
        for step in pairs {
            let second = step.second.map(|(_, blow)| blow.fault.kind);
            assert_ne!(second, Some(step.blow.fault.kind), "{}", step.blow.fault.name);
        }
        assert!(draw(1, 300, Nodes::Two, &all(), false).iter().all(|step| step.second.is_none()));
    }
}
