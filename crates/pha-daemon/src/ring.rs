//! Two files that hold the newest bytes of a trace: one that grows, and the one before.
//!
//! A segment that begins is written beside the others and gets its name only when its beginning is whole, so a full disk
//! costs no segment that is there. What is pushed waits until [`Ring::flush`], so that a turn of the loop costs one write;
//! a panic flushes too ([`Ring::keep_in_panic`]), since what a program did last is what one wants to see.
//!
//! All of it is done by a [`Writer`]: what the disk refuses comes to light with a later call, and what does not fit into
//! [`BACKLOG`] while it stalls is refused here. Either way the entries are counted ([`Ring::take_lost`]).

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pha_sys::guarded;
use pha_sys::writer::Writer;

/// As the log files.
const MODE: u32 = 0o640;

/// Bytes that wait for a slow disk at most: many minutes of a daemon at rest.
const BACKLOG: usize = 512 * 1024;

/// How long a panic waits for what it has flushed.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The files of one program's trace.
#[derive(Debug)]
pub struct Ring {
    limit: u64,
    /// Of the segment, on the disk and on the way to it.
    length: u64,
    writer: Writer,
    way: Arc<Way>,
}

/// From the machine to the disk.
#[derive(Debug)]
struct Way {
    path: PathBuf,
    backlog: Mutex<Backlog>,
    /// The newer file; only the writer touches it.
    file: Mutex<Option<File>>,
}

#[derive(Debug, Default)]
struct Backlog {
    /// Pushed and not flushed.
    pending: Entries,
    /// For the writer, in this order.
    steps: Vec<Step>,
    /// Bytes in `steps`.
    bytes: usize,
    failure: Option<io::Error>,
    lost: u64,
}

#[derive(Debug)]
enum Step {
    /// A new segment with this opening.
    Begin(Vec<u8>),
    Append(Entries),
}

/// Whole entries, and how many.
#[derive(Debug, Default)]
struct Entries {
    bytes: Vec<u8>,
    count: u64,
}

impl Ring {
    /// Files named `path` and `path.1` with at most `limit` bytes each, but for one turn's. Nothing is written yet.
    pub fn new(path: PathBuf, limit: u64, writer: Writer) -> Self {
        let way = Way { path, backlog: Mutex::default(), file: Mutex::new(None) };
        Self { limit, length: 0, writer, way: Arc::new(way) }
    }

    /// The newer file.
    pub fn path(&self) -> &Path {
        &self.way.path
    }

    /// The segment has reached its limit.
    pub const fn is_full(&self) -> bool {
        self.length >= self.limit
    }

    /// Begins a new segment with `opening`; the present one becomes the older one.
    ///
    /// # Errors
    /// If it cannot be written, as far as that is known by now. Both files are as they were.
    pub fn begin(&mut self, opening: Vec<u8>) -> io::Result<()> {
        self.length = opening.len() as u64;
        self.hand_over(Step::Begin(opening))
    }

    /// Adds an entry to what the next flush writes.
    pub fn push(&mut self, entry: &[u8]) {
        let mut backlog = self.way.backlog();
        backlog.pending.bytes.extend_from_slice(entry);
        backlog.pending.count += 1;
        self.length += entry.len() as u64;
    }

    /// Has what was pushed written, with one call.
    ///
    /// # Errors
    /// If the disk does not take it, or did not take what was flushed before. The segment may end within an entry, and takes
    /// no more: begin another one.
    pub fn flush(&mut self) -> io::Result<()> {
        let pending = std::mem::take(&mut self.way.backlog().pending);
        if pending.count == 0 {
            return self.way.backlog().failure.take().map_or(Ok(()), Err);
        }
        self.hand_over(Step::Append(pending))
    }

    /// Entries that were pushed and are in no file, since the last call.
    pub fn take_lost(&mut self) -> u64 {
        std::mem::take(&mut self.way.backlog().lost)
    }

