//! Two nodes and what lies between them.

use std::time::Duration;

use pha_core::beat::{Beat, BeatSettings, Said};
use pha_core::detector::{Arrival, DetectorSettings, PeerDetector};
use pha_core::report::{OfflineWish, ResourceState, Wishes};
use pha_core::resource::{Call, Outcome};
use pha_core::supervisor::{Command, Event, Restored, Settings, Supervisor};
use pha_core::{BootTime, Heartbeat, NodeId, Serial, Status, Term};

use crate::node::{Node, Running, settings};

/// One of the three.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// pha-receiver.
    Receiver,
    /// pha-sender.
    Sender,
    /// pha-supervise.
    Supervise,
}

/// A heartbeat takes so long, in ms.
const LATENCY: u64 = 1;
/// An agent takes so long, in ms.
const AGENT: u64 = 3;

fn at(ms: u64) -> BootTime {
    BootTime::ZERO + Duration::from_millis(ms)
}

/// The cluster; nodes are counted from 0, lb1 is node 0.
#[derive(Debug)]
pub struct Cluster {
    /// Milliseconds since everything booted.
    pub now: u64,
    /// The nodes.
    pub nodes: Vec<Node>,
    /// `cut[a][b]`: datagrams from a to b are lost.
    pub cut: [[bool; 2]; 2],
    /// Whether the nodes can ask each other's address on the wire.
    pub same_wire: bool,
    /// Agents take up to so much longer, in ms, each call differently.
    pub slowness: u64,
    /// The core's notes, with time and node.
    pub log: Vec<String>,
    /// For how long now both nodes have held the address, in ms.
    pub two_up_for: u64,
    /// The longest such time since the last [`Cluster::reset_audit`].
    pub most_two_up: u64,
    /// For how long now nobody has held the address, in ms.
    pub none_up_for: u64,
    /// The longest such time since the last [`Cluster::reset_audit`].
    pub most_none_up: u64,
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
        Self {
            now: 1,
            nodes: vec![Node::new(one), Node::new(two)],
            cut: [[false; 2]; 2],
            same_wire: true,
            slowness: 0,
            log: Vec::new(),
            two_up_for: 0,
            most_two_up: 0,
            none_up_for: 0,
            most_none_up: 0,
        }
    }

    /// Starts all three programs of a node.
    pub fn start(&mut self, n: usize) {
        self.start_receiver(n);
        self.start_sender(n);
        self.start_supervise(n);
    }

    /// Starts pha-receiver.
    pub fn start_receiver(&mut self, n: usize) {
        let now = at(self.now);
        let node = &mut self.nodes[n];
        let (interval, dead_time) = (node.settings.heartbeat_interval, node.settings.dead_time);
        let s = DetectorSettings { interval, dead_time, init_dead: dead_time * 2 };
        node.receiver = Some(PeerDetector::new(NodeId::new(2 - n).unwrap(), vec!["peer".into()], 1, s, now));
        node.inbox.clear();
    }

    /// Starts pha-sender.
    pub fn start_sender(&mut self, n: usize) {
        let now = at(self.now);
        let node = &mut self.nodes[n];
        let silence_limit = node.settings.lease - node.settings.dead_time;
        node.sender = Some(Beat::new(BeatSettings { interval: node.settings.heartbeat_interval, silence_limit }, now));
        node.incarnation += 1;
        node.sequence = 0;
        self.tell_sender(n);
    }

    /// Starts pha-supervise; it remembers the terms of its database.
    pub fn start_supervise(&mut self, n: usize) {
        let now = at(self.now);
        let node = &mut self.nodes[n];
        let restored = node.report.as_ref().map_or_else(Restored::default, |(report, _)| Restored::from(report));
        node.exited = false;
        node.supervise = Some(Supervisor::new(node.settings.clone(), restored, now));
        self.tell_supervise(n);
    }

    /// Ends a single program, with its children.
    pub fn kill(&mut self, n: usize, program: Program) {
        let node = &mut self.nodes[n];
        match program {
            Program::Receiver => node.receiver = None,
            Program::Sender => node.sender = None,
            Program::Supervise => {
                node.supervise = None;
                node.agents.running.clear();
            }
        }
    }

    /// Starts a single program.
    pub fn start_program(&mut self, n: usize, program: Program) {
        match program {
            Program::Receiver => self.start_receiver(n),
            Program::Sender => self.start_sender(n),
            Program::Supervise => self.start_supervise(n),
        }
    }

    /// Power off: everything is gone, the database keeps what a reboot keeps.
    pub fn crash(&mut self, n: usize) {
        self.kill_all(n);
        let node = &mut self.nodes[n];
        node.agents.up.iter_mut().for_each(|up| *up = false);
        node.agents.running.clear();
        if let Some((report, _)) = &mut node.report {
            report.saying.term = Term::NONE;
        }
    }

    /// `kill -9` of everything: resources stay up.
    pub fn kill_all(&mut self, n: usize) {
        let node = &mut self.nodes[n];
        node.supervise = None;
        node.receiver = None;
        node.sender = None;
        node.agents.running.clear();
    }

    /// Cuts or heals everything between the nodes.
    pub fn cut_link(&mut self, cut: bool) {
        self.cut = [[false, cut], [cut, false]];
        self.same_wire = !cut;
    }

    /// Changes the operator's wishes.
    pub fn wish(&mut self, n: usize, change: impl FnOnce(&mut Wishes)) {
        change(&mut self.nodes[n].wishes);
        self.tell_supervise(n);
    }

    /// `offline` for some seconds.
    pub fn offline(&mut self, n: usize, seconds: u64) {
        let wish =
            OfflineWish { since: at(self.now), until: at(self.now) + Duration::from_secs(seconds), force: false };
        self.wish(n, |wishes| wishes.offline = Some(wish));
    }

    /// Feeds an event to a node's supervisor.
    pub fn event(&mut self, n: usize, event: Event) {
        let now = at(self.now);
        let Some(supervise) = &mut self.nodes[n].supervise else { return };
        let commands = supervise.handle(event, now);
        for command in commands {
            self.carry_out(n, command);
        }
    }

    fn tell_supervise(&mut self, n: usize) {
        let outside = self.nodes[n].outside();
        self.event(n, Event::OutsideChanged(Box::new(outside)));
    }

    fn tell_sender(&mut self, n: usize) {
        let now = at(self.now);
        let node = &mut self.nodes[n];
        let peers: Vec<_> = node.receiver.iter().map(|receiver| receiver.report().clone()).collect();
        let said = node.report.as_ref().map(|(report, tick)| Said::from_report(report, *tick));
        if let Some(sender) = &mut node.sender {
            sender.record_changed(said, &peers, now);
        }
    }

    fn publish(&mut self, n: usize) -> bool {
        let now = at(self.now);
        let node = &mut self.nodes[n];
        let Some(supervise) = &node.supervise else { return false };
        if !node.database_writable {
            return false;
        }
        if supervise.is_settled() || node.report.is_none() || node.exited {
            node.report = Some((supervise.report(), now));
        }
        self.tell_sender(n);
        true
    }

    fn carry_out(&mut self, n: usize, command: Command) {
        match command {
            Command::Publish => {
                self.publish(n);
            }
            Command::StoreTerm => {
                let stored = self.publish(n);
                self.event(n, Event::TermStored(stored));
            }
            Command::Run { resource, call, limit, lease, sole, .. } => {
                self.run(n, Running { ends: 0, resource, call, forced: None, lease, sole }, limit);
            }
            Command::Cancel { resource } => {
                for running in &mut self.nodes[n].agents.running {
                    if running.resource == resource {
                        running.ends = self.now + 1;
                        running.forced = Some(Outcome::Cancelled);
                    }
                }
            }
            Command::Ping => {
                if self.nodes[n].gateway_answers {
                    let due = self.now + 1;
                    self.nodes[n].echoes.push(due);
                }
            }
            Command::Note(note) => self.log.push(format!("{:>7} lb{} {note:?}", self.now, n + 1)),
            Command::Exit => self.nodes[n].exited = true,
        }
    }

    fn run(&mut self, n: usize, mut call: Running, limit: Duration) {
        let agents = &mut self.nodes[n].agents;
        assert!(
            !agents.running.iter().any(|running| running.resource == call.resource),
            "two calls of one resource at once on lb{}: {call:?}\n{}",
            n + 1,
            self.log.join("\n")
        );
        agents.took.push((self.now, call.resource, call.call));
        let hangs = call.call == Call::Start && agents.start_hangs[call.resource];
        call.forced = hangs.then_some(Outcome::TimedOut);
        let spread = self.now.wrapping_mul(31) + call.resource as u64 * 17 + call.call as u64 * 7;
        let takes = AGENT + spread % (self.slowness + 1);
        call.ends = self.now + if hangs { u64::try_from(limit.as_millis()).unwrap() } else { takes };
        agents.running.push(call);
    }

    /// Lets `ms` milliseconds pass.
    pub fn pass(&mut self, ms: u64) {
        for _ in 0..ms {
            self.now += 1;
            for n in 0..2 {
                self.step_node(n);
            }
            self.audit();
        }
    }

    /// Time passes and nobody runs: the host of both machines stood still.
    pub fn stand_still(&mut self, ms: u64) {
        self.now += ms;
    }

    /// Lets time pass until `test` holds; panics with the log after `bound` milliseconds.
    pub fn until(&mut self, bound: u64, what: &str, test: impl Fn(&Self) -> bool) -> u64 {
        let from = self.now;
        while !test(self) {
            assert!(self.now - from < bound, "not within {bound} ms: {what}\n{}", self.log.join("\n"));
            self.pass(1);
        }
        self.now - from
    }

    fn step_node(&mut self, n: usize) {
        self.finish_calls(n);
        let now = self.now;
        let answered = self.nodes[n].echoes.iter().any(|due| *due <= now);
        self.nodes[n].echoes.retain(|due| *due > now);
        if answered && self.nodes[n].gateway_answers {
            self.event(n, Event::GatewayAnswered);
        }
        self.hear(n);
        self.speak(n);
        let due = self.nodes[n].supervise.as_ref().is_some_and(|supervise| supervise.next_deadline() <= at(now));
        if due {
            self.event(n, Event::DeadlinePassed);
        }
        // The kernel takes a leased address away when nobody renews it.
        let node = &mut self.nodes[n];
        if node.lease_until.is_some_and(|until| now > until) {
            node.agents.up[1] = false;
        }
    }

    fn finish_calls(&mut self, n: usize) {
        let now = self.now;
        let (done, rest): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.nodes[n].agents.running).into_iter().partition(|running| running.ends <= now);
        self.nodes[n].agents.running = rest;
        for running in done {
            let outcome = running.forced.unwrap_or_else(|| self.effect(n, &running));
            let Running { resource, call, .. } = running;
            let duration = Duration::from_millis(AGENT);
            let message = "said so".to_owned();
            self.event(n, Event::CallFinished { resource, call, outcome, message, duration });
        }
    }

    fn effect(&mut self, n: usize, running: &Running) -> Outcome {
        let Running { resource, call, lease, sole, .. } = *running;
        let other_holds = self.same_wire && self.nodes[1 - n].agents.up[resource];
        let now = self.now;
        let agents = &mut self.nodes[n].agents;
        let success = match call {
            Call::Start if agents.start_fails[resource] => false,
            // Duplicate detection: the agent looks unless it is told that nobody else can hold the address.
            Call::Start | Call::Keep if resource == 1 && other_holds && !agents.up[1] && !sole => false,
            Call::Stop if agents.stop_fails[resource] => false,
            Call::Start | Call::Keep => {
                agents.up[resource] = true;
                true
            }
            Call::Stop => {
                agents.up[resource] = false;
                true
            }
            Call::Check => agents.up[resource],
            Call::Probe => other_holds,
            Call::Announce => true,
        };
        if success && lease {
            self.nodes[n].lease_until = Some(now + 3000);
        } else if success && call == Call::Keep && resource == 1 {
            self.nodes[n].lease_until = None;
        }
        if success { Outcome::Succeeded } else { Outcome::Failed }
    }

    fn hear(&mut self, n: usize) {
        let now = self.now;
        let node = &mut self.nodes[n];
        let Some(receiver) = &mut node.receiver else {
            if now.is_multiple_of(1000) {
                self.tell_supervise(n);
            }
            return;
        };
        let before = receiver.report().clone();
        let due = receiver.next_deadline();
        while node.inbox.front().is_some_and(|(due, _)| *due <= now) {
            let (_, heartbeat) = node.inbox.pop_front().unwrap();
            if heartbeat.serial > node.highest {
                node.highest = heartbeat.serial;
                receiver.heartbeat_received(&heartbeat, 0, Arrival::Newest, at(now));
            }
        }
        if let Some(lateness) = due.map(|due| at(now).since(due)).filter(|late| *late > node.settings.dead_time / 4) {
            receiver.was_late(lateness, at(now));
        }
        receiver.deadline_passed(at(now));
        let after = receiver.report();
        let news = before.liveness != after.liveness
            || before.saying != after.saying
            || before.progress_until.is_some() != after.progress_until.is_some()
            || before.reply_wanted != after.reply_wanted;
        if news || now.is_multiple_of(1000) {
            self.tell_supervise(n);
            self.tell_sender(n);
        }
    }

    fn speak(&mut self, n: usize) {
        let now = self.now;
        let node = &mut self.nodes[n];
        let Some(round) = node.sender.as_mut().and_then(|sender| sender.deadline_passed(at(now))) else { return };
        node.sequence += 1;
        let heartbeat = Heartbeat {
            node: node.id,
            serial: Serial { incarnation: node.incarnation, sequence: node.sequence },
            saying: round.saying,
            reply_wanted: round.reply_wanted,
            heard: node.highest,
            supervise_age: round.supervise_age,
        };
        if !self.cut[n][1 - n] {
            self.nodes[1 - n].inbox.push_back((now + LATENCY, heartbeat));
        }
    }

    fn audit(&mut self) {
        let both = self.nodes[0].agents.up[1] && self.nodes[1].agents.up[1];
        let none = !self.nodes[0].agents.up[1] && !self.nodes[1].agents.up[1];
        self.two_up_for = if both { self.two_up_for + 1 } else { 0 };
        self.none_up_for = if none { self.none_up_for + 1 } else { 0 };
        self.most_two_up = self.most_two_up.max(self.two_up_for);
        self.most_none_up = self.most_none_up.max(self.none_up_for);
    }

    /// Begins to count anew.
    pub fn reset_audit(&mut self) {
        self.most_two_up = 0;
        self.most_none_up = 0;
    }

    /// A running pair, lb1 active.
    #[must_use]
    pub fn running() -> Self {
        let mut cluster = Self::new();
        cluster.start(0);
        cluster.until(3000, "lb1 becomes active", |c| c.nodes[0].status() == Some(Status::Online));
        cluster.start(1);
        cluster.pass(3000);
        assert_eq!(cluster.nodes[1].status(), Some(Status::Offline));
        cluster.reset_audit();
        cluster
    }

    /// Indices of the nodes that are ONLINE.
    #[must_use]
    pub fn active(&self) -> Vec<usize> {
        (0..2).filter(|n| self.nodes[*n].status() == Some(Status::Online)).collect()
    }

    /// Whether a node reports a resource as up.
    #[must_use]
    pub fn is_up(&self, n: usize, resource: usize) -> bool {
        self.nodes[n].report.as_ref().unwrap().0.resources[resource].state == ResourceState::Up
    }
}
