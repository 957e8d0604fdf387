//! The three programs' loops on virtual machines: the same core, fed in the same order as the shells feed it
//! (`daemon.rs` of pha-receiver, pha-sender and pha-supervise).

use std::collections::VecDeque;
use std::time::Duration;

use pha_core::beat::{Beat, BeatSettings, Round, Said};
use pha_core::detector::{Arrival, brings_news};
use pha_core::report::Liveness;
use pha_core::supervisor::{Command, Event, Outside, Restored, Supervisor, TICK};
use pha_core::{BootTime, Heartbeat, Serial};
use pha_status::{OperatorSection, ReceiverSection, SuperviseSection};
use pha_wire::{Accept, ReplayGuard};

use crate::agents::Running;
use crate::clock::{Micros, micros};
use crate::cluster::Cluster;
use crate::happening::Happening;
use crate::node::{Hearing, Receiver, Sender, Supervise};

/// A receiver whose tick is older is stale: this node is deaf.
const RECEIVER_STALE: Duration = Duration::from_millis(2500);
/// How often a farewell is said.
const FAREWELLS: u32 = 3;
/// Any process id: what counts is that it is not 0.
const PID: u32 = 1;
/// What comes of one event at once ends after so many further events: a core that needs more goes in circles.
const MOST_FEEDS: u32 = 50;
/// An echo's way to the gateway and back.
const ECHO: Micros = 800;

impl Cluster {
    pub(crate) fn start_receiver(&mut self, n: usize) {
        let now = self.local(n);
        let links = self.network.links();
        let node = &self.nodes[n];
        let before = &node.record.receiver.peers;
        let peers = self.nodes.iter().map(|peer| peer.id).filter(|id| *id != node.id).map(|id| Hearing {
            core: node.detector(id, links, now),
            guard: before
                .iter()
                .find(|report| report.node == id && report.heard_at.is_some())
                .map_or_else(ReplayGuard::default, |report| ReplayGuard::resumed(report.serial)),
        });
        let receiver = Receiver { peers: peers.collect(), published: Vec::new(), next_tick: now };
        let node = &mut self.nodes[n];
        node.receiver.core = Some(receiver);
        node.inbox.clear();
        self.wake_receiver(n);
    }

    pub(crate) fn start_sender(&mut self, n: usize) {
        let now = self.local(n);
        let wall = self.wall();
        let node = &mut self.nodes[n];
        let times = &node.settings;
        let settings = BeatSettings::new(times.heartbeat_interval, times.dead_time, times.lease);
        let incarnation = node.record.sender.incarnation.saturating_add(1).max(wall);
        let serial = Serial { incarnation, sequence: 0 };
        node.record.sender.incarnation = incarnation;
        node.sender.core = Some(Sender { core: Beat::new(settings, now), serial, next_tick: now });
        node.sender.notified = true;
        self.wake_sender(n);
    }

    pub(crate) fn start_supervise(&mut self, n: usize) {
        let now = self.local(n);
        for resource in 0..self.nodes[n].agents.len() {
            let (lease, held) = (self.nodes[n].settings.lease, self.held_elsewhere(n, resource));
            self.nodes[n].agents[resource].end_orphans(lease, held, self.now, &mut self.rng);
        }
        let node = &mut self.nodes[n];
        let restored = node.record.supervise.report.as_ref().map_or_else(Restored::default, Restored::from);
        let core = Supervisor::new(node.settings.clone(), restored, now);
        let mut section = SuperviseSection { pid: PID, config_loaded: now, ..node.record.supervise.clone() };
        if section.tick == BootTime::ZERO || section.report.is_none() {
            section.report = Some(core.report());
            section.tick = now;
        }
        node.supervise.core = Some(Supervise {
            core,
            section: section.clone(),
            outside: Outside::default(),
            known_operator: node.record.operator.clone(),
            next_look: now,
            waiting: Vec::new(),
            could_publish: true,
        });
        node.supervise.notified = true;
        self.write(n, section);
        self.wake_supervise(n);
    }

