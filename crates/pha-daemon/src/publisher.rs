//! One section of the status database, kept true by its one writer.
//!
//! A write that fails is logged once and tried again with the next publication; a daemon never ends for it. If another
//! program overwrote the section (a command that was stopped in the middle of a write), it is published again.

use pha_status::{Database, Durability, Patience, Record, Section, StatusError};

/// Publishes sections of type `S`.
#[derive(Debug)]
pub struct Publisher<S> {
    last: Option<S>,
    failure: Option<StatusError>,
    without_lock: bool,
    disk_full: bool,
}

impl<S: Section + Clone + PartialEq> Default for Publisher<S> {
    fn default() -> Self {
        Self { last: None, failure: None, without_lock: false, disk_full: false }
    }
}

impl<S: Section + Clone + PartialEq> Publisher<S> {
    /// Writes `section` and returns the whole record as written; `None` if it could not be written.
    pub fn publish(&mut self, database: &Database, section: S, durability: Durability) -> Option<Record> {
        self.last = Some(section.clone());
        let updated = match database.update::<S>(durability, Patience::Daemon, |slot| *slot = section) {
            Ok(updated) => updated,
            Err(error) => {
                self.note_failure(error);
                return None;
            }
        };
        if self.failure.take().is_some() {
            log::info!("the status database can be written again");
        }
        if let Some(path) = updated.set_aside {
            log::error!("the status database was damaged; it is kept as {} and begun anew", path.display());
        }
        if updated.without_lock && !self.without_lock {
            log::warn!("another program holds the lock of the status database; writing without it");
        }
        self.without_lock = updated.without_lock;
        self.note_disk(updated.disk_full, database);
        Some(updated.record)
    }

    /// For a daemon that starts: it must be able to write.
    ///
    /// # Errors
    /// Why the last write failed.
    pub fn succeeded(&mut self) -> anyhow::Result<()> {
        self.failure.take().map_or(Ok(()), |error| Err(error.into()))
    }

    /// Whether `record` holds another word than the last one published.
    pub fn was_overwritten(&self, record: &mut Record) -> bool {
        self.last.as_ref().is_some_and(|last| S::of(record) != last)
    }

    fn note_failure(&mut self, error: StatusError) {
        if self.failure.is_none() {
            log::error!("{error}; trying again");
        }
        self.failure = Some(error);
    }

    fn note_disk(&mut self, full: bool, database: &Database) {
        let path = database.path().display();
        match (std::mem::replace(&mut self.disk_full, full), full) {
            (false, true) => log::error!("the disk of {path} is full: make room; its reserve is used meanwhile"),
            (true, false) => log::info!("the disk of {path} has room again"),
            (true, true) | (false, false) => {}
        }
    }
}
