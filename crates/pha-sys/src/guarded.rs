//! Opening files where somebody else may write, too: no name that he put there leads this process to another file.
//!
//! The last name of a path is never followed as a symbolic link. For root neither is the folder before it, unless nobody else
//! could have put the link there; and that folder is opened first and the file in it, whatever becomes of its name meanwhile.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::libc;

use crate::privilege::is_root;

/// Somebody may remove a file and make another one meanwhile.
const ATTEMPTS: u32 = 10;

/// Write permission of group and others.
const WRITABLE: u32 = 0o022;

/// Opens `path` with `options`, whose own flags are replaced. Never waits for whoever has the other end of a pipe.
///
/// # Errors
/// `ELOOP` for a symbolic link; for root also if the folder before it is one that somebody else could have put there.
pub fn open(options: &OpenOptions, path: &Path) -> io::Result<File> {
    let mut options = options.clone();
    options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY);
    let (Some(dir), Some(name)) = (path.parent().filter(|_| is_root()), path.file_name()) else {
        return options.open(path);
    };
    let folder = folder(dir)?;
    options.open(below(&folder, name))
}

/// As [`open`], but makes what is not there. Two steps: in a sticky folder that others may write, the kernel refuses even root
/// to "open or make" a file that is somebody else's (`fs.protected_regular`, proc_sys_fs(5)).
///
/// # Errors
/// As [`open`].
pub fn open_or_make(options: &OpenOptions, path: &Path) -> io::Result<File> {
    for _ in 0..ATTEMPTS {
        match open(options, path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            found => return found,
        }
        match open(options.clone().create_new(true), path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => return made,
        }
    }
    Err(Errno::EAGAIN.into())
}

/// A name in an open folder, for a library that knows no openat(2).
pub(crate) fn below(folder: &File, name: impl AsRef<Path>) -> PathBuf {
    Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(name)
}

/// For what is written in place: a regular file must have no other name, which may be that of a file elsewhere.
///
/// # Errors
/// `EMLINK` if it has.
pub fn has_one_name(file: &File) -> io::Result<()> {
    let found = file.metadata()?;
    if found.is_file() && found.nlink() > 1 { Err(Errno::EMLINK.into()) } else { Ok(()) }
}

/// Whether root may believe what a file says: it is root's, and nobody else may write to it. Who is not root believes any.
pub fn is_believed(file: &File) -> bool {
    !is_root() || file.metadata().is_ok_and(|found| is_roots_alone(&found))
}

/// The folder `dir`, open.
pub(crate) fn folder(dir: &Path) -> io::Result<File> {
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    let open = |flags| OpenOptions::new().read(true).custom_flags(libc::O_PATH | libc::O_DIRECTORY | flags).open(dir);
    match open(libc::O_NOFOLLOW) {
        Err(_) if is_roots_link(dir) => open(0),
        Err(error) if dir.is_symlink() => Err(refused(&error)),
        opened => opened,
    }
}

/// Whether `path` is a symbolic link that nobody but root can have put there.
#[must_use]
pub fn is_roots_link(path: &Path) -> bool {
    let holder = path.parent().and_then(|holder| fs::metadata(holder).ok());
    path.is_symlink() && holder.is_some_and(|holder| is_roots_alone(&holder))
}

fn is_roots_alone(found: &Metadata) -> bool {
    found.uid() == 0 && found.mode() & WRITABLE == 0
}

/// `ENOTDIR` says less.
fn refused(error: &io::Error) -> io::Error {
    if error.raw_os_error() == Some(libc::ENOTDIR) { Errno::ELOOP.into() } else { io::Error::from(error.kind()) }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    fn error(result: io::Result<File>) -> Option<i32> {
        result.unwrap_err().raw_os_error()
    }

    #[test]
    fn a_link_is_not_followed_and_a_pipe_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link, pipe) = (dir.path().join("file"), dir.path().join("link"), dir.path().join("pipe"));
        fs::write(&file, "x").unwrap();
        symlink(&file, &link).unwrap();
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let (mut read, mut write) = (OpenOptions::new(), OpenOptions::new());
        read.read(true);
        write.write(true).create(true);
        assert!(open(&read, &file).is_ok() && open(&write, &dir.path().join("new")).is_ok());
        assert_eq!(error(open(&read, &link)), Some(libc::ELOOP));
        assert_eq!(error(open(&write, &link)), Some(libc::ELOOP));
        assert!(open(&read, &pipe).is_ok());
        assert_eq!(error(open(&read, &dir.path().join("none"))), Some(libc::ENOENT));
    }

    #[test]
    fn a_second_name_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let file = File::create(&path).unwrap();
        has_one_name(&file).unwrap();
        fs::hard_link(&path, dir.path().join("other")).unwrap();
        assert_eq!(has_one_name(&file).unwrap_err().raw_os_error(), Some(libc::EMLINK));
        has_one_name(&File::open("/dev/null").unwrap()).unwrap();
    }

    #[test]
    fn root_follows_a_folder_only_where_nobody_else_can_make_one() {
        if !is_root() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let (real, link) = (dir.path().join("real"), dir.path().join("log"));
        fs::create_dir(&real).unwrap();
        symlink(&real, &link).unwrap();
        let mut options = OpenOptions::new();
        options.append(true).create(true);
        assert!(open(&options, &link.join("x.log")).is_ok());
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o2775)).unwrap();
        assert_eq!(error(open(&options, &link.join("y.log"))), Some(libc::ELOOP));
        assert!(open(&options, &real.join("y.log")).is_ok());
    }

    #[test]
    fn root_believes_only_what_nobody_else_can_write() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let file = File::create(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(is_believed(&file));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o664)).unwrap();
        assert_eq!(is_believed(&file), !is_root());
    }
}
