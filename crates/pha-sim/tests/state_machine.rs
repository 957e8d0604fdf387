//! The states of the machines: that the document shows what the code does, that every state can be reached and left, and
//! that no pair of state and event is without an answer.
//!
//! `PHA_WRITE_GOLDEN=1 cargo test -p pha-sim --test state_machine` writes the generated blocks of the document anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use pha_core::Reason;
use pha_sim::invariants;
use pha_sim::state_table::{
    Event, Machine, NodeState, Observed, blocks, decided_reasons, machines, observe, written_into,
};

/// Only the decision table shows them: no quorum can be configured yet, failback is off by default, and a node is observed
/// by what stands in its database, which must be writable for that.
const ONLY_DECIDED: [Reason; 3] = [Reason::NoQuorum, Reason::Failback, Reason::Mute];

/// What was observed, once for all tests.
static OBSERVED: LazyLock<Observed> = LazyLock::new(observe);

fn names(reasons: impl IntoIterator<Item = Reason>) -> BTreeSet<String> {
    reasons.into_iter().map(|reason| reason.to_string()).collect()
}

/// All that can be reached from `from`.
fn reachable<T: Ord + Clone>(from: T, next: impl Fn(&T) -> BTreeSet<T>) -> BTreeSet<T> {
    let mut reached = BTreeSet::from([from.clone()]);
    let mut waiting = vec![from];
    while let Some(state) = waiting.pop() {
        let new: Vec<T> = next(&state).into_iter().filter(|to| !reached.contains(to)).collect();
        reached.extend(new.iter().cloned());
        waiting.extend(new);
    }
    reached
}

/// Compares the generated blocks of a document with the code, or writes them anew.
fn compare(document: &str, blocks: &[(&'static str, String)]) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").join(document);
    let is = fs::read_to_string(&path).expect("the document is there");
    let expected = written_into(&is, blocks).expect("every block has its place");
    if std::env::var_os("PHA_WRITE_GOLDEN").is_some() {
        fs::write(&path, &expected).expect("the document can be written");
        return;
    }
    let differs = is.lines().zip(expected.lines()).enumerate().find(|(_, (is, should))| is != should);
    let command = "PHA_WRITE_GOLDEN=1 cargo test -p pha-sim --test state_machine";
    assert!(is == expected, "{document} is out of date, at {differs:?}; write it anew: {command}");
}

#[test]
fn the_document_shows_what_the_code_does() {
    compare("docs/state-machine.md", &blocks(&OBSERVED));
}

#[test]
fn the_guarantees_list_every_promise_that_is_watched() {
    let row = |name: &str, promise: &str| format!("| `{name}` | {promise} |\n");
    let rows: String = invariants::all().iter().map(|each| row(each.name(), each.promise())).collect();
    compare("docs/guarantees.md", &[("promises", format!("| file | promise |\n| --- | --- |\n{rows}"))]);
}

#[test]
fn every_state_of_a_node_is_reached_and_has_a_way_out() {
    let reached = reachable(NodeState::NotRunning, |state| OBSERVED.successors(*state));
    assert_eq!(reached, NodeState::ALL.into(), "reached on the left");
    for state in NodeState::ALL {
        // Not only a way out: a way to service.
        let from_here = reachable(state, |state| OBSERVED.successors(*state));
        assert!(from_here.contains(&NodeState::Online), "{state} leads only to {from_here:?}");
    }
}

#[test]
fn every_event_has_an_outcome_in_every_state_of_a_node() {
    for state in NodeState::ALL {
        for (event, words) in Event::ALL {
            assert!(OBSERVED.outcomes(state, event).next().is_some(), "{state}, {words}");
        }
    }
    println!("{} states, {} events, {} cases", NodeState::ALL.len(), Event::ALL.len(), OBSERVED.cases);
}

#[test]
fn every_reason_is_given_by_some_node_or_stands_in_the_decision_table() {
    let decided = decided_reasons();
    let of_the_table = names(Reason::ALL.into_iter().filter(|reason| reason.rule().is_some()));
    assert_eq!(decided, of_the_table, "shown on the left");
    let mut given = OBSERVED.reasons.clone();
    given.extend(names(ONLY_DECIDED));
    assert_eq!(given, names(Reason::ALL), "given by some node on the left");
}

#[test]
fn the_small_machines_answer_every_event_and_leave_every_state() {
    for machine in machines() {
        let next: BTreeMap<&String, BTreeSet<&String>> =
            machine.states.iter().zip(machine.next.iter().map(|row| row.iter().collect())).collect();
        assert_eq!(next.len(), machine.states.len(), "{}: no state twice", machine.name);
        assert!(machine.next.iter().all(|row| row.len() == machine.events.len()), "{}", machine.name);
        let reached = reachable(&machine.states[0], |state| next[*state].clone());
        for state in machine.states.iter().filter(|state| !is_off(&machine, state)) {
            assert!(reached.contains(state), "{}: {state} is never reached", machine.name);
            assert!(next[state].iter().any(|to| *to != state), "{}: {state} is never left", machine.name);
        }
    }
}

/// A gateway test that is not configured neither begins nor ends.
fn is_off(machine: &Machine, state: &str) -> bool {
    machine.name == "gateway" && state.starts_with("off")
}
