//! What an agent prints, bounded: the first lines are kept, the rest is only counted.

use std::io::{self, PipeReader, Read as _};

/// The longest text that is kept, in bytes, its last line ("… N bytes more") included.
pub(super) const LONGEST_TEXT: usize = 4096;
/// Room for the last line.
const TAIL: usize = 40;
/// How many bytes one turn of the loop takes from one pipe: what a pipe holds.
const PER_TURN: usize = 64 * 1024;

/// Whether more can come from a pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PipeState {
    Open,
    End,
}

impl PipeState {
    pub(super) fn is_end(self) -> bool {
        self == PipeState::End
    }
}

/// The output so far.
#[derive(Debug, Default)]
pub(super) struct Output {
    first: Vec<u8>,
    total: u64,
}

impl Output {
    /// Takes what is in the pipe, at most 64 KiB. An error counts as its end.
    pub(super) fn read_from(&mut self, pipe: &PipeReader) -> PipeState {
        let mut buffer = [0; 8192];
        for _ in 0..PER_TURN / buffer.len() {
            match (&mut &*pipe).read(&mut buffer) {
                Ok(0) => return PipeState::End,
                Ok(length) => self.take(&buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return PipeState::Open,
                Err(_) => return PipeState::End,
            }
        }
        PipeState::Open
    }

    fn take(&mut self, bytes: &[u8]) {
        let room = LONGEST_TEXT - self.first.len();
        self.first.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.total = self.total.saturating_add(bytes.len() as u64);
    }

    /// How many bytes are kept.
    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.first.len()
    }

    /// The text: what is not UTF-8 is replaced; whole lines only where something is left out, if there are any.
    pub(super) fn into_text(self) -> String {
        let text = String::from_utf8_lossy(&self.first);
        if text.len() <= LONGEST_TEXT && self.total == self.first.len() as u64 {
            return text.into_owned();
        }
        let cut = &self.first[..self.first.len().min(LONGEST_TEXT - TAIL)];
        let kept = cut.iter().rposition(|&byte| byte == b'\n').map_or(cut.len(), |end| end + 1);
        let mut text = String::from_utf8_lossy(&cut[..kept]).into_owned();
        text.truncate(text.floor_char_boundary(LONGEST_TEXT - TAIL));
        if !text.ends_with('\n') {
            text.push('\n');
        }
        text + &format!("… {} bytes more", self.total - kept as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(bytes: &[u8]) -> String {
        let mut output = Output::default();
        for part in bytes.chunks(1000) {
            output.take(part);
        }
        output.into_text()
    }

    #[test]
    fn a_short_output_is_kept_as_it_is() {
        assert_eq!(text_of(b"one\ntwo"), "one\ntwo");
        assert_eq!(text_of(&[b'x'; LONGEST_TEXT]).len(), LONGEST_TEXT);
    }

    #[test]
    fn of_a_long_output_the_first_whole_lines_are_kept_and_the_rest_is_counted() {
        let text = text_of("0123456789012345678\n".repeat(1000).as_bytes());
        assert!(text.len() <= LONGEST_TEXT);
        assert!(text.ends_with(&format!("78\n… {} bytes more", 20_000 - 202 * 20)), "{text}");
    }

    #[test]
    fn neither_one_endless_line_nor_bytes_that_are_no_text_break_the_bound() {
        let line = text_of(&[b'x'; 10_000]);
        assert!(line.len() <= LONGEST_TEXT && line.ends_with("x\n… 5944 bytes more"), "{line}");
        let binary = text_of(&[0xff; 10_000]);
        assert!(binary.len() <= LONGEST_TEXT && binary.ends_with(" bytes more"));
        assert!(text_of(&[0xff; 3000]).len() <= LONGEST_TEXT);
    }
}
