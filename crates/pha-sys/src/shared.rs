//! Folders and files that root shares with another user, and whether that user could work there.
//!
//! Owner and mode are changed only of what was opened first, without following a link, so that no name in a folder that others
//! may write makes root give something else away.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::Path;

use nix::libc;

use crate::guarded;
use crate::privilege::User;

/// A folder whose files belong to its group, which may write there.
const OF_GROUP: u32 = 0o2020;
/// All bits that chmod(2) knows.
const MODE: u32 = 0o7777;

/// Whose something is to be, and what is allowed there. Ids that are `None` stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// The user.
    pub uid: Option<u32>,
    /// The group.
    pub gid: Option<u32>,
    /// The mode.
    pub mode: u32,
}

/// Makes the folder `path` `owner`'s.
///
/// # Errors
/// If it is no folder, or may not be changed.
pub fn folder(path: &Path, owner: Owner) -> io::Result<()> {
    let folder = guarded::folder(path)?;
    // A folder that is only pointed at cannot be changed.
    give(&OpenOptions::new().read(true).custom_flags(libc::O_DIRECTORY).open(guarded::below(&folder, "."))?, owner)
}

/// Makes the folder `path`, which is root's, `mode`.
///
/// # Errors
/// As [`folder`], and if it is somebody else's: nobody knows what he has in it.
pub fn own_folder(path: &Path, mode: u32) -> io::Result<()> {
    let folder = guarded::folder(path)?;
    if folder.metadata()?.uid() != 0 {
        return Err(io::Error::other("it is somebody else's: remove it, or chown -R root"));
    }
    self::folder(path, Owner { uid: None, gid: None, mode })
}

/// Makes the file `path` `owner`'s; a missing one is no error.
///
/// # Errors
/// If it is a link or no file, has another name too, or may not be changed.
pub fn file(path: &Path, owner: Owner) -> io::Result<()> {
    match guarded::open(OpenOptions::new().read(true), path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(file) if !file.metadata()?.is_file() => Err(io::Error::other("this is no regular file")),
        Ok(file) => guarded::has_one_name(&file).and_then(|()| give(&file, owner)),
    }
}

fn give(file: &File, owner: Owner) -> io::Result<()> {
    let found = file.metadata()?;
    if owner.uid.is_some_and(|uid| uid != found.uid()) || owner.gid.is_some_and(|gid| gid != found.gid()) {
        fchown(file, owner.uid, owner.gid)?;
    }
    // Another owner may have cost it some bits.
    if file.metadata()?.mode() & MODE != owner.mode {
        file.set_permissions(fs::Permissions::from_mode(owner.mode))?;
    }
    Ok(())
}

/// The group that may write into the folder `dir`, if the files there are its own.
#[must_use]
pub fn group_of(dir: &Path) -> Option<u32> {
    let found = fs::metadata(dir).ok()?;
    (found.mode() & OF_GROUP == OF_GROUP).then(|| found.gid())
}

/// Gives a new file `mode`, whatever this process's umask is. Somebody else's file stays as it is.
pub fn open_to_group(file: &File, mode: u32) {
    let differs = file.metadata().is_ok_and(|found| found.mode() & MODE != mode);
    if differs {
        let _ = file.set_permissions(fs::Permissions::from_mode(mode));
    }
}

/// The first folder on the way to `dir` that `user`, in its own group only, may not pass, or `dir` itself if it may not write
/// there. What access lists add is not seen; what is not there yet keeps nobody from passing.
#[must_use]
pub fn obstacle<'a>(dir: &'a Path, user: &User) -> Option<&'a Path> {
    let refuses = |path: &Path, need: u32| fs::metadata(path).is_ok_and(|found| granted(&found, user) & need != need);
    let mut way: Vec<&Path> = dir.ancestors().skip(1).filter(|path| !path.as_os_str().is_empty()).collect();
    way.reverse();
    way.into_iter().find(|path| refuses(path, 0o1)).or_else(|| refuses(dir, 0o7).then_some(dir))
}

/// What the mode grants to `user`: read 4, write 2, pass 1.
fn granted(found: &Metadata, user: &User) -> u32 {
    let shift = if found.uid() == user.uid {
        6
    } else if found.gid() == user.gid {
        3
    } else {
        0
    };
    found.mode() >> shift & 0o7
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use std::os::unix::fs::symlink;

    fn set(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & MODE
    }

    #[test]
    fn neither_a_link_nor_a_second_name_gives_something_else_away() {
        let dir = tempfile::tempdir().unwrap();
        let [victim, link, second, mine] = ["victim", "link", "second", "mine"].map(|name| dir.path().join(name));
        for path in [&victim, &mine] {
            fs::write(path, "").unwrap();
            set(path, 0o600);
        }
        symlink(&victim, &link).unwrap();
        fs::hard_link(&victim, &second).unwrap();
        let owner = Owner { uid: None, gid: None, mode: 0o666 };
        assert!(file(&link, owner).is_err() && file(&second, owner).is_err());
        assert!(file(dir.path(), owner).is_err() && folder(&mine, owner).is_err());
        assert_eq!(mode(&victim), 0o600);
        file(&mine, owner).unwrap();
        file(&dir.path().join("none"), owner).unwrap();
        assert_eq!(mode(&mine), 0o666);
        folder(dir.path(), Owner { mode: 0o2770, ..owner }).unwrap();
        assert_eq!(mode(dir.path()), 0o2770);
    }

    #[test]
    fn a_folder_is_its_groups_if_that_may_write_and_its_files_are_the_groups() {
        let dir = tempfile::tempdir().unwrap();
        for (bits, shared) in [(0o2775, true), (0o3775, true), (0o775, false), (0o2755, false)] {
            set(dir.path(), bits);
            assert_eq!(group_of(dir.path()).is_some(), shared, "{bits:o}");
        }
        assert_eq!(group_of(&dir.path().join("none")), None);
    }

    #[test]
    fn whoever_cannot_get_there_or_write_there_is_told_where_it_ends() {
        let dir = tempfile::tempdir().unwrap();
        let (outer, inner) = (dir.path().join("outer"), dir.path().join("outer/inner"));
        fs::create_dir_all(&inner).unwrap();
        let nobody = User { name: "nobody".to_owned(), uid: 4_000_000, gid: 4_000_000 };
        set(dir.path(), 0o755);
        set(&outer, 0o755);
        set(&inner, 0o755);
        assert_eq!(obstacle(&inner, &nobody), Some(inner.as_path()));
        set(&inner, 0o777);
        assert_eq!(obstacle(&inner, &nobody), None);
        set(&outer, 0o700);
        assert_eq!(obstacle(&inner, &nobody), Some(outer.as_path()));
        assert_eq!(obstacle(&outer.join("none"), &nobody), Some(outer.as_path()));
        assert_eq!(obstacle(&dir.path().join("none/neither"), &nobody), None);
    }
}