    /// Has a panic of this process flush what is pending, before it ends.
    pub fn keep_in_panic(&self) {
        let (way, writer) = (Arc::clone(&self.way), self.writer.clone());
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            log::error!("a defect of pha: {info}");
            // If this is the thread that holds the lock, nobody can be waited for.
            if let Ok(mut backlog) = way.backlog.try_lock() {
                let pending = std::mem::take(&mut backlog.pending);
                backlog.steps.push(Step::Append(pending));
            }
            let (last, waiting) = (Arc::clone(&way), &writer);
            let _ = waiting.take(move || last.write()) && waiting.drain(LAST_WORDS);
            before(info);
        }));
    }

    fn hand_over(&self, step: Step) -> io::Result<()> {
        let size = step.size();
        {
            let mut backlog = self.way.backlog();
            if backlog.bytes + size > BACKLOG && !backlog.steps.is_empty() {
                backlog.lost += step.entries();
                return Err(stalled());
            }
            backlog.bytes += size;
            backlog.steps.push(step);
        }
        let way = Arc::clone(&self.way);
        // Refused: it waits for the next time.
        let _ = self.writer.take(move || way.write());
        self.way.backlog().failure.take().map_or(Ok(()), Err)
    }
}

impl Way {
    /// Writes all that waits.
    fn write(&self) {
        let steps = {
            let mut backlog = self.backlog();
            backlog.bytes = 0;
            std::mem::take(&mut backlog.steps)
        };
        // Held by another thread only if it panicked in here.
        let Ok(mut file) = self.file.try_lock() else { return };
        for step in steps {
            let entries = step.entries();
            if let Err(error) = self.carry_out(step, &mut file) {
                let mut backlog = self.backlog();
                backlog.lost += entries;
                backlog.failure = error.or(backlog.failure.take());
            }
        }
    }

    /// `Err(None)`: the segment has been given up before.
    fn carry_out(&self, step: Step, file: &mut Option<File>) -> Result<(), Option<io::Error>> {
        match step {
            Step::Begin(opening) => {
                // What comes behind an opening that was not written must not get into the segment before.
                *file = None;
                *file = Some(self.begin(&opening)?);
                Ok(())
            }
            Step::Append(entries) => {
                let appended = file.as_mut().ok_or(None)?.write_all(&entries.bytes);
                if appended.is_err() {
                    *file = None;
                }
                Ok(appended?)
            }
        }
    }

    fn begin(&self, opening: &[u8]) -> io::Result<File> {
        let fresh = named(&self.path, ".new");
        match fs::remove_file(&fresh) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Err(_) | Ok(()) => {}
        }
        let mut file = guarded::open(OpenOptions::new().append(true).create_new(true).mode(MODE), &fresh)?;
        let begun =
            file.write_all(opening).and_then(|()| self.make_room()).and_then(|()| fs::rename(&fresh, &self.path));
        if let Err(error) = begun {
            // What is left of it is removed by the next attempt at the latest.
            let _ = fs::remove_file(&fresh);
            return Err(error);
        }
        Ok(file)
    }

    fn make_room(&self) -> io::Result<()> {
        match fs::rename(&self.path, named(&self.path, ".1")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Err(_) | Ok(()) => Ok(()),
        }
    }

    fn backlog(&self) -> MutexGuard<'_, Backlog> {
        self.backlog.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Step {
    const fn size(&self) -> usize {
        match self {
            Self::Begin(bytes) | Self::Append(Entries { bytes, .. }) => bytes.len(),
        }
    }

    const fn entries(&self) -> u64 {
        match self {
            Self::Begin(_) => 0,
            Self::Append(entries) => entries.count,
        }
    }
}

fn stalled() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "its disk does not answer")
}

/// `path` with `end` behind its name.
pub fn named(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

#[cfg(test)]
#[path = "ring_tests.rs"]
mod tests;
