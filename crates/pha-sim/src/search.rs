//! Every way that two nodes can go, up to a number of choices: breadth first, each state once.
//!
//! A choice is one thing that befalls the pair, and how long it is left alone afterwards: so short that a handover is
//! still under way, or long enough for a verdict; if nothing befalls it, also past the lease. From every state each
//! choice that is possible there is tried, and what it leads to is looked at after every step on the way. A state is what
//! [`fingerprint`] tells apart.
//!
//! What is kept of a state is only how it was reached; the cluster is made again from the beginning when its turn comes.
//! So memory is bounded by a few words for each state, and whatever is wrong can be told as a story at once. Batches are
//! worked on by several threads and put together in order: what is found does not depend on their number.

use std::collections::HashSet;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::{Duration, Instant};

use pha_core::Term;
use pha_core::report::Liveness;
use pha_core::resource::Call;

use crate::clock::{Micros, micros};
use crate::cluster::Cluster;
use crate::fault::{Behaviour, Fault, Program, name};
use crate::fingerprint::fingerprint;
use crate::invariants::{self, Invariant};
use crate::node::Node;

/// How long the pair is left alone after a choice, in milliseconds: a handover is under way, a verdict has been reached.
const PAUSES: [u64; 2] = [20, 300];
/// The same if nothing befalls it: up to past a lease and a dead time.
const QUIET_PAUSES: [u64; 4] = [20, 300, 1000, 4000];
/// A datagram that is held up comes by so much later, after three newer ones.
const HELD_UP: Micros = 700_000;
/// A heartbeat is under way at least so often.
const NEXT_HEARTBEAT: Micros = 250_000;
/// An `offline` lasts so many seconds.
const OFFLINE: u64 = 30;
/// States that are worked on before the clock is looked at.
const BATCH: usize = 512;
/// Healed, the pair serves again within so many seconds.
const PROGRESS: u64 = 60;
/// The kernel removes an address up to so much late, and a clock may be wrong.
const KERNEL_LATE: Duration = Duration::from_millis(100);
/// No PROGRESS lasts longer than all calls of the plan with their limits.
const LONGEST_PLAN: Duration = Duration::from_secs(34);

/// How far to go.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Choices in a row.
    pub depth: usize,
    /// No batch of states begins after this time.
    pub time: Option<Duration>,
    /// Threads that work.
    pub threads: usize,
    /// From one of so many states all is healed, and progress demanded.
    pub progress_every: usize,
}

/// What befalls the pair.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Deed {
    Nothing,
    Fault(Fault),
    /// The next heartbeat from one node to another is lost, or comes late.
    Heartbeat {
        from: usize,
        to: usize,
        later: Option<Micros>,
    },
}

/// One choice: by its place in the alphabet, and for how long the pair is left alone.
#[derive(Debug, Clone, Copy)]
struct Choice {
    deed: u16,
    ms: u16,
}

/// How a state was reached: from which, by what.
#[derive(Debug, Clone, Copy)]
struct Visit {
    parent: u32,
    choice: Choice,
}

/// One level of the search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level {
    /// Choices that lead here.
    pub depth: usize,
    /// Clusters that were looked at.
    pub visited: u64,
    /// Those that had not been seen before.
    pub distinct: u64,
    /// No time limit cut it short.
    pub complete: bool,
}

/// A broken promise, with the shortest way to it.
#[derive(Debug, Clone)]
pub struct Violation {
    /// What was promised.
    pub what: String,
    /// The choices that lead there.
    pub choices: Vec<String>,
    /// What happened on the way.
    pub story: String,
}

/// What a search has found.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// Level by level; the first one holds the beginnings.
    pub levels: Vec<Level>,
    /// Clusters that were healed and had to serve again.
    pub healed: u64,
    /// The first broken promise; the search ends there.
    pub violation: Option<Violation>,
    /// How long it took.
    pub took: Duration,
}

impl Found {
    /// Different states seen.
    #[must_use]
    pub fn distinct(&self) -> u64 {
        self.levels.iter().map(|level| level.distinct).sum()
    }

    /// Clusters looked at.
    #[must_use]
    pub fn visited(&self) -> u64 {
        self.levels.iter().map(|level| level.visited).sum()
    }

