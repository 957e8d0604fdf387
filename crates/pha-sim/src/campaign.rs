//! Many schedules, on every processor, and what they measured.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use crate::clock::Micros;
use crate::schedule::{Class, Schedule};
use crate::trial::{Broken, Measured, play};

/// The worst of each class.
#[derive(Debug, Clone, Copy, Default)]
pub struct Worst {
    /// Schedules that kept all promises.
    pub schedules: u64,
    /// The longest time with two holders on one network.
    pub two: Micros,
    /// The longest time with two holders cut off from each other.
    pub two_apart: Micros,
    /// The longest way from peace to one active node.
    pub recovery: Micros,
}

/// What a campaign found.
#[derive(Debug, Default)]
pub struct Findings {
    /// Virtual time of all schedules.
    pub virtual_time: u128,
    /// By class.
    pub worst: BTreeMap<Class, Worst>,
    /// Schedules that broke a promise, lowest seed first.
    pub broken: Vec<(Schedule, Broken)>,
}

impl Findings {
    /// Schedules played.
    #[must_use]
    pub fn schedules(&self) -> u64 {
        self.worst.values().map(|worst| worst.schedules).sum::<u64>() + self.broken.len() as u64
    }

    fn note(&mut self, schedule: Schedule, result: Result<Measured, Broken>) {
        match result {
            Ok(measured) => {
                let worst = self.worst.entry(schedule.class).or_default();
                worst.schedules += 1;
                worst.two = worst.two.max(measured.two);
                worst.two_apart = worst.two_apart.max(measured.two_apart);
                worst.recovery = worst.recovery.max(measured.recovery);
                self.virtual_time += u128::from(measured.lasted);
            }
            Err(broken) => self.broken.push((schedule, broken)),
        }
    }
}

/// Plays the schedules of all seeds, of one class if one is named, on `threads` threads; ends early once `enough` of them
/// broke a promise.
#[must_use]
pub fn run(seeds: Range<u64>, class: Option<Class>, threads: usize, enough: usize) -> Findings {
    let next = AtomicU64::new(seeds.start);
    let stop = AtomicBool::new(false);
    let findings = Mutex::new(Findings::default());
    thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if !seeds.contains(&seed) {
                        return;
                    }
                    let schedule = Schedule::drawn(seed, class);
                    let (result, _) = play(&schedule);
                    let Ok(mut findings) = findings.lock() else { return };
                    findings.note(schedule, result);
                    stop.store(findings.broken.len() >= enough, Ordering::Relaxed);
                }
            });
        }
    });
    let mut findings = findings.into_inner().unwrap_or_default();
    findings.broken.sort_by_key(|(schedule, _)| schedule.seed);
    findings
}
