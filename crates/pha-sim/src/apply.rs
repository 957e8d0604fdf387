//! How faults and their ends, and the operator's commands, change the machines.

use std::time::Duration;

use pha_core::report::{OfflineWish, SwitchoverWish, Wishes};
use pha_core::supervisor::Event;
use pha_status::{OperatorSection, Record};

use crate::agents::Agent;
use crate::clock::Micros;
use crate::cluster::{Cluster, REACTION};
use crate::fault::{Behaviour, Fault, Program};
use crate::happening::Happening;

/// As long as `pha-cli switchover` waits for an answer.
const ANSWER: Duration = Duration::from_secs(6);

impl Cluster {
    /// Lets a fault happen.
    pub fn apply(&mut self, fault: &Fault) {
        self.happened.push((self.now, Happening::Fault(fault.clone())));
        let soon = self.now + REACTION;
        match *fault {
            Fault::Crash { node } => self.crash(node),
            Fault::Start { node } => Program::ALL.into_iter().for_each(|program| self.start_program(node, program)),
            Fault::StartProgram { node, program } => self.start_program(node, program),
            Fault::Kill { node, program } => self.kill(node, program),
            Fault::KillAll { node } => Program::ALL.into_iter().for_each(|program| self.kill(node, program)),
            Fault::Stop { node } => self.tell_to_end(node),
            Fault::Stall { node, program, ms } => self.stall(node, program, self.now + ms * 1000),
            Fault::Suspend { node, ms } => self.nodes[node].asleep_until = self.now + ms * 1000,
            Fault::Starve { node, ms } => self.nodes[node].starved = ms * 1000,
            Fault::Cut { from, to, link, cut } => self.network.cut(from, to, link, cut),
            Fault::Isolate { node, cut } => self.network.isolate(node, cut),
            Fault::Weather { loss_percent, repeat_percent, jitter_ms } => {
                self.network.loss_percent = loss_percent;
                self.network.repeat_percent = repeat_percent;
                self.network.jitter = jitter_ms * 1000;
            }
            Fault::OtherProtocol { node, other } => self.nodes[node].other_protocol = other,
            Fault::Gateway { node, answers } => self.nodes[node].gateway_answers = answers,
            Fault::ResourceDies { node, resource } => self.resource_dies(node, resource),
            Fault::Removed { node, resource } => {
                if self.nodes[node].agents[resource].remove() {
                    self.tell_supervise(node, Event::ResourceRemoved { resource });
                }
            }
            Fault::Agent { node, resource, call, behaviour } => {
                self.nodes[node].agents[resource].behave(call, behaviour);
            }
            Fault::SlowAgents { node, ms } => self.nodes[node].slowness = ms * 1000,
            Fault::Writable { node, writable } => self.nodes[node].writable = writable,
            Fault::LoseDatabase { node } => {
                self.nodes[node].record = Record::default();
                self.nodes[node].supervise.notify(soon, true);
                self.nodes[node].sender.notify(soon, true);
            }
            Fault::Offline { node, seconds, force } => {
                let since = self.local(node);
                let until = since + Duration::from_secs(seconds);
                let wish = OfflineWish { since, until, force };
                self.wish(node, |wishes| (wishes.offline, wishes.switchover) = (Some(wish), None));
            }
            Fault::Switchover { node, to } => {
                let since = self.local(node);
                let to = to.map(|to| self.nodes[to].id);
                let wish = SwitchoverWish { since, until: since + ANSWER, to };
                self.wish(node, |wishes| (wishes.offline, wishes.switchover) = (None, Some(wish)));
            }
            Fault::Online { node } => {
                let now = self.local(node);
                self.wish(node, |wishes| {
                    (wishes.offline, wishes.switchover, wishes.forgiven) = (None, None, now);
                });
            }
            Fault::Maintenance { node, on } => self.wish(node, |wishes| wishes.maintenance = on),
            Fault::Hold { node, resource, on } => self.hold(node, resource, on),
        }
        self.watch();
    }

