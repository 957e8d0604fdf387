//! What peers have spoken, whatever the failure detector makes of it: how far, and in what form.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use pha_config::Config;
use pha_core::{Dialect, Heartbeat, NodeId, Serial};
use pha_status::Contact;
use pha_wire::Codec;

/// The contacts of this node.
#[derive(Debug, Default)]
pub struct Contacts {
    known: BTreeMap<NodeId, Contact>,
    news: bool,
}

impl Contacts {
    /// Goes on where an earlier receiver stopped, for the nodes that are still configured.
    pub fn resumed(mut known: BTreeMap<NodeId, Contact>, config: &Config) -> Self {
        known.retain(|id, _| config.nodes.iter().any(|node| node.id == *id));
        Self { known, news: false }
    }

    /// The newest heartbeat of `node`.
    pub fn serial(&self, node: NodeId) -> Serial {
        self.known.get(&node).map(|contact| contact.serial).unwrap_or_default()
    }

    /// For the status database.
    pub const fn all(&self) -> &BTreeMap<NodeId, Contact> {
        &self.known
    }

    /// A heartbeat was heard. What its sender speaks now and then it understands; what the sender before it spoke counts no more.
    pub fn note(&mut self, codec: &Codec, heartbeat: &Heartbeat, dialect: Dialect) {
        let contact = self.known.entry(heartbeat.node).or_default();
        let before = *contact;
        match heartbeat.serial.incarnation.cmp(&contact.serial.incarnation) {
            Ordering::Greater => contact.dialect = dialect,
            Ordering::Equal => contact.dialect = codec.better(before.dialect, dialect),
            Ordering::Less => {}
        }
        contact.serial = contact.serial.max(heartbeat.serial);
        let speaker = |contact: &Contact| (contact.serial.incarnation, contact.dialect);
        self.news |= speaker(contact) != speaker(&before);
    }

    /// Peers may count from the beginning; what they understand stays.
    pub fn forget_serials(&mut self) {
        self.known.values_mut().for_each(|contact| contact.serial = Serial::default());
    }

    /// The peer may count from the beginning.
    pub fn forget(&mut self, node: NodeId) {
        self.known.remove(&node);
    }

    /// Whether the sender of some peer has begun anew, or was heard in another dialect, since this was asked last: our sender has to
    /// know at once.
    pub const fn are_news(&mut self) -> bool {
        std::mem::replace(&mut self.news, false)
    }
}
