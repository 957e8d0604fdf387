//! Ctrl-C as a flag, for a command that repeats itself until the operator has seen enough. The only file that names
//! `ctrlc`.
//!
//! Daemons use [`crate::signals`] instead: `ctrlc` starts a thread, and a daemon has none. The two do not go together in
//! one process, since each takes the signal for itself.

use std::io::{self, PipeReader, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use crate::poll;

/// The `SIGINT`s of this process, instead of its end.
#[derive(Debug)]
pub struct Interrupt {
    /// Holds one byte for each Ctrl-C not yet asked for; a pipe, so that [`poll::wait`] wakes up by it too.
    pressed: PipeReader,
}

impl Interrupt {
    /// From now on `SIGINT` does not end the process but is kept for [`Interrupt::pending`].
    ///
    /// # Errors
    /// `AlreadyExists` on a second call in one process.
    pub fn install() -> io::Result<Self> {
        let (pressed, mut press) = io::pipe()?;
        // The only possible failure is that nobody listens any more.
        let handler = move || drop(press.write(b"!"));
        // Also where the parent had it ignored, as shells do for what they put into the background.
        ctrlc::set_handler(handler).map_err(|error| match error {
            ctrlc::Error::MultipleHandlers => io::Error::new(io::ErrorKind::AlreadyExists, error),
            ctrlc::Error::System(error) => error,
            ctrlc::Error::NoSuchSignal(_) => io::Error::other(error),
        })?;
        Ok(Interrupt { pressed })
    }

    /// Whether Ctrl-C was pressed since the last call. Does not block.
    pub fn pending(&self) -> bool {
        let readable = poll::wait(&[self.as_fd()], Some(Duration::ZERO));
        matches!(readable.as_deref(), Ok([true])) && matches!((&self.pressed).read(&mut [0; 64]), Ok(1..))
    }
}

impl AsFd for Interrupt {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pressed.as_fd()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;

    /// Runs this test alone in a process: the way a process takes signals belongs to all of its threads.
    const ALONE: &str = "PHA_TEST_INTERRUPT";

    #[test]
    fn ctrl_c_sets_the_flag_once_and_wakes_a_sleeper() {
        if std::env::var_os(ALONE).is_none() {
            let name = "interrupt::tests::ctrl_c_sets_the_flag_once_and_wakes_a_sleeper";
            let mut alone = std::process::Command::new(std::env::current_exe().unwrap());
            let output = alone.args(["--exact", name]).env(ALONE, "1").output().unwrap();
            assert!(output.status.success(), "{output:?}");
            return;
        }
        let interrupt = Interrupt::install().unwrap();
        assert!(!interrupt.pending());
        kill(Pid::this(), Signal::SIGINT).unwrap();
        while poll::wait(&[interrupt.as_fd()], Some(Duration::from_secs(20))).unwrap() != [true] {}
        assert!(interrupt.pending());
        assert!(!interrupt.pending());
        assert_eq!(Interrupt::install().unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    }
}
