//! A program that is stopped before each system call, and can be ended there: for tests that ask what a sudden end leaves.
//!
//! ptrace(2), by nix. No program of pha uses it. What is traced are the threads of one process; its children run freely.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::errno::Errno;
use nix::libc::{self, c_long};
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// No path that pha makes is longer.
const LONGEST_PATH: usize = 4096;

/// Runs of [`end_at_every_call`] at most: a program that never ends by itself is a defect of the test.
const RUNS: usize = 10_000;

/// A system call that is about to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// What it does, if it is one that does something to files.
    pub deed: Option<Deed>,
    /// The files that it names, by path or by descriptor.
    pub files: Vec<PathBuf>,
}

/// What calls do to files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the call of that name, and its newer forms")]
pub enum Deed {
    /// `open`, to read.
    Open,
    /// `open`, to write.
    Create,
    Read,
    Write,
    Truncate,
    /// `fsync` and `fdatasync`.
    Flush,
    Close,
    Lock,
    Mode,
    /// The file's times are set.
    Touch,
    Look,
    Link,
    Rename,
    /// `renameat2` that exchanges two names.
    Swap,
    Remove,
}

impl Deed {
    /// Whether it leaves something else on the disk than there was, or makes that last.
    #[must_use]
    pub const fn is_change(self) -> bool {
        match self {
            Self::Open | Self::Read | Self::Close | Self::Lock | Self::Look => false,
            Self::Create | Self::Write | Self::Truncate | Self::Flush | Self::Mode | Self::Touch => true,
            Self::Link | Self::Rename | Self::Swap | Self::Remove => true,
        }
    }
}

/// Where a call names a file.
#[derive(Clone, Copy)]
enum Place {
    Path(usize),
    Descriptor(usize),
}

use Place::{Descriptor, Path as At};

/// The calls that Rust's standard library and libc make for files.
const CALLS: &[(c_long, Deed, &[Place])] = &[
    (libc::SYS_openat, Deed::Open, &[At(1)]),
    (libc::SYS_read, Deed::Read, &[Descriptor(0)]),
    (libc::SYS_pread64, Deed::Read, &[Descriptor(0)]),
    (libc::SYS_getdents64, Deed::Read, &[Descriptor(0)]),
    (libc::SYS_write, Deed::Write, &[Descriptor(0)]),
    (libc::SYS_pwrite64, Deed::Write, &[Descriptor(0)]),
    (libc::SYS_writev, Deed::Write, &[Descriptor(0)]),
    (libc::SYS_ftruncate, Deed::Truncate, &[Descriptor(0)]),
    (libc::SYS_fsync, Deed::Flush, &[Descriptor(0)]),
    (libc::SYS_fdatasync, Deed::Flush, &[Descriptor(0)]),
    (libc::SYS_close, Deed::Close, &[Descriptor(0)]),
    (libc::SYS_flock, Deed::Lock, &[Descriptor(0)]),
    (libc::SYS_fchmod, Deed::Mode, &[Descriptor(0)]),
    (libc::SYS_utimensat, Deed::Touch, &[Descriptor(0)]),
    (libc::SYS_statx, Deed::Look, &[At(1)]),
    (libc::SYS_faccessat, Deed::Look, &[At(1)]),
    (libc::SYS_linkat, Deed::Link, &[At(1), At(3)]),
    (libc::SYS_renameat, Deed::Rename, &[At(1), At(3)]),
    (libc::SYS_renameat2, Deed::Rename, &[At(1), At(3)]),
    (libc::SYS_unlinkat, Deed::Remove, &[At(1)]),
];

/// Older calls that newer machines do not have.
#[cfg(target_arch = "x86_64")]
const OLDER_CALLS: &[(c_long, Deed, &[Place])] = &[
    (libc::SYS_open, Deed::Open, &[At(0)]),
    (libc::SYS_stat, Deed::Look, &[At(0)]),
    (libc::SYS_access, Deed::Look, &[At(0)]),
    (libc::SYS_link, Deed::Link, &[At(0), At(1)]),
    (libc::SYS_rename, Deed::Rename, &[At(0), At(1)]),
    (libc::SYS_unlink, Deed::Remove, &[At(0)]),
];
#[cfg(not(target_arch = "x86_64"))]
const OLDER_CALLS: &[(c_long, Deed, &[Place])] = &[];

