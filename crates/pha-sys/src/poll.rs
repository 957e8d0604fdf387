//! The one place where a program sleeps: until a descriptor is readable or a deadline comes.
//!
//! A loop that waits here and nowhere else never looks at anything at fixed intervals. The time limit has the
//! resolution of the kernel's timers, not that of milliseconds.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;

/// The kernel refuses limits that do not fit its type; a day is for ever here.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Waits until one of `fds` can be read or has hung up, or `timeout` is over (`None`: no limit).
///
/// The answer has one entry per descriptor: true if reading it will not block (data, end, or an error to be read).
/// All are false at the end of the time, which is at most a day, and after a signal.
///
/// # Errors
/// Only for lack of memory or too many descriptors.
pub fn wait(fds: &[BorrowedFd<'_>], timeout: Option<Duration>) -> io::Result<Vec<bool>> {
    let mut entries: Vec<PollFd<'_>> = fds.iter().map(|&fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
    let limit = timeout.map(|timeout| TimeSpec::from_duration(timeout.min(LONGEST)));
    match ppoll(&mut entries, limit, None) {
        Ok(_) => Ok(entries.iter().map(|entry| entry.any().unwrap_or(true)).collect()),
        Err(Errno::EINTR) => Ok(vec![false; fds.len()]),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use std::io::Write as _;
    use std::os::fd::AsFd as _;
    use std::time::Instant;

    #[test]
    fn only_the_readable_descriptor_is_reported() {
        let (quiet, _quiet_writer) = io::pipe().unwrap();
        let (ready, mut writer) = io::pipe().unwrap();
        writer.write_all(b"x").unwrap();
        assert_eq!(wait(&[quiet.as_fd(), ready.as_fd()], None).unwrap(), [false, true]);
    }

    #[test]
    fn a_hung_up_descriptor_counts_as_readable() {
        let (reader, writer) = io::pipe().unwrap();
        drop(writer);
        assert_eq!(wait(&[reader.as_fd()], None).unwrap(), [true]);
    }

    #[test]
    fn a_time_limit_below_a_millisecond_is_kept_and_not_rounded_to_zero() {
        let (reader, _writer) = io::pipe().unwrap();
        let start = Instant::now();
        assert_eq!(wait(&[reader.as_fd()], Some(Duration::from_micros(700))).unwrap(), [false]);
        assert!(start.elapsed() >= Duration::from_micros(700));
        assert!(start.elapsed() < Duration::from_millis(200));
    }

    #[test]
    fn a_limit_too_long_for_the_kernel_is_no_error() {
        let (reader, writer) = io::pipe().unwrap();
        drop(writer);
        assert_eq!(wait(&[reader.as_fd()], Some(Duration::MAX)).unwrap(), [true]);
        assert_eq!(wait(&[], Some(Duration::ZERO)).unwrap(), []);
    }
}
