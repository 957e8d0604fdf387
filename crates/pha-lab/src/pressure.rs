//! Scarce memory: a control group with a limit for this process and all that it starts, and a reader that always wants more.
//!
//! The reader goes through a file that is larger than the limit and has no blocks, so the kernel must find pages for it again
//! and again, and everybody else in the group pays for theirs. The machine around it loses no more than the limit.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};

/// Times the limit: what the reader reads.
const MORE_THAN_THERE_IS: u64 = 4;

/// Version 1 and 2: the controller's line in `/proc/self/cgroup`, where its groups are, the file with the limit.
const VERSIONS: [(&str, &str, &str); 2] =
    [(":memory:", "/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("0::", "/sys/fs/cgroup", "memory.max")];

/// The group; this process leaves it, and it is removed, when dropped.
#[derive(Debug)]
pub struct Pressure {
    group: PathBuf,
    parent: PathBuf,
    reader: Option<(Child, tempfile::NamedTempFile)>,
}

impl Pressure {
    /// From now on this process, and whatever it starts, has `mebibytes` of memory.
    ///
    /// # Errors
    /// Where no such group can be made, and why.
    pub fn enter(mebibytes: u64) -> Result<Self> {
        let own = fs::read_to_string("/proc/self/cgroup").context("control groups")?;
        let place = |(line, root, limit): &(&str, &str, &'static str)| {
            let path = own.lines().find_map(|own| own.split_once(line).filter(|(number, _)| !number.contains(':')))?.1;
            let parent = Path::new(root).join(path.trim_start_matches('/'));
            parent.join(limit).exists().then_some((parent, *limit))
        };
        let (parent, limit) = VERSIONS.iter().find_map(place).context("there is no control group for memory here")?;
        let group = parent.join(format!("pha-lab-{}", std::process::id()));
        fs::create_dir(&group).with_context(|| group.display().to_string())?;
        let this = Self { group, parent, reader: None };
        let write = |name: &str, text: String| fs::write(this.group.join(name), text).with_context(|| name.to_owned());
        write(limit, (mebibytes << 20).to_string())?;
        write("cgroup.procs", "0".to_owned())?;
        Ok(this)
    }

    /// The reader begins.
    ///
    /// # Errors
    /// If there is no disk with room for a file without blocks, or no `cat`.
    pub fn press(&mut self, mebibytes: u64) -> Result<()> {
        // A page of a tmpfs could not be given back.
        let folder = std::env::temp_dir();
        ensure!(!pha_sys::volatile::is_volatile(&folder), "{} lies in memory: set TMPDIR", folder.display());
        let file = tempfile::NamedTempFile::new_in(folder)?;
        File::set_len(file.as_file(), (MORE_THAN_THERE_IS * mebibytes) << 20)?;
        let mut reader = Command::new("sh");
        reader.args(["-c", "while cat \"$0\" >/dev/null; do :; done"]).arg(file.path()).stdin(Stdio::null());
        self.reader = Some((reader.spawn().context("the reader")?, file));
        Ok(())
    }

    /// How often the limit was reached, as the kernel counts it, if it does.
    #[must_use]
    pub fn shortages(&self) -> Option<u64> {
        let count = |name: &str| fs::read_to_string(self.group.join(name)).ok();
        let events = || count("memory.events")?.lines().find_map(|line| line.strip_prefix("max ").map(str::to_owned));
        count("memory.failcnt").or_else(events)?.trim().parse().ok()
    }
}

impl Drop for Pressure {
    fn drop(&mut self) {
        if let Some((mut reader, _file)) = self.reader.take() {
            // Its `cat` ends with the file at the latest.
            let _ = reader.kill();
            let _ = reader.wait();
        }
        let _ = fs::write(self.parent.join("cgroup.procs"), "0");
        // Only when nobody is in it any more: else it stays, empty, until the machine's end.
        let _ = fs::remove_dir(&self.group);
    }
}
