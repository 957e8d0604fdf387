//! Virtual machines, what lies between them, and time that jumps from one thing that happens to the next.

use fastrand::Rng;
use pha_core::resource::Call;
use pha_core::supervisor::{Event, Settings};
use pha_core::{BootTime, Status, Term};
use pha_status::Section;
use pha_wire::{Codec, Trust};
use std::time::Duration;

use crate::agents::Agent;
use crate::audit::Audit;
use crate::clock::{Clock, Micros};
use crate::fault::{Fault, Program};
use crate::happening::{Happening, line};
use crate::network::Network;
use crate::node::{Node, settings};

/// From an event to the program that it wakes.
pub(crate) const REACTION: Micros = 100;
/// Milliseconds since 1970 when a simulation begins: for incarnations.
const EPOCH: u64 = 1_800_000_000_000;

/// How a cluster is made.
#[derive(Debug, Clone)]
pub struct Making {
    /// One configuration for each node.
    pub settings: Vec<Settings>,
    /// Heartbeat links between each pair.
    pub links: usize,
    /// How wrong each clock goes, in parts in a million.
    pub clocks: Vec<i32>,
    /// For everything that chance decides.
    pub seed: u64,
}

/// The cluster; nodes are counted from 0, lb1 is node 0.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// Microseconds since the beginning.
    pub now: Micros,
    /// The machines.
    pub nodes: Vec<Node>,
    /// What lies between them.
    pub network: Network,
    /// Who held the address, and for how long.
    pub audit: Audit,
    /// All that happened, oldest first.
    pub happened: Vec<(Micros, Happening)>,
    pub(crate) codec: Codec,
    pub(crate) rng: Rng,
}

/// What is due next on a machine or between machines. The order decides when two are due at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Wakeup(usize),
    Kernel(usize),
    Datagram,
    Receiver(usize),
    Sender(usize),
    Supervise(usize),
}

impl Default for Cluster {
    fn default() -> Self {
        Self::new()
    }
}

impl Cluster {
    /// Two nodes with the documented defaults; nothing runs.
    #[must_use]
    pub fn new() -> Self {
        Self::with(settings(1), settings(2))
    }

    /// Two nodes with these settings.
    #[must_use]
    pub fn with(one: Settings, two: Settings) -> Self {
        Self::made(Making { settings: vec![one, two], links: 1, clocks: vec![0, 0], seed: 0 })
    }

    /// A cluster; nothing runs.
    #[must_use]
    pub fn made(making: Making) -> Self {
        let count = making.settings.len();
        let clock = |index: usize| Clock::booted(0, making.clocks.get(index).copied().unwrap_or(0));
        let nodes = making.settings.iter().cloned().enumerate();
        Self {
            now: 1,
            nodes: nodes.map(|(index, settings)| Node::new(settings, count, clock(index))).collect(),
            network: Network::new(count, making.links),
            audit: Audit::default(),
            happened: Vec::new(),
            codec: Codec::new("sim", Trust::Anybody),
            rng: Rng::with_seed(making.seed),
        }
    }

    /// A running pair with the documented defaults, lb1 active.
    ///
    /// # Panics
    /// If it does not come up.
    #[must_use]
    pub fn running() -> Self {
        let mut cluster = Self::new();
        cluster.start(0);
        cluster.until(3000, "lb1 becomes active", |c| c.nodes[0].status() == Some(Status::Online));
        cluster.start(1);
        cluster.pass(3000);
        assert_eq!(cluster.nodes[1].status(), Some(Status::Offline), "{}", cluster.story());
        cluster.audit.reset();
        cluster
    }

    /// Starts whatever does not run on a node.
    pub fn start(&mut self, n: usize) {
        self.apply(&Fault::Start { node: n });
    }

    /// Milliseconds since the beginning.
    #[must_use]
    pub const fn ms(&self) -> u64 {
        self.now / 1000
    }

    /// Lets `ms` milliseconds pass.
    pub fn pass(&mut self, ms: u64) {
        let until = self.now + ms * 1000;
        while self.step(until) {}
    }

