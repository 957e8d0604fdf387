//! Two files that hold the newest bytes of a trace: one that grows, and the one before.
//!
//! A segment that begins is written beside the others and gets its name only when its beginning is whole, so a full disk
//! costs no segment that is there. What is pushed waits until [`Ring::flush`], so that a turn of the loop costs one write;
//! a panic flushes too ([`Ring::keep_in_panic`]), since what a program did last is what one wants to see.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// As the log files.
const MODE: u32 = 0o640;

/// The files of one program's trace.
#[derive(Debug)]
pub struct Ring {
    path: PathBuf,
    limit: u64,
    segment: Arc<Mutex<Segment>>,
}

/// The newer file.
#[derive(Debug, Default)]
struct Segment {
    file: Option<File>,
    pending: Vec<u8>,
    written: u64,
}

impl Ring {
    /// Files named `path` and `path.1` with at most `limit` bytes each, but for one turn's. Nothing is written yet.
    pub fn new(path: PathBuf, limit: u64) -> Self {
        Self { path, limit, segment: Arc::default() }
    }

    /// The newer file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The segment has reached its limit.
    pub fn is_full(&self) -> bool {
        let segment = self.segment();
        segment.written + segment.pending.len() as u64 >= self.limit
    }

    /// Begins a new segment with `opening`; the present one becomes the older one.
    ///
    /// # Errors
    /// If it cannot be written. Both files are as they were.
    pub fn begin(&mut self, opening: &[u8]) -> io::Result<()> {
        let fresh = named(&self.path, ".new");
        match fs::remove_file(&fresh) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Err(_) | Ok(()) => {}
        }
        let mut file = OpenOptions::new().append(true).create_new(true).mode(MODE).open(&fresh)?;
        let begun =
            file.write_all(opening).and_then(|()| self.make_room()).and_then(|()| fs::rename(&fresh, &self.path));
        if let Err(error) = begun {
            // What is left of it is removed by the next attempt at the latest.
            let _ = fs::remove_file(&fresh);
            return Err(error);
        }
        *self.segment() = Segment { file: Some(file), pending: Vec::new(), written: opening.len() as u64 };
        Ok(())
    }

    /// Adds `bytes` to what the next flush writes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.segment().pending.extend_from_slice(bytes);
    }

    /// Writes what was pushed, with one call.
    ///
    /// # Errors
    /// If the disk does not take it. It is lost then, and the segment may end within an entry: begin another one.
    pub fn flush(&mut self) -> io::Result<()> {
        self.segment().flush()
    }

    /// Has a panic of this process flush what is pending, before it ends.
    pub fn keep_in_panic(&self) {
        let segment = Arc::clone(&self.segment);
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            log::error!("a defect of pha: {info}");
            // If this is the thread that holds the lock, nobody can be waited for.
            if let Ok(mut segment) = segment.try_lock() {
                let _ = segment.flush();
            }
            before(info);
        }));
    }

    fn make_room(&self) -> io::Result<()> {
        match fs::rename(&self.path, named(&self.path, ".1")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Err(_) | Ok(()) => Ok(()),
        }
    }

    fn segment(&self) -> MutexGuard<'_, Segment> {
        self.segment.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Segment {
    fn flush(&mut self) -> io::Result<()> {
        let pending = std::mem::take(&mut self.pending);
        let Some(file) = self.file.as_mut().filter(|_| !pending.is_empty()) else { return Ok(()) };
        self.written += pending.len() as u64;
        file.write_all(&pending).inspect_err(|_| self.file = None)
    }
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