    /// The last level that is complete.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.levels.iter().take_while(|level| level.complete).last().map_or(0, |level| level.depth)
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cut_short = if self.complete { "" } else { " (cut short by the time limit)" };
        write!(f, "depth {}: {} visited, {} new states{cut_short}", self.depth, self.visited, self.distinct)
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.took.as_secs_f64();
        let (distinct, visited) = (self.distinct(), self.visited());
        write!(f, "{distinct} distinct states, {visited} visited, depth {} complete, ", self.depth())?;
        write!(f, "{} healed and served again, {seconds:.1} s", self.healed)?;
        self.violation.as_ref().map_or(Ok(()), |violation| write!(f, "\n{violation}"))
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}, after:", self.what)?;
        self.choices.iter().try_for_each(|choice| writeln!(f, "  {choice}"))?;
        write!(f, "{}", self.story)
    }
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("nothing"),
            Self::Fault(fault) => fault.fmt(f),
            Self::Heartbeat { from, to, later } => {
                let fate = if later.is_some() { "comes late" } else { "is lost" };
                write!(f, "the next heartbeat from {} to {} {fate}", name(*from), name(*to))
            }
        }
    }
}

impl Deed {
    /// Everything that can befall a pair.
    fn alphabet() -> Vec<Self> {
        let mut all = vec![Self::Nothing];
        for node in 0..2 {
            let to = 1 - node;
            all.extend(Program::ALL.map(|program| Self::Fault(Fault::Kill { node, program })));
            all.extend(Program::ALL.map(|program| Self::Fault(Fault::StartProgram { node, program })));
            let both = [true, false].into_iter().flat_map(|on| {
                let behaviour = if on { Behaviour::Fails } else { Behaviour::Works };
                [
                    Fault::Cut { from: node, to, link: None, cut: on },
                    Fault::Gateway { node, answers: !on },
                    Fault::Maintenance { node, on },
                    Fault::Hold { node, resource: 0, on },
                    Fault::Agent { node, resource: 0, call: Call::Start, behaviour },
                ]
            });
            all.extend(both.map(Self::Fault));
            all.extend((0..2).map(|resource| Self::Fault(Fault::ResourceDies { node, resource })));
            all.extend([
                Self::Fault(Fault::Crash { node }),
                Self::Fault(Fault::Start { node }),
                Self::Fault(Fault::Offline { node, seconds: OFFLINE, force: false }),
                Self::Fault(Fault::Online { node }),
                Self::Heartbeat { from: node, to, later: None },
                Self::Heartbeat { from: node, to, later: Some(HELD_UP) },
            ]);
        }
        all.extend([true, false].map(|cut| Self::Fault(Fault::Isolate { node: 0, cut })));
        all
    }

    /// Whether it would change anything.
    fn is_possible(&self, c: &Cluster) -> bool {
        let Self::Fault(fault) = self else {
            return match self {
                Self::Heartbeat { from, to, .. } => {
                    c.nodes[*from].runs(Program::Sender)
                        && c.nodes[*to].runs(Program::Receiver)
                        && c.network.carries(*from, *to)
                }
                Self::Nothing | Self::Fault(_) => true,
            };
        };
        let wishes = |node: usize| &c.nodes[node].record.operator.wishes;
        match *fault {
            Fault::Crash { node } => c.nodes[node].powered,
            Fault::Start { node } => Program::ALL.iter().filter(|program| !c.nodes[node].runs(**program)).count() > 1,
            Fault::StartProgram { node, program } => c.nodes[node].powered && !c.nodes[node].runs(program),
            Fault::Kill { node, program } => c.nodes[node].runs(program),
            Fault::Cut { from, to, cut, .. } => c.network.is_cut(from, to) != cut,
            Fault::Isolate { cut, .. } => c.network.same_wire(0, 1) == cut,
            Fault::Gateway { node, answers } => c.nodes[node].gateway_answers != answers,
            Fault::ResourceDies { node, resource } => c.nodes[node].agents[resource].up,
            Fault::Agent { node, resource, behaviour, .. } => c.nodes[node].agents[resource].start != behaviour,
            Fault::Maintenance { node, on } => wishes(node).maintenance != on,
            Fault::Hold { node, on, .. } => wishes(node).held.is_empty() == on,
            Fault::Offline { node, .. } => c.nodes[node].powered && wishes(node).offline.is_none(),
            Fault::Online { node } => wishes(node).offline.is_some(),
            Fault::KillAll { .. }
            | Fault::Stop { .. }
            | Fault::Stall { .. }
            | Fault::Suspend { .. }
            | Fault::Starve { .. }
            | Fault::Weather { .. }
            | Fault::OtherProtocol { .. }
            | Fault::SlowAgents { .. }
            | Fault::Writable { .. }
            | Fault::LoseDatabase { .. } => false,
        }
    }

