//! Whether files outlive the machine.

use std::path::Path;

use nix::sys::statfs::{TMPFS_MAGIC, statfs};
use nix::unistd::{AccessFlags, access};

/// Whether `dir` lies on a tmpfs, which a reboot empties. Of a folder that is not there yet its nearest parent is asked.
#[must_use]
pub fn is_volatile(dir: &Path) -> bool {
    let found = dir.ancestors().find_map(|dir| statfs(dir).ok());
    found.is_some_and(|found| found.filesystem_type() == TMPFS_MAGIC)
}

/// Whether this process may write into the folder `dir`; not on a file system that is mounted read-only.
#[must_use]
pub fn is_writable(dir: &Path) -> bool {
    dir.is_dir() && access(dir, AccessFlags::W_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_told_from_what_stays() {
        assert!(!is_volatile(Path::new("/proc")));
        assert!(!is_volatile(Path::new("/proc/not-there/nor-this")));
        let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
        // Where nothing is mounted over it.
        if mounts.lines().any(|line| line.contains(" /dev/shm tmpfs ")) {
            assert!(is_volatile(Path::new("/dev/shm")) && is_volatile(Path::new("/dev/shm/not-there")));
        }
    }

    #[test]
    fn what_may_be_written_is_told_from_what_may_not() {
        assert!(is_writable(&std::env::temp_dir()));
        // Root may write into any folder that is there: what is none must do.
        assert!(!is_writable(Path::new("/proc/self/stat")) && !is_writable(Path::new("/not-there")));
    }
}
