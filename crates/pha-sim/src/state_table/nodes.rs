//! How the states of a node were seen to follow each other.
//!
//! Nobody wrote this machine down, so it is observed. From three
//! beginnings every event is given to every state that was reached so far, until nothing new comes, and the next state is
//! noted with the reason that the node gives for it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use pha_core::Reason;
use pha_core::supervisor::Note;

use super::event::Event;
use super::node_state::NodeState;
use super::table;
use crate::cluster::Cluster;
use crate::happening::Happening;
use crate::node::Node;

/// What was seen to follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// The state that time alone would have brought too, or none.
    AsWithout,
    /// A new state.
    Becomes(NodeState),
}

/// All that was seen: for each pair, what followed, with the reasons that the node gave for it.
#[derive(Debug, Default)]
pub struct Observed {
    seen: BTreeMap<(NodeState, Event), BTreeMap<Outcome, Vec<Reason>>>,
    /// What was seen to follow from a beginning within [`SIMPLE`] events.
    simple: BTreeMap<(NodeState, NodeState), Vec<Reason>>,
    /// Every reason that any node gave for a decision or a change.
    pub reasons: BTreeSet<String>,
    /// Pairs of nodes that were given every event.
    pub cases: usize,
}

/// A pair of which one node is watched.
#[derive(Clone)]
struct Case {
    cluster: Cluster,
    watched: usize,
    /// Events that led here.
    depth: usize,
}

impl Case {
    fn node(&self) -> &Node {
        &self.cluster.nodes[self.watched]
    }

    fn state(&self) -> NodeState {
        NodeState::of(self.node())
    }

    /// Why the node is what it has become: what stands in its history if it has just changed its word, else what its
    /// table says. A node that decides nothing says nothing.
    fn reason(&self) -> Option<Reason> {
        if matches!(self.state(), NodeState::NotRunning | NodeState::Looking | NodeState::Ending) {
            return None;
        }
        let report = self.node().report()?;
        let now = self.node().local(self.cluster.now);
        let changed = report.history.last().filter(|transition| transition.at == now);
        Some(changed.map_or(report.reason, |transition| transition.reason))
    }

    /// Lets `event` happen and waits for another state; the one that came.
    fn attempt(&mut self, event: Event) -> Option<NodeState> {
        let before = self.state();
        self.cluster.happened.clear();
        if event.can_happen(self.watched, &self.cluster) {
            event.faults(self.watched).iter().for_each(|fault| self.cluster.apply(fault));
        }
        let limit = self.cluster.now + event.patience_ms() * 1000;
        while self.state() == before && self.cluster.step(limit) {}
        Some(self.state()).filter(|state| *state != before)
    }
}

/// Gives every event to every state, beginning with a settled pair, a fresh one, and a node alone.
#[must_use]
pub fn observe() -> Observed {
    let mut observed = Observed::default();
    let mut taken = BTreeSet::new();
    let mut waiting: VecDeque<Case> = beginnings().into();
    while let Some(case) = waiting.pop_front() {
        observed.cases += 1;
        let mut alone = None;
        for (event, _) in Event::ALL {
            let mut after = Case { depth: case.depth + 1, ..case.clone() };
            let next = after.attempt(event);
            // Time comes first: what it brings alone, no other event brings.
            let own = next.filter(|_| event == Event::TimePasses || next != alone);
            alone = if event == Event::TimePasses { next } else { alone };
            observed.note(&case, event, own, &after);
            if taken.insert((case.state(), event, after.state())) {
                waiting.push_back(after);
            }
        }
    }
    observed
}

fn beginnings() -> Vec<Case> {
    let mut fresh = Cluster::new();
    (0..2).for_each(|node| fresh.start(node));
    let mut alone = Cluster::new();
    alone.start(0);
    alone.pass(5000);
    let clusters = [Cluster::running(), fresh, alone];
    clusters
        .into_iter()
        .flat_map(|cluster| [0, 1].map(|watched| Case { cluster: cluster.clone(), watched, depth: 0 }))
        .collect()
}

