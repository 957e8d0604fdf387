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

mod deed;
mod found;
mod watch;

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::{Duration, Instant};

use crate::cluster::Cluster;
use crate::fingerprint::fingerprint;
use deed::Deed;
pub use found::{Found, Level, Violation};
use watch::Watch;

/// States that are worked on before the clock is looked at.
const BATCH: usize = 512;
/// Healed, the pair serves again within so many seconds.
const PROGRESS: u64 = 60;

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
    /// For so long two nodes on one network may hold the address.
    pub two_holders: Duration,
}

impl Default for Limits {
    /// What a minute on two processors is enough for: four choices in a row, everything healed from every fourth state.
    fn default() -> Self {
        Self {
            depth: 4,
            time: Some(Duration::from_secs(60)),
            threads: thread::available_parallelism().map_or(1, usize::from),
            progress_every: 4,
            // One LEASE of the settings, and how late the kernel may be.
            two_holders: Duration::from_millis(3100),
        }
    }
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
            let broken = tried.unwrap_or_else(|_| Some((what.pauses()[next.len()], "a node panics".to_owned())));
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
        let mut watch = Watch::new(&cluster, self.limits.two_holders);
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
        let mut watch = Watch::new(cluster, self.limits.two_holders);
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
