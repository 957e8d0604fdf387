//! What wakes a daemon: a signal, a change of the status database, its own descriptors, its next deadline.

use std::cell::RefCell;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::rc::Rc;
use std::time::Duration;

use anyhow::Context as _;
use pha_core::BootTime;
use pha_sys::pidfile::{PidFile, PidFileError};
use pha_sys::poll;
use pha_sys::privilege::User;
use pha_sys::signals::{Signal, Signals};
use pha_sys::watch::FileWatch;

use crate::privilege::Places;

/// A pid file that somebody removed is missed so soon.
const PID_FILE_LOOK: Duration = Duration::from_secs(1);

/// Sleeps in one `poll(2)` for everything.
#[derive(Debug)]
pub struct Waker {
    signals: Signals,
    record: Option<RecordWatch>,
    pid_file: Rc<RefCell<PidFile>>,
    /// What root shares with whom, if this program is still root.
    sharing: Option<(Places, User)>,
    next_look: BootTime,
    without_pid_file: bool,
}

/// News in the status database wakes; what else is written there is seen on the next wake.
#[derive(Debug)]
pub(crate) struct RecordWatch {
    pub news: FileWatch,
    pub all: FileWatch,
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
    /// Some program wrote the status database, with news or without.
    pub record_changed: bool,
}

impl Waker {
    pub(crate) fn new(signals: Signals, record: Option<RecordWatch>, pid_file: Rc<RefCell<PidFile>>) -> Self {
        Self { signals, record, pid_file, sharing: None, next_look: BootTime::ZERO, without_pid_file: false }
    }

    /// Folders that somebody removed are shared again when they are back.
    pub(crate) fn sharing(self, sharing: Option<(Places, User)>) -> Self {
        Self { sharing, ..self }
    }

    /// Sleeps until something happens or `deadline` comes; `others` are further descriptors to wake for.
    ///
    /// # Errors
    /// If the kernel refuses to wait, or a second daemon of this kind runs because this one's pid file was removed.
    pub fn wait<'a>(
        &mut self,
        others: impl Iterator<Item = BorrowedFd<'a>>,
        deadline: BootTime,
    ) -> anyhow::Result<Woken> {
        let own = std::iter::once(self.signals.as_fd()).chain(self.record.iter().map(|record| record.news.as_fd()));
        #[expect(clippy::map_identity, reason = "it shortens the lifetime to that of `own`")]
        let others = others.map(|fd| -> BorrowedFd<'_> { fd });
        let readable = poll::wait_all(own.chain(others), Some(deadline.since(crate::now()))).context("cannot wait")?;
        self.keep_pid_file()?;
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
        if let Some(RecordWatch { news, all }) = &mut self.record {
            let (rung, written) = (news.changed(), all.changed());
            woken.record_changed =
                rung.and_then(|rung| Ok(rung | written?)).context("the status database cannot be watched")?;
        }
        Ok(woken)
    }

    fn keep_pid_file(&mut self) -> anyhow::Result<()> {
        let now = crate::now();
        if now < self.next_look {
            return Ok(());
        }
        self.next_look = now + PID_FILE_LOOK;
        match self.pid_file.borrow_mut().restore() {
            Ok(false) => {}
            Ok(true) => {
                log::error!("somebody removed the pid file of this program; it is put back");
                self.share_again();
            }
            Err(error @ PidFileError::AlreadyRunning { .. }) => {
                return Err(error).context("this program ends, because its pid file was removed and another one runs");
            }
            Err(PidFileError::Io(error)) if !self.without_pid_file => {
                log::error!("somebody removed the pid file of this program, and it cannot be put back: {error}");
                self.without_pid_file = true;
                return Ok(());
            }
            Err(PidFileError::Io(_)) => return Ok(()),
        }
        self.without_pid_file = false;
        Ok(())
    }

    fn share_again(&self) {
        let Some((places, user)) = &self.sharing else { return };
        if let Err(unshared) = places.share(user) {
            log::error!("{} cannot be shared with user {}: {}", unshared.path.display(), user.name, unshared.error);
        }
    }
}
