//! Reading, changing and watching the status file.
//!
//! Readers take no lock. A change is one read-modify-write under the lock on `status.lock`, short and free of waiting on
//! anybody. An operator's command waits for the lock and then fails; a daemon waits a moment and then writes without it,
//! because a command that was stopped in the middle must not stop a daemon. That is safe for the file, which is always
//! replaced whole, and may for once overwrite another section: each daemon publishes its section again when it finds it
//! changed.
//!
//! An update that brings news ([`Section::is_news`]) also rings for those who [listen](Database::listen); nobody is woken
//! for signs of life.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pha_sys::lock::LockFile;
use pha_sys::volatile::{is_volatile, is_writable};
use pha_sys::watch::FileWatch;
use pha_sys::{clock, guarded, shared};

use crate::aside::set_aside;
use crate::error::{Defect, StatusError};
use crate::file::{self, FILE_LIMIT};
use crate::record::{Record, Section};

use crate::replacement::{Durability, Replacement, keep_reserve, kept_path, remove_stale};

/// The file's name in its directory.
pub const STATUS_FILE: &str = "status.dat";

/// The lock's name in the same directory; the file is empty and stays.
pub const LOCK_FILE: &str = "status.lock";

/// Only those who may write may lock, else anybody could stop an operator's command.
const LOCK_MODE: u32 = 0o600;
/// Of a folder that a group shares.
const SHARED_LOCK_MODE: u32 = 0o660;

/// How long a daemon waits for the lock before it writes without.
const DAEMON_PATIENCE: Duration = Duration::from_millis(100);

/// How long an operator's command waits for the lock before it fails.
const OPERATOR_PATIENCE: Duration = Duration::from_secs(2);

/// Who waits for the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// A command: 2 s, then [`StatusError::Locked`].
    Operator,
    /// A daemon: 100 ms, then it writes without the lock; while the lock stays taken it tries only once each time.
    Daemon,
}

/// What an update did.
#[derive(Debug)]
pub struct Updated {
    /// The record as it was written.
    pub record: Record,
    /// The file before. Closing it frees its blocks, and some disks take milliseconds for that: tell whoever waits first.
    pub before: Option<File>,
    /// The file was bad and is kept under this name; what was written starts from an empty record.
    pub set_aside: Option<PathBuf>,
    /// Another program holds the lock for too long; worth a warning.
    pub without_lock: bool,
    /// The disk is full: the file's reserve was used, or is not whole again yet. Worth an error.
    pub disk_full: bool,
}

/// The status database of one node, in one directory.
#[derive(Debug)]
pub struct Database {
    dir: PathBuf,
    file: PathBuf,
    /// What is to last, if the machine's end empties `dir`.
    memory: Option<PathBuf>,
    node: Option<String>,
    boot_id: OnceLock<String>,
    lock_stuck: AtomicBool,
    tidied: AtomicBool,
    reserved: AtomicBool,
}

impl Database {
    /// The database in `dir` for the node of this name. Nothing is read or written yet.
    #[must_use]
    pub fn new(dir: &Path, node: &str) -> Self {
        Self::of(dir, Some(node.to_owned()))
    }

    /// For a command that does not know which node it is on, as its configuration is broken: whosever database it is.
    #[must_use]
    pub fn of_anyone(dir: &Path) -> Self {
        Self::of(dir, None)
    }

    fn of(dir: &Path, node: Option<String>) -> Self {
        Self {
            dir: dir.to_owned(),
            file: dir.join(STATUS_FILE),
            memory: None,
            node,
            boot_id: OnceLock::new(),
            lock_stuck: AtomicBool::new(false),
            tidied: AtomicBool::new(false),
            reserved: AtomicBool::new(false),
        }
    }

    /// If the database lies on a tmpfs, what is to last is kept in `dir` too: what a reboot leaves of the record, under the
    /// same name, so that moving the database there and back forgets nothing. It is read when the database is empty. A `dir`
    /// that cannot be written keeps nothing ([`Self::forgets`]).
    #[must_use]
    pub fn remembering(mut self, dir: &Path) -> Self {
        let needed = dir != self.dir && is_volatile(&self.dir);
        self.memory = (needed && is_writable(dir)).then(|| dir.join(STATUS_FILE));
        self
    }

    /// Whether nothing outlives the machine.
    #[must_use]
    pub fn forgets(&self) -> bool {
        self.memory.is_none() && is_volatile(&self.dir)
    }

