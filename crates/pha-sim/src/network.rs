//! What lies between the nodes: heartbeat links, each direction for itself, and the network of the addresses.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use fastrand::Rng;
use pha_core::Serial;
use pha_wire::LENGTH;

use crate::clock::Micros;

/// The way of a datagram on a quiet network.
const LATENCY: Micros = 200;

/// A datagram under way.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Datagram {
    /// When it arrives.
    pub(crate) due: Micros,
    number: u64,
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) link: usize,
    pub(crate) serial: Serial,
    pub(crate) bytes: [u8; LENGTH],
}

/// Links and weather. Links are numbered from 0; every pair of nodes has the same number of them.
#[derive(Debug, Clone)]
pub struct Network {
    nodes: usize,
    links: usize,
    cut: Vec<bool>,
    /// Nodes that are cut off from the network of the addresses.
    isolated: Vec<bool>,
    /// Datagrams lost, of a hundred.
    pub loss_percent: u8,
    /// Datagrams that come twice, of a hundred.
    pub repeat_percent: u8,
    /// Datagrams come up to so much later, each for itself, so that they overtake each other.
    pub jitter: Micros,
    under_way: BinaryHeap<Reverse<Datagram>>,
    sent: u64,
}

impl Network {
    /// All links whole.
    #[must_use]
    pub fn new(nodes: usize, links: usize) -> Self {
        Self {
            nodes,
            links,
            cut: vec![false; nodes * nodes * links],
            isolated: vec![false; nodes],
            loss_percent: 0,
            repeat_percent: 0,
            jitter: 0,
            under_way: BinaryHeap::new(),
            sent: 0,
        }
    }

    /// How many links each pair has.
    #[must_use]
    pub const fn links(&self) -> usize {
        self.links
    }

    /// Cuts or heals one direction of one link, or of all.
    pub fn cut(&mut self, from: usize, to: usize, link: Option<usize>, cut: bool) {
        for each in 0..self.links {
            if link.is_none_or(|link| link == each) {
                let index = self.index(from, to, each);
                self.cut[index] = cut;
            }
        }
    }

    /// Cuts a node off from everything, or connects it again.
    pub fn isolate(&mut self, node: usize, isolated: bool) {
        self.isolated[node] = isolated;
    }

    /// Whole and calm again.
    pub fn heal(&mut self) {
        self.cut.fill(false);
        self.isolated.fill(false);
        (self.loss_percent, self.repeat_percent, self.jitter) = (0, 0, 0);
    }

    /// Nothing is cut and nothing is lost.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        !self.cut.contains(&true) && !self.isolated.contains(&true) && (self.loss_percent, self.jitter) == (0, 0)
    }

    /// Whether two nodes see each other's addresses.
    #[must_use]
    pub fn same_wire(&self, a: usize, b: usize) -> bool {
        !self.isolated[a] && !self.isolated[b]
    }

    /// Whether some link carries heartbeats from one node to the other.
    #[must_use]
    pub fn carries(&self, from: usize, to: usize) -> bool {
        self.same_wire(from, to) && (0..self.links).any(|link| !self.cut[self.index(from, to, link)])
    }

    /// Whether no link carries heartbeats in this direction, wires apart.
    #[must_use]
    pub fn is_cut(&self, from: usize, to: usize) -> bool {
        (0..self.links).all(|link| self.cut[self.index(from, to, link)])
    }

    /// `datagram` is the same heartbeat twice: as it travels, and which one it is.
    pub(crate) fn send(
        &mut self,
        from: usize,
        to: usize,
        datagram: (&[u8; LENGTH], Serial),
        now: Micros,
        rng: &mut Rng,
    ) {
        let (bytes, serial) = datagram;
        for link in 0..self.links {
            if self.cut[self.index(from, to, link)] || !self.same_wire(from, to) {
                continue;
            }
            let copies = if rng.u8(0..100) < self.repeat_percent { 2 } else { 1 };
            for _ in 0..copies {
                if rng.u8(0..100) >= self.loss_percent {
                    let due = now + LATENCY + rng.u64(0..=self.jitter);
                    self.sent += 1;
                    self.under_way.push(Reverse(Datagram {
                        due,
                        number: self.sent,
                        from,
                        to,
                        link,
                        serial,
                        bytes: *bytes,
                    }));
                }
            }
        }
    }

    pub(crate) fn next(&self) -> Option<Micros> {
        self.under_way.peek().map(|Reverse(datagram)| datagram.due)
    }

    pub(crate) fn arrive(&mut self) -> Option<Datagram> {
        self.under_way.pop().map(|Reverse(datagram)| datagram)
    }

    /// Every datagram under way, in no order.
    pub(crate) fn under_way(&self) -> impl Iterator<Item = &Datagram> {
        self.under_way.iter().map(|Reverse(datagram)| datagram)
    }

    /// Takes the first datagram under way from one node to another out of the network; with `later`, it comes by so much
    /// later. False if there is none.
    pub(crate) fn intercept(&mut self, from: usize, to: usize, later: Option<Micros>) -> bool {
        let first = self.under_way().filter(|datagram| (datagram.from, datagram.to) == (from, to)).min().cloned();
        let Some(mut datagram) = first else { return false };
        self.under_way.retain(|Reverse(other)| *other != datagram);
        if let Some(later) = later {
            datagram.due += later;
            self.under_way.push(Reverse(datagram));
        }
        true
    }

    fn index(&self, from: usize, to: usize, link: usize) -> usize {
        (link * self.nodes + from) * self.nodes + to
    }
}
