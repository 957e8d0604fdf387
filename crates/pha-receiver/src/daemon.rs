//! The receiver's loop.

use std::os::fd::AsFd as _;
use std::time::Duration;

use pha_core::BootTime;
use pha_core::detector::brings_news;
use pha_core::report::PeerReport;
use pha_daemon::peers::Resolver;
use pha_daemon::{Daemon, Publisher, key, now};
use pha_status::{Durability, ReceiverSection};
use pha_wire::Codec;

use crate::ears::Ears;
use crate::peers::Peers;

/// The receiver writes on change, and this often. It does not watch what others write: should one of them overwrite what
/// it wrote, that lasts until the next tick.
const TICK: Duration = Duration::from_secs(1);
/// A tick waits so long for a heartbeat that wakes the receiver anyway, or comes so much earlier with one.
const WITH_A_HEARTBEAT: Duration = Duration::from_millis(100);
/// Hearing waits this part of an interval for the disk, once when it stalls: 20 ms by default.
const PATIENCE: u32 = 10;

/// The receiver and all it knows.
pub struct Receiver {
    ears: Ears,
    peers: Peers,
    codec: Codec,
    publisher: Publisher<ReceiverSection>,
    patience: Duration,
    published: Vec<PeerReport>,
    next_tick: BootTime,
}

impl Receiver {
    /// Listens; fails if the port is taken or the key is bad.
    pub fn new(daemon: &Daemon) -> anyhow::Result<Self> {
        let (resolver, known) = Resolver::start(&daemon.config.nodes);
        let ears = Ears::open(&daemon.config, &daemon.me, &known)?;
        let codec = key::codec(&daemon.home, &daemon.config)?;
        let now = now();
        Ok(Self {
            ears,
            peers: Peers::new(&daemon.config, &daemon.me, &daemon.database, (resolver, &known), now),
            codec,
            publisher: Publisher::new(daemon)?,
            patience: daemon.config.heartbeat_interval / PATIENCE,
            published: Vec::new(),
            next_tick: now,
        })
    }

    /// Hears until the daemon is told to end.
    pub fn run(&mut self, daemon: &mut Daemon) -> anyhow::Result<()> {
        let mut waker = daemon.waker_without_record()?;
        self.peers.begin_trace(daemon, now());
        let first = self.section(std::process::id(), now());
        self.publisher.publish_first(first, Durability::Volatile)?;
        daemon.is_ready();
        let mut more = false;
        loop {
            let deadline = if more { BootTime::ZERO } else { self.next_deadline() };
            let woken = waker.wait(self.ears.fds().chain([self.publisher.as_fd()]), deadline)?;
            let now = now();
            // Late or not, the next turn publishes what is news.
            self.publisher.collect();
            self.peers.woke(now);
            more = self.ears.drain(|bytes, length, from| self.peers.heard(&self.codec, bytes, length, from, now));
            if !more {
                self.peers.deadline_passed(&self.codec, now);
            }
            if woken.hangup {
                key::reload(daemon, &mut self.codec);
            }
            if woken.terminate {
                self.publish(0, now);
                self.peers.end_trace(now);
                return Ok(());
            }
            let news = self.peers.speak_anew() | brings_news(&self.published, self.peers.reports());
            if news {
                self.publish(std::process::id(), now);
                self.peers.hurry_trace(now);
            } else if now + WITH_A_HEARTBEAT >= self.next_tick {
                let section = self.section(std::process::id(), now);
                self.publisher.publish_later(section);
            }
            self.peers.flush_trace(now);
        }
    }

    fn next_deadline(&self) -> BootTime {
        let tick = self.next_tick + WITH_A_HEARTBEAT;
        self.peers.next_deadline().map_or(tick, |deadline| deadline.min(tick))
    }

    fn publish(&mut self, pid: u32, now: BootTime) {
        let section = self.section(pid, now);
        self.publisher.publish(section, self.patience);
    }

    fn section(&mut self, pid: u32, now: BootTime) -> ReceiverSection {
        self.next_tick = now + TICK;
        self.published = self.peers.reports().cloned().collect();
        ReceiverSection {
            pid,
            tick: now,
            peers: self.published.clone(),
            contacts: self.peers.contacts().clone(),
            drops: self.peers.drops().clone(),
            authentic: self.codec.is_authentic(),
            signers: self.codec.signers(),
            late: self.peers.late(),
        }
    }
}
