//! Notice that a file was replaced, without looking for it: one inotify watch on its directory.
//!
//! The status database is replaced by rename, so the watch is for a file *moved to* the name (or removed), not for
//! writing: a temporary file beside it wakes nobody. A directory that is itself moved or deleted counts as a change
//! too, because the watch is then blind; it is set up again as soon as the directory is back and
//! [`FileWatch::changed`] is called.
//!
//! Most replacements bring no news. Whoever wants to sleep through those listens for [`ring`] instead.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor};
use nix::sys::stat::futimens;
use nix::sys::time::TimeSpec;

/// How many reads (of some 100 events each) one call of [`FileWatch::changed`] makes at most.
const READS: usize = 64;

/// A watch on one file name in one directory.
#[derive(Debug)]
pub struct FileWatch {
    inotify: Inotify,
    dir: PathBuf,
    name: OsString,
    what: AddWatchFlags,
    watch: Option<WatchDescriptor>,
}

/// Wakes those who listen for `file` ([`FileWatch::listen`]): its times are set to now.
///
/// # Errors
/// If it may not be written.
pub fn ring(file: &File) -> io::Result<()> {
    Ok(futimens(file, &TimeSpec::UTIME_NOW, &TimeSpec::UTIME_NOW)?)
}

impl FileWatch {
    /// Watches the file `name` in `dir`. The directory must exist, the file need not.
    ///
    /// # Errors
    /// If `dir` is missing or not a directory, or the user's inotify watches are used up
    /// (`fs.inotify.max_user_watches`).
    pub fn new(dir: &Path, name: &str) -> io::Result<Self> {
        Self::with(dir, name, AddWatchFlags::IN_MOVED_TO)
    }

    /// As [`Self::new`], but sleeps until somebody rings ([`ring`]): a replacement alone is no change.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn listen(dir: &Path, name: &str) -> io::Result<Self> {
        Self::with(dir, name, AddWatchFlags::IN_ATTRIB)
    }

    fn with(dir: &Path, name: &str, what: AddWatchFlags) -> io::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        let mut this = FileWatch { inotify, dir: dir.to_owned(), name: name.into(), what, watch: None };
        this.watch = Some(this.add()?);
        Ok(this)
    }

    fn add(&self) -> io::Result<WatchDescriptor> {
        let gone = AddWatchFlags::IN_DELETE | AddWatchFlags::IN_DELETE_SELF | AddWatchFlags::IN_MOVE_SELF;
        Ok(self.inotify.add_watch(&self.dir, self.what | gone | AddWatchFlags::IN_ONLYDIR)?)
    }

    /// Whether the file was replaced (or rung for) or removed, or the watch lost or found its directory, since the last call.
    ///
    /// Never blocks. When the descriptor is readable this must be called; it is also worth calling now and then
    /// without that, since only a call finds a directory that came back.
    ///
    /// # Errors
    /// If the kernel refuses to read; the watch should be made anew then.
    pub fn changed(&mut self) -> io::Result<bool> {
        let found = self.find_again();
        let mut changed = found;
        for _ in 0..READS {
            match self.inotify.read_events() {
                Ok(events) => {
                    for event in &events {
                        changed |= self.takes_note(event);
                    }
                }
                Err(Errno::EAGAIN) => break,
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(changed)
    }

    /// Whether one event concerns us; a vanished directory ends its watch.
    fn takes_note(&mut self, event: &InotifyEvent) -> bool {
        if event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW) {
            return true;
        }
        if Some(event.wd) != self.watch {
            return false;
        }
        let gone = AddWatchFlags::IN_DELETE_SELF
            | AddWatchFlags::IN_MOVE_SELF
            | AddWatchFlags::IN_UNMOUNT
            | AddWatchFlags::IN_IGNORED;
        if event.mask.intersects(gone) {
            if let Some(watch) = self.watch.take() {
                // A moved directory is still watched under its new name; a deleted one is forgotten already.
                let _ = self.inotify.rm_watch(watch);
            }
            return true;
        }
        event.name.as_deref() == Some(OsStr::new(&self.name))
    }

    /// Sets up a lost watch again if the directory is back; true if it was.
    fn find_again(&mut self) -> bool {
        if self.watch.is_none() {
            self.watch = self.add().ok();
            return self.watch.is_some();
        }
        false
    }
}

