//! The states of a node as an onlooker tells them apart, and how they were seen to follow each other.
//!
//! Nobody wrote this machine down: the supervisor has no field that holds these states. So they are observed. From three
//! beginnings every event is given to every state that was reached so far, until nothing new comes, and the next state is
//! noted with the reason that the node gives for it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

use pha_core::resource::Call;
use pha_core::supervisor::Note;
use pha_core::{Direction, LeaveCause, Reason, Role, Word};

use super::table;
use crate::cluster::Cluster;
use crate::fault::{Behaviour, Fault, Program};
use crate::happening::Happening;
use crate::node::Node;

/// What a node is, seen from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NodeState {
    /// Supervise does not run, and did not say goodbye.
    NotRunning,
    /// Supervise looks at its resources for the first time.
    Looking,
    /// Standby, everything confirmed down.
    Standby,
    /// Standby, and something is up or may be.
    Unclean,
    /// Standby, and `res stop` holds a resource.
    Held,
    /// Standby, and a resource failed too often.
    Unfit,
    /// PROGRESS: taking over, or restarting in place.
    Starting,
    /// Active, everything up.
    Online,
    /// Active, something not up, and nothing being done about it at the moment.
    Degraded,
    /// Active, PROGRESS: stopping what `res stop` holds.
    Holding,
    /// PROGRESS: releasing.
    Stopping,
    /// Told to stop: what is under way comes to its end.
    Ending,
    /// LEFT because of `offline`.
    LeftOperator,
    /// LEFT because its gateway is lost.
    LeftGateway,
    /// Stopped with everything down.
    LeftStopped,
    /// Stopped, and its resources go on.
    Kept,
}

impl NodeState {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::NotRunning,
        Self::Looking,
        Self::Standby,
        Self::Unclean,
        Self::Held,
        Self::Unfit,
        Self::Starting,
        Self::Online,
        Self::Degraded,
        Self::Holding,
        Self::Stopping,
        Self::Ending,
        Self::LeftOperator,
        Self::LeftGateway,
        Self::LeftStopped,
        Self::Kept,
    ];

    /// The state of a node.
    #[must_use]
    pub fn of(node: &Node) -> Self {
        let Some(supervise) = node.supervise.core.as_ref().filter(|_| node.powered) else {
            return match node.report().map(|report| report.saying.word).filter(|_| node.powered) {
                Some(Word::Kept) => Self::Kept,
                Some(Word::Left { cause: LeaveCause::Stopped }) => Self::LeftStopped,
                Some(Word::Online | Word::Offline { .. } | Word::Progress { .. } | Word::Left { .. }) | None => {
                    Self::NotRunning
                }
            };
        };
        if node.stopping {
            return Self::Ending;
        }
        if !supervise.core.is_settled() {
            return Self::Looking;
        }
        let Some(report) = node.report() else { return Self::Looking };
        match (report.saying.word, report.role) {
            (Word::Online, _) => Self::Online,
            (Word::Progress { direction: Direction::Starting, .. }, _) => Self::Starting,
            (Word::Progress { direction: Direction::Stopping, .. }, Role::Active) => Self::Holding,
            (Word::Progress { direction: Direction::Stopping, .. }, Role::Standby) => Self::Stopping,
            (Word::Offline { .. }, Role::Active) => Self::Degraded,
            (Word::Offline { .. }, Role::Standby) if !report.saying.fit => Self::Unfit,
            (Word::Offline { .. }, Role::Standby) if report.resources.iter().any(|r| r.held) => Self::Held,
            (Word::Offline { clean: true }, Role::Standby) => Self::Standby,
            (Word::Offline { clean: false }, Role::Standby) => Self::Unclean,
            (Word::Left { cause: LeaveCause::Operator }, _) => Self::LeftOperator,
            (Word::Left { cause: LeaveCause::Gateway }, _) => Self::LeftGateway,
            (Word::Left { cause: LeaveCause::Stopped }, _) => Self::LeftStopped,
            (Word::Kept, _) => Self::Kept,
        }
    }

    /// What it means, for the document.
    const fn meaning(self) -> &'static str {
        match self {
            Self::NotRunning => "supervise does not run and did not say goodbye: no power, killed, or never started",
            Self::Looking => "supervise has started and looks at its resources for the first time",
            Self::Standby => "OFFLINE, everything confirmed down",
            Self::Unclean => "OFFLINE, something is up or may be",
            Self::Held => "OFFLINE, a resource held down by `res stop`",
            Self::Unfit => "OFFLINE, a resource failed too often here",
            Self::Starting => "PROGRESS, taking over or restarting in place",
            Self::Online => "ONLINE, all that is not held is up",
            Self::Degraded => "active, something is not up, and it is not time yet to try again",
            Self::Holding => "active, PROGRESS, stopping what `res stop` holds",
            Self::Stopping => "PROGRESS, releasing",
            Self::Ending => "told to `stop`; what is under way comes to its end",
            Self::LeftOperator => "LEFT, `offline`; the heartbeat rests",
            Self::LeftGateway => "LEFT, gateway lost here; the heartbeat rests",
            Self::LeftStopped => "stopped with everything down",
            Self::Kept => "stopped, its resources go on without pha",
        }
    }
}

