//! The peers: from a datagram to the right failure detector, or to the count of a reason to drop it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use pha_config::{Config, Node};
use pha_core::detector::{Arrival, DetectorSettings, PeerDetector};
use pha_core::report::{Liveness, PeerReport};
use pha_core::{BootTime, Dialect, DropReason, Heartbeat, NodeId, Word};
use pha_daemon::peers::{Addresses, Resolver};
use pha_daemon::{Daemon, Recorder};
use pha_status::{Contact, Database, ReceiverSection};
use pha_trace::{DetectorInput, Detectors};
use pha_wire::{Accept, Codec, ReplayGuard};

use crate::contacts::Contacts;
use crate::freshness::Freshness;

#[derive(Debug)]
struct Peer {
    node: Node,
    /// Empty until they are known: then the peer cannot be heard, and its silence says nothing.
    addresses: Vec<IpAddr>,
    guard: ReplayGuard,
    /// Something has shown that what it says is not older than this boot, or nothing has to any more.
    fresh: bool,
    dead: bool,
}

/// All peers.
#[derive(Debug)]
pub struct Peers {
    peers: Vec<Peer>,
    /// One for each of the peers, in their order.
    detectors: Detectors,
    recorder: Recorder,
    contacts: Contacts,
    freshness: Freshness,
    settings: DetectorSettings,
    config_hash: u32,
    drops: BTreeMap<DropReason, u64>,
    late: u64,
    resolver: Resolver,
}

impl Peers {
    /// Every node but `me`; `database` has what the last receiver published, so that what was recorded then cannot be replayed
    /// now. `names` has the addresses that are known, and gets the others.
    pub fn new(
        config: &Config,
        me: &Node,
        codec: &Codec,
        database: &Arc<Database>,
        names: (Resolver, &Addresses),
        now: BootTime,
    ) -> Self {
        let before = database.read().map(|record| record.receiver).unwrap_or_else(|error| {
            log::error!("{error}");
            ReceiverSection::default()
        });
        let settings = DetectorSettings {
            interval: config.heartbeat_interval,
            dead_time: config.dead_time,
            init_dead: config.init_dead,
        };
        let config_hash = config.shared_hash();
        let others = config.nodes.iter().filter(|node| node.id != me.id);
        let unheard = |node: &Node| PeerDetector::new(node.id, Vec::new(), config_hash, settings, now);
        let detectors = Detectors::new(others.clone().map(unheard).collect());
        // What anybody may have said is nothing to compare with.
        let believed = before.authentic || !codec.is_authentic();
        let before = if believed { before } else { ReceiverSection::default() };
        let heard = |id: NodeId| before.contacts.get(&id).map(|contact| contact.serial);
        let heard_since_boot = |id| before.peers.iter().any(|report| report.node == id && report.heard_at.is_some());
        let peers = others
            .map(|node| Peer {
                node: node.clone(),
                addresses: Vec::new(),
                guard: heard(node.id).map_or_else(ReplayGuard::default, ReplayGuard::resumed),
                fresh: heard_since_boot(node.id),
                dead: false,
            })
            .collect();
        let (resolver, known) = names;
        let mut this = Self {
            peers,
            detectors,
            recorder: Recorder::off(),
            contacts: Contacts::resumed(before.contacts, config),
            // Who is believed then has a dead time left to be heard in.
            freshness: Freshness::new(Arc::clone(database), now + config.init_dead.saturating_sub(config.dead_time)),
            settings,
            config_hash,
            drops: BTreeMap::new(),
            late: 0,
            resolver,
        };
        this.found(known, now);
        this
    }

    /// Takes a datagram of `length` bytes.
    pub fn heard(&mut self, codec: &Codec, datagram: &[u8], length: usize, from: IpAddr, now: BootTime) {
        let decoded = if length > datagram.len() { Err(DropReason::TooLong) } else { codec.decode(datagram) };
        if let Err(reason) = decoded.and_then(|said| self.accept(codec, said, from, now)) {
            let count = self.drops.entry(reason).or_default();
            *count += 1;
            if count.is_power_of_two() {
                log::warn!("dropped a datagram from {from}: {} ({count} so far)", reason.as_str());
            }
        }
    }

    fn accept(
        &mut self,
        codec: &Codec,
        (heartbeat, dialect): (Heartbeat, Dialect),
        from: IpAddr,
        now: BootTime,
    ) -> Result<(), DropReason> {
        let peer = self.peers.iter().position(|peer| peer.node.id == heartbeat.node).ok_or(DropReason::UnknownNode)?;
        let Peer { addresses, guard, fresh, .. } = &mut self.peers[peer];
        let link = addresses.iter().position(|address| *address == from).ok_or(DropReason::UnknownNode)?;
        if !*fresh && codec.is_authentic() && lets_others_act(heartbeat.saying.word) {
            let newer = heartbeat.serial > self.contacts.serial(heartbeat.node);
            // Told what was heard of it, it can show more.
            self.contacts.note(codec, &heartbeat, dialect);
            *fresh = self.freshness.is_over(now) || (newer && self.freshness.is_shown_by(&heartbeat));
            if !*fresh {
                return Ok(());
            }
        }
        let arrival = match guard.accept(link, heartbeat.serial)? {
            Accept::Newest => Arrival::Newest,
            Accept::OtherLink => Arrival::Copy,
        };
        self.contacts.note(codec, &heartbeat, dialect);
        self.feed(DetectorInput::Heard { peer, heartbeat, link, arrival }, now);
        Ok(())
    }

