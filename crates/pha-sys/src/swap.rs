//! Two files of one directory tree change places in one step.

use std::io;
use std::path::Path;

/// Exchanges the names of two files: whoever opens one of them gets the one or the other, whole. Needs no room on the disk.
///
/// # Errors
/// If one of them is missing, or the file system cannot do it (`InvalidInput`; NFS). Nothing has changed then.
#[cfg(target_env = "gnu")]
pub fn swap(one: &Path, other: &Path) -> io::Result<()> {
    use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
    Ok(renameat2(AT_FDCWD, one, AT_FDCWD, other, RenameFlags::RENAME_EXCHANGE)?)
}

/// As above; the other C libraries do not offer it.
///
/// # Errors
/// Always `Unsupported`.
#[cfg(not(target_env = "gnu"))]
pub fn swap(_one: &Path, _other: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(all(test, target_env = "gnu"))]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use std::fs;

    #[test]
    fn two_files_change_places_and_a_missing_one_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let [one, other, missing] = ["one", "other", "missing"].map(|name| dir.path().join(name));
        fs::write(&one, "1").unwrap();
        fs::write(&other, "2").unwrap();
        swap(&one, &other).unwrap();
        assert_eq!((fs::read(&one).unwrap(), fs::read(&other).unwrap()), (b"2".to_vec(), b"1".to_vec()));
        assert!(swap(&one, &missing).is_err());
        assert_eq!(fs::read(&one).unwrap(), b"2");
    }
}
