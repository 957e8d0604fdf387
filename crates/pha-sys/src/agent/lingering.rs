//! Pipes that processes left behind by agents still write to.

use std::collections::VecDeque;
use std::io::PipeReader;
use std::os::fd::{AsFd as _, BorrowedFd};

use super::output::Output;

/// How many pipes are kept; one more and the oldest is closed.
const MOST: usize = 32;

/// The read end of an agent's output pipe that outlived the agent.
#[derive(Debug)]
pub struct Leftover(PipeReader);

impl Leftover {
    pub(super) fn new(pipe: PipeReader) -> Self {
        Leftover(pipe)
    }
}

/// Keeps the pipes of leftover processes open and empty, so that these neither block nor die of writing.
///
/// At most 32 are kept. With one more the oldest is closed, and its process may meet a broken pipe: a server that
/// goes on writing to the terminal it was started from has to be prepared for that anyway.
#[derive(Debug, Default)]
pub struct Lingering {
    pipes: VecDeque<Leftover>,
}

impl Lingering {
    /// Keeps one more.
    pub fn add(&mut self, leftover: Leftover) {
        if self.pipes.len() == MOST {
            self.pipes.pop_front();
        }
        self.pipes.push_back(leftover);
    }

    /// What to poll.
    pub fn fds(&self) -> Vec<BorrowedFd<'_>> {
        self.pipes.iter().map(|Leftover(pipe)| pipe.as_fd()).collect()
    }

    /// Throws away what was written (at most 64 KiB of each) and forgets the pipes that nobody writes to any more.
    pub fn drain(&mut self) {
        self.pipes.retain(|Leftover(pipe)| !Output::default().read_from(pipe).is_end());
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use std::io::{self, Write as _};
    use std::os::fd::AsRawFd;

    fn pipe() -> (Leftover, io::PipeWriter) {
        let (reader, writer) = io::pipe().unwrap();
        super::super::set_nonblocking(&reader).unwrap();
        (Leftover::new(reader), writer)
    }

    #[test]
    fn a_leftover_writer_never_blocks_and_is_forgotten_at_its_end() {
        let mut lingering = Lingering::default();
        let (leftover, mut writer) = pipe();
        lingering.add(leftover);
        for _ in 0..10 {
            writer.write_all(&[0; 65536]).unwrap();
            lingering.drain();
            assert_eq!(lingering.fds().len(), 1);
        }
        drop(writer);
        // Not at once if another test forks just now: its child holds the writer too until it runs its program.
        while !lingering.fds().is_empty() {
            std::thread::yield_now();
            lingering.drain();
        }
    }

    #[test]
    fn of_too_many_the_oldest_is_let_go() {
        let mut lingering = Lingering::default();
        let (pipes, _writers): (Vec<_>, Vec<_>) = (0..MOST + 1).map(|_| pipe()).unzip();
        let numbers: Vec<_> = pipes.iter().map(|Leftover(pipe)| pipe.as_raw_fd()).collect();
        pipes.into_iter().for_each(|leftover| lingering.add(leftover));
        let kept: Vec<_> = lingering.fds().iter().map(AsRawFd::as_raw_fd).collect();
        assert_eq!(kept, numbers[1..]);
    }
}
