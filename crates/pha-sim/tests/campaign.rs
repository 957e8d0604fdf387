//! A small campaign of every class of faults, with every test run. `bin/prove` plays the large one.

use std::thread;

use pha_sim::{Class, run};

/// Schedules of each class; the two that mix everything and that last an hour have their own numbers.
const SEEDS: u64 = 30;

#[test]
fn every_promise_is_kept_in_some_hundred_schedules_of_all_classes() {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    for class in Class::ALL {
        let seeds = if class == Class::Everything {
            0..4 * SEEDS
        } else if class == Class::Broken {
            0..SEEDS / 6
        } else {
            0..SEEDS
        };
        let findings = run(seeds, Some(class), threads, 1);
        if let Some((schedule, broken)) = findings.broken.first() {
            panic!("{} broken: {}\npha-sim story {} --class {class}", broken.promise, broken.how, schedule.seed);
        }
    }
}
