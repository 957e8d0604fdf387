//! An IPv4 or IPv6 address on a network device: what `res/ipaddr` is. As a program for whoever calls the agent, and as a
//! library for pha-supervise, which does the same without a fork.
//!
//! ```text
//! pha-address start|stop|check|announce|probe ADDR/PREFIX DEV
//! ```
//!
//! [`Keeper`] does what can be done at once, [`Prober`] asks the wire, which takes a while. Neither decides anything.

use std::ffi::OsString;
use std::process::ExitCode;

mod keeper;
mod place;
mod prober;
mod program;

pub use keeper::{Keeper, Presence, Taken};
pub use place::Place;
pub use prober::{Answer, LinkAddress, Prober};

/// How long a start asks the wire whether another machine has the address: two round trips on any local network, and room
/// for a few lost datagrams.
pub const DUPLICATE_WINDOW: std::time::Duration = std::time::Duration::from_millis(100);

/// Runs one command line, program name first, and gives the program's exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    program::run(arguments)
}
