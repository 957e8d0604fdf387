//! From a schedule that breaks a promise to the shortest one found that still breaks it.
//!
//! It leaves out steps, in halves first and one by one in the end, merges the waits around them, takes nodes, links and
//! clock faults away, and rounds waits, as long as the same promise breaks.

use crate::schedule::Schedule;
use crate::trial::{Broken, play};

/// Plays at most so many schedules.
const PATIENCE: usize = 600;

/// The shortest schedule found that breaks the same promise, and how.
#[must_use]
pub fn shrink(schedule: &Schedule, broken: &Broken) -> (Schedule, Broken) {
    let mut best = (schedule.clone(), broken.clone());
    let mut patience = PATIENCE;
    while let Some(shorter) = shorter(&best.0, broken.promise, &mut patience) {
        best = shorter;
    }
    best
}

fn shorter(schedule: &Schedule, promise: &str, patience: &mut usize) -> Option<(Schedule, Broken)> {
    candidates(schedule).take_while(|_| patience.checked_sub(1).map(|left| *patience = left).is_some()).find_map(
        |candidate| {
            play(&candidate).0.err().filter(|broken| broken.promise == promise).map(|broken| (candidate, broken))
        },
    )
}

/// Schedules that are a little shorter or simpler, the boldest first.
fn candidates(schedule: &Schedule) -> impl Iterator<Item = Schedule> {
    let count = schedule.steps.len();
    let sizes = [count / 2, count / 4, count / 8, 2, 1].into_iter().filter(move |size| *size > 0 && *size <= count);
    let without = sizes.flat_map(move |size| (0..=count - size).rev().step_by(size).map(move |at| (at, size)));
    let steps = without.map(|(at, size)| without_steps(schedule, at, size));
    steps.chain(simpler(schedule)).chain((0..count).filter_map(|at| rounder(schedule, at)))
}

/// The waits of what is left out stay, so that the rest happens when it did.
fn without_steps(schedule: &Schedule, at: usize, size: usize) -> Schedule {
    let mut shorter = schedule.clone();
    let waits: u64 = shorter.steps.drain(at..at + size).map(|step| step.after_ms).sum();
    if let Some(next) = shorter.steps.get_mut(at) {
        next.after_ms += waits;
    }
    shorter
}

fn simpler(schedule: &Schedule) -> Vec<Schedule> {
    let mut simpler = Vec::new();
    if schedule.links > 1 {
        simpler.push(Schedule { links: 1, ..schedule.clone() });
    }
    let nodes = schedule.nodes - 1;
    let clocks = schedule.clocks.iter().copied().take(nodes).collect();
    simpler.push(Schedule { nodes, clocks, ..schedule.clone() });
    if schedule.clocks.iter().any(|ppm| *ppm != 0) {
        simpler.push(Schedule { clocks: vec![0; schedule.nodes], ..schedule.clone() });
    }
    if schedule.failback.is_some() {
        simpler.push(Schedule { failback: None, ..schedule.clone() });
    }
    // A step may name the link or the node that is left out.
    simpler.retain(|candidate| candidate.check().is_ok());
    simpler
}

/// The wait before a step halved or rounded to what reads well.
fn rounder(schedule: &Schedule, at: usize) -> Option<Schedule> {
    let wait = schedule.steps[at].after_ms;
    let unit = [1000, 100, 10].into_iter().find(|unit| wait > *unit && !wait.is_multiple_of(*unit))?;
    let mut rounder = schedule.clone();
    rounder.steps[at].after_ms = wait / unit * unit;
    Some(rounder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_shorter_can_be_played_and_saved() {
        for seed in 0..50 {
            let schedule = Schedule::drawn(seed, None);
            for candidate in candidates(&schedule) {
                assert_eq!(candidate.check(), Ok(()), "{seed}");
            }
        }
    }
}