    /// The status file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.file
    }

    /// The record as it stands, without a lock. Before the first update it is empty; what another boot wrote comes as
    /// [`Record::after_reboot`]. If the file is damaged or foreign, or a power failure took its last flushed state, what was to
    /// last is read from the file that was kept.
    ///
    /// # Errors
    /// [`StatusError::Bad`] if the file is damaged or foreign (it stays where it is) and nothing was kept, [`StatusError::Io`].
    pub fn read(&self) -> Result<Record, StatusError> {
        let found = self.load()?;
        let bad = |why| StatusError::Bad { path: self.source().to_owned(), why };
        found.record.or_else(|why| found.kept.ok_or_else(|| bad(why)))
    }

    /// Changes one section and replaces the file. `change` is called once, under the lock where there is one, and must
    /// not wait for anything.
    ///
    /// # Errors
    /// [`StatusError::Locked`] (operators only), [`StatusError::Unwritable`], [`StatusError::Io`]; the old file is
    /// intact, except that it may be replaced already when only the flush of its directory failed.
    pub fn update<S: Section>(
        &self,
        durability: Durability,
        patience: Patience,
        change: impl FnOnce(&mut S),
    ) -> Result<Updated, StatusError> {
        let lock = self.lock(patience)?;
        if lock.is_some() && !self.tidied.swap(true, Ordering::Relaxed) {
            remove_stale(&self.file);
            self.memory.iter().for_each(|memory| remove_stale(memory));
        }
        let Loaded { before, record, kept } = self.load()?;
        let bad = record.is_err();
        let mut record = record.ok().or(kept).map_or_else(|| self.empty(), Ok)?;
        let section = S::of(&mut record);
        let known = section.clone();
        change(section);
        let news = bad || section.is_news(&known);
        if let Some(node) = &self.node {
            record.node.clone_from(node);
        }
        record.generation = record.generation.wrapping_add(1);
        let content = file::render(&record).map_err(|why| StatusError::Unwritable { path: self.file.clone(), why })?;
        let written = Replacement::write(&self.file, &content, durability);
        let disk_full = written.as_ref().is_err_and(StatusError::is_disk_full);
        let replacement = if disk_full && lock.is_some() && !bad {
            Replacement::write_reserve(&self.file, &content, durability).or(written)?
        } else {
            written?
        };
        let set_aside = bad.then(|| set_aside(self.source())).transpose()?;
        match &self.memory {
            Some(memory) if durability == Durability::Lasting => remember(memory, &record)?,
            Some(_) => {}
            None => replacement.keep(),
        }
        replacement.take_place(news)?;
        let reserve_lacks_room = lock.is_some() && patience == Patience::Daemon && self.reserve_lacks_room(disk_full);
        Ok(Updated {
            record,
            before,
            set_aside,
            without_lock: lock.is_none(),
            disk_full: disk_full || reserve_lacks_room,
        })
    }

    /// The file that is read.
    fn source(&self) -> &Path {
        self.memory.as_deref().filter(|memory| !self.file.exists() && memory.exists()).unwrap_or(&self.file)
    }

    /// Looks after the reserve once, and again after it was used. That it cannot be made for another reason than a full
    /// disk harms nobody before the disk is full.
    fn reserve_lacks_room(&self, was_used: bool) -> bool {
        if self.reserved.load(Ordering::Relaxed) && !was_used {
            return false;
        }
        let kept = keep_reserve(&self.file);
        self.reserved.store(kept.is_ok(), Ordering::Relaxed);
        kept.is_err_and(|error| error.is_disk_full())
    }

    /// A descriptor that becomes readable when the file is replaced.
    ///
    /// # Errors
    /// If the directory is missing or the system has no watch left.
    pub fn watch(&self) -> io::Result<FileWatch> {
        FileWatch::new(&self.dir, STATUS_FILE)
    }

    /// A descriptor that becomes readable when there is news in the file.
    ///
    /// # Errors
    /// As [`Self::watch`].
    pub fn listen(&self) -> io::Result<FileWatch> {
        FileWatch::listen(&self.dir, STATUS_FILE)
    }

    /// The lock; `None` for a daemon that has to go without.
    fn lock(&self, patience: Patience) -> Result<Option<LockFile>, StatusError> {
        let path = self.dir.join(LOCK_FILE);
        let limit = match patience {
            Patience::Operator => OPERATOR_PATIENCE,
            Patience::Daemon if self.lock_stuck.load(Ordering::Relaxed) => Duration::ZERO,
            Patience::Daemon => DAEMON_PATIENCE,
        };
        let lock = match LockFile::lock_within(&path, LOCK_MODE, limit) {
            Ok(lock) => lock,
            Err(source) => return Err(StatusError::Io { path, doing: "cannot be locked", source }),
        };
        if let Some(lock) = lock.as_ref().filter(|_| shared::group_of(&self.dir).is_some()) {
            // Whoever makes it anew must not lock the others out.
            lock.open_to_group(SHARED_LOCK_MODE);
        }
        self.lock_stuck.store(lock.is_none(), Ordering::Relaxed);
        match (lock, patience) {
            (None, Patience::Operator) => Err(StatusError::Locked { path }),
            (lock, Patience::Operator | Patience::Daemon) => Ok(lock),
        }
    }

    /// What there is.
    fn load(&self) -> Result<Loaded, StatusError> {
        let source = self.source();
        let (before, bytes) = match content(source) {
            Ok((file, bytes)) => (Some(file), Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => (None, None),
            // Nothing of pha puts a link there.
            Err(_) if source.is_symlink() => {
                return Ok(Loaded { before: None, record: Err(Defect::NotOurs), kept: self.kept(0) });
            }
            Err(error) => {
                return Err(StatusError::Io { path: source.to_owned(), doing: "cannot be read", source: error });
            }
        };
        let Some(bytes) = bytes else {
            return Ok(Loaded { before, record: Ok(self.kept(0).map_or_else(|| self.empty(), Ok)?), kept: None });
        };
        let boot_id = self.boot_id()?;
        // On a full disk a file that was replaced twice while it was read may have been overwritten: look once more.
        let again = |why| content(source).map_or(Err(why), |(_, content)| file::parse(&content));
        let ours = |record: Record| if self.is_ours(&record) { Ok(record) } else { Err(Defect::AnotherNode) };
        let found = file::parse(&bytes).or_else(again).and_then(ours);
        let is_alive = |record: &Record| record.boot_id == boot_id && source == self.file;
        let (record, kept) = match found {
            Ok(record) if is_alive(&record) => (Ok(record), None),
            // A power failure may bring back an older file than the one that was kept.
            Ok(record) => (Ok(self.kept(record.generation).unwrap_or_else(|| record.after_reboot(boot_id))), None),
            Err(why) => (Err(why), self.kept(0)),
        };
        Ok(Loaded { before, record, kept })
    }

    /// What was to last, if that is newer than `generation`. With a memory elsewhere that is what lasts.
    fn kept(&self, generation: u64) -> Option<Record> {
        let kept = self.memory.is_none().then(|| kept_path(&self.file))?;
        let newer = |record: &Record| record.generation > generation && self.is_ours(record);
        let record = file::parse(&content(&kept).ok()?.1).ok().filter(newer)?;
        Some(record.after_reboot(self.boot_id().ok()?))
    }

    fn empty(&self) -> Result<Record, StatusError> {
        Ok(Record {
            node: self.node.clone().unwrap_or_default(),
            boot_id: self.boot_id()?.to_owned(),
            ..Record::default()
        })
    }

    /// Names of nodes are alike in any case.
    fn is_ours(&self, record: &Record) -> bool {
        self.node.as_ref().is_none_or(|node| node.eq_ignore_ascii_case(&record.node))
    }

    /// Cannot change while this process lives.
    fn boot_id(&self) -> Result<&str, StatusError> {
        if let Some(id) = self.boot_id.get() {
            return Ok(id);
        }
        let failed = |source| StatusError::Io { path: self.file.clone(), doing: "which boot is this?", source };
        let id = clock::boot_id().map_err(failed)?;
        Ok(self.boot_id.get_or_init(|| id))
    }
}

/// What was found in the place of the database.
struct Loaded {
    /// The file, if there is one.
    before: Option<File>,
    /// The record of this boot in it, or what is wrong with it.
    record: Result<Record, Defect>,
    /// Of a bad file: what was kept of those before it.
    kept: Option<Record>,
}

/// Before the database shows it: a term that is seen is on the disk.
fn remember(memory: &Path, record: &Record) -> Result<(), StatusError> {
    let failed = |why| StatusError::Unwritable { path: memory.to_owned(), why };
    let content = file::render(&record.clone().after_reboot("")).map_err(failed)?;
    Replacement::write(memory, &content, Durability::Lasting)?.take_place(false)
}

/// The file, and at most one byte more than a status file can have.
fn content(path: &Path) -> io::Result<(File, Vec<u8>)> {
    // What most of them have, in one piece.
    let mut content = Vec::with_capacity(4096);
    let file = guarded::open(OpenOptions::new().read(true), path)?;
    (&file).take(FILE_LIMIT as u64 + 1).read_to_end(&mut content)?;
    Ok((file, content))
}

#[cfg(test)]
#[path = "database_tests.rs"]
mod tests;
