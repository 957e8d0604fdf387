//! One running call of an agent: a child in its own process group, with a time limit, that nobody waits for, not even until it
//! is executed: a thread of its own begins it.
//!
//! The loop polls [`RunningAgent::fd`], the end of children ([`crate::signals::Signal::ChildEnded`]) and
//! [`RunningAgent::next_deadline`], and calls [`RunningAgent::advance`] after any of them.
//!
//! ```text
//!            limit over, or cancel                    2 s later
//!   running ───────────────────────▶ asked to end ───────────────▶ killed
//!      │ SIGTERM to the whole group        │  SIGKILL to the group   │
//!      └───── ended ───────────────────────┴─── ended, group empty ──┴──▶ Finished
//! ```
//!
//! What a call is told before it has begun it gets when it does. The child gets back what the daemon changed for itself: no
//! signal is blocked or ignored in it. Signals go to the group only while its leader is not reaped, so they can never reach a
//! stranger. A process that a well-behaved agent leaves behind (a server it started) is not ours to end: it neither delays
//! the end of the call nor is it hit by a broken pipe, if the caller keeps [`Finished::leftover`].

use std::ffi::OsString;
use std::io::{self, PipeReader};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use crate::exit;
use crate::writer::Writer;

mod child;
mod lingering;
mod orphan;
mod output;

use child::Image;
pub use lingering::{Leftover, Lingering};
pub use orphan::CallNote;
use output::Output;

/// How long an agent that was asked to end (`SIGTERM`) has until it is killed.
pub const GRACE: Duration = Duration::from_secs(2);

/// What to run.
#[derive(Debug, Clone)]
pub struct AgentCall {
    /// The executable; not looked for in `PATH`.
    pub program: PathBuf,
    /// Its arguments; no shell sees them.
    pub arguments: Vec<OsString>,
    /// Added to the environment of this process.
    pub environment: Vec<(String, String)>,
    /// After this time the agent is asked to end.
    pub limit: Duration,
    /// The kernel kills the agent if this process dies before it: for calls that must not work on without their caller.
    pub dies_with_caller: bool,
    /// Where the call is noted while it runs.
    pub note: Option<CallNote>,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// By itself, with this exit code; [`exit::SOFTWARE`] if somebody else reaped the child, so that nobody knows.
    Exited(i32),
    /// The program could not be executed, with this error number: missing, not executable.
    NotExecuted(i32),
    /// By a signal that was not ours.
    Signalled(i32),
    /// It took longer than its limit and was ended for that, however it ended then.
    TimedOut,
    /// It was ended because [`RunningAgent::cancel`] or [`RunningAgent::kill`] was called.
    Cancelled,
}

/// The result of a call.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub outcome: Outcome,
    /// Standard output and standard error as they came, at most 4096 bytes: the first lines, and how much was left out.
    pub output: String,
    /// From the start to the notice of the end.
    pub duration: Duration,
    /// The output pipe, if some process still has it open: give it to [`Lingering::add`].
    pub leftover: Option<Leftover>,
}

/// The process of a call.
#[derive(Debug)]
enum Process {
    /// It is being begun, unless that is not wanted any more.
    Begins(Receiver<nix::Result<Begun>>, Arc<AtomicBool>),
    /// Not reaped yet.
    Runs(Pid),
    /// Reaped, or it could not be begun, for this reason.
    Gone(Option<Errno>),
}

/// A process that has begun, and is killed unless somebody takes it on.
#[derive(Debug)]
struct Begun(Option<Pid>);

impl Begun {
    fn take_on(mut self) -> Option<Pid> {
        self.0.take()
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            kill_and_reap(pid);
        }
    }
}

/// A call that has not been seen to end. Dropping it kills it.
#[derive(Debug)]
pub struct RunningAgent {
    process: Process,
    note: Option<CallNote>,
    /// `None` after its end was read.
    pipe: Option<PipeReader>,
    output: Output,
    started: Duration,
    /// When the next signal is due, if one is.
    deadline: Option<Duration>,
    /// Why it is being ended, if it is.
    ending: Option<Outcome>,
}