    /// Does the next thing that is due until `limit`; false, at that time, if there is none.
    pub fn step(&mut self, limit: Micros) -> bool {
        let Some((at, due)) = self.next().filter(|(at, _)| *at <= limit) else {
            self.now = self.now.max(limit);
            return false;
        };
        self.now = self.now.max(at);
        match due {
            Due::Wakeup(n) => self.nodes[n].asleep_until = 0,
            Due::Kernel(n) => self.kernel(n),
            Due::Datagram => self.deliver(),
            Due::Receiver(n) => {
                self.nodes[n].receiver.stalled_until = 0;
                self.wake_receiver(n);
            }
            Due::Sender(n) => {
                self.nodes[n].sender.stalled_until = 0;
                self.wake_sender(n);
            }
            Due::Supervise(n) => {
                self.nodes[n].supervise.stalled_until = 0;
                self.wake_supervise(n);
            }
        }
        self.watch();
        true
    }

    /// Lets time pass until `test` holds; milliseconds that it took.
    ///
    /// # Panics
    /// With the story, if it does not within `bound` milliseconds.
    pub fn until(&mut self, bound: u64, what: &str, test: impl Fn(&Self) -> bool) -> u64 {
        let from = self.now;
        while !test(self) {
            assert!(self.now - from < bound * 1000, "not within {bound} ms: {what}\n{}", self.story());
            self.step(from + bound * 1000);
        }
        (self.now - from) / 1000
    }

    /// All that happened and matters, a line each.
    #[must_use]
    pub fn story(&self) -> String {
        let news = self.happened.iter().filter(|(_, happening)| happening.is_news());
        news.map(|(at, happening)| line(*at, happening)).collect::<Vec<_>>().join("\n")
    }

    /// Every call begun on a node: milliseconds since the beginning, resource, which call.
    pub fn calls(&self, n: usize) -> impl Iterator<Item = (u64, usize, Call)> {
        self.happened.iter().filter_map(move |(at, happening)| {
            let Happening::Called { node, resource, call } = happening else { return None };
            (*node == n).then_some((at / 1000, *resource, *call))
        })
    }

    /// Indices of the nodes that are ONLINE.
    #[must_use]
    pub fn active(&self) -> Vec<usize> {
        (0..self.nodes.len()).filter(|n| self.nodes[*n].status() == Some(Status::Online)).collect()
    }

