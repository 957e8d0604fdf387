//! What can be wrong with a trace, and where one ends.

use crate::segment::VERSION;

/// Why nothing of a file can be played.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TraceError {
    /// Its first line is not that of a trace.
    #[error("not a trace of pha")]
    NotOurs,
    /// A pha with other types wrote it.
    #[error(
        "a trace of version {found}; this program plays version {VERSION}: use the pha-cli that was installed with it"
    )]
    Version {
        /// The version its first line names.
        found: u32,
    },
    /// Written by a program that has no machine here.
    #[error("a trace of a program that this pha does not have")]
    Program,
    /// It was cut off or damaged before its first input.
    #[error("a trace without a beginning: cut off or damaged before its first input")]
    Beginning,
}

/// Where a trace ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// With a whole entry.
    Whole,
    /// Within an entry, as a full disk, a kill or a lost power leave it; nothing behind that place was read.
    Torn {
        /// Where the bad entry begins, in bytes from the beginning of the file.
        at: usize,
        /// Bytes from there to the end of the file.
        left: usize,
    },
}
