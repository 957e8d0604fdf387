//! A lock file: at most one process at a time holds the exclusive lock on it.
//!
//! The lock is a `flock(2)`: it belongs to the open file, vanishes with its last holder however that dies, and is
//! never inherited by an agent (close-on-exec). The file itself stays; only the lock on it means anything. This is
//! the only file that names `fs2`. With its trait in scope `unlock` and `try_lock_shared` would resolve to the
//! standard library's methods, so the trait's methods are called by their full names.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::{guarded, shared};

/// How often a lock is looked for again when the file was replaced under our hands.
const REPLACEMENTS: usize = 8;
/// The longest pause between two attempts of [`LockFile::lock_within`]; `flock` itself knows no time limit.
const LONGEST_PAUSE: Duration = Duration::from_millis(10);

/// A lock file whose lock is held until this is dropped.
#[derive(Debug)]
pub struct LockFile {
    file: File,
}

impl LockFile {
    /// Takes the lock if it is free; the file is created with `mode` where it is missing. Does not block.
    ///
    /// `None` means that another process holds it, for an instant perhaps only one that asked [`is_held`].
    ///
    /// # Errors
    /// If the file cannot be opened or created, or is a symbolic link. Nothing is locked then.
    pub fn try_lock(path: &Path, mode: u32) -> io::Result<Option<LockFile>> {
        for _ in 0..REPLACEMENTS {
            let file = open(path, mode)?;
            match fs2::FileExt::try_lock_exclusive(&file) {
                Ok(()) if is_still_at(&file, path) => return Ok(Some(LockFile { file })),
                Ok(()) => continue,
                Err(error) if is_contended(&error) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Like [`LockFile::try_lock`], but waits for the lock for `patience`; the pauses grow from 1 ms to 10 ms.
    ///
    /// # Errors
    /// As [`LockFile::try_lock`].
    pub fn lock_within(path: &Path, mode: u32, patience: Duration) -> io::Result<Option<LockFile>> {
        let start = Instant::now();
        let mut pause = Duration::from_millis(1);
        loop {
            if let Some(lock) = Self::try_lock(path, mode)? {
                return Ok(Some(lock));
            }
            let left = patience.saturating_sub(start.elapsed());
            if left.is_zero() {
                return Ok(None);
            }
            thread::sleep(pause.min(left));
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Gives the file `mode` whatever the umask made of it; if it is somebody else's, it stays as he made it.
    pub fn open_to_group(&self, mode: u32) {
        shared::open_to_group(&self.file, mode);
    }

    /// Whether `path` still names the locked file, and not nothing or a newer one that somebody put there.
    #[must_use]
    pub fn is_at(&self, path: &Path) -> bool {
        is_still_at(&self.file, path)
    }

    /// Replaces the content of the file. Not atomic: a reader may see it empty or in part.
    ///
    /// # Errors
    /// If the disk is full or failing; the file may be empty then. The lock is kept.
    pub fn write(&mut self, content: &[u8]) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.write_all_at(content, 0)
    }
}

impl Drop for LockFile {
    fn drop(&mut self) {
        // Explicitly, and not by closing only: a child between fork and exec still has a copy of the descriptor.
        if let Err(error) = fs2::FileExt::unlock(&self.file) {
            log::warn!("a lock could not be released: {error}");
        }
    }
}

/// Whether some process holds the lock on `path`. A missing file is not held.
///
/// It asks by taking a shared lock for an instant, so it may make a simultaneous [`LockFile::try_lock`] fail.
///
/// # Errors
/// If the file exists and cannot be read.
pub fn is_held(path: &Path) -> io::Result<bool> {
    let file = match guarded::open(OpenOptions::new().read(true), path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    match fs2::FileExt::try_lock_shared(&file) {
        Ok(()) => fs2::FileExt::unlock(&file).map(|()| false),
        Err(error) if is_contended(&error) => Ok(true),
        Err(error) => Err(error),
    }
}

fn open(path: &Path, mode: u32) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(mode);
    let file = guarded::open(&options, path)?;
    // It is written in place, and its mode is changed.
    guarded::has_one_name(&file).map(|()| file)
}

/// Whether the file at `path` is the one we locked, and not a newer one that somebody put there meanwhile.
fn is_still_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), path.symlink_metadata()) {
        (Ok(locked), Ok(named)) => (locked.dev(), locked.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

fn is_contended(error: &io::Error) -> bool {
    error.raw_os_error() == fs2::lock_contended_error().raw_os_error()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::process::Command;

    #[test]
    fn a_file_that_has_another_name_elsewhere_is_no_lock() {
        let dir = tempfile::tempdir().unwrap();
        let (elsewhere, path) = (dir.path().join("passwd"), dir.path().join("status.lock"));
        fs::write(&elsewhere, "root").unwrap();
        fs::hard_link(&elsewhere, &path).unwrap();
        assert!(LockFile::try_lock(&path, 0o600).is_err());
        assert_eq!(fs::read(&elsewhere).unwrap(), b"root");
    }

    #[test]
    fn a_second_holder_is_refused_until_the_first_lets_go() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("status.lock");
        assert!(!is_held(&path).unwrap());
        let first = LockFile::try_lock(&path, 0o600).unwrap().unwrap();
        assert!(LockFile::try_lock(&path, 0o600).unwrap().is_none());
        assert!(is_held(&path).unwrap());
        drop(first);
        assert!(!is_held(&path).unwrap());
        assert!(LockFile::try_lock(&path, 0o600).unwrap().is_some());
    }

    #[test]
    fn the_file_is_created_with_the_wanted_mode() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let _lock = LockFile::try_lock(&path, 0o600).unwrap().unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn waiting_ends_when_the_holder_lets_go_or_patience_does() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let held = LockFile::try_lock(&path, 0o600).unwrap().unwrap();
        let start = Instant::now();
        assert!(LockFile::lock_within(&path, 0o600, Duration::from_millis(40)).unwrap().is_none());
        assert!(start.elapsed() >= Duration::from_millis(40));
        let letting_go = thread::spawn(move || {
            thread::sleep(Duration::from_millis(20));
            drop(held);
        });
        assert!(LockFile::lock_within(&path, 0o600, Duration::from_secs(20)).unwrap().is_some());
        letting_go.join().unwrap();
    }

    #[test]
    fn a_child_that_outlives_us_does_not_inherit_the_lock() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let lock = LockFile::try_lock(&path, 0o600).unwrap().unwrap();
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        drop(lock);
        assert!(!is_held(&path).unwrap());
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn writing_replaces_the_whole_content() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let mut lock = LockFile::try_lock(&path, 0o600).unwrap().unwrap();
        lock.write(b"a long content").unwrap();
        lock.write(b"short").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"short");
    }

    #[test]
    fn a_lock_file_removed_under_its_holder_is_made_anew_and_a_link_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let _old = LockFile::try_lock(&path, 0o600).unwrap().unwrap();
        fs::remove_file(&path).unwrap();
        assert!(LockFile::try_lock(&path, 0o600).unwrap().is_some());
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(LockFile::try_lock(&link, 0o600).is_err());
    }
}