    /// Everything is whole again, every program runs, and the operator's wishes are taken back.
    pub fn heal(&mut self) {
        self.happened.push((self.now, Happening::Healed));
        self.network.heal();
        for n in 0..self.nodes.len() {
            let node = &mut self.nodes[n];
            (node.gateway_answers, node.writable, node.other_protocol, node.starved) = (true, true, false, 0);
            node.slowness = 0;
            for agent in &mut node.agents {
                (agent.start, agent.stop, agent.check) = <(Behaviour, Behaviour, Behaviour)>::default();
            }
            let forgiven = node.local(self.now);
            self.wish(n, |wishes| *wishes = Wishes { forgiven, ..Wishes::default() });
            Program::ALL.into_iter().for_each(|program| self.start_program(n, program));
        }
    }

    fn wish(&mut self, n: usize, change: impl FnOnce(&mut Wishes)) {
        let at = self.local(n);
        let mut wishes = self.nodes[n].record.operator.wishes.clone();
        change(&mut wishes);
        self.write(n, OperatorSection { wishes, by: "operator".to_owned(), at });
    }

    fn hold(&mut self, n: usize, resource: usize, on: bool) {
        let name = self.nodes[n].settings.resources[resource].name.clone();
        self.wish(n, |wishes| {
            wishes.held.retain(|held| *held != name);
            if on {
                wishes.held.push(name);
            }
        });
    }

    fn crash(&mut self, n: usize) {
        Program::ALL.into_iter().for_each(|program| self.kill(n, program));
        let node = &mut self.nodes[n];
        node.powered = false;
        node.stopping = false;
        node.asleep_until = 0;
        node.inbox.clear();
        node.echoes.clear();
        // What was not flushed is gone.
        if let Some(report) = &mut node.record.supervise.report {
            report.highest_term = report.highest_term.min(node.lasting);
        }
        node.agents.iter_mut().for_each(Agent::lose_power);
    }

    fn start_program(&mut self, n: usize, program: Program) {
        if !self.nodes[n].powered {
            let node = &mut self.nodes[n];
            node.powered = true;
            node.clock.reboot(self.now);
            node.record = std::mem::take(&mut node.record).after_reboot("another boot");
        }
        if self.nodes[n].runs(program) {
            return;
        }
        match program {
            Program::Receiver => self.start_receiver(n),
            Program::Sender => self.start_sender(n),
            Program::Supervise => self.start_supervise(n),
        }
    }

    /// Ends a single program as `kill -9` does.
    pub(crate) fn kill(&mut self, n: usize, program: Program) {
        let node = &mut self.nodes[n];
        match program {
            Program::Receiver => {
                node.receiver.kill();
                node.inbox.clear();
            }
            Program::Sender => node.sender.kill(),
            Program::Supervise => {
                node.supervise.kill();
                node.stopping = false;
                node.agents.iter_mut().for_each(Agent::orphan);
            }
        }
    }

    /// Where a built-in check has it in sight, supervise is told.
    fn resource_dies(&mut self, n: usize, resource: usize) {
        let at = self.now + REACTION;
        let node = &mut self.nodes[n];
        node.agents[resource].up = false;
        if node.settings.resources[resource].watched
            && let Some(supervise) = &mut node.supervise.core
        {
            supervise.waiting.push(Event::WatchTripped { resource });
            node.supervise.wake_by(at);
        }
    }

    fn stall(&mut self, n: usize, program: Program, until: Micros) {
        let node = &mut self.nodes[n];
        match program {
            Program::Receiver => node.receiver.stalled_until = until,
            Program::Sender => node.sender.stalled_until = until,
            Program::Supervise => node.supervise.stalled_until = until,
        }
    }

    fn tell_to_end(&mut self, n: usize) {
        let at = self.now + REACTION;
        let node = &mut self.nodes[n];
        if let Some(supervise) = &mut node.supervise.core {
            node.stopping = true;
            supervise.waiting.push(Event::StopRequested);
            node.supervise.wake_by(at);
        }
    }
}
