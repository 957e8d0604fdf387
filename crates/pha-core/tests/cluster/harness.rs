//! The virtual cluster.

use std::collections::VecDeque;
use std::time::Duration;

use pha_core::beat::{Beat, BeatSettings, Said};
use pha_core::detector::{Arrival, DetectorSettings, PeerDetector};
use pha_core::report::{OfflineWish, ResourceState, SuperviseReport, Wishes};
use pha_core::resource::{Call, Outcome, ResourceSettings};
use pha_core::supervisor::{Command, Event, Outside, Restored, Settings, Supervisor};
use pha_core::{BootTime, Heartbeat, NodeId, Reason, Role, Serial, Status, Term, Word};

const LATENCY: u64 = 1;

pub fn at(ms: u64) -> BootTime {
    BootTime::ZERO + Duration::from_millis(ms)
}

/// How the agents of one node behave.
#[derive(Clone)]
pub struct Agents {
    pub up: Vec<bool>,
    pub start_fails: Vec<bool>,
    pub stop_fails: Vec<bool>,
    pub start_hangs: Vec<bool>,
    pub took: Vec<(u64, usize, Call)>,
    pub running: Vec<(u64, usize, Call, u64)>,
}

/// The three programs of a node; `None` is not running.
pub struct Node {
    pub id: NodeId,
    settings: Settings,
    pub supervise: Option<Supervisor>,
    pub receiver: Option<PeerDetector>,
    pub sender: Option<Beat>,
    sequence: u64,
    incarnation: u64,
    pub report: Option<(SuperviseReport, BootTime)>,
    pub wishes: Wishes,
    pub agents: Agents,
    pub gateway_answers: bool,
    pub database_writable: bool,
    inbox: VecDeque<(u64, Heartbeat)>,
    highest: Serial,
    echoes: Vec<u64>,
    pub exited: bool,
    /// When the kernel takes the leased address away; `None` is never.
    lease_until: Option<u64>,
}

pub struct Cluster {
    pub now: u64,
    pub nodes: Vec<Node>,
    /// `cut[a][b]`: datagrams from a to b are lost.
    pub cut: [[bool; 2]; 2],
    pub same_wire: bool,
    pub log: Vec<String>,
    pub two_up_for: u64,
    pub most_two_up: u64,
    pub none_up_for: u64,
    pub most_none_up: u64,
}

pub fn settings(id: usize) -> Settings {
    let resource = |name: &str, leased| ResourceSettings {
        name: name.into(),
        start_timeout: Duration::from_secs(5),
        stop_timeout: Duration::from_secs(5),
        check_timeout: Duration::from_secs(2),
        leased,
        probes: leased,
        announces: leased,
    };
    Settings {
        me: NodeId::new(id).unwrap(),
        heartbeat_interval: Duration::from_millis(200),
        dead_time: Duration::from_millis(600),
        supervise_interval: Duration::from_millis(2000),
        ping_timeout: Duration::from_millis(2100),
        gateway: true,
        lease: Duration::from_secs(3),
        restarts: 1,
        restart_window: Duration::from_secs(60),
        unfit_time: Duration::from_secs(60),
        failback: None,
        witness: true,
        config_hash: 1,
        resources: vec![resource("service", false), resource("ipaddr", true)],
    }
}

impl Node {
    fn new(settings: Settings) -> Self {
        let n = settings.resources.len();
        Self {
            id: settings.me,
            settings,
            supervise: None,
            receiver: None,
            sender: None,
            sequence: 0,
            incarnation: 0,
            report: None,
            wishes: Wishes::default(),
            agents: Agents {
                up: vec![false; n],
                start_fails: vec![false; n],
                stop_fails: vec![false; n],
                start_hangs: vec![false; n],
                took: Vec::new(),
                running: Vec::new(),
            },
            gateway_answers: true,
            database_writable: true,
            inbox: VecDeque::new(),
            highest: Serial::default(),
            echoes: Vec::new(),
            exited: false,
            lease_until: None,
        }
    }

    pub fn word(&self) -> Option<Word> {
        self.supervise.as_ref().and(self.report.as_ref()).map(|(report, _)| report.saying.word)
    }

    pub fn status(&self) -> Option<Status> {
        self.word().and_then(Word::status)
    }

    pub fn role(&self) -> Role {
        self.report.as_ref().map_or(Role::Standby, |(report, _)| report.role)
    }

    pub fn reason(&self) -> Reason {
        self.report.as_ref().unwrap().0.reason
    }

    pub fn term(&self) -> Term {
        self.report.as_ref().unwrap().0.saying.term
    }

    pub fn served(&self) -> bool {
        self.agents.up.iter().all(|up| *up)
    }

    pub fn anything_up(&self) -> bool {
        self.agents.up.iter().any(|up| *up)
    }

    pub fn transitions(&self) -> usize {
        self.report.as_ref().map_or(0, |(report, _)| report.history.len())
    }

    fn outside(&self) -> Outside {
        Outside {
            peers: self.receiver.iter().map(|receiver| receiver.report().clone()).collect(),
            deaf: self.receiver.is_none(),
            wishes: self.wishes.clone(),
            quorum: None,
        }
    }
}

impl Cluster {
    pub fn new() -> Self {
        Self::with(settings(1), settings(2))
    }

