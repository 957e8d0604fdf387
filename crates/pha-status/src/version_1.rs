//! The record as version 1 has it: without what peers spoke.

use std::collections::BTreeMap;

use pha_core::report::PeerReport;
use pha_core::{BootTime, Dialect, DropReason};
use serde::Deserialize;

use crate::record::{self, Contact, OperatorSection, ReceiverSection, SenderSection, SuperviseSection};

/// What the programs of that time spoke; nobody knows with which key.
const SPOKEN: Dialect = Dialect { version: 1, signer: 0 };

/// [`record::Record`] then.
#[derive(Deserialize)]
pub(crate) struct Record {
    node: String,
    generation: u64,
    boot_id: String,
    sender: SenderSection,
    receiver: Receiver,
    supervise: SuperviseSection,
    operator: OperatorSection,
}

#[derive(Deserialize)]
struct Receiver {
    pid: u32,
    tick: BootTime,
    peers: Vec<PeerReport>,
    drops: BTreeMap<DropReason, u64>,
    authentic: bool,
    late: u64,
}

impl From<Record> for record::Record {
    fn from(old: Record) -> Self {
        let Record { node, generation, boot_id, sender, receiver, supervise, operator } = old;
        Self { node, generation, boot_id, sender, receiver: receiver.into(), supervise, operator }
    }
}

impl From<Receiver> for ReceiverSection {
    fn from(old: Receiver) -> Self {
        let Receiver { pid, tick, peers, drops, authentic, late } = old;
        let heard = peers.iter().filter(|peer| peer.heard_at.is_some());
        let contacts = heard.map(|peer| (peer.node, Contact { serial: peer.serial, dialect: SPOKEN })).collect();
        Self { pid, tick, peers, contacts, drops, authentic, signers: Vec::new(), late }
    }
}
