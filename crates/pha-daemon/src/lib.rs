//! What the three daemons share: how they start, how they are woken, how they publish.
//!
//! The daemons meet only in the status database and on the wire; this crate holds what each of them would otherwise
//! write again. It decides nothing.

pub mod key;
pub mod peers;
pub mod privilege;
pub mod publisher;
pub mod realtime;
pub mod recorder;
pub mod reload;
mod ring;
pub mod settings;
pub mod start;
pub mod waker;

pub use publisher::{Published, Publisher};
pub use recorder::Recorder;
pub use settings::settings;
pub use start::{Daemon, Options, Program, run};
pub use waker::{Waker, Woken};

use pha_core::BootTime;

/// The time that all programs of this machine share.
#[must_use]
pub fn now() -> BootTime {
    BootTime::since_boot(pha_sys::clock::boot_time())
}