impl AsFd for FileWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use crate::poll;
    use std::fs;
    use std::time::Duration;

    fn replace(dir: &Path, name: &str) {
        let temporary = dir.join(format!("{name}.tmp"));
        fs::write(&temporary, "new").unwrap();
        fs::rename(&temporary, dir.join(name)).unwrap();
    }

    #[test]
    fn a_replaced_file_wakes_the_watcher_once() {
        let dir = tempfile::tempdir().unwrap();
        let mut watch = FileWatch::new(dir.path(), "status.dat").unwrap();
        assert!(!watch.changed().unwrap());
        replace(dir.path(), "status.dat");
        assert_eq!(poll::wait(&[watch.as_fd()], Some(Duration::from_secs(5))).unwrap(), [true]);
        assert!(watch.changed().unwrap());
        assert!(!watch.changed().unwrap());
    }

    #[test]
    fn other_files_and_temporary_ones_change_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mut watch = FileWatch::new(dir.path(), "status.dat").unwrap();
        fs::write(dir.path().join("status.dat.tmp"), "x").unwrap();
        assert_eq!(poll::wait(&[watch.as_fd()], Some(Duration::ZERO)).unwrap(), [false]);
        replace(dir.path(), "other");
        assert!(!watch.changed().unwrap());
    }

    #[test]
    fn a_removed_file_is_a_change() {
        for watch in [FileWatch::new, FileWatch::listen] {
            let dir = tempfile::tempdir().unwrap();
            fs::write(dir.path().join("status.dat"), "x").unwrap();
            let mut watch = watch(dir.path(), "status.dat").unwrap();
            fs::remove_file(dir.path().join("status.dat")).unwrap();
            assert!(watch.changed().unwrap());
        }
    }

    #[test]
    fn who_listens_sleeps_through_replacements_until_somebody_rings() {
        let dir = tempfile::tempdir().unwrap();
        let mut ear = FileWatch::listen(dir.path(), "status.dat").unwrap();
        let mut watch = FileWatch::new(dir.path(), "status.dat").unwrap();
        let file = dir.path().join("status.dat");
        for _ in 0..2 {
            replace(dir.path(), "status.dat");
            assert_eq!(poll::wait(&[ear.as_fd(), watch.as_fd()], Some(Duration::ZERO)).unwrap(), [false, true]);
            assert!(!ear.changed().unwrap() && watch.changed().unwrap());
            ring(&File::open(&file).unwrap()).unwrap();
            assert_eq!(poll::wait(&[ear.as_fd(), watch.as_fd()], Some(Duration::ZERO)).unwrap(), [true, false]);
            assert!(ear.changed().unwrap() && !watch.changed().unwrap() && !ear.changed().unwrap());
        }
    }

    #[test]
    fn a_directory_that_is_moved_away_and_made_anew_is_watched_again() {
        let dir = tempfile::tempdir().unwrap();
        let var = dir.path().join("var");
        fs::create_dir(&var).unwrap();
        let mut watch = FileWatch::new(&var, "status.dat").unwrap();
        fs::rename(&var, dir.path().join("elsewhere")).unwrap();
        assert!(watch.changed().unwrap());
        replace(&dir.path().join("elsewhere"), "status.dat");
        assert!(!watch.changed().unwrap());
        fs::create_dir(&var).unwrap();
        assert!(watch.changed().unwrap());
        assert!(!watch.changed().unwrap());
        replace(&var, "status.dat");
        assert!(watch.changed().unwrap());
    }

    #[test]
    fn a_deleted_directory_is_a_change_and_a_missing_one_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let var = dir.path().join("var");
        assert!(FileWatch::new(&var, "status.dat").is_err());
        fs::create_dir(&var).unwrap();
        let mut watch = FileWatch::new(&var, "status.dat").unwrap();
        fs::remove_dir(&var).unwrap();
        assert!(watch.changed().unwrap());
        assert!(!watch.changed().unwrap());
    }
}
