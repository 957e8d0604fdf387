//! What can go wrong with the status database, and what it means for the file.

use std::io;
use std::path::PathBuf;

use crate::codec::RECORD_LIMIT;
use crate::file::VERSION;

/// Why a read or an update did not happen. Each text ends with what to do where that is not obvious.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    /// The file is damaged or not ours. A reader leaves it where it is; the next update sets it aside.
    #[error("{path}: {why}; the next start of a daemon sets it aside and begins with an empty one", path = path.display())]
    Bad {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        why: Defect,
    },
    /// Another program kept the lock for the whole time an operator's command waits. Nothing was written.
    #[error("{path}: locked by another program; see which with `fuser -v {path}`, end it or let it go on, and try again", path = path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// The new record cannot be written, because it is too large. The old file is intact.
    #[error("{path}: not written: {why}", path = path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// What is wrong with the record.
        #[source]
        why: Defect,
    },
    /// The system refused. The old file is intact, unless only its flush to the disk failed.
    #[error("{path}: {doing}: {source}", path = path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl StatusError {
    /// Whether there is no room on the disk.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        let full = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded];
        matches!(self, Self::Io { source, .. } if full.contains(&source.kind()))
    }
}

/// What is wrong with a status file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Defect {
    /// Its first line is not that of a status file.
    #[error("not a status file of pha")]
    NotOurs,
    /// Another version of pha wrote it.
    #[error("a status file of version {found}; this program reads versions up to {VERSION}")]
    Version {
        /// The version its first line names.
        found: u32,
    },
    /// It is shorter or longer than its first line says.
    #[error("cut off, or something was added to it")]
    Length,
    /// The record's checksum does not match.
    #[error("damaged: wrong checksum")]
    Checksum,
    /// The checksum matches, but the bytes are not a record of this version.
    #[error("damaged: not a record of this version")]
    Record,
    /// It is the database of another node: copied with its folder, or the machine has another name now.
    #[error("the status file of another node")]
    AnotherNode,
    /// Larger than a status file can be.
    #[error("larger than {RECORD_LIMIT} bytes")]
    TooLarge,
}
