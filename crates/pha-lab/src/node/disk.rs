//! A disk of the node's own under its `var/`, which can be made to stall.
//!
//! It is an ext4 in a file, mounted through a loop device. Frozen, it lets whoever writes to it sleep in the kernel until it
//! is thawed, and nothing else can wake them. So it is thawed whatever becomes of the test. (If a frozen one is left behind
//! after all, `echo j >/proc/sysrq-trigger` thaws it.)

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::Node;
use crate::command;

/// Large enough for all that a node writes in a test.
const SIZE: u64 = 64 << 20;

/// The disk, thawed and unmounted when dropped.
#[derive(Debug)]
pub struct Disk {
    mounted: PathBuf,
}

impl Node {
    /// Mounts a new disk at this node's `var/`; before its programs are started.
    ///
    /// # Errors
    /// Where no file can be mounted: a reason to skip a test.
    pub fn own_disk(&self) -> Result<Disk> {
        let (image, mounted) = (self.home.join("disk"), self.home.join("var"));
        fs::File::create(&image)?.set_len(SIZE)?;
        command::run("mkfs.ext4", ["-q", "-F", &image.to_string_lossy()])?;
        command::run("mount", ["-o", "loop", &image.to_string_lossy(), &mounted.to_string_lossy()])?;
        let disk = Disk { mounted };
        // It can be frozen here, or the test is of no use.
        disk.freeze()?;
        disk.thaw()?;
        for dir in ["run", "log"] {
            fs::create_dir_all(disk.mounted.join(dir)).context(dir)?;
        }
        Ok(disk)
    }
}

impl Disk {
    /// From now on writers wait.
    ///
    /// # Errors
    /// If it is frozen already, or may not be.
    pub fn freeze(&self) -> Result<()> {
        command::run("fsfreeze", ["--freeze".as_ref(), self.mounted.as_os_str()]).map(drop)
    }

    /// Writers go on.
    ///
    /// # Errors
    /// If it is not frozen.
    pub fn thaw(&self) -> Result<()> {
        command::run("fsfreeze", ["--unfreeze".as_ref(), self.mounted.as_os_str()]).map(drop)
    }

    /// From now on `process` can write nothing new to it, though it can write what it has open.
    ///
    /// # Errors
    /// If the disk cannot be mounted once more where the process sees it.
    pub fn refuse(&self, process: u32) -> Result<()> {
        let mounted = self.mounted.to_string_lossy();
        inside(process, &["mount", "--bind", &mounted, &mounted])?;
        inside(process, &["mount", "-o", "remount,bind,ro", &mounted])
    }

    /// As before [`Self::refuse`].
    ///
    /// # Errors
    /// If it did not refuse.
    pub fn accept(&self, process: u32) -> Result<()> {
        inside(process, &["umount", "--lazy", &self.mounted.to_string_lossy()])
    }
}

/// `ip netns exec` gives each program mounts of its own.
fn inside(process: u32, command: &[&str]) -> Result<()> {
    let process = process.to_string();
    let entered = ["--mount", "--target", &process].into_iter().chain(command.iter().copied());
    command::run("nsenter", entered).map(drop)
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = self.thaw();
        // The programs still have their files in it: it goes with the last of them.
        let _ = command::run("umount", ["--lazy".as_ref(), self.mounted.as_os_str()]);
    }
}
