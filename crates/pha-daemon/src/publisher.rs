//! One section of the status database, kept true by its one writer.
//!
//! A write that fails is logged once and tried again with the next publication; a daemon never ends for it. If another
//! program overwrote the section (a command that was stopped in the middle of a write), it is published again.

use pha_status::{Database, Durability, Patience, Record, Section, StatusError};

/// Publishes sections of type `S`.
#[derive(Debug)]
pub struct Publisher<S> {
    last: Option<S>,
    failing: bool,
    without_lock: bool,
}

impl<S: Section + Clone + PartialEq> Default for Publisher<S> {
    fn default() -> Self {
        Self { last: None, failing: false, without_lock: false }
    }
}

impl<S: Section + Clone + PartialEq> Publisher<S> {
    /// Writes `section` and returns the whole record as written; `None` if it could not be written.
    pub fn publish(&mut self, database: &Database, section: S, durability: Durability) -> Option<Record> {
        self.last = Some(section.clone());
        let updated = match database.update::<S>(durability, Patience::Daemon, |slot| *slot = section) {
            Ok(updated) => updated,
            Err(error) => {
                self.note_failure(&error);
                return None;
            }
        };
        if std::mem::take(&mut self.failing) {
            log::info!("the status database can be written again");
        }
        if let Some(path) = updated.set_aside {
            log::error!("the status database was damaged; it is kept as {} and begun anew", path.display());
        }
        if updated.without_lock && !self.without_lock {
            log::warn!("another program holds the lock of the status database; writing without it");
        }
        self.without_lock = updated.without_lock;
        Some(updated.record)
    }

    /// Whether `record` holds another word than the last one published.
    pub fn was_overwritten(&self, record: &mut Record) -> bool {
        self.last.as_ref().is_some_and(|last| S::of(record) != last)
    }

    /// Whether the last write failed.
    #[must_use]
    pub const fn is_failing(&self) -> bool {
        self.failing
    }

    fn note_failure(&mut self, error: &StatusError) {
        if !std::mem::replace(&mut self.failing, true) {
            log::error!("{error}");
        }
    }
}
