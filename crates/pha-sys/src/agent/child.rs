//! The process of a call, begun without a copy of this one's memory.
//!
//! To copy it (`fork`) takes locks that belong to every program that uses the same libraries: while the kernel looks for memory to
//! give back that was seen to stand still, and every thread that touches a page waits with the one that forks (ADR 0023). So
//! the child borrows this memory until it is executed (`CLONE_VM | CLONE_VFORK`, as posix_spawn(3) does), and the thread that
//! begins it waits so long. posix_spawn itself has no word for "killed with its caller".

use std::collections::BTreeMap;
use std::ffi::{CString, OsString, c_char};
use std::fs::File;
use std::io::{self, PipeWriter};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::ptr;
use std::sync::atomic::{AtomicI32, Ordering};

use nix::errno::Errno;
use nix::libc;
use nix::sched::{CloneFlags, clone};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, sigaction};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::{self, Pid};

use super::{AgentCall, Outcome};
use crate::exit;

/// The child's, until it is executed: it makes a few system calls.
const STACK: usize = 64 * 1024;

/// All that the child needs, made before there is one.
pub(super) struct Image {
    program: CString,
    arguments: Vec<CString>,
    environment: Vec<CString>,
    input: File,
    output: PipeWriter,
    dies_with_caller: bool,
}

impl Image {
    /// It leads its own process group, works in `/`, reads nothing, and writes both output streams into `output`.
    pub(super) fn new(call: AgentCall, output: PipeWriter) -> io::Result<Self> {
        let program = CString::new(call.program.into_os_string().into_vec())?;
        let mut arguments = vec![program.clone()];
        for argument in call.arguments {
            arguments.push(CString::new(argument.into_vec())?);
        }
        let added = call.environment.into_iter().map(|(name, value)| (name.into(), value.into()));
        let variables: BTreeMap<OsString, OsString> = std::env::vars_os().chain(added).collect();
        let environment =
            variables.into_iter().map(|(name, value)| CString::new([name.into_vec(), value.into_vec()].join(&b'=')));
        Ok(Self {
            program,
            arguments,
            environment: environment.collect::<Result<_, _>>()?,
            input: File::open("/dev/null")?,
            output,
            dies_with_caller: call.dies_with_caller,
        })
    }

    /// Waits until it is executed.
    ///
    /// # Errors
    /// It cannot be: missing, not executable, no process left.
    pub(super) fn execute(&self) -> nix::Result<Pid> {
        let (arguments, environment) = (pointers(&self.arguments), pointers(&self.environment));
        let (caller, failure) = (unistd::getpid(), AtomicI32::new(0));
        let begin = || {
            let error = self.prepare(caller).err().unwrap_or_else(|| {
                // SAFETY: pointers to strings that live on, ended by null ones. It returns only if it failed.
                #[expect(unsafe_code, reason = "nix allocates here")]
                unsafe {
                    libc::execve(self.program.as_ptr(), arguments.as_ptr(), environment.as_ptr())
                };
                Errno::last()
            });
            failure.store(error as i32, Ordering::Relaxed);
            127
        };
        let mut stack = vec![0; STACK];
        // No handler of this process may run in the child.
        let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
        // SAFETY: the child makes only system calls, on a stack of its own, while this thread waits.
        #[expect(unsafe_code, reason = "what it does there cannot be checked")]
        let begun = unsafe {
            let flags = CloneFlags::CLONE_VM | CloneFlags::CLONE_VFORK;
            clone(Box::new(begin), &mut stack, flags, Some(Signal::SIGCHLD as i32))
        };
        before.thread_set_mask()?;
        let pid = begun?;
        match failure.into_inner() {
            0 => Ok(pid),
            error => {
                // It gave the memory back a moment before it is gone.
                let _ = waitpid(pid, None);
                Err(Errno::from_raw(error))
            }
        }
    }

    /// In the child. It allocates nothing: what it takes, nobody gives back.
    fn prepare(&self, caller: Pid) -> nix::Result<()> {
        unistd::setpgid(Pid::from_raw(0), Pid::from_raw(0))?;
        if self.dies_with_caller {
            set_pdeathsig(Signal::SIGKILL)?;
            if unistd::getppid() != caller {
                return Err(Errno::ESRCH);
            }
        }
        unistd::chdir(c"/")?;
        unistd::dup2_stdin(&self.input)?;
        unistd::dup2_stdout(&self.output)?;
        unistd::dup2_stderr(&self.output)?;
        // Locks above all: until it is executed they would outlive their owner. Old kernels leave that to the execution.
        // SAFETY: closes the child's own copies, which nothing uses any more.
        #[expect(unsafe_code, reason = "nix does not have this call")]
        unsafe {
            libc::syscall(libc::SYS_close_range, 3_u32, u32::MAX, 0_u32)
        };
        let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
        for number in Signal::iterator().filter(|number| !matches!(number, Signal::SIGKILL | Signal::SIGSTOP)) {
            // SAFETY: no handler function is installed.
            #[expect(unsafe_code, reason = "nix cannot know that no handler function is involved")]
            unsafe { sigaction(number, &default) }?;
        }
        SigSet::empty().thread_set_mask()
    }
}

fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect()
}

/// Whether it has ended; it stays a zombie, so its number stays its own.
pub(super) fn has_ended(pid: Pid) -> bool {
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    match waitid(Id::Pid(pid), flags) {
        Ok(status) => status != WaitStatus::StillAlive,
        Err(error) => error != Errno::EINTR,
    }
}

/// Lets go of one that has ended; how it did.
pub(super) fn reap(pid: Pid) -> Outcome {
    let mut status = 0;
    // SAFETY: writes one number.
    #[expect(unsafe_code, reason = "nix does not know real-time signals")]
    let reaped = unsafe { libc::waitpid(pid.as_raw(), &raw mut status, libc::WNOHANG) };
    let status = ExitStatus::from_raw(status);
    match (reaped == pid.as_raw(), status.code(), status.signal()) {
        (true, Some(code), _) => Outcome::Exited(code),
        (true, None, Some(number)) => Outcome::Signalled(number),
        (true, None, None) | (false, ..) => Outcome::Exited(exit::SOFTWARE),
    }
}
