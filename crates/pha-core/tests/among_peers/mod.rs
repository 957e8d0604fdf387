//! A virtual node among peers that say what a test wants, and an operator who wishes what it wants.

#![allow(dead_code, reason = "each of the tests needs a part of it")]

#[path = "../virtual_node/passing.rs"]
mod passing;

use pha_core::detector::{Arrival, DetectorSettings, PeerDetector};
use pha_core::report::{OfflineWish, SuperviseReport, SwitchoverWish, Wishes};
use pha_core::supervisor::{Command, Event, Outside, Settings};
use pha_core::{Gateway, Heartbeat, Role, Saying, Serial, Word};

use crate::virtual_node::{DEAD, INTERVAL, VirtualNode, World, at, ms, node, settings};

/// Everything around the node, and its clock in milliseconds.
pub struct Scene {
    pub node: VirtualNode,
    pub world: World,
    pub now: u64,
    pub outside: Outside,
    ears: Vec<PeerDetector>,
}

/// What a node says whose gateway answers.
pub fn saying(word: Word) -> Saying {
    Saying { gateway: Gateway::Reachable, config_hash: 1, ..Saying::healthy(word) }
}

impl Scene {
    pub fn new(settings: Settings) -> Self {
        let (node, world) = (VirtualNode::new(settings), World::calm());
        Self { node, world, now: 0, outside: Outside::default(), ears: Vec::new() }
    }

    /// lb1 is active, and lb2 stands by.
    pub fn active() -> Self {
        let mut scene = Self::new(settings(1));
        scene.node.up = [true; 2];
        scene.hears(2, saying(Word::Offline { clean: true }));
        scene.pass(10);
        assert_eq!(scene.report().role, Role::Active);
        scene
    }

    /// lb2 stands by, and lb1 is active.
    pub fn standby() -> Self {
        let mut scene = Self::new(settings(2));
        scene.hears(1, saying(Word::Online));
        scene.pass(10);
        assert_eq!(scene.report().role, Role::Standby);
        scene
    }

    pub fn report(&self) -> SuperviseReport {
        self.node.supervisor.report()
    }

    pub fn feed(&mut self, event: Event) {
        self.node.feed(event, &self.world, self.now);
    }

    /// Wakes the supervisor when it wants to be, and when something ended.
    pub fn pass(&mut self, milliseconds: u64) {
        passing::pass(&mut self.node, &self.world, &mut self.now, milliseconds);
    }

    /// Goes on until this is shown.
    pub fn until(&mut self, shown: impl Fn(&SuperviseReport) -> bool) {
        while !shown(&self.report()) {
            assert!(self.now < 60_000, "{:?}", self.report());
            self.pass(1);
        }
    }

    /// That peer has just said this.
    pub fn hears(&mut self, peer: usize, saying: Saying) {
        let times = DetectorSettings { interval: ms(INTERVAL), dead_time: ms(DEAD), init_dead: ms(DEAD) };
        if !self.ears.iter().any(|ears| ears.report().node == node(peer)) {
            self.ears.push(PeerDetector::new(node(peer), vec!["10.0.0.1".into()], 1, times, at(self.now)));
        }
        let serial = Serial { incarnation: 1, sequence: self.now + 1 };
        let (node, supervise_age) = (node(peer), ms(0));
        let heartbeat = Heartbeat { node, serial, saying, reply_wanted: false, heard: serial, supervise_age };
        let ears = self.ears.iter_mut().find(|ears| ears.report().node == node).expect("it was added");
        ears.heartbeat_received(&heartbeat, 0, Arrival::Newest, at(self.now));
        self.looks();
    }

    /// The status database has changed: at the latest now it is seen who is silent.
    pub fn looks(&mut self) {
        self.ears.iter_mut().for_each(|ears| ears.deadline_passed(at(self.now)));
        self.outside.peers = self.ears.iter().map(|ears| ears.report().clone()).collect();
        self.feed(Event::OutsideChanged(Box::new(self.outside.clone())));
    }

    /// `offline` is typed, for so many milliseconds.
    pub fn types_offline(&mut self, milliseconds: u64) {
        let (since, until) = (at(self.now), at(self.now + milliseconds));
        self.outside.wishes = Wishes { offline: Some(OfflineWish { since, until, force: false }), ..Wishes::default() };
        self.looks();
    }

    /// `switchover` is typed.
    pub fn types_switchover(&mut self) {
        let (since, until) = (at(self.now), at(self.now + 30_000));
        self.outside.wishes =
            Wishes { switchover: Some(SwitchoverWish { since, until, to: None }), ..Wishes::default() };
        self.looks();
    }

    /// How often that was commanded since the last time.
    pub fn commanded(&mut self, which: impl Fn(&Command) -> bool) -> usize {
        self.node.commands.drain(..).filter(which).count()
    }
}
