//! One section of the status database, kept true by its one writer.
//!
//! A write that fails is logged once and tried again with the next publication; a daemon never ends for it. If another
//! program overwrote the section (a command that was stopped in the middle of a write), it is published again.
//!
//! Nor does a daemon wait long for it (ADR 0020): a section goes to a [`Writer`] through a slot in which a newer one replaces
//! the older. Whoever publishes waits a moment, so that on a disk that is well the database is true before anybody acts on
//! it. While a write is late nobody waits for it again; its end makes [`Publisher`]'s descriptor readable.

use std::io::{self, PipeReader, PipeWriter, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use pha_core::BootTime;
use pha_status::{Database, Durability, Patience, Record, Section, StatusError, Updated};
use pha_sys::writer::Writer;

use crate::now;
use crate::start::Daemon;

/// How long a daemon that starts waits for its first publication.
const FIRST: Duration = Duration::from_secs(10);

/// A disk that takes longer is worth a line in the log.
const WORTH_SAYING: Duration = Duration::from_secs(1);

/// What became of a publication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Published {
    /// It stands in the file, in this record.
    Written(Box<Record>),
    /// It could not be written.
    Failed,
    /// The disk has not answered yet; [`Publisher::collect`] will tell.
    Late,
}

/// Publishes sections of type `S`.
#[derive(Debug)]
pub struct Publisher<S> {
    writer: Writer,
    database: Arc<Database>,
    desk: Arc<Desk<S>>,
    bell: PipeReader,
    /// Of the last publication.
    number: u64,
    last: Option<S>,
    late_since: Option<BootTime>,
    told_late: bool,
    failure: Option<StatusError>,
    without_lock: bool,
    disk_full: bool,
}

/// Where a publication is handed over, and what became of it comes back.
#[derive(Debug)]
struct Desk<S> {
    papers: Mutex<Papers<S>>,
    changed: Condvar,
}

#[derive(Debug)]
struct Papers<S> {
    waiting: Option<Task<S>>,
    /// The number of a finished one, and how it went.
    finished: Option<(u64, Result<Updated, StatusError>)>,
    /// The number of the last one that was to last, and whether it does.
    lasting: Option<(u64, bool)>,
    /// Rung when this publication is finished: nobody waits for it.
    wanted: Option<u64>,
    bell: PipeWriter,
    rung: bool,
}

#[derive(Debug)]
struct Task<S> {
    number: u64,
    section: S,
    durability: Durability,
}