impl RunningAgent {
    /// Has the call begun by `starter`; `now` is the time that limits and deadlines are counted from (see [`crate::clock`]).
    ///
    /// The child works in `/`, reads nothing, and writes both output streams into one pipe.
    ///
    /// # Errors
    /// No descriptor left, a zero byte in an argument, or `starter` has too much to do. Nothing runs then.
    pub fn start(mut call: AgentCall, starter: &Writer, now: Duration) -> io::Result<Self> {
        let (pipe, writer) = io::pipe()?;
        set_nonblocking(&pipe)?;
        let (deadline, note) = (Some(now.saturating_add(call.limit)), call.note.take());
        let image = Image::new(call, writer)?;
        let (tell, begins) = mpsc::channel();
        let (wanted, noted) = (Arc::new(AtomicBool::new(true)), note.clone());
        let still_wanted = Arc::clone(&wanted);
        let begin = move || {
            if !still_wanted.load(Ordering::Relaxed) {
                return;
            }
            let begun = image.execute();
            if let (Ok(pid), Some(note)) = (begun, noted) {
                note.begins(pid.as_raw().cast_unsigned());
            }
            // If nobody waits for it any more, that kills it.
            let _ = tell.send(begun.map(|pid| Begun(Some(pid))));
            // The kernel may have told of its end before anybody knew whose it was; and it may have been told something.
            let _ = kill(Pid::this(), Signal::SIGCHLD);
        };
        if !starter.take(begin) {
            return Err(Errno::EAGAIN.into());
        }
        let (process, output) = (Process::Begins(begins, wanted), Output::default());
        Ok(Self { process, note, pipe: Some(pipe), output, started: now, deadline, ending: None })
    }

