//! The status database in `var/`: the only coupling between pha's programs.
//!
//! One file, `status.dat`, is replaced as a whole under a lock and holds a [`Record`] with one section for each writing
//! program. [`Database`] reads it without a lock, changes one section of it, and watches it. The file starts with lines
//! that a shell and a person can read and ends with the record in bincode:
//!
//! ```text
//! #pha-status 1 <bytes of text> <bytes of record> <crc32 of record>
//! NODE='lb1'
//! …
//! --
//! <record>
//! ```
//!
//! Invariants: a reader sees an old file or a new one, never a part; a file that is damaged or foreign is never used and
//! never deleted; what an earlier boot wrote makes nobody active ([`Record::after_reboot`]).

mod aside;
pub mod codec;
mod database;
mod error;
mod file;
mod head;
mod record;
mod replacement;
mod version_1;

pub use codec::RECORD_LIMIT;
pub use database::{Database, LOCK_FILE, Patience, STATUS_FILE, Updated};
pub use error::{Defect, StatusError};
pub use file::VERSION;
pub use head::shell_name;
pub use record::{
    Contact, OperatorSection, ReceiverSection, Record, Section, SendError, SenderSection, SuperviseSection,
};
pub use replacement::{Durability, remove_stale};
