//! A new file that takes the old one's place in one step.
//!
//! It is written under a name of its own beside the old one and then renamed over it: whoever opens the old name gets
//! the old file or the new one, whole. What a killed program left behind under such a name is never read and is removed
//! by the next one.
//!
//! On a full disk there is no room for a new file, and a node must not lose its voice for that. So a file of
//! [`RESERVE`] bytes is kept beside the old one: it is overwritten in place, which needs no room, and changes places
//! with the old one, which is the reserve then.
//!
//! After a power failure a file that was never flushed may be empty, and the name may lead to it nevertheless. So the last
//! file that was flushed keeps a second name (`.kept`), which costs no room and no further flush.
//!
//! Where a group shares the folder it shares the files: what root wrote is the next one's reserve, whoever that is. Whatever
//! somebody puts into the reserve's place, only a file with no other name is written to.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process;

use pha_sys::swap::swap;
use pha_sys::watch::ring;
use pha_sys::{guarded, shared};

use crate::error::StatusError;

/// Bytes kept for a full disk: a record of 256 resources and 15 peers needs a third of it.
const RESERVE: usize = 64 * 1024;

/// Readable by everybody, writable by its owner.
const MODE: u32 = 0o644;
/// And by the group that shares the folder.
const SHARED_MODE: u32 = 0o664;

/// Whether an update has to outlive the machine's sudden end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// File and directory are flushed to the disk before the update returns: terms, wishes, incarnations.
    Lasting,
    /// Other processes see it at once, the disk when the kernel likes: ticks, peers, checks.
    Volatile,
}

/// A written file that has not taken its place yet; removed when dropped before, unless it is the reserve.
pub(crate) struct Replacement<'a> {
    file: File,
    temporary: PathBuf,
    target: &'a Path,
    durability: Durability,
    is_reserve: bool,
    placed: bool,
}

impl<'a> Replacement<'a> {
    /// Writes `content` beside `target`.
    pub(crate) fn write(target: &'a Path, content: &[u8], durability: Durability) -> Result<Self, StatusError> {
        let temporary = temporary_path(target, process::id());
        let failed = |source| StatusError::Io { path: temporary.clone(), doing: "cannot be written", source };
        let create = || OpenOptions::new().write(true).create_new(true).mode(MODE).open(&temporary);
        let file = match create() {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                fs::remove_file(&temporary).and_then(|()| create())
            }
            created => created,
        };
        let file = file.map_err(failed)?;
        share(&file, target);
        let replacement =
            Self { file, temporary: temporary.clone(), target, durability, is_reserve: false, placed: false };
        fill(&replacement.file, content, durability).map_err(failed)?;
        Ok(replacement)
    }

    /// Writes `content` into the reserve of `target`. Only for whoever holds the lock: there is one reserve for all.
    pub(crate) fn write_reserve(target: &'a Path, content: &[u8], durability: Durability) -> Result<Self, StatusError> {
        let temporary = reserve_path(target);
        let failed = |source| StatusError::Io { path: temporary.clone(), doing: "cannot be written", source };
        spare_kept(target);
        let file = open_reserve(&temporary, OpenOptions::new().write(true)).map_err(failed)?;
        let filled = file.set_len(content.len() as u64).and_then(|()| fill(&file, content, durability));
        filled.map_err(failed)?;
        Ok(Self { file, temporary, target, durability, is_reserve: true, placed: false })
    }

    /// Gives it its second name, if it is flushed. A file system without hard links has none, and an ordered one (ext4, btrfs)
    /// needs none.
    pub(crate) fn keep(&self) {
        if self.durability == Durability::Lasting && keep(&self.temporary, self.target).is_err() {
            // Rather nothing than what was true before.
            let _ = fs::remove_file(kept_path(self.target));
        }
    }

    /// Takes the old file's place, and rings if there is news.
    pub(crate) fn take_place(mut self, news: bool) -> Result<(), StatusError> {
        let failed = |source| StatusError::Io { path: self.target.to_owned(), doing: "cannot be replaced", source };
        // Without an old file there is nothing to change places with.
        let swapped = self.is_reserve && swap(&self.temporary, self.target).is_ok();
        if !swapped {
            fs::rename(&self.temporary, self.target).map_err(failed)?;
        }
        self.placed = true;
        if news {
            // Who is not woken sees it on his next wake: no reason to call it unwritten.
            let _ = ring(&self.file);
        }
        match (self.durability, self.target.parent()) {
            (Durability::Lasting, Some(dir)) => File::open(dir).and_then(|dir| dir.sync_all()).map_err(failed),
            (Durability::Lasting | Durability::Volatile, _) => Ok(()),
        }
    }
}

