//! The inputs of a core, written down so that they can be played again.
//!
//! A machine of the core is a function of its state and its inputs, so a trace is the state at its beginning and every
//! input since, each with its time: whoever feeds them to the same machine sees it decide again. This crate holds the
//! layout of such a file and the three machines that have one ([`Machine`]); `pha-daemon` writes it, `pha-cli replay`
//! plays it.
//!
//! ```text
//! #pha-trace 1 supervise
//! <length><crc32> head: who wrote it, where, and what the clocks said
//! <length><crc32> the machine's state at the beginning
//! <length><crc32> time, input
//! …
//! ```
//!
//! Invariants: no file, clock or log here; a file is believed up to its first bad byte and not beyond ([`End`]); what is
//! recorded is exactly sufficient, so that a replay arrives at every state that is recorded ([`Entry::State`]).

mod error;
mod head;
mod machine;
mod segment;

pub use error::{End, TraceError};
pub use head::{Clocks, Head};
pub use machine::{BeatInput, DetectorInput, Detectors, Machine, SuperviseInput};
pub use segment::{Entry, EntryRef, Segment, VERSION, entry, opening, program};