/// A traced process, stopped or about to be. It ends with this value.
#[derive(Debug)]
pub struct Tracee {
    process: Pid,
    /// The thread that waits for us.
    stopped: Option<Pid>,
    ended: bool,
}

impl Tracee {
    /// Starts `command` in a process group of its own. All calls of this value must come from the thread that made it.
    ///
    /// # Errors
    /// If it cannot be started, or this system permits no tracing.
    pub fn start(command: &mut Command) -> io::Result<Self> {
        // SAFETY: between fork and exec one system call is made, and nothing allocated.
        #[expect(unsafe_code, reason = "only the child can ask to be traced")]
        unsafe {
            command.pre_exec(|| Ok(ptrace::traceme()?));
        }
        let process = Pid::from_raw(command.process_group(0).spawn()?.id().cast_signed());
        let mut this = Self { process, stopped: None, ended: false };
        // It is stopped behind its exec.
        this.wait()?;
        ptrace::setoptions(
            process,
            Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_TRACECLONE | Options::PTRACE_O_EXITKILL,
        )?;
        this.stopped = Some(process);
        Ok(this)
    }

    /// Lets it run to its next call, which is not made yet; `None` when it has ended.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn next_call(&mut self) -> io::Result<Option<Call>> {
        if let Some(thread) = self.stopped.take() {
            resume(thread, None)?;
        }
        while !self.ended {
            match self.wait()? {
                WaitStatus::PtraceSyscall(thread) => match entered(thread) {
                    Some(call) => {
                        self.stopped = Some(thread);
                        return Ok(Some(call));
                    }
                    None => resume(thread, None)?,
                },
                // A new thread begins with a SIGSTOP of the tracing itself.
                WaitStatus::Stopped(thread, Signal::SIGSTOP | Signal::SIGTRAP)
                | WaitStatus::PtraceEvent(thread, ..) => resume(thread, None)?,
                WaitStatus::Stopped(thread, signal) => resume(thread, Some(signal))?,
                WaitStatus::Exited(..)
                | WaitStatus::Signaled(..)
                | WaitStatus::Continued(_)
                | WaitStatus::StillAlive => {}
            }
        }
        Ok(None)
    }

    /// Ends it as `kill -9` does; a call that it is stopped before is never made.
    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let _ = kill(self.process, Signal::SIGKILL);
        while !self.ended && self.wait().is_ok() {}
    }

    fn wait(&mut self) -> io::Result<WaitStatus> {
        let group = Pid::from_raw(-self.process.as_raw());
        let status = waitpid(group, Some(WaitPidFlag::__WALL))?;
        if let WaitStatus::Exited(who, _) | WaitStatus::Signaled(who, ..) = status {
            self.ended |= who == self.process;
        }
        Ok(status)
    }
}

impl Drop for Tracee {
    fn drop(&mut self) {
        self.end();
    }
}