    /// Hears what waits, lets time pass for every peer, publishes news.
    pub(crate) fn wake_receiver(&mut self, n: usize) {
        let now = self.local(n);
        let Some(mut receiver) = self.nodes[n].receiver.core.take() else { return };
        self.excuse(n, &mut receiver, now);
        while let Some(datagram) = self.nodes[n].inbox.pop_front() {
            let Ok((heartbeat, _)) = self.codec.decode(&datagram.bytes) else { continue };
            let Some(peer) = receiver.peers.iter_mut().find(|peer| peer.core.report().node == heartbeat.node) else {
                continue;
            };
            match peer.guard.accept(datagram.link, heartbeat.serial) {
                Ok(Accept::Newest) => peer.core.heartbeat_received(&heartbeat, datagram.link, Arrival::Newest, now),
                Ok(Accept::OtherLink) => peer.core.heartbeat_received(&heartbeat, datagram.link, Arrival::Copy, now),
                Err(_) => {}
            }
        }
        for peer in &mut receiver.peers {
            let before = peer.core.report().liveness;
            peer.core.deadline_passed(now);
            let report = peer.core.report();
            if report.liveness != before {
                if report.liveness == Liveness::Dead {
                    // There is no key here: a peer that was installed anew must be heard again.
                    peer.guard.forget();
                }
                let (peer, liveness) = (usize::from(report.node.number()) - 1, report.liveness);
                self.happened.push((self.now, Happening::Verdict { node: n, peer, liveness }));
            }
        }
        let reports: Vec<_> = receiver.peers.iter().map(|peer| peer.core.report().clone()).collect();
        if brings_news(&receiver.published, reports.iter()) || now >= receiver.next_tick {
            receiver.next_tick = now + TICK;
            receiver.published.clone_from(&reports);
            let section = ReceiverSection { pid: PID, tick: now, peers: reports, ..ReceiverSection::default() };
            if self.nodes[n].writable {
                self.write(n, section);
            }
        }
        let deadlines = receiver.peers.iter().filter_map(|peer| peer.core.next_deadline());
        let due = deadlines.fold(receiver.next_tick, BootTime::min);
        let wakes = self.when(n, due);
        let node = &mut self.nodes[n];
        node.receiver.wakes = wakes;
        node.receiver.core = Some(receiver);
    }

    /// A timer that fires too late is not the peers' fault.
    fn excuse(&self, n: usize, receiver: &mut Receiver, now: BootTime) {
        let due = receiver.peers.iter().filter_map(|peer| peer.core.next_deadline()).min();
        let lateness = due.map_or(Duration::ZERO, |due| now.since(due));
        if lateness > self.nodes[n].detector_settings().tolerated_lateness() {
            receiver.peers.iter_mut().for_each(|peer| peer.core.was_late(lateness, now));
        }
    }

    /// Reads what changed, sends what is due.
    pub(crate) fn wake_sender(&mut self, n: usize) {
        let now = self.local(n);
        let Some(mut sender) = self.nodes[n].sender.core.take() else { return };
        let node = &mut self.nodes[n];
        if std::mem::take(&mut node.sender.notified) {
            let section = &node.record.supervise;
            let said = section.report.as_ref().map(|report| Said::from_report(report, section.tick));
            sender.core.record_changed(said, &node.record.receiver.peers, now);
        }
        if let Some(round) = sender.core.deadline_passed(now) {
            self.send(n, &mut sender.serial, &round);
        }
        if now >= sender.next_tick {
            sender.next_tick = now + TICK;
            let node = &mut self.nodes[n];
            node.record.sender.incarnation = sender.serial.incarnation;
        }
        let looks = now + self.nodes[n].settings.heartbeat_interval;
        let due = sender.core.next_deadline().unwrap_or(looks).min(sender.next_tick);
        let wakes = self.when(n, due);
        let node = &mut self.nodes[n];
        node.sender.wakes = wakes;
        node.sender.core = Some(sender);
    }

    fn send(&mut self, n: usize, serial: &mut Serial, round: &Round) {
        serial.sequence += 1;
        if !self.nodes[n].powered || self.nodes[n].other_protocol {
            return;
        }
        for to in (0..self.nodes.len()).filter(|to| *to != n) {
            let peer = self.nodes[to].id;
            let node = &self.nodes[n];
            let heard =
                node.record.receiver.peers.iter().find(|report| report.node == peer).map(|report| report.serial);
            let heartbeat = Heartbeat {
                node: node.id,
                serial: *serial,
                saying: round.saying,
                reply_wanted: round.reply_wanted,
                heard: heard.unwrap_or_default(),
                supervise_age: round.supervise_age,
            };
            let bytes = self.codec.encode(&heartbeat, self.codec.best());
            self.network.send(n, to, (&bytes, *serial), self.now, &mut self.rng);
        }
    }

    /// The sender's last words as it is told to end.
    pub(crate) fn say_farewell(&mut self, n: usize) {
        let now = self.local(n);
        if let Some(mut sender) = self.nodes[n].sender.core.take()
            && let Some(round) = sender.core.farewell(now)
        {
            (0..FAREWELLS).for_each(|_| self.send(n, &mut sender.serial, &round));
        }
    }