impl Observed {
    fn note(&mut self, before: &Case, event: Event, next: Option<NodeState>, after: &Case) {
        let outcome = next.map_or(Outcome::AsWithout, Outcome::Becomes);
        let outcomes = self.seen.entry((before.state(), event)).or_default();
        let reasons = outcomes.entry(outcome).or_default();
        reasons.extend(after.reason().filter(|reason| !reasons.contains(reason)));
        if let Some(to) = next.filter(|_| after.depth <= SIMPLE) {
            let reasons = self.simple.entry((before.state(), to)).or_default();
            reasons.extend(after.reason().filter(|reason| !reasons.contains(reason)));
        }
        let given = after.cluster.happened.iter().filter_map(|(_, happening)| {
            let Happening::Noted { note, .. } = happening else { return None };
            if let Note::Transition(transition) = note {
                return Some(transition.reason);
            }
            if let Note::Reason(reason) = note { Some(*reason) } else { None }
        });
        self.reasons.extend(given.map(|reason| reason.to_string()));
    }

    /// What was seen to follow when `event` happened in `state`; empty if it never did.
    pub fn outcomes(&self, state: NodeState, event: Event) -> impl Iterator<Item = Outcome> {
        self.seen.get(&(state, event)).into_iter().flat_map(|outcomes| outcomes.keys().copied())
    }

    /// Every state that was seen to follow `state`, whatever happened.
    #[must_use]
    pub fn successors(&self, state: NodeState) -> BTreeSet<NodeState> {
        let outcomes = Event::ALL.iter().flat_map(|(event, _)| self.outcomes(state, *event));
        outcomes.filter_map(Outcome::state).collect()
    }

    /// The states and what moves them, as the document shows them; events that lead to the same share a row.
    #[must_use]
    pub fn table(&self) -> String {
        let mut rows = Vec::new();
        for state in NodeState::ALL {
            let mut grouped: Vec<(String, Vec<&str>)> = Vec::new();
            for (event, words) in Event::ALL {
                let Some(cell) = self.cell(state, event) else { continue };
                match grouped.iter_mut().find(|(known, _)| *known == cell) {
                    Some((_, events)) => events.push(words),
                    None => grouped.push((cell, vec![words])),
                }
            }
            let row = |(cell, events): (String, Vec<&str>)| vec![state.to_string(), events.join("; "), cell];
            rows.extend(grouped.into_iter().map(row));
            rows.push(vec![state.to_string(), "anything else".to_owned(), "·".to_owned()]);
        }
        table(&["state", "what happens", "what follows"].map(str::to_owned), &rows)
    }

    /// What follows, if anything does that time alone would not have brought.
    fn cell(&self, state: NodeState, event: Event) -> Option<String> {
        let outcomes = self.seen.get(&(state, event))?;
        let became = outcomes.iter().filter_map(|(outcome, reasons)| Some((outcome.state()?, reasons)));
        let mut words: Vec<String> = became.map(|(to, reasons)| with_reasons(to, reasons)).collect();
        if words.is_empty() {
            return None;
        }
        if outcomes.contains_key(&Outcome::AsWithout) {
            words.push("·".to_owned());
        }
        Some(words.join("; "))
    }

    /// The same as a diagram: what simple events can bring, without the ends that can come at any time.
    #[must_use]
    pub fn diagram(&self) -> String {
        let lines = self.simple.iter().filter(|((_, to), _)| !matches!(to, NodeState::NotRunning | NodeState::Ending));
        let line = |((from, to), reasons): (&(NodeState, NodeState), &Vec<Reason>)| match (from, &reasons[..]) {
            (NodeState::NotRunning, _) => format!("    [*] --> {to}\n"),
            (_, []) => format!("    {from} --> {to}\n"),
            (_, reasons) => format!("    {from} --> {to}: {}\n", some(reasons, "")),
        };
        let lines: String = lines.map(line).collect();
        format!("```mermaid\nstateDiagram-v2\n{lines}```\n")
    }
}

impl Outcome {
    const fn state(self) -> Option<NodeState> {
        match self {
            Self::AsWithout => None,
            Self::Becomes(state) => Some(state),
        }
    }
}

/// The diagram shows what so many events in a row can bring; the table goes on.
const SIMPLE: usize = 2;
/// So many reasons are shown as examples.
const EXAMPLES: usize = 3;

fn some(reasons: &[Reason], quote: &str) -> String {
    let shown: Vec<String> = reasons.iter().take(EXAMPLES).map(|reason| format!("{quote}{reason}{quote}")).collect();
    shown.join(", ") + if reasons.len() > EXAMPLES { ", …" } else { "" }
}

fn with_reasons(state: NodeState, reasons: &[Reason]) -> String {
    if reasons.is_empty() { state.to_string() } else { format!("{state} ({})", some(reasons, "`")) }
}