    /// The output pipe, to be polled; `None` once its end was read.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.pipe.as_ref().map(|pipe| pipe.as_fd())
    }

    /// When [`RunningAgent::advance`] must be called at the latest.
    pub fn next_deadline(&self) -> Option<Duration> {
        self.deadline
    }

    /// The process id, which is also that of its process group; `None` before there is one, and after it has ended.
    pub fn pid(&self) -> Option<u32> {
        match self.process {
            Process::Runs(pid) => Some(pid.as_raw().cast_unsigned()),
            Process::Begins(..) | Process::Gone(_) => None,
        }
    }

    /// Takes what there is to take: output (at most 64 KiB), the end, a deadline. Never blocks.
    ///
    /// After it has returned the result this must not be used any more.
    pub fn advance(&mut self, now: Duration) -> Option<Finished> {
        self.look_whether_it_began();
        // First the question, then the reading: what an ended child wrote is in the pipe.
        let ended = self.has_ended();
        self.read_output();
        if ended && (self.ending.is_none() || self.pipe.is_none() || self.is_past_grace(now)) {
            return Some(self.finish(now));
        }
        if self.begins() && self.ending.is_some() && self.is_past_grace(now) {
            // Whoever begins it may be stuck for ever; nobody else is to wait for that.
            return Some(self.finish(now));
        }
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            self.enforce(now);
        }
        None
    }

    /// Asks the agent and all its children to end now, and kills them after [`GRACE`]. Once it is being ended, nothing.
    pub fn cancel(&mut self, now: Duration) {
        if self.ending.is_none() {
            self.ask_to_end(Outcome::Cancelled, now);
        }
    }

    /// Kills the agent and all its children at once. [`RunningAgent::advance`] still has to see the end.
    pub fn kill(&mut self) {
        self.ending.get_or_insert(Outcome::Cancelled);
        self.deadline = None;
        self.signal_group(Signal::SIGKILL);
    }

    /// The deadline has come: the limit, or the end of the grace.
    fn enforce(&mut self, now: Duration) {
        match self.ending {
            None => self.ask_to_end(Outcome::TimedOut, now),
            Some(_) => self.kill(),
        }
    }

    fn ask_to_end(&mut self, why: Outcome, now: Duration) {
        self.ending = Some(why);
        self.deadline = Some(now.saturating_add(GRACE));
        self.signal_group(Signal::SIGTERM);
        // A stopped process takes a signal only when it goes on.
        self.signal_group(Signal::SIGCONT);
    }

    /// Whether the members of the group that outlive their leader have had their time.
    fn is_past_grace(&self, now: Duration) -> bool {
        self.deadline.is_none_or(|deadline| deadline <= now)
    }

    fn look_whether_it_began(&mut self) {
        let Process::Begins(begins, _) = &self.process else { return };
        self.process = match begins.try_recv() {
            Ok(Ok(begun)) => begun.take_on().map_or(Process::Gone(None), Process::Runs),
            Ok(Err(error)) => Process::Gone(Some(error)),
            Err(TryRecvError::Empty) => return,
            Err(TryRecvError::Disconnected) => Process::Gone(Some(Errno::EAGAIN)),
        };
        // What it was told before it could hear.
        match (self.ending, self.deadline) {
            (Some(_), Some(_)) => self.signal_group(Signal::SIGTERM),
            (Some(_), None) => self.signal_group(Signal::SIGKILL),
            (None, _) => {}
        }
    }

    const fn begins(&self) -> bool {
        matches!(self.process, Process::Begins(..))
    }

    fn has_ended(&self) -> bool {
        match self.process {
            Process::Begins(..) => false,
            Process::Runs(pid) => child::has_ended(pid),
            Process::Gone(_) => true,
        }
    }

    fn read_output(&mut self) {
        if let Some(pipe) = &self.pipe
            && self.output.read_from(pipe).is_end()
        {
            self.pipe = None;
        }
    }

    fn finish(&mut self, now: Duration) -> Finished {
        if self.ending.is_some() {
            // Whoever ignored the request, or closed the pipe and went on, must not work against the next call.
            self.signal_group(Signal::SIGKILL);
        }
        self.deadline = None;
        if let Some(note) = &self.note {
            note.ends();
        }
        let outcome = match std::mem::replace(&mut self.process, Process::Gone(None)) {
            Process::Runs(pid) => child::reap(pid),
            Process::Begins(_, wanted) => {
                wanted.store(false, Ordering::Relaxed);
                Outcome::Cancelled
            }
            Process::Gone(None) => Outcome::Exited(exit::SOFTWARE),
            Process::Gone(Some(error)) => Outcome::NotExecuted(error as i32),
        };
        Finished {
            outcome: self.ending.unwrap_or(outcome),
            output: std::mem::take(&mut self.output).into_text(),
            duration: now.saturating_sub(self.started),
            leftover: self.pipe.take().map(Leftover::new),
        }
    }

    fn signal_group(&self, number: Signal) {
        if let Process::Runs(pid) = self.process {
            signal_group(pid, number);
        }
    }
}

impl Drop for RunningAgent {
    fn drop(&mut self) {
        match &self.process {
            Process::Begins(_, wanted) => wanted.store(false, Ordering::Relaxed),
            Process::Runs(pid) => kill_and_reap(*pid),
            Process::Gone(_) => {}
        }
    }
}

fn kill_and_reap(group: Pid) {
    signal_group(group, Signal::SIGKILL);
    // If it has not ended yet, it is reaped by init after us.
    child::reap(group);
}

fn signal_group(group: Pid, number: Signal) {
    match killpg(group, number) {
        Ok(()) | Err(Errno::ESRCH) => {}
        Err(error) => log::warn!("process group {group}: {number} could not be sent: {error}"),
    }
}

fn set_nonblocking(pipe: &PipeReader) -> io::Result<()> {
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    let flags = OFlag::from_bits_retain(fcntl(pipe, FcntlArg::F_GETFL)?) | OFlag::O_NONBLOCK;
    fcntl(pipe, FcntlArg::F_SETFL(flags))?;
    Ok(())
}

#[cfg(test)]
mod tests;
