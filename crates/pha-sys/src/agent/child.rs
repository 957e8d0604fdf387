//! A child that nobody waits for, not even until it is executed: [`Command::spawn`] does, and that takes as long as a busy
//! disk or processor takes to begin a program.

use std::io::{self, PipeReader, PipeWriter, Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use nix::errno::Errno;
use nix::libc;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, pthread_sigmask, signal};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::{self, ForkResult, Pid};

use super::{AgentCall, Outcome};
use crate::exit;

/// A process, until it is reaped. It leads its own process group, works in `/` and reads nothing.
#[derive(Debug)]
pub(super) struct Child {
    /// Its number, which is also that of its process group.
    pub(super) pid: Pid,
    /// Ends without a word when the program is executed; else it holds the number of the error.
    failure: PipeReader,
}

impl Child {
    /// It writes both output streams into the pipe returned.
    pub(super) fn start(call: AgentCall) -> io::Result<(Self, PipeReader)> {
        let (output, writer) = io::pipe()?;
        let (failure, complaint) = io::pipe()?;
        set_nonblocking(&output)?;
        set_nonblocking(&failure)?;
        let mut command = command(call);
        command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
        // SAFETY: the child only executes, or ends. It allocates, which the C library allows in a child of many threads
        // (glibc; musl since 1.2.2), and reads the environment, which nobody changes.
        #[expect(unsafe_code, reason = "the standard library waits until the child is executed")]
        let pid = match unsafe { unistd::fork() }? {
            ForkResult::Child => execute(&mut command, complaint),
            ForkResult::Parent { child } => child,
        };
        // Both sides do it, since nobody knows who comes first. Once the child is executed it fails, and is done.
        let _ = unistd::setpgid(pid, pid);
        Ok((Self { pid, failure }, output))
    }

    /// Whether it has ended; it stays a zombie, so its number stays its own.
    pub(super) fn has_ended(&self) -> bool {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        match waitid(Id::Pid(self.pid), flags) {
            Ok(status) => status != WaitStatus::StillAlive,
            Err(error) => error != Errno::EINTR,
        }
    }

    /// Reaps it, if it has ended; how it did.
    pub(super) fn reap(&mut self) -> Outcome {
        let status = waitpid(self.pid, Some(WaitPidFlag::WNOHANG));
        let mut error = [0; size_of::<i32>()];
        if self.failure.read_exact(&mut error).is_ok() {
            return Outcome::NotExecuted(i32::from_ne_bytes(error));
        }
        match status {
            Ok(WaitStatus::Exited(_, code)) => Outcome::Exited(code),
            Ok(WaitStatus::Signaled(_, number, _)) => Outcome::Signalled(number as i32),
            Ok(_) | Err(_) => Outcome::Exited(exit::SOFTWARE),
        }
    }
}

fn command(call: AgentCall) -> Command {
    let mut command = Command::new(&call.program);
    command.args(&call.arguments).envs(call.environment).current_dir("/").process_group(0);
    // SAFETY: these functions make only system calls that are allowed after a fork, and allocate nothing.
    #[expect(unsafe_code, reason = "the standard library leaves a blocked signal mask to the child")]
    unsafe {
        command.pre_exec(move || {
            restore_signals()?;
            if call.dies_with_caller {
                set_pdeathsig(Signal::SIGKILL)?;
            }
            Ok(())
        });
    }
    command
}

/// In the child: becomes the program, or says why not, and ends as a shell would (POSIX, "Exit Status for Commands").
fn execute(command: &mut Command, mut complaint: PipeWriter) -> ! {
    let error = command.exec().raw_os_error().unwrap_or(libc::EINVAL);
    // Whoever would read it may have ended.
    let _ = complaint.write_all(&error.to_ne_bytes());
    // SAFETY: ends this process, and runs nothing that the parent has left for its own end.
    #[expect(unsafe_code, reason = "std::process::exit runs what is registered for the end of the parent")]
    unsafe {
        libc::_exit(127)
    }
}

pub(super) fn set_nonblocking(pipe: &PipeReader) -> io::Result<()> {
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    let flags = OFlag::from_bits_retain(fcntl(pipe, FcntlArg::F_GETFL)?) | OFlag::O_NONBLOCK;
    fcntl(pipe, FcntlArg::F_SETFL(flags))?;
    Ok(())
}

/// In the child: nothing blocked, nothing ignored.
fn restore_signals() -> io::Result<()> {
    for number in Signal::iterator().filter(|number| !matches!(*number, Signal::SIGKILL | Signal::SIGSTOP)) {
        // SAFETY: no handler function is installed.
        #[expect(unsafe_code, reason = "nix cannot know that no handler function is involved")]
        unsafe { signal(number, SigHandler::SigDfl) }?;
    }
    Ok(pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?)
}