    fn pauses(&self) -> &'static [u64] {
        if *self == Self::Nothing { &QUIET_PAUSES } else { &PAUSES }
    }

    fn befall(&self, c: &mut Cluster, watch: &mut Watch) {
        match self {
            Self::Nothing => {}
            Self::Fault(fault) => c.apply(fault),
            Self::Heartbeat { from, to, later } => {
                let limit = c.now + NEXT_HEARTBEAT;
                while !c.network.intercept(*from, *to, *later) && c.step(limit) {
                    watch.look(c);
                }
            }
        }
    }
}

/// For how long two nodes on one network have held the address although one of them heard the other. Two that do not hear
/// each other at all, be it that only their link is cut or that both senders are dead, can do no better without a third
/// vote.
pub(crate) fn heard_conflict(c: &Cluster) -> Micros {
    let hears = |node: &Node| {
        let peers = node.receiver.core.iter().flat_map(|receiver| &receiver.peers);
        let alive = peers.map(|peer| peer.core.report()).filter(|report| report.liveness == Liveness::Alive);
        alive.map(|report| micros(node.local(c.now).since(report.liveness_since))).max()
    };
    c.nodes.iter().filter_map(hears).max().unwrap_or_default().min(c.audit.two_for(c.now))
}

/// What must hold after every step.
struct Watch {
    invariants: Vec<Box<dyn Invariant>>,
    seen: usize,
    highest: [Term; 2],
    broken: Option<String>,
}

impl Watch {
    /// Watches `c` from now on.
    fn new(c: &Cluster) -> Self {
        let highest = [0, 1].map(|n| highest_term(&c.nodes[n]));
        Self { invariants: invariants::without_memory(), seen: c.happened.len(), highest, broken: None }
    }

    fn look(&mut self, c: &Cluster) {
        if self.broken.is_none() {
            self.broken = self.judge(c).err();
        }
    }

    fn judge(&mut self, c: &Cluster) -> Result<(), String> {
        let news = &c.happened[self.seen..];
        self.seen = c.happened.len();
        for invariant in &mut self.invariants {
            let seen = news.iter().try_for_each(|(_, happening)| invariant.happened(c, happening));
            seen.and_then(|()| invariant.look(c)).map_err(|how| format!("{} broken: {how}", invariant.name()))?;
        }
        self.judge_holders(c)?;
        self.judge_terms(c)
    }

    fn judge_holders(&self, c: &Cluster) -> Result<(), String> {
        let asked = c.nodes.iter().any(|node| node.record.operator.wishes.maintenance);
        let lease = micros(c.nodes[0].settings.lease + KERNEL_LATE);
        if !asked && c.audit.two_for(c.now) > lease && heard_conflict(c) > lease {
            return Err("two nodes hold the address for longer than a lease, and one hears the other".to_owned());
        }
        Ok(())
    }

    fn judge_terms(&mut self, c: &Cluster) -> Result<(), String> {
        let [one, two] = [0, 1].map(|n| c.nodes[n].term());
        if one == two && one != Term::NONE {
            return Err(format!("two nodes act under term {one}"));
        }
        for (n, node) in c.nodes.iter().enumerate() {
            let highest = highest_term(node);
            if highest < std::mem::replace(&mut self.highest[n], highest) {
                return Err(format!("{} has forgotten a term", name(n)));
            }
            let progress = node.report().and_then(|report| report.progress_until);
            if progress.is_some_and(|until| until.since(node.local(c.now)) > LONGEST_PLAN) {
                return Err(format!("{} announces a PROGRESS that no plan takes", name(n)));
            }
        }
        Ok(())
    }

    fn pass(&mut self, c: &mut Cluster, until: Micros) {
        while c.step(until) {
            self.look(c);
        }
    }
}

fn highest_term(node: &Node) -> Term {
    node.report().map_or(Term::NONE, |report| report.highest_term)
}

