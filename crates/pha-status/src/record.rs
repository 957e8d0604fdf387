//! What stands in the database: one section for each program that writes, and what can be read off them together.
//!
//! Times are `CLOCK_BOOTTIME` of the boot named by `boot_id`; [`Record::after_reboot`] removes what another boot left.
//! These types are the file format: to change one, raise [`crate::VERSION`].

use std::collections::BTreeMap;

use pha_core::detector::brings_news;
use pha_core::report::{Liveness, PeerReport, SuperviseReport, Wishes};
use pha_core::{BootTime, Dialect, DropReason, Gateway, NodeId, Reason, Role, Saying, Serial, Status, Term, Word};
use serde::{Deserialize, Serialize};

/// The whole database.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// This node's name.
    pub node: String,
    /// Counts updates; wraps.
    pub generation: u64,
    /// The boot whose times stand here.
    pub boot_id: String,
    /// Written by pha-sender.
    pub sender: SenderSection,
    /// Written by pha-receiver.
    pub receiver: ReceiverSection,
    /// Written by pha-supervise.
    pub supervise: SuperviseSection,
    /// Written by pha-cli.
    pub operator: OperatorSection,
}

/// What pha-sender publishes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SenderSection {
    /// Its process; 0 when stopped.
    pub pid: u32,
    /// Its present or last incarnation; must never go back, or peers take its heartbeats for replays.
    pub incarnation: u64,
    /// Heartbeats go out.
    pub running: bool,
    /// Its last sign of life.
    pub tick: BootTime,
    /// Addresses that could not be sent to.
    pub errors: Vec<SendError>,
}

/// A peer's address that could not be sent to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendError {
    /// The address.
    pub address: String,
    /// How often since the sender started.
    pub count: u64,
    /// What the system said last.
    pub last: String,
}

/// What pha-receiver publishes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiverSection {
    /// Its process; 0 when stopped.
    pub pid: u32,
    /// Its last sign of life.
    pub tick: BootTime,
    /// Every configured peer.
    pub peers: Vec<PeerReport>,
    /// What peers that were heard spoke; outlives a reboot.
    pub contacts: BTreeMap<NodeId, Contact>,
    /// Datagrams dropped since it started, by reason.
    pub drops: BTreeMap<DropReason, u64>,
    /// Only authentic heartbeats are accepted.
    pub authentic: bool,
    /// The ids of the keys in use, first the one that this node would like to sign with.
    pub signers: Vec<u8>,
    /// How often its own timer fired too late to accuse anybody.
    pub late: u64,
}

/// What is known of a peer's heartbeats whatever the detector makes of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    /// The newest one. Nobody who has recorded an older one can play it to a receiver that starts anew.
    pub serial: Serial,
    /// The best form in which the peer has spoken since its sender started: it understands that.
    pub dialect: Dialect,
}

/// What pha-supervise publishes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuperviseSection {
    /// Its process; 0 when stopped.
    pub pid: u32,
    /// Its last sign of life.
    pub tick: BootTime,
    /// What the core reports; stays after a stop, so that the resources' last states can be seen.
    pub report: Option<SuperviseReport>,
    /// When the configuration was last read.
    pub config_loaded: BootTime,
}

/// What pha-cli writes for the operator.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorSection {
    /// The wishes.
    pub wishes: Wishes,
    /// Who wished last.
    pub by: String,
    /// When.
    pub at: BootTime,
}

/// A part of the record that one program writes.
pub trait Section: Clone {
    /// This section of `record`.
    fn of(record: &mut Record) -> &mut Self;

    /// Whether this says, beyond `before`, what others have to act on at once. Signs of life and figures can wait until they
    /// look anyway (ADR 0021).
    fn is_news(&self, before: &Self) -> bool;
}

impl Section for SenderSection {
    fn of(record: &mut Record) -> &mut Self {
        &mut record.sender
    }

    fn is_news(&self, before: &Self) -> bool {
        (self.pid, self.incarnation, self.running) != (before.pid, before.incarnation, before.running)
    }
}

impl Section for ReceiverSection {
    fn of(record: &mut Record) -> &mut Self {
        &mut record.receiver
    }

    fn is_news(&self, before: &Self) -> bool {
        self.pid != before.pid
            || !self.dialects().eq(before.dialects())
            || brings_news(&before.peers, self.peers.iter())
    }
}

impl ReceiverSection {
    fn dialects(&self) -> impl Iterator<Item = (&NodeId, Dialect)> {
        self.contacts.iter().map(|(node, contact)| (node, contact.dialect))
    }
}

