//! The search over two nodes, to a depth that takes seconds without optimisation; `pha-sim search` goes on from there.

use pha_sim::search::{Found, Limits, run};

fn search(depth: usize, threads: usize) -> Found {
    run(&Limits { depth, time: None, threads, progress_every: 8 }, &mut |level| println!("{level}"))
}

#[test]
fn no_three_choices_in_a_row_break_a_promise_and_healed_the_pair_serves_again() {
    let found = search(3, 2);
    println!("{found}");
    assert!(found.violation.is_none(), "{found}");
    assert_eq!(found.depth(), 3);
    assert!(found.distinct() > 100_000, "{found}");
}

#[test]
fn the_number_of_states_does_not_depend_on_the_threads() {
    let [one, three] = [1, 3].map(|threads| search(1, threads));
    assert_eq!(one.levels, three.levels);
}
