//! What peers have spoken, whatever the failure detector makes of it: how far, and in what form.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use pha_core::{Dialect, Heartbeat, NodeId};
use pha_status::Contact;
use pha_wire::Codec;

/// The contacts of this node.
#[derive(Debug, Default)]
pub struct Contacts {
    known: BTreeMap<NodeId, Contact>,
    news: bool,
}

impl Contacts {
    /// Goes on where an earlier receiver stopped.
    pub const fn resumed(known: BTreeMap<NodeId, Contact>) -> Self {
        Self { known, news: false }
    }

    /// For the status database.
    pub const fn all(&self) -> &BTreeMap<NodeId, Contact> {
        &self.known
    }

    /// A heartbeat was heard. What its sender speaks now and then it understands; what the sender before it spoke counts no more.
    pub fn note(&mut self, codec: &Codec, heartbeat: &Heartbeat, dialect: Dialect) {
        let contact = self.known.entry(heartbeat.node).or_default();
        let before = contact.dialect;
        match heartbeat.serial.incarnation.cmp(&contact.serial.incarnation) {
            Ordering::Greater => contact.dialect = dialect,
            Ordering::Equal => contact.dialect = codec.better(before, dialect),
            Ordering::Less => {}
        }
        contact.serial = contact.serial.max(heartbeat.serial);
        self.news |= contact.dialect != before;
    }

    /// The peer may count from the beginning.
    pub fn forget(&mut self, node: NodeId) {
        self.known.remove(&node);
    }

    /// Whether some peer was heard in another dialect since this was asked last: the sender has to know at once.
    pub const fn are_news(&mut self) -> bool {
        std::mem::replace(&mut self.news, false)
    }
}
