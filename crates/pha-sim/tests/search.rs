//! The search over two nodes, to a depth that takes seconds; `pha-sim search` goes on from there.

use std::time::Duration;

use pha_sim::search::{Found, Limits, run};

fn search(limits: &Limits) -> Found {
    run(&Limits { time: None, progress_every: 8, ..limits.clone() }, &mut |level| println!("{level}"))
}

#[test]
fn no_three_choices_in_a_row_break_a_promise_and_healed_the_pair_serves_again() {
    let found = search(&Limits { depth: 3, threads: 2, ..Limits::default() });
    println!("{found}");
    assert!(found.violation.is_none(), "{found}");
    assert_eq!(found.depth(), 3);
    assert!(found.distinct() > 100_000, "{found}");
}

#[test]
fn the_number_of_states_does_not_depend_on_the_threads() {
    let [one, three] = [1, 3].map(|threads| search(&Limits { depth: 2, threads, ..Limits::default() }));
    assert_eq!(one.levels, three.levels);
}

#[test]
fn a_promise_that_cannot_be_kept_is_found_broken_on_the_shortest_way() {
    // A split that heals has two holders until one has heard the other.
    let found = search(&Limits { depth: 3, threads: 2, two_holders: Duration::ZERO, ..Limits::default() });
    let violation = found.violation.expect("a split that heals has two holders for a moment");
    println!("{violation}");
    assert_eq!(violation.choices.len(), 1 + 2, "{violation}");
    assert!(violation.story.contains("lb1 is connected again"), "{violation}");
}