impl Section for SuperviseSection {
    fn of(record: &mut Record) -> &mut Self {
        &mut record.supervise
    }

    fn is_news(&self, before: &Self) -> bool {
        let said = match (&self.report, &before.report) {
            (Some(now), Some(before)) => !now.shows_the_same(before),
            (None, None) => false,
            (Some(_), None) | (None, Some(_)) => true,
        };
        said || (self.pid, self.config_loaded) != (before.pid, before.config_loaded)
    }
}

impl Section for OperatorSection {
    fn of(record: &mut Record) -> &mut Self {
        &mut record.operator
    }

    fn is_news(&self, before: &Self) -> bool {
        self != before
    }
}

impl Record {
    /// STATUS: this node's own word; `None` while supervise is stopped or has not said anything (P63).
    #[must_use]
    pub fn status(&self) -> Option<Status> {
        let report = self.supervise.report.as_ref().filter(|_| self.supervise.pid != 0)?;
        // A node that rests after a release is OFFLINE, though its heartbeat says why it left.
        Some(report.saying.word.status().unwrap_or(Status::Offline))
    }

    /// RECEIVER_IN: the peers' word. Of several peers one that is ONLINE counts most, then PROGRESS, then OFFLINE;
    /// dead, absent and unheard ones say nothing, and so does everybody while the receiver is stopped.
    #[must_use]
    pub fn receiver_in(&self) -> Option<Status> {
        let heard = |peer: &&PeerReport| matches!(peer.liveness, Liveness::Alive | Liveness::Suspect);
        let peers = self.receiver.peers.iter().filter(|_| self.receiver.pid != 0).filter(heard);
        peers.filter_map(|peer| peer.saying?.word.status()).max_by_key(|status| match status {
            Status::Offline => 0,
            Status::Progress => 1,
            Status::Online => 2,
        })
    }

    /// SENDER_RUN: heartbeats go out.
    #[must_use]
    pub const fn sender_runs(&self) -> bool {
        self.sender.pid != 0 && self.sender.running
    }

    /// What the prompt shows: `NOTRUNNING`, `Active`, `Standby` or `Progress` (P44, P45).
    #[must_use]
    pub fn prompt_state(&self) -> &'static str {
        if self.supervise.pid == 0 {
            return "NOTRUNNING";
        }
        let role = self.supervise.report.as_ref().map_or(Role::Standby, |report| report.role);
        match (self.status(), role) {
            (Some(Status::Progress), _) => "Progress",
            (_, Role::Active) => "Active",
            (_, Role::Standby) => "Standby",
        }
    }

    /// What is left of a record after a reboot. Kept: the sender's incarnation, what peers have spoken, the highest term,
    /// maintenance and held resources. Everything else was true of another boot: no program runs, no peer was heard, no resource was looked
    /// at, and no `offline` is left to sit out.
    #[must_use]
    pub fn after_reboot(self, boot_id: &str) -> Self {
        let Wishes { offline: _, switchover: _, maintenance, held, forgiven: _ } = self.operator.wishes;
        let wishes = Wishes { offline: None, switchover: None, maintenance, held, forgiven: BootTime::ZERO };
        Self {
            node: self.node,
            generation: self.generation,
            boot_id: boot_id.to_owned(),
            sender: SenderSection { incarnation: self.sender.incarnation, ..SenderSection::default() },
            receiver: ReceiverSection { contacts: self.receiver.contacts, ..ReceiverSection::default() },
            supervise: SuperviseSection {
                report: self.supervise.report.as_ref().map(only_the_term),
                ..SuperviseSection::default()
            },
            operator: OperatorSection { wishes, by: self.operator.by, at: BootTime::ZERO },
        }
    }
}

/// A report that says nothing but how high terms have come; all else as cautious as can be.
fn only_the_term(report: &SuperviseReport) -> SuperviseReport {
    SuperviseReport {
        saying: Saying {
            word: Word::Offline { clean: false },
            // Under no term of this boot: it may be the peer's that was the highest.
            term: Term::NONE,
            gateway: Gateway::default(),
            fit: false,
            willing: false,
            config_hash: 0,
            asks: None,
            answer: None,
        },
        progress_until: None,
        role: Role::Standby,
        highest_term: report.highest_term,
        reason: Reason::Starting,
        since: BootTime::ZERO,
        until: None,
        announce: false,
        unfit_until: None,
        resources: Vec::new(),
        history: Vec::new(),
        last_conflict: None,
        handover: None,
        moves: Vec::new(),
    }
}

#[cfg(test)]
#[path = "record_tests.rs"]
pub(crate) mod tests;