/// What came of one state's turn.
#[derive(Debug, Default)]
struct Turn {
    /// What each choice leads to.
    next: Vec<(Choice, u128)>,
    healed: u64,
    /// The choice that breaks a promise (`None`: healing does), and which.
    broken: Option<(Option<Choice>, String)>,
}

/// The search.
struct Search {
    limits: Limits,
    deeds: Vec<Deed>,
    beginnings: Vec<Cluster>,
    visits: Vec<Visit>,
    seen: HashSet<u128>,
}

/// Searches until the depth or the time is reached, or a promise is broken; `tell` hears of every level.
///
/// # Panics
/// If a settled pair cannot be made to begin with.
pub fn run(limits: &Limits, tell: &mut dyn FnMut(&Level)) -> Found {
    let began = Instant::now();
    let mut search = Search::new(limits.clone());
    let count = search.beginnings.len();
    let mut found = Found::default();
    let mut level = Level { depth: 0, visited: count as u64, distinct: count as u64, complete: true };
    let mut turn = 0..count;
    loop {
        tell(&level);
        found.levels.push(level);
        if level.depth == limits.depth || !level.complete || turn.is_empty() || found.violation.is_some() {
            break;
        }
        let first_new = search.visits.len();
        level = search.level(turn, level.depth + 1, began, &mut found);
        turn = first_new..search.visits.len();
    }
    found.took = began.elapsed();
    found
}

impl Search {
    fn new(limits: Limits) -> Self {
        let beginnings = beginnings();
        let seen = beginnings.iter().map(fingerprint).collect();
        let visit =
            |index: usize| Visit { parent: u32::try_from(index).unwrap_or(0), choice: Choice { deed: 0, ms: 0 } };
        let visits = (0..beginnings.len()).map(visit).collect();
        Self { limits, deeds: Deed::alphabet(), beginnings, visits, seen }
    }

    /// Gives every state of `turn` its turn.
    fn level(&mut self, turn: std::ops::Range<usize>, depth: usize, began: Instant, found: &mut Found) -> Level {
        let mut level = Level { depth, visited: 0, distinct: 0, complete: true };
        let all: Vec<usize> = turn.collect();
        for batch in all.chunks(BATCH) {
            if self.limits.time.is_some_and(|limit| began.elapsed() >= limit) {
                level.complete = false;
                break;
            }
            let share = batch.len().div_ceil(self.limits.threads.max(1));
            let turns: Vec<(usize, Turn)> = thread::scope(|scope| {
                let this = &*self;
                let work =
                    |states: &[usize]| states.iter().map(|state| (*state, this.turn(*state))).collect::<Vec<_>>();
                let workers: Vec<_> = batch.chunks(share).map(|states| scope.spawn(move || work(states))).collect();
                workers.into_iter().flat_map(|worker| worker.join().expect("panics are caught within")).collect()
            });
            for (state, turn) in turns {
                self.take(state, turn, &mut level, found);
            }
            if found.violation.is_some() {
                level.complete = false;
                break;
            }
        }
        level
    }

    fn take(&mut self, state: usize, turn: Turn, level: &mut Level, found: &mut Found) {
        found.healed += turn.healed;
        for (choice, print) in turn.next {
            level.visited += 1;
            if self.seen.insert(print) {
                level.distinct += 1;
                self.visits.push(Visit { parent: u32::try_from(state).expect("memory ends before"), choice });
            }
        }
        if let Some((choice, what)) = turn.broken.filter(|_| found.violation.is_none()) {
            found.violation = Some(self.violation(state, choice, what));
        }
    }

    /// Tries every choice from a state. A panic is a broken promise like any other.
    fn turn(&self, state: usize) -> Turn {
        let mut turn = Turn::default();
        let at = self.again(state);
        for (deed, what) in self.deeds.iter().enumerate().filter(|(_, what)| what.is_possible(&at)) {
            let choice = |ms: u64| Choice {
                deed: u16::try_from(deed).expect("the alphabet is small"),
                ms: u16::try_from(ms).expect("pauses are short"),
            };
            let mut next = Vec::new();
            let tried = catch_unwind(AssertUnwindSafe(|| self.attempt(&at, what, &mut next)));
            let broken = tried.unwrap_or_else(|_| Some((PAUSES[0], "a node panics".to_owned())));
            turn.next.extend(next.into_iter().map(|(ms, print)| (choice(ms), print)));
            if let Some((ms, what)) = broken {
                turn.broken = Some((Some(choice(ms)), what));
                return turn;
            }
        }
        if state.is_multiple_of(self.limits.progress_every.max(1)) {
            turn.healed = 1;
            turn.broken = no_progress(at).map(|what| (None, what));
        }
        turn
    }