impl fmt::Display for NodeState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// What happens to a node, or to its peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the table's words say what each is")]
pub enum Event {
    TimePasses,
    Offline,
    OfflineForced,
    Online,
    MaintenanceOn,
    MaintenanceOff,
    ResStop,
    ResStart,
    Stop,
    GatewayLost,
    GatewayBack,
    ResourceDies,
    StartFails,
    StopFails,
    AgentsWork,
    ReceiverKilled,
    SuperviseKilled,
    Started,
    PowerLost,
    Suspended,
    PeerPowerLost,
    PeerStarted,
    PeerStop,
    PeerOffline,
    PeerGatewayLost,
    CutOff,
    Connected,
}

impl Event {
    /// All of them, with their words in the table.
    pub const ALL: [(Self, &'static str); 27] = [
        (Self::TimePasses, "time passes"),
        (Self::Offline, "`offline`"),
        (Self::OfflineForced, "`offline --force`"),
        (Self::Online, "`online`"),
        (Self::MaintenanceOn, "`maintenance on`"),
        (Self::MaintenanceOff, "`maintenance off`"),
        (Self::ResStop, "`res stop`"),
        (Self::ResStart, "`res start`"),
        (Self::Stop, "`stop`"),
        (Self::GatewayLost, "gateway lost"),
        (Self::GatewayBack, "gateway back"),
        (Self::ResourceDies, "a resource dies"),
        (Self::StartFails, "a resource dies and cannot be started"),
        (Self::StopFails, "stopping fails from now on"),
        (Self::AgentsWork, "agents work again"),
        (Self::ReceiverKilled, "pha-receiver killed"),
        (Self::SuperviseKilled, "pha-supervise killed"),
        (Self::Started, "started"),
        (Self::PowerLost, "power lost"),
        (Self::Suspended, "suspended for 2 s"),
        (Self::PeerPowerLost, "peer: power lost"),
        (Self::PeerStarted, "peer: started"),
        (Self::PeerStop, "peer: `stop`"),
        (Self::PeerOffline, "peer: `offline`"),
        (Self::PeerGatewayLost, "peer: gateway lost"),
        (Self::CutOff, "cut off from the peer"),
        (Self::Connected, "connected again"),
    ];

    /// What it does to node `n` of a pair.
    fn faults(self, n: usize) -> Vec<Fault> {
        let (node, peer) = (n, 1 - n);
        let agent = |call, behaviour| Fault::Agent { node, resource: 0, call, behaviour };
        match self {
            Self::TimePasses => vec![],
            Self::Offline => vec![Fault::Offline { node, seconds: 30, force: false }],
            Self::OfflineForced => vec![Fault::Offline { node, seconds: 30, force: true }],
            Self::Online => vec![Fault::Online { node }],
            Self::MaintenanceOn => vec![Fault::Maintenance { node, on: true }],
            Self::MaintenanceOff => vec![Fault::Maintenance { node, on: false }],
            Self::ResStop => vec![Fault::Hold { node, resource: 0, on: true }],
            Self::ResStart => vec![Fault::Hold { node, resource: 0, on: false }],
            Self::Stop => vec![Fault::Stop { node }],
            Self::GatewayLost => vec![Fault::Gateway { node, answers: false }],
            Self::GatewayBack => vec![Fault::Gateway { node, answers: true }],
            Self::ResourceDies => vec![Fault::ResourceDies { node, resource: 0 }],
            Self::StartFails => {
                vec![agent(Call::Start, Behaviour::Fails), Fault::ResourceDies { node, resource: 0 }]
            }
            Self::StopFails => vec![agent(Call::Stop, Behaviour::Fails)],
            Self::AgentsWork => vec![agent(Call::Start, Behaviour::Works), agent(Call::Stop, Behaviour::Works)],
            Self::ReceiverKilled => vec![Fault::Kill { node, program: Program::Receiver }],
            Self::SuperviseKilled => vec![Fault::Kill { node, program: Program::Supervise }],
            Self::Started => vec![Fault::Start { node }],
            Self::PowerLost => vec![Fault::Crash { node }],
            Self::Suspended => vec![Fault::Suspend { node, ms: 2000 }],
            Self::PeerPowerLost => vec![Fault::Crash { node: peer }],
            Self::PeerStarted => vec![Fault::Start { node: peer }],
            Self::PeerStop => vec![Fault::Stop { node: peer }],
            Self::PeerOffline => vec![Fault::Offline { node: peer, seconds: 30, force: false }],
            Self::PeerGatewayLost => vec![Fault::Gateway { node: peer, answers: false }],
            Self::CutOff => vec![Fault::Isolate { node, cut: true }],
            Self::Connected => vec![Fault::Isolate { node, cut: false }],
        }
    }

    /// Nobody types anything on a machine without power, and nothing suspends it.
    fn can_happen(self, n: usize, c: &Cluster) -> bool {
        let own = !matches!(self, Self::Started | Self::PeerStarted | Self::PeerOffline | Self::PeerStop);
        let peers = matches!(self, Self::PeerOffline | Self::PeerStop);
        (!own || c.nodes[n].powered) && (!peers || c.nodes[1 - n].powered)
    }

    /// How long to wait for what comes of it.
    const fn patience_ms(self) -> u64 {
        if matches!(self, Self::TimePasses) { 70_000 } else { 6_000 }
    }
}

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

    /// The same as a diagram: what [`SIMPLE`] events can bring, without the ends that can come at any time.
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

/// The states and what they mean.
pub(super) fn states() -> String {
    let row = |state: NodeState| vec![state.to_string(), state.meaning().to_owned()];
    table(&["state", "what it is"].map(str::to_owned), &NodeState::ALL.map(row))
}