/// A thread that has been killed meanwhile is no error.
fn resume(thread: Pid, signal: Option<Signal>) -> io::Result<()> {
    match ptrace::syscall(thread, signal) {
        Err(Errno::ESRCH) | Ok(()) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The call that `thread` is about to make; `None` behind a call.
#[cfg(target_env = "gnu")]
fn entered(thread: Pid) -> Option<Call> {
    let info = ptrace::syscall_info(thread).ok().filter(|info| info.op == libc::PTRACE_SYSCALL_INFO_ENTRY)?;
    // SAFETY: `op` says that this is the member which the kernel has filled.
    #[expect(unsafe_code, reason = "a union of the kernel's interface")]
    let entry = unsafe { info.u.entry };
    Some(describe(thread, entry.nr as c_long, &entry.args))
}

/// The other C libraries do not offer it.
#[cfg(not(target_env = "gnu"))]
fn entered(_: Pid) -> Option<Call> {
    None
}

fn describe(thread: Pid, number: c_long, arguments: &[u64; 6]) -> Call {
    let known = CALLS.iter().chain(OLDER_CALLS).find(|(known, ..)| *known == number);
    let Some(&(_, deed, places)) = known else { return Call { deed: None, files: Vec::new() } };
    let file = |place: &Place| match *place {
        At(index) => path_at(thread, arguments[index]),
        Descriptor(index) => std::fs::read_link(format!("/proc/{thread}/fd/{}", arguments[index])).ok(),
    };
    let flags = |index: usize| arguments[index] as libc::c_int;
    let writes = number == libc::SYS_openat && flags(2) & libc::O_ACCMODE != libc::O_RDONLY;
    let swaps = number == libc::SYS_renameat2 && arguments[4] & u64::from(libc::RENAME_EXCHANGE) != 0;
    let deed = match (writes, swaps) {
        (true, _) => Deed::Create,
        (_, true) => Deed::Swap,
        (false, false) => deed,
    };
    Call { deed: Some(deed), files: places.iter().filter_map(file).collect() }
}

/// The text that ends with a zero in the thread's memory.
fn path_at(thread: Pid, address: u64) -> Option<PathBuf> {
    let memory = File::open(format!("/proc/{thread}/mem")).ok()?;
    let mut bytes = [0; LONGEST_PATH];
    // What lies behind may not be there.
    let to_page_end = LONGEST_PATH - (address as usize % LONGEST_PATH);
    let mut read = memory.read_at(&mut bytes[..to_page_end], address).ok()?;
    if !bytes[..read].contains(&0) {
        read += memory.read_at(&mut bytes[read..], address + read as u64).unwrap_or(0);
    }
    let end = bytes[..read].iter().position(|byte| *byte == 0)?;
    let path = std::str::from_utf8(&bytes[..end]).ok()?;
    // A name in a folder that it has open (`guarded`).
    let Some((number, name)) = path.strip_prefix("/proc/self/fd/").and_then(|path| path.split_once('/')) else {
        return Some(path.into());
    };
    Some(std::fs::read_link(format!("/proc/{thread}/fd/{number}")).ok()?.join(name))
}

/// Starts what `command` makes again and again, and ends it before its first call that names a file of `dir`, then before
/// the one behind that, and so on, until it ends by itself. `judge` looks at what is left each time, and is told the calls
/// from that first one on; the last of them was not made. `command` also puts `dir` in order.
///
/// Returns the calls of the run that was not ended.
///
/// # Errors
/// If the program cannot be traced.
pub fn end_at_every_call(
    dir: &Path,
    mut command: impl FnMut() -> Command,
    mut judge: impl FnMut(&[Call]),
) -> io::Result<Vec<Call>> {
    for length in 1..RUNS {
        let mut tracee = Tracee::start(&mut command())?;
        let mut calls: Vec<Call> = Vec::new();
        while calls.len() < length
            && let Some(call) = tracee.next_call()?
        {
            if !calls.is_empty() || call.files.iter().any(|file| file.starts_with(dir)) {
                calls.push(call);
            }
        }
        let survived = calls.len() < length;
        tracee.kill();
        if survived {
            return Ok(calls);
        }
        judge(&calls);
    }
    Err(io::Error::other("it does not end by itself"))
}

#[cfg(all(test, target_env = "gnu"))]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use std::process::Stdio;

    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdin(Stdio::null()).stdout(Stdio::null());
        command
    }

    #[test]
    fn a_call_before_which_a_program_ends_was_not_made_and_the_one_before_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let [new, target] = ["new", "target"].map(|name| dir.path().join(name));
        let script = format!("echo x >{0}/new; mv {0}/new {0}/target; exec true", dir.path().display());
        let mut ends = Vec::new();
        let command = || {
            let _ = (std::fs::remove_file(&new), std::fs::remove_file(&target));
            shell(&script)
        };
        let calls = end_at_every_call(dir.path(), command, |calls| {
            ends.push((calls.last().unwrap().clone(), new.exists(), target.exists()));
        })
        .unwrap();
        assert_eq!(ends.len(), calls.len());
        let (first, ..) = &ends[0];
        assert_eq!((first.deed, &first.files[..]), (Some(Deed::Create), &[new.clone()][..]));
        assert_eq!((ends[0].1, ends[1].1), (false, true));
    }

    #[test]
    fn threads_are_traced_too_and_children_are_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let mut tracee = Tracee::start(&mut shell(&format!("echo x >{}/file; sleep 0", dir.path().display()))).unwrap();
        let mut deeds = Vec::new();
        while let Some(call) = tracee.next_call().unwrap() {
            deeds.extend(call.deed.filter(|_| call.files.iter().any(|file| file.starts_with(dir.path()))));
        }
        assert!(deeds.contains(&Deed::Create), "{deeds:?}");
        assert_eq!(std::fs::read(dir.path().join("file")).unwrap(), b"x\n");
    }
}
