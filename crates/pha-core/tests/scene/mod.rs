//! A [`VirtualNode`] in a [`World`] whose time passes as the supervisor wants to be woken.

#[path = "../virtual_node/passing.rs"]
mod passing;

use pha_core::detector::{Arrival, DetectorSettings, PeerDetector};
use pha_core::report::Wishes;
use pha_core::supervisor::{Command, Event, Outside, Settings};
use pha_core::{Answer, Gateway, Heartbeat, Role, Saying, Serial, Word};

use crate::virtual_node::{DEAD, INTERVAL, VirtualNode, World, at, ms, node, settings};

/// A node, what surrounds it, and its clock in milliseconds.
pub struct Scene {
    pub node: VirtualNode,
    pub world: World,
    pub wishes: Wishes,
    /// What lb2 answers.
    pub answer: Option<Answer>,
    pub now: u64,
}

impl Scene {
    pub fn new(settings: Settings) -> Self {
        let (node, wishes) = (VirtualNode::new(settings), Wishes::default());
        Self { node, world: World::calm(), wishes, answer: None, now: 0 }
    }

    /// The only node that anybody hears of, active.
    pub fn alone() -> Self {
        let mut scene = Self::new(Settings { gateway: false, ..settings(1) });
        scene.node.up = [true; 2];
        scene.feed(Event::OutsideChanged(Box::default()));
        scene.pass(10);
        assert_eq!(scene.node.supervisor.role(), Role::Active);
        scene
    }

    pub fn feed(&mut self, event: Event) {
        self.node.feed(event, &self.world, self.now);
    }

    /// Wakes the supervisor when it wants to be, and when something ended.
    pub fn pass(&mut self, milliseconds: u64) {
        passing::pass(&mut self.node, &self.world, &mut self.now, milliseconds);
    }

    pub fn dies(&mut self, resource: usize) {
        self.node.up[resource] = false;
    }

    pub fn failures(&self) -> u32 {
        self.node.supervisor.report().resources.iter().map(|resource| resource.failures).sum()
    }

    pub fn word(&self) -> Word {
        self.node.supervisor.report().saying.word
    }

    /// How often that was commanded since the last time.
    pub fn commanded(&mut self, which: impl Fn(&Command) -> bool) -> usize {
        self.node.commands.drain(..).filter(which).count()
    }

    /// lb2 said this `ago`.
    pub fn hears(&mut self, word: Word, gateway: Gateway, ago: u64) {
        let times = DetectorSettings { interval: ms(INTERVAL), dead_time: ms(DEAD), init_dead: ms(DEAD) };
        let (peer, heard) = (node(2), self.now - ago);
        let mut detector = PeerDetector::new(peer, vec!["10.0.0.2".into()], 1, times, at(heard));
        let saying = Saying { gateway, config_hash: 1, answer: self.answer, ..Saying::healthy(word) };
        let serial = Serial { incarnation: 1, sequence: heard + 1 };
        let heartbeat =
            Heartbeat { node: peer, serial, saying, reply_wanted: false, heard: serial, supervise_age: ms(0) };
        detector.heartbeat_received(&heartbeat, 0, Arrival::Newest, at(heard));
        detector.deadline_passed(at(self.now));
        let (peers, wishes) = (vec![detector.report().clone()], self.wishes.clone());
        self.feed(Event::OutsideChanged(Box::new(Outside { peers, wishes, ..Outside::default() })));
    }
}
