//! A disk of the node's own under its `var/`, which can be made to stall.
//!
//! It is an ext4 in a file, mounted through a loop device. Frozen, it lets whoever writes to it sleep in the kernel until it
//! is thawed, and nothing else can wake them. So it is thawed whatever becomes of the test. (If a frozen one is left behind
//! after all, `echo j >/proc/sysrq-trigger` thaws it.)

use std::fs;
use std::path::{Path, PathBuf};

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
        let disk = Disk::mount(&self.home.join("disk"), &self.home.join("var"))?;
        for dir in ["run", "log"] {
            fs::create_dir_all(disk.mounted.join(dir)).context(dir)?;
        }
        Ok(disk)
    }
}

impl Node {
    /// Mounts a new disk of this many KiB at this node's `var/`, in memory; before its programs are started.
    ///
    /// # Errors
    /// Where nothing can be mounted.
    pub fn small_disk(&self, size: u32) -> Result<Disk> {
        let mounted = self.home.join("var");
        let size = format!("size={size}k");
        command::run("mount", ["-t", "tmpfs", "-o", &size, "none", &mounted.to_string_lossy()])?;
        Ok(Disk { mounted })
    }

    /// Writes a file to this node's `var/` until there is no room left, and returns its name.
    #[must_use]
    pub fn fill_disk(&self) -> PathBuf {
        let path = self.home.join("var/fill");
        // It ends with an error, when there is no room left.
        let _ = command::run("sh", ["-c", &format!("cat /dev/zero >'{}'", path.display())]);
        path
    }

    /// From now on `process` can write nothing new to this node's `var/`, though it can write what it has open.
    ///
    /// # Errors
    /// If it cannot be mounted once more where the process sees it.
    pub fn refuse_writes(&self, process: u32) -> Result<()> {
        let var = self.home.join("var");
        let var = var.to_string_lossy();
        inside(process, &["mount", "--bind", &var, &var])?;
        inside(process, &["mount", "-o", "remount,bind,ro", &var])
    }

    /// As before [`Self::refuse_writes`].
    ///
    /// # Errors
    /// If nothing was refused, or the process has ended.
    pub fn accept_writes(&self, process: u32) -> Result<()> {
        inside(process, &["umount", "--lazy", &self.home.join("var").to_string_lossy()])
    }
}

impl Disk {
    fn mount(image: &Path, mounted: &Path) -> Result<Self> {
        fs::File::create(image)?.set_len(SIZE)?;
        command::run("mkfs.ext4", ["-q", "-F", &image.to_string_lossy()])?;
        command::run("mount", ["-o", "loop", &image.to_string_lossy(), &mounted.to_string_lossy()])?;
        let disk = Self { mounted: mounted.to_owned() };
        // It can be frozen here, or it is of no use.
        disk.freeze()?;
        disk.thaw()?;
        Ok(disk)
    }

    /// Whether disks can be made here that can be made to stall.
    ///
    /// # Errors
    /// They cannot; it says why.
    pub fn can_freeze() -> Result<()> {
        let dir = tempfile::tempdir().context("a folder")?;
        let mounted = dir.path().join("mounted");
        fs::create_dir(&mounted)?;
        Self::mount(&dir.path().join("disk"), &mounted).map(drop)
    }

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