    /// Collects what happened, oldest knowledge first, and feeds it to the core.
    pub(crate) fn wake_supervise(&mut self, n: usize) {
        let now = self.local(n);
        let Some(mut supervise) = self.nodes[n].supervise.core.take() else { return };
        let mut events = Vec::new();
        let notified = std::mem::take(&mut self.nodes[n].supervise.notified);
        if notified {
            self.read(n, &mut supervise);
        }
        if notified || now >= supervise.next_look {
            supervise.next_look = now + TICK;
            let outside = self.look_outside(n, now);
            if outside != supervise.outside {
                supervise.outside = outside.clone();
                events.push(Event::OutsideChanged(Box::new(outside)));
            }
        }
        events.append(&mut supervise.waiting);
        if events.is_empty() || now >= supervise.core.next_deadline() {
            events.push(Event::DeadlinePassed);
        }
        let mut ended = false;
        for event in events {
            ended |= self.feed(n, &mut supervise, event);
        }
        let due = supervise.core.next_deadline().min(supervise.next_look);
        assert!(due > now, "{} wakes for what has passed", crate::fault::name(n));
        let wakes = self.when(n, due);
        let node = &mut self.nodes[n];
        node.supervise.wakes = wakes;
        if ended {
            node.record.supervise.pid = 0;
            self.supervise_ended(n);
        } else {
            node.supervise.core = Some(supervise);
        }
    }

    /// What was lost from the database is put back.
    fn read(&mut self, n: usize, supervise: &mut Supervise) {
        let node = &mut self.nodes[n];
        let operator = &mut node.record.operator;
        if *operator == OperatorSection::default() {
            operator.clone_from(&supervise.known_operator);
        }
        supervise.known_operator.clone_from(operator);
        if node.record.supervise.report.is_none() && node.writable {
            self.write(n, supervise.section.clone());
        }
    }

    fn look_outside(&self, n: usize, now: BootTime) -> Outside {
        let node = &self.nodes[n];
        let section = &node.record.receiver;
        let deaf = node.receiver.core.is_none() || section.pid == 0 || now.since(section.tick) > RECEIVER_STALE;
        Outside { peers: section.peers.clone(), deaf, wishes: node.record.operator.wishes.clone(), quorum: None }
    }

    /// Feeds one event and what comes of it at once; true if supervise ends.
    fn feed(&mut self, n: usize, supervise: &mut Supervise, event: Event) -> bool {
        let now = self.local(n);
        let mut ended = false;
        let mut events = VecDeque::from([event]);
        let mut fed = 0;
        while let Some(event) = events.pop_front() {
            fed += 1;
            assert!(fed <= MOST_FEEDS, "{} goes in circles", crate::fault::name(n));
            for command in supervise.core.handle(event, now) {
                ended |= command == Command::Exit;
                events.extend(self.carry_out(n, supervise, command));
            }
        }
        ended
    }

    /// Does what the core wants; some of it has an answer at once.
    fn carry_out(&mut self, n: usize, supervise: &mut Supervise, command: Command) -> Option<Event> {
        let now = self.now;
        match command {
            Command::Publish => {
                let published = self.publish(n, supervise);
                let could = std::mem::replace(&mut supervise.could_publish, published);
                return (!published || !could).then_some(Event::Published(published));
            }
            Command::StoreTerm => {
                supervise.could_publish = self.store_term(n, supervise);
                return Some(Event::TermStored(supervise.could_publish));
            }
            Command::ReserveTerm => return Some(Event::TermReserved(self.store_term(n, supervise))),
            Command::PublishTerm => {
                supervise.could_publish = self.publish(n, supervise);
                return Some(Event::TermStored(supervise.could_publish));
            }
            Command::Run { resource, call, limit, lease, sole, .. } => {
                self.run_agent(n, resource, call, limit, (lease, sole));
            }
            Command::Cancel { resource } => self.nodes[n].agents[resource].cancel(now, &mut self.rng),
            Command::Ping if self.nodes[n].gateway_answers => self.nodes[n].echoes.push(now + ECHO),
            Command::Note(note) => self.happened.push((now, Happening::Noted { node: n, note })),
            Command::Ping | Command::Exit => {}
        }
        None
    }

    fn store_term(&mut self, n: usize, supervise: &mut Supervise) -> bool {
        let stored = self.publish(n, supervise);
        if stored {
            self.nodes[n].lasting = supervise.core.report().highest_term;
        }
        stored
    }

    fn publish(&mut self, n: usize, supervise: &mut Supervise) -> bool {
        let report = supervise.core.report();
        let leaves = report.saying.word.status().is_none() && supervise.core.has_ended();
        if !supervise.core.is_settled() && !leaves && supervise.section.report.is_some() {
            return true;
        }
        supervise.section.report = Some(report);
        supervise.section.tick = self.local(n);
        let writable = self.nodes[n].writable;
        if writable {
            self.write(n, supervise.section.clone());
        }
        writable
    }

    fn run_agent(
        &mut self,
        n: usize,
        resource: usize,
        call: pha_core::resource::Call,
        limit: Duration,
        (lease, sole): (bool, bool),
    ) {
        let began = self.now;
        let silence = (!self.held_elsewhere(n, resource)).then(|| micros(self.nodes[n].settings.probe_window()));
        let node = &mut self.nodes[n];
        let running =
            Running { call, began, ends: began, takes_effect: true, forced: None, lease, sole, orphaned: false };
        node.agents[resource].begin(running, limit, node.slowness, silence, &mut self.rng);
        self.happened.push((began, Happening::Called { node: n, resource, call }));
    }
}
