//! Calls that outlived the program that began them.
//!
//! A `start` or `stop` is not killed with its supervise: it may be in the middle of something. Whoever supervises next must
//! not call the same agent beside it, and cannot wait for what is not its child. So each such call is noted in a file while
//! it runs, and the next supervise ends what it finds there: asks first (SIGTERM to the process group), then kills.

use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::guarded;
use crate::writer::Writer;

/// So long an orphan may take to end when it is asked to, and again when it is killed. Two of them must fit into the time
/// that peers wait for a silent supervise.
const PATIENCE: Duration = Duration::from_millis(800);
const STEP: Duration = Duration::from_millis(5);
/// Two numbers.
const LONGEST: u64 = 64;

/// The place where a resource's running call is noted.
#[derive(Debug, Clone)]
pub struct CallNote {
    path: PathBuf,
    writer: Writer,
}

impl CallNote {
    /// At `path`, kept by `writer`; nothing is written yet.
    #[must_use]
    pub const fn new(path: PathBuf, writer: Writer) -> Self {
        Self { path, writer }
    }

    /// A call runs as process `pid`, which leads its own process group. It runs all the same if that cannot be noted.
    pub fn begins(&self, pid: u32) {
        // A process that has ended already needs no note.
        let Some(at) = started(pid) else { return };
        let path = self.path.clone();
        self.keep(move || {
            if let Err(error) = write(&path, &format!("{pid} {at}\n")) {
                log::warn!("{}: the running call could not be noted: {error}", path.display());
            }
        });
    }

    /// The call has ended.
    pub fn ends(&self) {
        let path = self.path.clone();
        // A note that stays names a process that is gone, and means nothing.
        self.keep(move || drop(fs::remove_file(path)));
    }

    fn keep(&self, work: impl FnOnce() + Send + 'static) {
        if !self.writer.take(work) {
            log::warn!("{}: not noted: the disk does not answer", self.path.display());
        }
    }

    /// Ends the call that is noted, if it still runs; the process that it was. Takes up to 1.6 s. Root believes only a note that
    /// nobody else can have written.
    #[must_use]
    pub fn end_orphan(&self) -> Option<u32> {
        let note = read(&self.path)?;
        self.ends();
        let (pid, at) = note.trim_end().split_once(' ')?;
        let (pid, at) = (pid.parse().ok()?, at.parse().ok()?);
        let runs = || started(pid) == Some(at);
        let group = Pid::from_raw(i32::try_from(pid).ok().filter(|pid| *pid > 1)?);
        if !runs() {
            return None;
        }
        for signal in [Signal::SIGTERM, Signal::SIGKILL] {
            // It may have ended in this moment.
            let _ = killpg(group, signal);
            let asked = Instant::now();
            while runs() && asked.elapsed() < PATIENCE {
                thread::sleep(STEP);
            }
        }
        Some(pid)
    }
}

fn write(path: &Path, note: &str) -> io::Result<()> {
    let mut file = guarded::open(OpenOptions::new().write(true).create(true).truncate(false).mode(0o644), path)?;
    guarded::has_one_name(&file)?;
    file.set_len(0)?;
    file.write_all(note.as_bytes())
}

fn read(path: &Path) -> Option<String> {
    let file = guarded::open(OpenOptions::new().read(true), path).ok().filter(guarded::is_believed)?;
    let mut note = String::new();
    file.take(LONGEST).read_to_string(&mut note).ok()?;
    Some(note)
}

/// When a process was started, in the kernel's ticks since boot: with its number it means one process and no other.
/// `None` if it has ended, be it that nobody has waited for it yet.
fn started(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything. proc_pid_stat(5): state is field 3, starttime field 22.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?;
    (state != "Z").then(|| fields.nth(18)?.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use std::os::unix::process::CommandExt as _;
    use std::process::{Child, Command, Stdio};

    #[test]
    fn a_note_is_written_into_no_file_that_has_another_name_elsewhere() {
        let dir = tempfile::tempdir().unwrap();
        let (elsewhere, path) = (dir.path().join("passwd"), dir.path().join("web.call"));
        fs::write(&elsewhere, "root").unwrap();
        fs::hard_link(&elsewhere, &path).unwrap();
        assert!(write(&path, "1").is_err());
        assert_eq!(fs::read(&elsewhere).unwrap(), b"root");
    }

    fn group(script: &str) -> Child {
        Command::new("sh").args(["-c", script]).stdout(Stdio::null()).process_group(0).spawn().unwrap()
    }

    #[test]
    fn a_call_that_runs_is_ended_with_its_children_even_if_it_will_not() {
        let dir = tempfile::tempdir().unwrap();
        let ready = dir.path().join("ready");
        for script in ["", "trap '' TERM; "] {
            let note = CallNote::new(dir.path().join("service.call"), Writer::at_once());
            let mut child = group(&format!("{script}: >{}; sleep 600 & wait", ready.display()));
            while !ready.exists() {
                thread::sleep(STEP);
            }
            fs::remove_file(&ready).unwrap();
            note.begins(child.id());
            assert_eq!(note.end_orphan(), Some(child.id()), "{script}");
            assert!(!child.wait().unwrap().success());
            assert_eq!(note.end_orphan(), None);
        }
    }

    #[test]
    fn neither_an_ended_call_nor_another_process_of_its_number_is_touched() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("service.call");
        let note = CallNote::new(path.clone(), Writer::at_once());
        let mut child = group("exec sleep 600");
        note.begins(child.id());
        note.ends();
        assert_eq!(note.end_orphan(), None);
        for text in [format!("{} 1\n", child.id()), "1 1\n".into(), "-5 7\n".into(), "x".into(), String::new()] {
            fs::write(&path, text).unwrap();
            assert_eq!(note.end_orphan(), None);
        }
        assert!(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
        note.begins(child.id());
        assert!(!path.exists());
    }
}
