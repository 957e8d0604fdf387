//! The one place where a program sleeps: until a descriptor is readable or a deadline comes.
//!
//! A loop that waits here and nowhere else never looks at anything at fixed intervals. The time limit has the
//! resolution of the kernel's timers, not that of milliseconds. For a few descriptors nothing is allocated.

use std::io;
use std::ops::Deref;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;

/// The kernel refuses limits that do not fit its type; a day is for ever here.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// More descriptors than this need an allocation: a daemon waits for signals, its file and some sockets.
const FEW: usize = 16;

/// What can be read: one entry per descriptor, in their order.
#[derive(Debug)]
pub struct Readable {
    few: [bool; FEW],
    many: Vec<bool>,
    count: usize,
}

impl Readable {
    fn new(answers: impl Iterator<Item = bool>) -> Self {
        let mut this = Self { few: [false; FEW], many: Vec::new(), count: 0 };
        for answer in answers {
            if this.count < FEW {
                this.few[this.count] = answer;
            } else {
                if this.many.is_empty() {
                    this.many.extend(this.few);
                }
                this.many.push(answer);
            }
            this.count += 1;
        }
        this
    }
}

impl Deref for Readable {
    type Target = [bool];

    fn deref(&self) -> &[bool] {
        if self.many.is_empty() { &self.few[..self.count] } else { &self.many }
    }
}

impl<const N: usize> PartialEq<[bool; N]> for Readable {
    fn eq(&self, other: &[bool; N]) -> bool {
        **self == *other
    }
}

/// Waits until one of `fds` can be read or has hung up, or `timeout` is over (`None`: no limit).
///
/// The answer has one entry per descriptor: true if reading it will not block (data, end, or an error to be read).
/// All are false at the end of the time, which is at most a day, and after a signal.
///
/// # Errors
/// Only for lack of memory or too many descriptors.
pub fn wait(fds: &[BorrowedFd<'_>], timeout: Option<Duration>) -> io::Result<Readable> {
    wait_all(fds.iter().copied(), timeout)
}

/// As [`wait`], for descriptors that stand in several places.
///
/// # Errors
/// As [`wait`].
pub fn wait_all<'a>(mut fds: impl Iterator<Item = BorrowedFd<'a>>, timeout: Option<Duration>) -> io::Result<Readable> {
    let entry = |fd| PollFd::new(fd, PollFlags::POLLIN);
    let Some(first) = fds.next() else { return poll(&mut [], timeout) };
    // The others stand there only to fill the array.
    let (mut few, mut count) = (std::array::from_fn::<_, FEW, _>(|_| entry(first)), 1);
    for fd in fds.by_ref() {
        if count == FEW {
            let mut many: Vec<PollFd<'a>> = few.into_iter().chain([entry(fd)]).chain(fds.map(entry)).collect();
            return poll(&mut many, timeout);
        }
        few[count] = entry(fd);
        count += 1;
    }
    poll(&mut few[..count], timeout)
}

fn poll(entries: &mut [PollFd<'_>], timeout: Option<Duration>) -> io::Result<Readable> {
    let limit = timeout.map(|timeout| TimeSpec::from_duration(timeout.min(LONGEST)));
    match ppoll(entries, limit, None) {
        Ok(_) => Ok(Readable::new(entries.iter().map(|entry| entry.any().unwrap_or(true)))),
        Err(Errno::EINTR) => Ok(Readable::new(entries.iter().map(|_| false))),
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
    fn of_many_descriptors_each_has_its_answer() {
        let (quiet, _quiet_writer) = io::pipe().unwrap();
        let (ready, mut writer) = io::pipe().unwrap();
        writer.write_all(b"x").unwrap();
        for count in [FEW - 1, FEW, FEW + 1, 3 * FEW] {
            let fds: Vec<_> = (0..count).map(|n| if n + 1 == count { ready.as_fd() } else { quiet.as_fd() }).collect();
            let readable = wait(&fds, None).unwrap();
            assert_eq!((readable.len(), readable.iter().position(|ready| *ready)), (count, Some(count - 1)));
        }
    }

    #[test]
    fn waiting_for_a_few_descriptors_allocates_nothing() {
        let (quiet, _writer) = io::pipe().unwrap();
        let fds = [quiet.as_fd(); FEW];
        let wait = || wait(&fds, Some(Duration::ZERO)).is_ok_and(|readable| readable.iter().all(|ready| !ready));
        assert_eq!(crate::allocations::counted(wait), (true, 0));
        assert_eq!(crate::allocations::counted(|| vec![0; FEW].len()), (FEW, 1), "it does count");
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
