//! A process that is not our child, kept in sight by its descriptor: its end is an event, and its id cannot become
//! another process's behind our back.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;

use crate::poll;

/// A process that lived when it was looked up.
#[derive(Debug)]
pub struct ProcessHandle {
    pid: i32,
    fd: OwnedFd,
}

impl ProcessHandle {
    /// The process with this id; `None` if there is none, or if it has ended and waits to be reaped.
    ///
    /// # Errors
    /// If the kernel cannot tell: no descriptor left, or older than Linux 5.3.
    pub fn find(pid: i32) -> io::Result<Option<Self>> {
        // SAFETY: the call takes two integers and returns a new descriptor or -1.
        #[expect(unsafe_code, reason = "nix has no pidfd_open")]
        let number = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        match Errno::result(number) {
            // A thread that leads no process is none either.
            Err(Errno::ESRCH | Errno::EINVAL) => Ok(None),
            Err(error) => Err(error.into()),
            Ok(number) => {
                let number = RawFd::try_from(number).map_err(io::Error::other)?;
                // SAFETY: the kernel has just made this descriptor, and nobody else knows it.
                #[expect(unsafe_code, reason = "a system call returns a bare number")]
                let fd = unsafe { OwnedFd::from_raw_fd(number) };
                let handle = Self { pid, fd };
                Ok(handle.lives()?.then_some(handle))
            }
        }
    }

    /// Its id.
    #[must_use]
    pub const fn pid(&self) -> i32 {
        self.pid
    }

    /// Whether it has not ended.
    ///
    /// # Errors
    /// As [`poll::wait`]'s.
    pub fn lives(&self) -> io::Result<bool> {
        Ok(poll::wait(&[self.fd.as_fd()], Some(Duration::ZERO))? == [false])
    }
}

/// Readable from the moment that the process has ended.
impl AsFd for ProcessHandle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn the_end_of_a_process_makes_its_descriptor_readable_even_before_it_is_reaped() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let pid = child.id().cast_signed();
        let handle = ProcessHandle::find(pid).unwrap().unwrap();
        assert!(handle.lives().unwrap() && handle.pid() == pid);
        drop(child.stdin.take());
        assert_eq!(poll::wait(&[handle.as_fd()], Some(Duration::from_secs(30))).unwrap(), [true]);
        assert!(!handle.lives().unwrap());
        assert!(ProcessHandle::find(pid).unwrap().is_none(), "a zombie is no living process");
        child.wait().unwrap();
        assert!(ProcessHandle::find(pid).unwrap().is_none());
    }

    #[test]
    fn an_id_that_cannot_be_is_no_process() {
        assert!(ProcessHandle::find(0).unwrap().is_none());
        assert!(ProcessHandle::find(-1).unwrap().is_none());
        assert!(ProcessHandle::find(i32::MAX).unwrap().is_none());
    }
}
