//! The pid file of a daemon: one daemon of a kind at a time, and its process id for the others.
//!
//! Only the lock on the file says that a daemon runs; the number in it says which. A file left behind by a killed
//! daemon therefore means nothing, and a process id that the kernel gave to somebody else is never taken for ours.
//! The file is emptied, not removed, at the end: removing it would race with the next daemon that opens it.

use std::fs::{self, OpenOptions};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use crate::guarded;
use crate::lock::{LockFile, is_held};
use crate::privilege::is_root;

/// How long to wait for the lock: one who only asks whether a daemon runs holds it for an instant.
const PATIENCE: Duration = Duration::from_millis(100);
/// How often a reader looks again when it meets a daemon between taking the lock and writing its number.
const READS: usize = 20;
/// More is no process id.
const LONGEST: u64 = 16;

/// The pid file of this process, held until it is dropped.
#[derive(Debug)]
pub struct PidFile {
    lock: LockFile,
    path: PathBuf,
    /// Taken as root.
    of_root: bool,
}

/// Why [`PidFile::take`] failed. The other daemon and its file are untouched.
#[derive(Debug, thiserror::Error)]
pub enum PidFileError {
    /// Another daemon of this kind holds the file.
    #[error("already running with process id {pid}")]
    AlreadyRunning {
        /// Its process id; 0 if it has not written it yet.
        pid: u32,
    },
    /// The file could not be created, locked or written.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl PidFile {
    /// Locks `path` and writes the id of the calling process and a newline. Call it after detaching.
    ///
    /// # Errors
    /// [`PidFileError::AlreadyRunning`] if another process holds the file for longer than 100 ms.
    pub fn take(path: &Path) -> Result<PidFile, PidFileError> {
        if guarded::open(OpenOptions::new().read(true), path).is_ok_and(|file| !guarded::is_believed(&file)) {
            // Nobody would believe what is written into it.
            fs::remove_file(path)?;
        }
        let Some(mut lock) = LockFile::lock_within(path, 0o644, PATIENCE)? else {
            return Err(PidFileError::AlreadyRunning { pid: running(path).unwrap_or(0) });
        };
        lock.write(format!("{}\n", std::process::id()).as_bytes())?;
        Ok(PidFile { lock, path: path.to_owned(), of_root: is_root() })
    }

    /// Puts the file back if somebody removed it, with its directory: without it a second daemon could start beside this
    /// one, and nobody would find this one to stop it. True if it was gone. Who has given root up cannot, and gives way to the
    /// next one that is started.
    ///
    /// # Errors
    /// [`PidFileError::AlreadyRunning`] if a second daemon has started already; else the file is as it was.
    pub fn restore(&mut self) -> Result<bool, PidFileError> {
        if self.lock.is_at(&self.path) {
            return Ok(false);
        }
        // A folder of root's is for root to make.
        if let Some(dir) = self.path.parent().filter(|_| self.of_root == is_root()) {
            fs::create_dir_all(dir)?;
        }
        *self = match Self::take(&self.path) {
            // Only who is started after this one makes a file that this one may not open.
            Err(PidFileError::Io(error)) if error.kind() == io::ErrorKind::PermissionDenied && self.path.exists() => {
                return Err(PidFileError::AlreadyRunning { pid: running(&self.path).unwrap_or(0) });
            }
            taken => taken?,
        };
        Ok(true)
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // While the lock is still held: the next daemon's number cannot be wiped out by this.
        if let Err(error) = self.lock.write(b"") {
            log::debug!("the pid file could not be emptied: {error}");
        }
    }
}

/// The process id of the daemon that holds `path`; `None` if none does or the file cannot be read. Root believes only a file
/// of root's that nobody else can write: it may go on to end what is named there.
///
/// May wait some 20 ms for a daemon that is just being started.
pub fn running(path: &Path) -> Option<u32> {
    for _ in 0..READS {
        let pid = read(path);
        if !is_held(path).unwrap_or(false) {
            return None;
        }
        // The number may be that of a killed predecessor whose successor has not written its own yet.
        if let Some(pid) = pid.filter(|&pid| is_alive(pid)) {
            return Some(pid);
        }
        thread::sleep(Duration::from_millis(1));
    }
    None
}

fn read(path: &Path) -> Option<u32> {
    let file = guarded::open(OpenOptions::new().read(true), path).ok().filter(guarded::is_believed)?;
    let mut text = String::new();
    file.take(LONGEST).read_to_string(&mut text).ok()?;
    text.strip_suffix('\n')?.parse().ok()
}

fn is_alive(pid: u32) -> bool {
    i32::try_from(pid).is_ok_and(|pid| pid > 0 && !matches!(kill(Pid::from_raw(pid), None), Err(Errno::ESRCH)))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn a_removed_pid_file_is_put_back_unless_another_daemon_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run/sender.pid");
        fs::create_dir(dir.path().join("run")).unwrap();
        let mut taken = PidFile::take(&path).unwrap();
        assert!(!taken.restore().unwrap());
        fs::remove_dir_all(dir.path().join("run")).unwrap();
        assert!(taken.restore().unwrap());
        assert_eq!(running(&path), Some(std::process::id()));
        fs::remove_file(&path).unwrap();
        let other = PidFile::take(&path).unwrap();
        assert!(matches!(taken.restore(), Err(PidFileError::AlreadyRunning { .. })));
        drop(other);
        assert!(taken.restore().unwrap());
    }

    // P49, P51, P64: the process ids that the CLI shows come from here.
    #[test]
    fn a_taken_pid_file_names_this_process_and_refuses_a_second() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pha-sender.pid");
        assert_eq!(running(&path), None);
        let taken = PidFile::take(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
        assert_eq!(running(&path), Some(std::process::id()));
        let refused = PidFile::take(&path).unwrap_err();
        assert!(matches!(refused, PidFileError::AlreadyRunning { pid } if pid == std::process::id()), "{refused}");
        drop(taken);
        assert_eq!(running(&path), None);
        assert_eq!(fs::read(&path).unwrap(), b"");
        PidFile::take(&path).unwrap();
    }

    #[test]
    fn a_file_left_behind_by_a_killed_daemon_means_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pid");
        fs::write(&path, format!("{}\n", std::process::id())).unwrap();
        assert_eq!(running(&path), None);
        PidFile::take(&path).unwrap();
    }

    #[test]
    fn the_number_of_a_dead_predecessor_is_not_reported_as_the_running_daemon() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pid");
        let mut dead = std::process::Command::new("true").spawn().unwrap();
        dead.wait().unwrap();
        fs::write(&path, format!("{}\n", dead.id())).unwrap();
        let _starting = LockFile::try_lock(&path, 0o644).unwrap().unwrap();
        assert_eq!(running(&path), None);
    }

    #[test]
    fn readers_do_not_keep_a_daemon_from_starting() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pid");
        fs::write(&path, "").unwrap();
        let reader = path.clone();
        let asking = thread::spawn(move || (0..500).filter(|_| is_held(&reader).unwrap()).count());
        for _ in 0..50 {
            PidFile::take(&path).unwrap();
        }
        asking.join().unwrap();
    }
}
