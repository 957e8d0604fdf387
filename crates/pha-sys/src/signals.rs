//! Signals as something to read: blocked for the process, delivered through one descriptor of the poll loop.
//!
//! Nothing runs at a random point, and nothing is lost between looking and sleeping. Because blocked signals and
//! ignored ones are inherited by children, whoever starts a child restores both (see [`crate::agent`]). A broken
//! pipe is an error code here, never the end of the process.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SigHandler, SigSet, Signal as Number, kill, signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::Pid;

/// What a daemon is told by a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// `SIGTERM` or `SIGINT`: end cleanly.
    Terminate,
    /// `SIGHUP`: read the configuration again and open the log file again.
    Hangup,
    /// `SIGCHLD`: at least one child ended; several ends may arrive as one signal.
    ChildEnded,
}

/// The signals of this process, from its creation on.
#[derive(Debug)]
pub struct Signals {
    descriptor: SignalFd,
}

impl Signals {
    /// Blocks `TERM`, `INT`, `HUP` and `CHLD`, ignores `PIPE`. Call it before the first thread is started.
    ///
    /// # Errors
    /// If the process has no descriptor left.
    pub fn new() -> io::Result<Self> {
        let mut set = SigSet::empty();
        for number in [Number::SIGTERM, Number::SIGINT, Number::SIGHUP, Number::SIGCHLD] {
            set.add(number);
            // An inherited "ignore" (nohup, a careless parent) would swallow the signal; for CHLD also the status.
            set_disposition(number, SigHandler::SigDfl)?;
        }
        set_disposition(Number::SIGPIPE, SigHandler::SigIgn)?;
        set.thread_block()?;
        let descriptor = SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        Ok(Signals { descriptor })
    }

    /// All signals that have arrived since the last call, in the kernel's order. Never blocks.
    ///
    /// # Errors
    /// If the kernel refuses to read.
    pub fn take(&mut self) -> io::Result<Vec<Signal>> {
        let mut taken = Vec::new();
        while let Some(information) = self.descriptor.read_signal()? {
            let number = i32::try_from(information.ssi_signo).ok().and_then(|number| Number::try_from(number).ok());
            taken.extend(number.and_then(meaning));
        }
        Ok(taken)
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// Sends `signal` to another process.
///
/// # Errors
/// If there is no such process or it belongs to somebody else.
pub fn send(pid: u32, signal: Signal) -> io::Result<()> {
    let number = match signal {
        Signal::Terminate => Number::SIGTERM,
        Signal::Hangup => Number::SIGHUP,
        Signal::ChildEnded => Number::SIGCHLD,
    };
    // 0 and negative numbers would mean groups of processes.
    let pid = i32::try_from(pid).ok().filter(|pid| *pid > 0).ok_or(io::ErrorKind::InvalidInput)?;
    Ok(kill(Pid::from_raw(pid), number)?)
}

fn meaning(number: Number) -> Option<Signal> {
    if matches!(number, Number::SIGTERM | Number::SIGINT) {
        Some(Signal::Terminate)
    } else if number == Number::SIGHUP {
        Some(Signal::Hangup)
    } else if number == Number::SIGCHLD {
        Some(Signal::ChildEnded)
    } else {
        None
    }
}

fn set_disposition(number: Number, handler: SigHandler) -> io::Result<()> {
    // SAFETY: no handler function is installed, so none can run at a point where it must not.
    #[expect(unsafe_code, reason = "nix cannot know that no handler function is involved")]
    let result = unsafe { signal(number, handler) };
    Ok(result.map(drop)?)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use crate::poll;
    use nix::sys::signal::raise;
    use std::time::Duration;

    // P75: SIGTERM ends a daemon cleanly, a closed pipe does not end it.
    #[test]
    fn signals_are_read_with_their_meaning_and_only_once() {
        let mut signals = Signals::new().unwrap();
        assert!(signals.take().unwrap().is_empty());
        for number in [Number::SIGTERM, Number::SIGHUP, Number::SIGCHLD, Number::SIGINT] {
            raise(number).unwrap();
        }
        assert_eq!(poll::wait(&[signals.as_fd()], Some(Duration::from_secs(5))).unwrap(), [true]);
        let mut taken = signals.take().unwrap();
        taken.sort_by_key(|&signal| signal as u8);
        assert_eq!(taken, [Signal::Terminate, Signal::Terminate, Signal::Hangup, Signal::ChildEnded]);
        assert!(signals.take().unwrap().is_empty());
        raise(Number::SIGPIPE).unwrap();
    }

    // To a child: a signal to this process may reach the thread of another test, which does not block it.
    #[test]
    fn a_signal_reaches_the_process_it_is_meant_for_and_never_a_group() {
        use std::os::unix::process::ExitStatusExt as _;
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        send(child.id(), Signal::Terminate).unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(Number::SIGTERM as i32));
        assert!(send(0, Signal::Terminate).is_err());
    }
}