impl Drop for Replacement<'_> {
    fn drop(&mut self) {
        if !self.is_reserve && !self.placed {
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

fn fill(mut file: &File, content: &[u8], durability: Durability) -> io::Result<()> {
    file.write_all(content)?;
    match durability {
        Durability::Lasting => file.sync_all(),
        Durability::Volatile => Ok(()),
    }
}

/// The last file in the place of `target` that was flushed.
pub(crate) fn kept_path(target: &Path) -> PathBuf {
    target.with_added_extension("kept")
}

/// Has `file` be the one that is kept for `target`.
fn keep(file: &Path, target: &Path) -> io::Result<()> {
    let kept = kept_path(target);
    let temporary = temporary_path(&kept, process::id());
    fs::hard_link(file, &temporary)?;
    let kept = fs::rename(&temporary, kept);
    if kept.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    kept
}

/// The reserve is about to be overwritten: if that is the file that is kept, another one has to be, or none. A node must not
/// lose its voice for what is needed only when its power fails too.
fn spare_kept(target: &Path) {
    let file = |path: PathBuf| fs::metadata(path).map(|found| (found.dev(), found.ino())).ok();
    let reserve = file(reserve_path(target));
    if reserve.is_some() && reserve == file(kept_path(target)) {
        let spared = File::open(target).and_then(|file| file.sync_all()).and_then(|()| keep(target, target));
        let _ = spared.or_else(|_| fs::remove_file(kept_path(target)));
    }
}

/// Makes the reserve of `target` as large as it should be. Only for whoever holds the lock.
pub(crate) fn keep_reserve(target: &Path) -> Result<(), StatusError> {
    let path = reserve_path(target);
    if fs::symlink_metadata(&path).is_ok_and(|found| found.is_file() && found.len() >= RESERVE as u64) {
        return Ok(());
    }
    spare_kept(target);
    let file = open_reserve(&path, OpenOptions::new().write(true).create(true).truncate(false).mode(MODE));
    let kept = file.and_then(|file| {
        share(&file, target);
        fill(&file, &[0; RESERVE], Durability::Volatile)
    });
    kept.map_err(|source| StatusError::Io { path, doing: "cannot be written", source })
}

fn open_reserve(path: &Path, options: &OpenOptions) -> io::Result<File> {
    let file = guarded::open(options, path)?;
    guarded::has_one_name(&file).map(|()| file)
}

/// Lets the group write that shares the folder of `target`, if one does.
fn share(file: &File, target: &Path) {
    if target.parent().and_then(shared::group_of).is_some() {
        shared::open_to_group(file, SHARED_MODE);
    }
}

fn reserve_path(target: &Path) -> PathBuf {
    target.with_added_extension("reserve")
}

/// Removes what programs that have ended left beside `target`, as `<target>.<process>.tmp`. What cannot be removed harms
/// nobody.
pub fn remove_stale(target: &Path) {
    let Some(entries) = target.parent().and_then(|dir| fs::read_dir(dir).ok()) else { return };
    let kept = kept_path(target);
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        if writer(target, &path)
            .or_else(|| writer(&kept, &path))
            .is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists())
        {
            let _ = fs::remove_file(path);
        }
    }
}

fn temporary_path(target: &Path, pid: u32) -> PathBuf {
    target.with_added_extension(format!("{pid}.tmp"))
}