    /// The loop woke at `now`, before it read its sockets: if that is too late, the peers are not to blame.
    pub fn woke(&mut self, now: BootTime) {
        let Some(due) = self.next_deadline() else { return };
        let lateness = now.since(due);
        if lateness > self.settings.tolerated_lateness() {
            self.late += 1;
            log::warn!("this program was away for {} ms; its peers get that much more time", lateness.as_millis());
            self.feed(DetectorInput::Late(lateness), now);
        }
    }

    /// Time passed, and the sockets have been read.
    pub fn deadline_passed(&mut self, codec: &Codec, now: BootTime) {
        let found = self.resolver.answers();
        self.found(&found, now);
        self.feed(DetectorInput::DeadlinePassed, now);
        for (peer, detector) in self.peers.iter_mut().zip(self.detectors.all()) {
            let report = detector.report();
            let dead = report.liveness == Liveness::Dead;
            let (node, since) = (&peer.node.name, now.since(report.heard_at.unwrap_or_default()));
            match (std::mem::replace(&mut peer.dead, dead), dead) {
                (false, true) => {
                    match report.heard_at {
                        Some(_) => log::warn!("{node} has been silent for {} ms: it counts as dead", since.as_millis()),
                        None => log::warn!("{node} has not been heard since this program started: it counts as dead"),
                    }
                    // Without a key a peer that was installed anew must be heard again; with one, only an operator may say so.
                    if !codec.is_authentic() {
                        peer.guard.forget();
                        self.contacts.forget(peer.node.id);
                    }
                }
                (true, false) => log::info!("{node} is heard again"),
                (true, true) | (false, false) => {}
            }
        }
    }

    /// When there is next something to do.
    pub fn next_deadline(&self) -> Option<BootTime> {
        self.detectors.next_deadline()
    }

    /// For the status database.
    pub fn reports(&self) -> impl ExactSizeIterator<Item = &PeerReport> {
        self.detectors.all().iter().map(PeerDetector::report)
    }

    /// For the status database: what peers spoke.
    pub const fn contacts(&self) -> &BTreeMap<NodeId, Contact> {
        self.contacts.all()
    }

    /// From now on only holders of a key are heard: what anybody may have said before counts no more.
    pub fn distrust(&mut self) {
        self.contacts.forget_serials();
        for peer in &mut self.peers {
            peer.guard.forget();
            peer.fresh = false;
        }
    }

    /// See [`Contacts::are_news`].
    pub fn speak_anew(&mut self) -> bool {
        self.contacts.are_news()
    }

    /// For the status database: datagrams dropped, by reason.
    pub const fn drops(&self) -> &BTreeMap<DropReason, u64> {
        &self.drops
    }

    /// For the status database: how often this program was late.
    pub const fn late(&self) -> u64 {
        self.late
    }

    /// Addresses became known: from now on these peers can be heard.
    fn found(&mut self, addresses: &Addresses, now: BootTime) {
        for index in 0..self.peers.len() {
            let peer = &mut self.peers[index];
            let Some(addresses) = addresses.get(&peer.node.id) else { continue };
            let names = addresses.iter().map(ToString::to_string).collect();
            let detector = PeerDetector::new(peer.node.id, names, self.config_hash, self.settings, now);
            peer.addresses.clone_from(addresses);
            self.feed(DetectorInput::Found { peer: index, detector: Box::new(detector) }, now);
        }
    }

    fn feed(&mut self, input: DetectorInput, now: BootTime) {
        self.recorder.feed(&mut self.detectors, input, now);
    }

    /// From now on, what the detectors are fed with is recorded.
    pub fn begin_trace(&mut self, daemon: &Daemon, now: BootTime) {
        self.recorder = Recorder::begin(daemon, &self.detectors, now);
    }

    /// See [`Recorder::hurry`].
    pub fn hurry_trace(&mut self, now: BootTime) {
        self.recorder.hurry(now);
    }

    /// See [`Recorder::flush`].
    pub fn flush_trace(&mut self, now: BootTime) {
        self.recorder.flush(now);
    }

    /// The program ends.
    pub fn end_trace(&mut self, now: BootTime) {
        self.recorder.end(&self.detectors, now);
    }
}

/// A word that makes peers wait does no harm if it is old, and must not be missed.
const fn lets_others_act(word: Word) -> bool {
    match word {
        Word::Offline { .. } | Word::Left { .. } => true,
        Word::Online | Word::Progress { .. } | Word::Kept => false,
    }
}

#[cfg(test)]
#[path = "peers_tests.rs"]
mod tests;
