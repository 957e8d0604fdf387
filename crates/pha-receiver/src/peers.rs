//! The peers: from a datagram to the right failure detector, or to the count of a reason to drop it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use pha_config::{Config, Node};
use pha_core::detector::{Arrival, DetectorSettings, PeerDetector};
use pha_core::report::{Liveness, PeerReport};
use pha_core::{BootTime, DropReason, Heartbeat};
use pha_daemon::peers;
use pha_wire::{Accept, Codec, ReplayGuard};

/// Names that do not resolve are tried again this often.
const RESOLVE_AGAIN: Duration = Duration::from_secs(10);

#[derive(Debug)]
struct Peer {
    node: Node,
    addresses: Vec<IpAddr>,
    detector: PeerDetector,
    guard: ReplayGuard,
}

/// All peers.
#[derive(Debug)]
pub struct Peers {
    peers: Vec<Peer>,
    settings: DetectorSettings,
    config_hash: u32,
    drops: BTreeMap<DropReason, u64>,
    late: u64,
    resolve_at: BootTime,
}

impl Peers {
    /// Every node but `me`; `before` is what the last receiver of this boot published, so that what was recorded then
    /// cannot be replayed now.
    pub fn new(config: &Config, me: &Node, before: &[PeerReport], now: BootTime) -> Self {
        let settings = DetectorSettings {
            interval: config.heartbeat_interval,
            dead_time: config.dead_time,
            init_dead: config.init_dead,
        };
        let config_hash = config.shared_hash();
        let others = config.nodes.iter().filter(|node| node.id != me.id);
        let peers = others
            .map(|node| Peer {
                node: node.clone(),
                addresses: Vec::new(),
                detector: PeerDetector::new(node.id, Vec::new(), config_hash, settings, now),
                guard: before
                    .iter()
                    .find(|report| report.node == node.id && report.heard_at.is_some())
                    .map_or_else(ReplayGuard::default, |report| ReplayGuard::resumed(report.serial)),
            })
            .collect();
        let mut this = Self { peers, settings, config_hash, drops: BTreeMap::new(), late: 0, resolve_at: now };
        this.resolve(now);
        this
    }

    /// Takes a datagram of `length` bytes.
    pub fn heard(&mut self, codec: &Codec, datagram: &[u8], length: usize, from: IpAddr, now: BootTime) {
        let decoded = if length > datagram.len() { Err(DropReason::TooLong) } else { codec.decode(datagram) };
        if let Err(reason) = decoded.and_then(|heartbeat| self.accept(&heartbeat, from, now)) {
            let count = self.drops.entry(reason).or_default();
            *count += 1;
            if count.is_power_of_two() {
                log::warn!("dropped a datagram from {from}: {} ({count} so far)", reason.as_str());
            }
        }
    }

    fn accept(&mut self, heartbeat: &Heartbeat, from: IpAddr, now: BootTime) -> Result<(), DropReason> {
        let peer = self.peers.iter_mut().find(|peer| peer.node.id == heartbeat.node).ok_or(DropReason::UnknownNode)?;
        let link = peer.addresses.iter().position(|address| *address == from).ok_or(DropReason::UnknownNode)?;
        let arrival = match peer.guard.accept(link, heartbeat.serial)? {
            Accept::Newest => Arrival::Newest,
            Accept::OtherLink => Arrival::Copy,
        };
        peer.detector.heartbeat_received(heartbeat, link, arrival, now);
        Ok(())
    }

    /// The loop woke at `now`, before it read its sockets: if that is too late, the peers are not to blame.
    pub fn woke(&mut self, now: BootTime) {
        let Some(due) = self.detector_deadline() else { return };
        let lateness = now.since(due);
        if lateness > self.settings.tolerated_lateness() {
            self.late += 1;
            log::warn!("this program was away for {} ms; its peers get that much more time", lateness.as_millis());
            self.peers.iter_mut().for_each(|peer| peer.detector.was_late(lateness, now));
        }
    }

    /// Time passed, and the sockets have been read.
    pub fn deadline_passed(&mut self, codec: &Codec, now: BootTime) {
        for peer in &mut self.peers {
            let before = peer.detector.report().liveness;
            peer.detector.deadline_passed(now);
            let died = before != Liveness::Dead && peer.detector.report().liveness == Liveness::Dead;
            // Without a key a peer that was installed anew must be heard again; with one, only an operator may say so.
            if died && !codec.is_authentic() {
                peer.guard.forget();
            }
        }
        if self.peers.iter().any(|peer| peer.addresses.is_empty()) && now >= self.resolve_at {
            self.resolve(now);
        }
    }

    /// When there is next something to do.
    pub fn next_deadline(&self) -> Option<BootTime> {
        let unresolved = self.peers.iter().any(|peer| peer.addresses.is_empty());
        self.detector_deadline().into_iter().chain(unresolved.then_some(self.resolve_at)).min()
    }

    /// For the status database.
    pub fn reports(&self) -> Vec<PeerReport> {
        self.peers.iter().map(|peer| peer.detector.report().clone()).collect()
    }

    /// For the status database: datagrams dropped, by reason.
    pub const fn drops(&self) -> &BTreeMap<DropReason, u64> {
        &self.drops
    }

    /// For the status database: how often this program was late.
    pub const fn late(&self) -> u64 {
        self.late
    }

    fn detector_deadline(&self) -> Option<BootTime> {
        self.peers.iter().filter_map(|peer| peer.detector.next_deadline()).min()
    }

    fn resolve(&mut self, now: BootTime) {
        self.resolve_at = now + RESOLVE_AGAIN;
        for peer in self.peers.iter_mut().filter(|peer| peer.addresses.is_empty()) {
            match peers::addresses(&peer.node) {
                Ok(addresses) => {
                    let names = addresses.iter().map(ToString::to_string).collect();
                    let (id, hash) = (peer.node.id, self.config_hash);
                    peer.detector = PeerDetector::new(id, names, hash, self.settings, now);
                    peer.addresses = addresses;
                }
                Err(error) => log::warn!("{}: {error}; trying again", peer.node.name),
            }
        }
    }
}

/// Whether a report has changed in what others act on; figures alone can wait for the next tick.
pub fn brings_news(before: &[PeerReport], after: &[PeerReport]) -> bool {
    let news = |a: &PeerReport, b: &PeerReport| {
        a.liveness != b.liveness
            || a.saying != b.saying
            || a.progress_until.is_some() != b.progress_until.is_some()
            || a.reply_wanted != b.reply_wanted
            || a.config_differs != b.config_differs
    };
    before.len() != after.len() || before.iter().zip(after).any(|(a, b)| news(a, b))
}