    /// Nothing is wrong anywhere, and nobody has asked for anything.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.network.is_whole() && self.nodes.iter().all(|node| node.is_well(self.now))
    }

    /// Supervise said its last word; the sender repeats it, and `stop` ends the other two.
    pub(crate) fn supervise_ended(&mut self, n: usize) {
        self.wake_sender(n);
        self.say_farewell(n);
        self.kill(n, Program::Sender);
        self.kill(n, Program::Receiver);
        self.nodes[n].record.receiver.pid = 0;
        self.nodes[n].stopping = false;
    }

    /// What is due next, and when.
    fn next(&self) -> Option<(Micros, Due)> {
        let mut next = self.network.next().map(|at| (at, Due::Datagram));
        let mut offer = |at: Option<Micros>, due: Due| {
            if let Some(at) = at
                && next.is_none_or(|least| (at, due) < least)
            {
                next = Some((at, due));
            }
        };
        for (n, node) in self.nodes.iter().enumerate() {
            let asleep = node.asleep_until;
            offer((asleep > 0).then_some(asleep), Due::Wakeup(n));
            let calls = node.agents.iter().filter_map(Agent::next).chain(node.echoes.iter().copied()).min();
            offer(calls.map(|at| at.max(asleep)), Due::Kernel(n));
            offer(node.receiver.next(asleep), Due::Receiver(n));
            offer(node.sender.next(asleep), Due::Sender(n));
            offer(node.supervise.next(asleep), Due::Supervise(n));
        }
        next
    }

    /// Addresses expire, calls end, echoes come back.
    fn kernel(&mut self, n: usize) {
        let now = self.now;
        for resource in 0..self.nodes[n].agents.len() {
            let was_up = self.nodes[n].agents[resource].up;
            self.nodes[n].agents[resource].expire(now);
            if was_up && !self.nodes[n].agents[resource].up {
                self.happened.push((now, Happening::Expired { node: n, resource }));
            }
            let (over, running) = std::mem::take(&mut self.nodes[n].agents[resource].running)
                .into_iter()
                .partition::<Vec<_>, _>(|running| running.ends <= now);
            self.nodes[n].agents[resource].running = running;
            over.into_iter().for_each(|call| self.end_call(n, resource, &call));
        }
        let node = &mut self.nodes[n];
        let waiting = node.echoes.len();
        node.echoes.retain(|at| *at > now);
        if node.echoes.len() < waiting && node.gateway_answers {
            self.tell_supervise(n, Event::GatewayAnswered);
        }
    }

    fn end_call(&mut self, n: usize, resource: usize, running: &crate::agents::Running) {
        let now = self.now;
        let held = self.held_elsewhere(n, resource);
        let node = &mut self.nodes[n];
        let (lease, call, orphaned) = (node.settings.lease, running.call, running.orphaned);
        let outcome = node.agents[resource].finish(running, lease, held, now, &mut self.rng);
        self.happened.push((now, Happening::Ended { node: n, resource, call, outcome, orphaned }));
        if !orphaned {
            let duration = Duration::from_micros(now - running.began);
            let message = String::new();
            self.tell_supervise(n, Event::CallFinished { resource, call, outcome, message, duration });
        }
    }

    pub(crate) fn tell_supervise(&mut self, n: usize, event: Event) {
        let at = self.now + self.reaction(n);
        let node = &mut self.nodes[n];
        if let Some(supervise) = &mut node.supervise.core {
            supervise.waiting.push(event);
            node.supervise.wake_by(at);
        }
    }

    fn deliver(&mut self) {
        let Some(datagram) = self.network.arrive() else { return };
        let n = datagram.to;
        let at = self.now + self.reaction(n);
        let node = &mut self.nodes[n];
        node.receive(datagram, self.now);
        node.receiver.wake_by(at);
    }

    /// Whether another machine that this one can see has the resource up. Only addresses can be asked about.
    pub(crate) fn held_elsewhere(&self, n: usize, resource: usize) -> bool {
        self.nodes[n].settings.resources[resource].probes
            && self.nodes.iter().enumerate().any(|(other, node)| {
                other != n && node.is_awake() && node.agents[resource].up && self.network.same_wire(n, other)
            })
    }

    /// Replaces one section of a node's status database; news wakes who listens.
    pub(crate) fn write<S: Section>(&mut self, n: usize, section: S) {
        let at = self.now + self.reaction(n);
        let node = &mut self.nodes[n];
        let slot = S::of(&mut node.record);
        let news = section.is_news(slot);
        *slot = section;
        node.supervise.notify(at, news);
        node.sender.notify(at, news);
    }

    /// A node's time now.
    pub(crate) fn local(&self, n: usize) -> BootTime {
        self.nodes[n].local(self.now)
    }

    /// Milliseconds since 1970.
    pub(crate) const fn wall(&self) -> u64 {
        EPOCH + self.now / 1000
    }

    /// When a program that sleeps until `due` wakes; not at all in the same instant again.
    pub(crate) fn when(&mut self, n: usize, due: BootTime) -> Micros {
        let due = self.nodes[n].clock.reaches(due).max(self.now);
        due + self.reaction(n)
    }

    fn reaction(&mut self, n: usize) -> Micros {
        let starved = self.nodes[n].starved;
        REACTION + if starved > 0 { self.rng.u64(0..=starved) } else { 0 }
    }

    pub(crate) fn watch(&mut self) {
        self.audit.look(&self.nodes, &self.network, self.now);
    }

    /// The highest term that any node acted under.
    #[must_use]
    pub fn highest_term(&self) -> Term {
        self.nodes.iter().map(Node::term).max().unwrap_or_default()
    }
}
