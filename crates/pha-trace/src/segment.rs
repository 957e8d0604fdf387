//! The layout of a segment: first line, then framed entries. Writes bytes and reads them; the files are the shells'.
//!
//! A frame is the length of its payload and the payload's CRC-32, four bytes each with the lowest first, and the payload.
//! Every frame is checked before it is believed, and a reader stops at the first bad one, so that a file that was cut at
//! any byte is good up to there.

use pha_core::BootTime;
use pha_status::codec;
use serde::{Deserialize, Serialize};

use crate::error::{End, TraceError};
use crate::head::Head;
use crate::machine::Machine;

/// The version of the layout, and of the core's types in it. Raise it whenever one of them changes; a test compares.
pub const VERSION: u32 = 1;

const MAGIC: &str = "#pha-trace";

/// Bytes before a payload.
const FRAME: usize = 8;

/// Bytes within which the first line ends.
const FIRST_LINE_LIMIT: usize = 80;

/// What stands in a trace behind its beginning.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(bound(deserialize = ""))]
pub enum Entry<M: Machine> {
    /// The machine was fed with this.
    Input(M::Input),
    /// The machine was in this state, and so a replay must be.
    State(Box<M>),
}

/// An [`Entry`] to be written.
#[derive(Debug, Serialize)]
#[serde(bound(serialize = ""))]
pub enum EntryRef<'a, M: Machine> {
    /// As [`Entry::Input`].
    Input(&'a M::Input),
    /// As [`Entry::State`].
    State(&'a M),
}

/// A segment that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment<M: Machine> {
    /// Who wrote it.
    pub head: Head,
    /// The machine at its beginning.
    pub state: M,
    /// What followed, oldest first.
    pub entries: Vec<(BootTime, Entry<M>)>,
    /// Where it ends.
    pub end: End,
}

/// The bytes a segment begins with; `None` for a state too large to be written (above [`pha_status::RECORD_LIMIT`]).
#[must_use]
pub fn opening<M: Machine>(head: &Head, state: &M) -> Option<Vec<u8>> {
    let mut bytes = format!("{MAGIC} {VERSION} {}\n", M::PROGRAM).into_bytes();
    bytes.extend(framed(&codec::encode(head).ok()?));
    bytes.extend(framed(&codec::encode(state).ok()?));
    Some(bytes)
}

/// The bytes of one entry; `None` for one too large to be written.
#[must_use]
pub fn entry<M: Machine>(at: BootTime, what: &EntryRef<'_, M>) -> Option<Vec<u8>> {
    Some(framed(&codec::encode(&(at, what)).ok()?))
}

/// The program that wrote a trace.
///
/// # Errors
/// If the file is no trace, or one of another version.
pub fn program(file: &[u8]) -> Result<&str, TraceError> {
    let end = file.iter().take(FIRST_LINE_LIMIT).position(|byte| *byte == b'\n').ok_or(TraceError::NotOurs)?;
    let line = std::str::from_utf8(&file[..end]).map_err(|_| TraceError::NotOurs)?;
    let words = line.strip_prefix(MAGIC).and_then(|rest| rest.strip_prefix(' ')).ok_or(TraceError::NotOurs)?;
    let (version, program) = words.split_once(' ').ok_or(TraceError::NotOurs)?;
    match version.parse() {
        Ok(VERSION) => Ok(program),
        Ok(found) => Err(TraceError::Version { found }),
        Err(_) => Err(TraceError::NotOurs),
    }
}

impl<M: Machine> Segment<M> {
    /// Reads a whole file as far as it is good.
    ///
    /// # Errors
    /// If nothing of it can be played.
    pub fn parse(file: &[u8]) -> Result<Self, TraceError> {
        if program(file)? != M::PROGRAM {
            return Err(TraceError::Program);
        }
        let mut at = file.iter().position(|byte| *byte == b'\n').map_or(file.len(), |end| end + 1);
        let next = |at: &mut usize| {
            let payload = payload(&file[*at..])?;
            *at += FRAME + payload.len();
            Some(payload)
        };
        let head = next(&mut at).and_then(|payload| codec::decode(payload).ok()).ok_or(TraceError::Beginning)?;
        let state = next(&mut at).and_then(|payload| codec::decode(payload).ok()).ok_or(TraceError::Beginning)?;
        let mut entries = Vec::new();
        let mut good = at;
        while let Some(entry) = next(&mut at).and_then(|payload| codec::decode(payload).ok()) {
            entries.push(entry);
            good = at;
        }
        let left = file.len() - good;
        let end = if left == 0 { End::Whole } else { End::Torn { at: good, left } };
        Ok(Self { head, state, entries, end })
    }
}

fn framed(payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("the codec limits what it writes to a megabyte");
    let mut frame = Vec::with_capacity(FRAME + payload.len());
    frame.extend(length.to_le_bytes());
    frame.extend(crc32fast::hash(payload).to_le_bytes());
    frame.extend(payload);
    frame
}

/// The payload of the frame that `bytes` begin with; `None` if it is not whole and unharmed.
fn payload(bytes: &[u8]) -> Option<&[u8]> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (crc, rest) = rest.split_first_chunk::<4>()?;
    let payload = rest.get(..usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
    (crc32fast::hash(payload) == u32::from_le_bytes(*crc)).then_some(payload)
}

#[cfg(test)]
#[path = "segment_tests.rs"]
mod tests;
