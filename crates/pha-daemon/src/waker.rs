//! What wakes a daemon: a signal, a change of the status database, its own descriptors, its next deadline.

use std::os::fd::{AsFd as _, BorrowedFd};

use anyhow::Context as _;
use pha_core::BootTime;
use pha_status::Database;
use pha_sys::poll;
use pha_sys::signals::{Signal, Signals};
use pha_sys::watch::FileWatch;

/// Sleeps in one `poll(2)` for everything.
#[derive(Debug)]
pub struct Waker {
    signals: Signals,
    watch: FileWatch,
}

/// Why a daemon woke; several reasons may hold at once, or none if only its deadline passed.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Woken {
    /// End cleanly.
    pub terminate: bool,
    /// Read the configuration again.
    pub hangup: bool,
    /// A child ended.
    pub child_ended: bool,
    /// Some program wrote the status database.
    pub record_changed: bool,
}

impl Waker {
    pub(crate) fn new(signals: Signals, database: &Database) -> anyhow::Result<Self> {
        let watch = database.watch().with_context(|| format!("{} cannot be watched", database.path().display()))?;
        Ok(Self { signals, watch })
    }

    /// Sleeps until something happens or `deadline` comes; `others` are further descriptors to wake for.
    ///
    /// # Errors
    /// If the kernel refuses to wait or the directory of the status database is gone.
    pub fn wait(&mut self, others: &[BorrowedFd<'_>], deadline: BootTime) -> anyhow::Result<Woken> {
        let mut fds = vec![self.signals.as_fd(), self.watch.as_fd()];
        fds.extend_from_slice(others);
        let readable = poll::wait(&fds, Some(deadline.since(crate::now()))).context("cannot wait")?;
        let mut woken = Woken::default();
        if readable[0] {
            for signal in self.signals.take().context("signals cannot be read")? {
                match signal {
                    Signal::Terminate => woken.terminate = true,
                    Signal::Hangup => woken.hangup = true,
                    Signal::ChildEnded => woken.child_ended = true,
                }
            }
        }
        // Asked on every wake: a directory that was replaced is found again only by asking.
        woken.record_changed =
            self.watch.changed().context("the directory of the status database is gone: create it and start again")?;
        Ok(woken)
    }
}
