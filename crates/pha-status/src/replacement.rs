//! A new file that takes the old one's place in one step.
//!
//! It is written under a name of its own beside the old one and then renamed over it: whoever opens the old name gets
//! the old file or the new one, whole. What a killed program left behind under such a name is never read and is removed
//! by the next one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process;

use crate::error::StatusError;

/// Whether an update has to outlive the machine's sudden end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// File and directory are flushed to the disk before the update returns: terms, wishes, incarnations.
    Lasting,
    /// Other processes see it at once, the disk when the kernel likes: ticks, peers, checks.
    Volatile,
}

/// A written file that has not taken its place yet; removed when dropped before.
pub(crate) struct Replacement<'a> {
    temporary: PathBuf,
    target: &'a Path,
    durability: Durability,
}

impl<'a> Replacement<'a> {
    /// Writes `content` beside `target`, readable by everybody, writable by its owner.
    pub(crate) fn write(target: &'a Path, content: &[u8], durability: Durability) -> Result<Self, StatusError> {
        let temporary = temporary_path(target, process::id());
        let failed = |source| StatusError::Io { path: temporary.clone(), doing: "cannot be written", source };
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            Ok(()) | Err(_) => {}
        }
        let file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&temporary).map_err(failed)?;
        let replacement = Self { temporary: temporary.clone(), target, durability };
        fill(file, content, durability).map_err(failed)?;
        Ok(replacement)
    }

    /// Takes the old file's place.
    pub(crate) fn take_place(self) -> Result<(), StatusError> {
        let failed = |source| StatusError::Io { path: self.target.to_owned(), doing: "cannot be replaced", source };
        fs::rename(&self.temporary, self.target).map_err(failed)?;
        match (self.durability, self.target.parent()) {
            (Durability::Lasting, Some(dir)) => File::open(dir).and_then(|dir| dir.sync_all()).map_err(failed),
            (Durability::Lasting | Durability::Volatile, _) => Ok(()),
        }
    }
}

impl Drop for Replacement<'_> {
    fn drop(&mut self) {
        // After take_place there is nothing under this name any more.
        let _ = fs::remove_file(&self.temporary);
    }
}

fn fill(mut file: File, content: &[u8], durability: Durability) -> io::Result<()> {
    file.write_all(content)?;
    match durability {
        Durability::Lasting => file.sync_all(),
        Durability::Volatile => Ok(()),
    }
}

/// Removes what programs that have ended left beside `target`. What cannot be removed harms nobody.
pub(crate) fn remove_stale(target: &Path) {
    let Some(entries) = target.parent().and_then(|dir| fs::read_dir(dir).ok()) else { return };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        if writer(target, &path).is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists()) {
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
        Replacement::write(&target, b"new", Durability::Lasting).unwrap().take_place().unwrap();
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
    fn the_leftover_of_a_namesake_is_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("status.dat");
        fs::write(temporary_path(&target, process::id()), "a longer leftover").unwrap();
        Replacement::write(&target, b"new", Durability::Volatile).unwrap().take_place().unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"new");
    }
}