/// The process that writes to `path`, if that is a temporary file of `target`.
fn writer(target: &Path, path: &Path) -> Option<u32> {
    let (_, pid) = path.to_str()?.strip_suffix(".tmp")?.rsplit_once('.')?;
    let pid = pid.parse().ok()?;
    (temporary_path(target, pid) == path).then_some(pid)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// No process has this id: Linux ends at 2^22.
    const NOBODY: u32 = 4_194_305;

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn nothing_changes_until_the_replacement_takes_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("status.dat");
        fs::write(&target, "old").unwrap();
        for durability in [Durability::Lasting, Durability::Volatile] {
            drop(Replacement::write(&target, b"dropped", durability).unwrap());
            assert_eq!((fs::read(&target).unwrap(), names(dir.path()).len()), (b"old".to_vec(), 1));
        }
        Replacement::write(&target, b"new", Durability::Lasting).unwrap().take_place(false).unwrap();
        assert_eq!((fs::read(&target).unwrap(), names(dir.path()).len()), (b"new".to_vec(), 1));
        assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o644);
    }

    #[test]
    fn only_what_ended_programs_left_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("status.dat");
        let kept = [
            "status.dat".to_owned(),
            format!("status.dat.{}.tmp", process::id()),
            format!("other.{NOBODY}.tmp"),
            format!("status.dat.+{NOBODY}.tmp"),
            "status.dat.tmp".to_owned(),
        ];
        for name in &kept {
            fs::write(dir.path().join(name), "x").unwrap();
        }
        fs::write(temporary_path(&target, NOBODY), "half").unwrap();
        remove_stale(&target);
        let mut expected = kept.to_vec();
        expected.sort();
        assert_eq!(names(dir.path()), expected);
    }

    #[test]
    fn the_reserve_takes_the_old_files_place_and_the_old_file_is_the_reserve() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("status.dat");
        assert!(Replacement::write_reserve(&target, b"new", Durability::Volatile).is_err(), "there is none yet");
        keep_reserve(&target).unwrap();
        keep_reserve(&target).unwrap();
        fs::write(&target, "an older file").unwrap();
        drop(Replacement::write_reserve(&target, b"dropped", Durability::Volatile).unwrap());
        for content in ["new", "a newer and longer one", "newest"] {
            let before = fs::read(&target).unwrap();
            Replacement::write_reserve(&target, content.as_bytes(), Durability::Lasting)
                .unwrap()
                .take_place(false)
                .unwrap();
            assert_eq!(fs::read(&target).unwrap(), content.as_bytes());
            assert_eq!(fs::read(reserve_path(&target)).unwrap(), before);
        }
        fs::remove_file(&target).unwrap();
        Replacement::write_reserve(&target, b"alone", Durability::Volatile).unwrap().take_place(false).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"alone");
        keep_reserve(&target).unwrap();
        assert_eq!(fs::metadata(reserve_path(&target)).unwrap().len(), RESERVE as u64);
    }

    #[test]
    fn what_was_kept_is_never_the_reserve_that_is_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("status.dat");
        fs::write(&target, "old").unwrap();
        keep_reserve(&target).unwrap();
        let full = |content: &[u8], durability| {
            let written = Replacement::write_reserve(&target, content, durability).unwrap();
            written.keep();
            written.take_place(false).unwrap();
        };
        let kept = || fs::read(kept_path(&target)).unwrap();
        full(b"to last", Durability::Lasting);
        assert_eq!(kept(), b"to last");
        full(b"newer", Durability::Volatile);
        full(b"newest", Durability::Volatile);
        assert_eq!((kept(), fs::read(&target).unwrap()), (b"newer".to_vec(), b"newest".to_vec()));
        keep_reserve(&target).unwrap();
        assert_eq!(kept(), b"newest");
    }

    #[test]
    fn neither_a_link_nor_a_second_name_in_the_place_of_the_reserve_is_written_to() {
        let dir = tempfile::tempdir().unwrap();
        let (target, victim) = (dir.path().join("status.dat"), dir.path().join("victim"));
        fs::write(&victim, "precious").unwrap();
        let plant: [&dyn Fn(&Path); 2] =
            [&|reserve| std::os::unix::fs::symlink(&victim, reserve).unwrap(), &|reserve| {
                fs::hard_link(&victim, reserve).unwrap();
            }];
        for plant in plant {
            plant(&reserve_path(&target));
            assert!(Replacement::write_reserve(&target, b"new", Durability::Volatile).is_err());
            assert!(keep_reserve(&target).is_err());
            assert_eq!(fs::read(&victim).unwrap(), b"precious");
            fs::remove_file(reserve_path(&target)).unwrap();
        }
    }

    #[test]
    fn the_group_that_shares_the_folder_may_write_what_is_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("status.dat");
        let written = || {
            Replacement::write(&target, b"new", Durability::Volatile).unwrap().take_place(false).unwrap();
            let _ = fs::remove_file(reserve_path(&target));
            keep_reserve(&target).unwrap();
            [target.clone(), reserve_path(&target)].map(|path| fs::metadata(path).unwrap().permissions().mode() & 0o777)
        };
        assert_eq!(written(), [0o644; 2]);
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o2775)).unwrap();
        assert_eq!(written(), [0o664; 2]);
    }

    #[test]
    fn the_leftover_of_a_namesake_is_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("status.dat");
        fs::write(temporary_path(&target, process::id()), "a longer leftover").unwrap();
        Replacement::write(&target, b"new", Durability::Volatile).unwrap().take_place(false).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"new");
    }
}