    /// One deed and its pauses; the first broken promise, with the pause that it came in.
    fn attempt(&self, at: &Cluster, deed: &Deed, next: &mut Vec<(u64, u128)>) -> Option<(u64, String)> {
        let mut cluster = at.clone();
        let mut watch = Watch::new(&cluster);
        deed.befall(&mut cluster, &mut watch);
        let from = cluster.now;
        for ms in deed.pauses() {
            watch.pass(&mut cluster, from + ms * 1000);
            if let Some(what) = watch.broken {
                return Some((*ms, what));
            }
            next.push((*ms, fingerprint(&cluster)));
        }
        None
    }

    /// The choices that lead to a state, and the number of its beginning.
    fn way(&self, mut state: usize) -> (usize, Vec<Choice>) {
        let mut way = Vec::new();
        while state >= self.beginnings.len() {
            way.push(self.visits[state].choice);
            state = self.visits[state].parent as usize;
        }
        way.reverse();
        (state, way)
    }

    /// A state, made again.
    fn again(&self, state: usize) -> Cluster {
        let (beginning, way) = self.way(state);
        let mut cluster = self.beginnings[beginning].clone();
        way.into_iter().for_each(|choice| self.follow(&mut cluster, choice));
        cluster.happened.clear();
        cluster
    }

    fn follow(&self, cluster: &mut Cluster, choice: Choice) {
        let mut watch = Watch::new(cluster);
        self.deeds[usize::from(choice.deed)].befall(cluster, &mut watch);
        cluster.pass(choice.ms.into());
    }

    fn violation(&self, state: usize, last: Option<Choice>, what: String) -> Violation {
        let (beginning, way) = self.way(state);
        let mut cluster = self.beginnings[beginning].clone();
        let mut choices = vec![format!("{} ({} to begin with)", BEGINNINGS[beginning], cluster.ms())];
        let mut story = String::new();
        for choice in way.into_iter().chain(last) {
            choices.push(format!("{}, then {} ms", self.deeds[usize::from(choice.deed)], choice.ms));
            // The last one may panic.
            let _ = catch_unwind(AssertUnwindSafe(|| self.follow(&mut cluster, choice)));
            story = cluster.story();
        }
        if last.is_none() {
            choices.push(format!("all healed, then {PROGRESS} s"));
            cluster.heal();
            cluster.pass(PROGRESS * 1000);
            story = cluster.story();
        }
        Violation { what, choices, story }
    }
}

const BEGINNINGS: [&str; 3] = ["lb1 active, lb2 standby", "both just started", "lb1 alone and active"];

/// Where a search begins, in the order of [`BEGINNINGS`].
fn beginnings() -> Vec<Cluster> {
    let mut settled = Cluster::running();
    settled.pass(5000);
    let mut fresh = Cluster::new();
    (0..2).for_each(|node| fresh.start(node));
    let mut alone = Cluster::new();
    alone.start(0);
    alone.pass(5000);
    let mut all = vec![settled, fresh, alone];
    for cluster in &mut all {
        cluster.audit.reset();
        cluster.happened.clear();
    }
    all
}

/// Heals everything; what is wrong if the pair does not serve again in time, by exactly one node, and for good.
fn no_progress(mut cluster: Cluster) -> Option<String> {
    let serves =
        |c: &Cluster| matches!(c.active()[..], [one] if c.nodes[one].served() && !c.nodes[1 - one].anything_up());
    let healed = catch_unwind(AssertUnwindSafe(|| {
        cluster.heal();
        let mut well = 0;
        for _ in 0..PROGRESS {
            cluster.pass(1000);
            well = if serves(&cluster) { well + 1 } else { 0 };
            if well == 2 {
                return true;
            }
        }
        false
    }));
    match healed {
        Ok(true) => None,
        Ok(false) => Some(format!("healed, the pair does not serve again within {PROGRESS} s")),
        Err(_) => Some("a node panics after all is healed".to_owned()),
    }
}
