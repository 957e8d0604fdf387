//! A thread that waits for a disk, so that a daemon's loop need not (ADR 0020).
//!
//! A disk may stall: a frozen file system, a path to a storage that is gone for a while. Whoever writes then sleeps in the
//! kernel, and cannot be woken. Work handed to a [`Writer`] is done in its order by one thread, which may sleep so; the
//! caller goes on. What is handed over must be bounded by whoever hands it over: a slot, a buffer with a limit.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::Duration;

/// Pieces of work that may wait; more are refused.
const LIMIT: usize = 1024;

/// Enough for a record that is written, and little where all memory of a program is locked.
const STACK: usize = 256 * 1024;

type Work = Box<dyn FnOnce() + Send>;

/// The way to a thread that writes; clones lead to the same one.
#[derive(Debug, Clone)]
pub struct Writer {
    /// `None` does the work at once.
    shared: Option<Arc<Shared>>,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Work>,
    busy: bool,
    thread: Option<ThreadId>,
}

impl Writer {
    /// Starts the thread, which lives as long as the process. It inherits the caller's blocked signals and its scheduling:
    /// call it after detaching, after [`Signals::new`](crate::signals::Signals::new).
    ///
    /// # Errors
    /// If there can be no further thread.
    pub fn start(name: &str) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let mine = Arc::clone(&shared);
        thread::Builder::new().name(name.to_owned()).stack_size(STACK).spawn(move || mine.work())?;
        Ok(Self { shared: Some(shared) })
    }

    /// Without a thread: whoever hands work over does it himself.
    #[must_use]
    pub const fn at_once() -> Self {
        Self { shared: None }
    }

    /// Has `work` done after all that was handed over before; `false` if too much waits already, and it is dropped.
    #[must_use]
    pub fn take(&self, work: impl FnOnce() + Send + 'static) -> bool {
        let Some(shared) = &self.shared else {
            work();
            return true;
        };
        let mut queue = shared.queue();
        if queue.waiting.len() >= LIMIT {
            return false;
        }
        queue.waiting.push_back(Box::new(work));
        shared.changed.notify_all();
        true
    }

    /// Waits at most `patience` until all is done that was handed over; whether it is. The thread itself does what waits.
    #[must_use]
    pub fn drain(&self, patience: Duration) -> bool {
        let Some(shared) = &self.shared else { return true };
        if shared.queue().thread == Some(thread::current().id()) {
            while let Some(work) = { shared.queue().waiting.pop_front() } {
                work();
            }
            return true;
        }
        let unfinished = |queue: &mut Queue| queue.busy || !queue.waiting.is_empty();
        let waited = shared.changed.wait_timeout_while(shared.queue(), patience, unfinished);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }
}

impl Shared {
    fn work(&self) {
        let _end = EndOfThread;
        self.queue().thread = Some(thread::current().id());
        loop {
            let nothing = |queue: &mut Queue| queue.waiting.is_empty();
            let mut queue = self.changed.wait_while(self.queue(), nothing).unwrap_or_else(PoisonError::into_inner);
            let work = queue.waiting.pop_front();
            queue.busy = true;
            drop(queue);
            work.into_iter().for_each(|work| work());
            self.queue().busy = false;
            self.changed.notify_all();
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // The lock is never held while work is done, so nothing is half done behind it.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{} waiting", self.queue().waiting.len())
    }
}

/// A daemon that lost its writer to a defect would go on and never be heard of again: it ends, and is started anew.
struct EndOfThread;

impl Drop for EndOfThread {
    fn drop(&mut self) {
        if thread::panicking() {
            std::process::abort();
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use std::sync::mpsc;

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn who_hands_work_over_goes_on_while_the_disk_stalls_and_the_order_is_kept() {
        let writer = Writer::start("test").unwrap();
        let (thaw, frozen) = mpsc::channel::<()>();
        let (report, done) = mpsc::channel();
        assert!(writer.take(move || frozen.recv().unwrap()));
        for number in 0..3 {
            let report = report.clone();
            assert!(writer.take(move || report.send(number).unwrap()));
        }
        assert!(!writer.drain(Duration::from_millis(10)));
        assert!(done.try_recv().is_err());
        thaw.send(()).unwrap();
        assert!(writer.drain(LONG));
        assert_eq!(done.try_iter().collect::<Vec<_>>(), [0, 1, 2]);
    }

    #[test]
    fn what_waits_is_bounded() {
        let writer = Writer::start("test").unwrap();
        let (thaw, frozen) = mpsc::channel::<()>();
        assert!(writer.take(move || assert!(frozen.recv().is_err())));
        let taken = (0..2 * LIMIT).filter(|_| writer.take(|| ())).count();
        assert!((LIMIT - 1..=LIMIT).contains(&taken), "{taken}");
        drop(thaw);
        assert!(writer.drain(LONG));
    }

    #[test]
    fn without_a_thread_work_is_done_at_once() {
        let (report, done) = mpsc::channel();
        assert!(Writer::at_once().take(move || report.send(1).unwrap()));
        assert_eq!(done.try_recv(), Ok(1));
        assert!(Writer::at_once().drain(Duration::ZERO));
    }

    #[test]
    fn the_writer_itself_does_what_waits_instead_of_waiting_for_itself() {
        let writer = Writer::start("test").unwrap();
        let (report, done) = mpsc::channel();
        let inner = writer.clone();
        let work = move || {
            let second = report.clone();
            assert!(inner.take(move || second.send(2).unwrap()));
            assert!(inner.drain(LONG));
            report.send(1).unwrap();
        };
        assert!(writer.take(work));
        assert_eq!([done.recv_timeout(LONG).unwrap(), done.recv_timeout(LONG).unwrap()], [2, 1]);
    }
}