impl<S: Section + PartialEq + Send + 'static> Publisher<S> {
    /// Nothing is published yet.
    ///
    /// # Errors
    /// If there is no descriptor left.
    pub fn new(daemon: &Daemon) -> anyhow::Result<Self> {
        Self::with(daemon.database_writer.clone(), Arc::clone(&daemon.database)).context("no pipe")
    }

    /// As [`Self::new`], without a daemon.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with(writer: Writer, database: Arc<Database>) -> io::Result<Self> {
        let (ear, bell) = io::pipe()?;
        let papers = Papers { waiting: None, finished: None, lasting: None, wanted: None, bell, rung: false };
        Ok(Self {
            writer,
            database,
            desk: Arc::new(Desk { papers: Mutex::new(papers), changed: Condvar::new() }),
            bell: ear,
            number: 0,
            last: None,
            late_since: None,
            told_late: false,
            failure: None,
            without_lock: false,
            disk_full: false,
        })
    }

    /// Has `section` written, and waits for it for `patience` at most; not at all if an earlier one is late.
    pub fn publish(&mut self, section: S, patience: Duration) -> Published {
        let patience = if self.late_since.is_none() { patience } else { Duration::ZERO };
        self.store(section, Durability::Volatile, patience)
    }

    /// As [`Self::publish`], but waits also if an earlier one is late.
    pub fn store(&mut self, section: S, durability: Durability, patience: Duration) -> Published {
        self.hand_over(section, durability);
        match self.desk.wait(self.number, patience, &mut self.bell) {
            Some(result) => self.conclude(result),
            None => {
                self.note_late();
                Published::Late
            }
        }
    }

    /// Has `section`, which brings no news, written without waiting: [`Publisher::collect`] finds on some later wake what
    /// became of it.
    pub fn publish_later(&mut self, section: S) {
        if self.late_since.is_some() {
            self.note_late();
        }
        self.late_since.get_or_insert_with(now);
        self.hand_over(section, Durability::Volatile);
    }

    /// For a daemon that starts: it must be able to write.
    ///
    /// # Errors
    /// Why it could not.
    pub fn publish_first(&mut self, section: S, durability: Durability) -> anyhow::Result<Record> {
        match self.store(section, durability, FIRST) {
            Published::Written(record) => Ok(*record),
            Published::Failed => Err(self.failure.take().map_or_else(|| anyhow::anyhow!("not written"), Into::into)),
            Published::Late => {
                let timeout = io::Error::new(io::ErrorKind::TimedOut, "its disk does not answer");
                Err(timeout).with_context(|| self.database.path().display().to_string())
            }
        }
    }

    /// What became of a publication that was late; `None` if there is none or it still is. To be asked on every wake.
    pub fn collect(&mut self) -> Option<Published> {
        self.late_since?;
        let result = self.desk.wait(self.number, Duration::ZERO, &mut self.bell)?;
        Some(self.conclude(result))
    }

    /// The number of the last publication.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// Whether publication `number`, which was to last, does, or a later one in its place; `None` if nobody knows yet. To be
    /// asked on every wake.
    #[must_use]
    pub fn lasts(&self, number: u64) -> Option<bool> {
        self.desk.papers().lasting.filter(|(last, _)| *last >= number).map(|(_, lasts)| lasts)
    }

    /// Since when the disk has not answered.
    #[must_use]
    pub const fn late_since(&self) -> Option<BootTime> {
        self.late_since
    }

    /// Whether `record` holds another word than the last one published; not told while that is on its way.
    pub fn was_overwritten(&self, record: &mut Record) -> bool {
        self.late_since.is_none() && self.last.as_ref().is_some_and(|last| S::of(record) != last)
    }

    fn hand_over(&mut self, section: S, durability: Durability) {
        self.last = Some(section.clone());
        self.number += 1;
        if !self.desk.put(Task { number: self.number, section, durability }) {
            return;
        }
        let (desk, database) = (Arc::clone(&self.desk), Arc::clone(&self.database));
        if !self.writer.take(move || desk.serve(&database)) {
            let mut papers = self.desk.papers();
            if papers.waiting.take().is_some_and(|task| task.durability == Durability::Lasting) {
                papers.lasting = Some((self.number, false));
            }
        }
    }

    fn conclude(&mut self, result: Result<Updated, StatusError>) -> Published {
        if let Some(since) = self.late_since.take()
            && std::mem::take(&mut self.told_late)
        {
            log::info!("the disk answers again, after {:.1} s", now().since(since).as_secs_f64());
        }
        let updated = match result {
            Ok(updated) => updated,
            Err(error) => {
                self.note_failure(error);
                return Published::Failed;
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
        self.note_disk(updated.disk_full);
        Published::Written(Box::new(updated.record))
    }

    fn note_late(&mut self) {
        let since = *self.late_since.get_or_insert_with(now);
        if !self.told_late && now().since(since) >= WORTH_SAYING {
            log::warn!("the disk of {} does not answer; going on without it", self.database.path().display());
            self.told_late = true;
        }
    }

    fn note_failure(&mut self, error: StatusError) {
        if self.failure.is_none() {
            log::error!("{error}; trying again");
        }
        self.failure = Some(error);
    }

    fn note_disk(&mut self, full: bool) {
        let path = self.database.path().display();
        match (std::mem::replace(&mut self.disk_full, full), full) {
            (false, true) => log::error!("the disk of {path} is full: make room; its reserve is used meanwhile"),
            (true, false) => log::info!("the disk of {path} has room again"),
            (true, true) | (false, false) => {}
        }
    }
}

impl<S> AsFd for Publisher<S> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}

impl<S: Section> Desk<S> {
    /// Puts `task` into the slot; whether it was empty, so that the writer has to be asked.
    fn put(&self, task: Task<S>) -> bool {
        let mut papers = self.papers();
        let replaced = papers.waiting.take();
        // What was to last is part of what replaces it.
        let lasts = replaced.as_ref().is_some_and(|older| older.durability == Durability::Lasting);
        let durability = if lasts { Durability::Lasting } else { task.durability };
        papers.waiting = Some(Task { durability, ..task });
        replaced.is_none()
    }

    /// The writer's part.
    fn serve(&self, database: &Database) {
        let Some(task) = self.papers().waiting.take() else { return };
        let mut result = database.update::<S>(task.durability, Patience::Daemon, |slot| *slot = task.section);
        // It is closed last: whoever waits does not wait for that.
        let _before = result.as_mut().ok().and_then(|updated| updated.before.take());
        let mut papers = self.papers();
        if task.durability == Durability::Lasting {
            papers.lasting = Some((task.number, result.is_ok()));
        }
        papers.finished = Some((task.number, result));
        if papers.wanted == Some(task.number) && !papers.rung {
            // One byte at most is in the pipe, so this never waits.
            papers.rung = papers.bell.write_all(&[1]).is_ok();
        }
        drop(papers);
        self.changed.notify_all();
    }

    /// Waits for number `wanted`; from a `None` on, its end rings the bell.
    fn wait(&self, wanted: u64, patience: Duration, bell: &mut PipeReader) -> Option<Result<Updated, StatusError>> {
        let unfinished = |papers: &mut Papers<S>| papers.finished.as_ref().is_none_or(|(number, _)| *number < wanted);
        let waited = self.changed.wait_timeout_while(self.papers(), patience, unfinished);
        let mut papers = waited.unwrap_or_else(PoisonError::into_inner).0;
        if std::mem::take(&mut papers.rung) {
            // The byte is there. It may have been for an older one: nobody must find it when nothing is late any more.
            let _ = bell.read_exact(&mut [0]);
        }
        papers.wanted = Some(wanted);
        let (_, result) = papers.finished.take_if(|(number, _)| *number >= wanted)?;
        papers.wanted = None;
        Some(result)
    }

    fn papers(&self) -> MutexGuard<'_, Papers<S>> {
        self.papers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[path = "publisher_tests.rs"]
mod tests;