    pub fn with(one: Settings, two: Settings) -> Self {
        Self {
            now: 1,
            nodes: vec![Node::new(one), Node::new(two)],
            cut: [[false; 2]; 2],
            same_wire: true,
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

    pub fn start_receiver(&mut self, n: usize) {
        let now = at(self.now);
        let node = &mut self.nodes[n];
        let (interval, dead_time) = (node.settings.heartbeat_interval, node.settings.dead_time);
        let s = DetectorSettings { interval, dead_time, init_dead: dead_time * 2 };
        node.receiver = Some(PeerDetector::new(NodeId::new(2 - n).unwrap(), vec!["peer".into()], 1, s, now));
        node.inbox.clear();
    }

    pub fn start_sender(&mut self, n: usize) {
        let now = at(self.now);
        let node = &mut self.nodes[n];
        let silence_limit = node.settings.lease - node.settings.dead_time;
        node.sender = Some(Beat::new(BeatSettings { interval: node.settings.heartbeat_interval, silence_limit }, now));
        node.incarnation += 1;
        node.sequence = 0;
        self.tell_sender(n);
    }

    pub fn start_supervise(&mut self, n: usize) {
        let now = at(self.now);
        let node = &mut self.nodes[n];
        let restored = node.report.as_ref().map_or_else(Restored::default, |(report, _)| Restored {
            own_term: report.saying.term,
            highest_term: report.highest_term,
        });
        node.exited = false;
        node.supervise = Some(Supervisor::new(node.settings.clone(), restored, now));
        self.tell_supervise(n);
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

    pub fn kill_all(&mut self, n: usize) {
        let node = &mut self.nodes[n];
        node.supervise = None;
        node.receiver = None;
        node.sender = None;
        node.agents.running.clear();
    }

    pub fn cut_link(&mut self, cut: bool) {
        self.cut = [[false, cut], [cut, false]];
        self.same_wire = !cut;
    }

    pub fn wish(&mut self, n: usize, change: impl FnOnce(&mut Wishes)) {
        change(&mut self.nodes[n].wishes);
        self.tell_supervise(n);
    }

    pub fn offline(&mut self, n: usize, seconds: u64) {
        let wish =
            OfflineWish { since: at(self.now), until: at(self.now) + Duration::from_secs(seconds), force: false };
        self.wish(n, |wishes| wishes.offline = Some(wish));
    }

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
            Command::Run { resource, call, limit, .. } => self.run(n, resource, call, limit),
            Command::Cancel { resource } => {
                for running in &mut self.nodes[n].agents.running {
                    if running.1 == resource {
                        running.0 = self.now + 1;
                        running.3 = 1;
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

    fn run(&mut self, n: usize, resource: usize, call: Call, limit: Duration) {
        let node = &mut self.nodes[n];
        assert!(
            !node.agents.running.iter().any(|running| running.1 == resource),
            "two calls of one resource at once on lb{}: {call:?}\n{}",
            n + 1,
            self.log.join("\n")
        );
        node.agents.took.push((self.now, resource, call));
        let limit = u64::try_from(limit.as_millis()).unwrap();
        let hangs = call == Call::Start && node.agents.start_hangs[resource];
        let (takes, ended) = if hangs { (limit, 2) } else { (3, 0) };
        node.agents.running.push((self.now + takes, resource, call, ended));
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
            std::mem::take(&mut self.nodes[n].agents.running).into_iter().partition(|running| running.0 <= now);
        self.nodes[n].agents.running = rest;
        for (_, resource, call, ended) in done {
            let outcome = match ended {
                1 => Outcome::Cancelled,
                2 => Outcome::TimedOut,
                _ => self.effect(n, resource, call),
            };
            let duration = Duration::from_millis(3);
            let message = "said so".to_owned();
            self.event(n, Event::CallFinished { resource, call, outcome, message, duration });
        }
    }

    fn effect(&mut self, n: usize, resource: usize, call: Call) -> Outcome {
        let other_holds = self.same_wire && self.nodes[1 - n].agents.up[resource];
        let now = self.now;
        let agents = &mut self.nodes[n].agents;
        let success = match call {
            Call::Start if agents.start_fails[resource] => false,
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
        match call {
            Call::Start | Call::Check if success && resource == 1 => self.nodes[n].lease_until = Some(now + 3000),
            Call::Keep if resource == 1 => self.nodes[n].lease_until = None,
            Call::Start | Call::Stop | Call::Check | Call::Probe | Call::Announce | Call::Keep => {}
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
        while node.inbox.front().is_some_and(|(due, _)| *due <= now) {
            let (_, heartbeat) = node.inbox.pop_front().unwrap();
            if heartbeat.serial > node.highest {
                node.highest = heartbeat.serial;
                receiver.heartbeat_received(&heartbeat, 0, Arrival::Newest, at(now));
            }
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

    pub fn reset_audit(&mut self) {
        self.most_two_up = 0;
        self.most_none_up = 0;
    }

    /// A running pair, lb1 active.
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

    pub fn active(&self) -> Vec<usize> {
        (0..2).filter(|n| self.nodes[*n].status() == Some(Status::Online)).collect()
    }

    pub fn is_up(&self, n: usize, resource: usize) -> bool {
        self.nodes[n].report.as_ref().unwrap().0.resources[resource].state == ResourceState::Up
    }
}
