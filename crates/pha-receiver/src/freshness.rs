//! Whether a heartbeat was said since this machine started.
//!
//! Serials that have been heard are on the disk, but after a power failure not the newest ones: somebody could have recorded those
//! and say them to a receiver that starts anew. So a heartbeat that says OFFLINE or LEFT, on which others act, has to tell of
//! one of ours that is younger than this boot. A peer that
//! does not hear us cannot, and must not be taken for dead for that: it is believed a dead time before nobody waits for a first
//! heartbeat any more (ADR 0025).

use std::sync::Arc;

use pha_core::{BootTime, Heartbeat};
use pha_status::{Database, Record};

/// What heartbeats are compared with.
#[derive(Debug)]
pub struct Freshness {
    database: Arc<Database>,
    until: BootTime,
}

impl Freshness {
    /// At `until` it is over.
    pub const fn new(database: Arc<Database>, until: BootTime) -> Self {
        Self { database, until }
    }

    /// Whether nobody has to show anything any more.
    pub fn is_over(&self, now: BootTime) -> bool {
        now >= self.until
    }

    /// Whether `heartbeat` shows that it was said since this machine started. Reads the status database.
    pub fn is_shown_by(&self, heartbeat: &Heartbeat) -> bool {
        let heard = |record: Record| record.sender.pid != 0 && record.sender.incarnation == heartbeat.heard.incarnation;
        self.database.read().is_ok_and(heard)
    }
}
