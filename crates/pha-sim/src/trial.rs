//! One schedule played: faults under the eyes of every invariant, then peace, then progress is demanded, then rest.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use crate::clock::{Micros, micros};
use crate::cluster::Cluster;
use crate::invariants::{self, Invariant};
use crate::node::Node;
use crate::schedule::Schedule;

/// What is still under way when peace comes may come to its end; whoever was told to end does.
const LAST_ENDS: u64 = 6_000;
/// A node that serves has to go on for so long, in microseconds.
const STEADY: Micros = 3_000_000;
/// So long nothing may happen after everything has come to rest.
const REST: u64 = 20_000;

/// A promise that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Which, by the name of its file.
    pub promise: &'static str,
    /// How.
    pub how: String,
    /// When.
    pub at: Micros,
}

/// What a schedule that kept all promises measured.
#[derive(Debug, Clone, Copy, Default)]
pub struct Measured {
    /// The longest time in which two machines on one network had the address.
    pub two: Micros,
    /// The longest time in which two machines that were cut off from each other had it.
    pub two_apart: Micros,
    /// From peace to one active node that serves.
    pub recovery: Micros,
    /// Virtual time.
    pub lasted: Micros,
}

/// A cluster that is watched.
pub struct Trial {
    /// The cluster.
    pub cluster: Cluster,
    invariants: Vec<Box<dyn Invariant>>,
    seen: usize,
}

impl Trial {
    /// Watched from now on.
    #[must_use]
    pub fn new(cluster: Cluster) -> Self {
        Self { cluster, invariants: invariants::all(), seen: 0 }
    }

    /// Lets time pass.
    ///
    /// # Errors
    /// The first promise that is broken.
    pub fn pass(&mut self, ms: u64) -> Result<(), Broken> {
        let limit = self.cluster.now + ms * 1000;
        loop {
            let more = self.cluster.step(limit);
            self.look()?;
            if !more {
                return Ok(());
            }
        }
    }

    fn look(&mut self) -> Result<(), Broken> {
        let cluster = &self.cluster;
        invariants::judge(&mut self.invariants, cluster, &cluster.happened[self.seen..])
            .map_err(|(promise, how)| Broken { promise, how, at: cluster.now })?;
        self.seen = self.cluster.happened.len();
        Ok(())
    }

    /// Plays a schedule from the start of all nodes to the rest after it.
    ///
    /// # Errors
    /// The first promise that is broken.
    pub fn play(&mut self, schedule: &Schedule) -> Result<Measured, Broken> {
        for n in 0..self.cluster.nodes.len() {
            self.cluster.start(n);
            self.pass(schedule.seed % 7 * 200)?;
        }
        self.pass(4000)?;
        for step in &schedule.steps {
            self.pass(step.after_ms)?;
            self.cluster.apply(&step.fault);
            self.look()?;
        }
        let audit = &self.cluster.audit;
        let mut measured = Measured { two: audit.two(), two_apart: audit.two_apart(), ..Measured::default() };
        self.pass(LAST_ENDS)?;
        measured.recovery = self.recover()?;
        measured.two = measured.two.max(self.cluster.audit.two());
        self.pass(schedule.failback.map_or(0, |seconds| seconds * 1100))?;
        self.cluster.audit.reset();
        self.pass(REST)?;
        self.demand_rest()?;
        measured.lasted = self.cluster.now;
        Ok(measured)
    }

    /// Peace, and then, within the bound, one node that goes on serving; microseconds that it took.
    fn recover(&mut self) -> Result<Micros, Broken> {
        self.cluster.heal();
        let from = self.cluster.now;
        let bound = micros(recovery_bound(&self.cluster.nodes[0]));
        let mut since = None;
        loop {
            since = if self.one_serves() { since.or(Some(self.cluster.now)) } else { None };
            match since {
                Some(since) if self.cluster.now - since >= STEADY => return Ok(since - from),
                None if self.cluster.now - from >= bound => {
                    let how = format!("no node was active {} ms after all was healed", bound / 1000);
                    return Err(Broken { promise: "progress", how, at: self.cluster.now });
                }
                Some(_) | None => {}
            }
            let limit = since.map_or(from + bound, |since| since + STEADY);
            self.cluster.step(limit);
            // A node that was just told to stop ends after peace has come, and is started again.
            self.start_what_ended();
            self.look()?;
        }
    }

    fn start_what_ended(&mut self) {
        for n in 0..self.cluster.nodes.len() {
            let node = &self.cluster.nodes[n];
            let ended = crate::fault::Program::ALL.iter().any(|program| !node.runs(*program));
            if ended {
                self.cluster.start(n);
            }
        }
    }

    fn one_serves(&self) -> bool {
        let active = self.cluster.active();
        active.len() == 1 && self.cluster.nodes[active[0]].served() && self.cluster.audit.two_for(self.cluster.now) == 0
    }

    fn demand_rest(&self) -> Result<(), Broken> {
        let audit = &self.cluster.audit;
        let (none, two) = (audit.none(), audit.two());
        if self.one_serves() && (none, two) == (0, 0) {
            return Ok(());
        }
        let how =
            format!("no rest after peace: {:?} active, nobody for {none} us, two for {two} us", self.cluster.active());
        Err(Broken { promise: "progress", how, at: self.cluster.now })
    }
}

/// When everything is whole again, one node is active within this time: calls under way reach their limits, an unclean
/// peer is waited for one lease, the start-up grace and the gateway's round end, and a claim waits for its turn.
#[must_use]
pub fn recovery_bound(node: &Node) -> Duration {
    let s = &node.settings;
    let grace = pha_core::supervisor::KILL_GRACE;
    let calls: Duration =
        s.resources.iter().map(|r| r.start_timeout + r.stop_timeout + r.check_timeout + grace * 3).sum();
    calls + s.lease + node.init_dead + s.ping_timeout + s.supervise_interval * 2 + s.dead_time * 3
}

/// Plays a schedule; a panic is a broken promise too. The cluster comes back with its story.
pub fn play(schedule: &Schedule) -> (Result<Measured, Broken>, Cluster) {
    let mut trial = Trial::new(Cluster::made(schedule.making()));
    let result = catch_unwind(AssertUnwindSafe(|| trial.play(schedule))).unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
        let how = said.unwrap_or("without a word").to_owned();
        Err(Broken { promise: "no_panic", how, at: trial.cluster.now })
    });
    (result, trial.cluster)
}
