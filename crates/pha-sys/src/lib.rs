//! The operating system, as far as pha needs it.
//!
//! Everything that is unsafe, or that names one of the system crates, stands in this crate, one noun to a file,
//! so that the other crates read as plain logic and each system crate can be replaced by editing one file: its first
//! lines say which one a file names.
//!
//! Nothing here decides anything: no module knows what a node, a resource or a heartbeat is. Nothing here blocks
//! longer than its documentation says, and what a daemon's loop calls does not block at all.

pub mod agent;
pub mod allocations;
pub mod arp;
pub mod clock;
pub mod daemonize;
pub mod exit;
pub mod guarded;
pub mod icmp;
pub mod interfaces;
pub mod interrupt;
pub mod lock;
pub mod logging;
pub mod netlink;
mod packets;
pub mod pidfd;
pub mod pidfile;
pub mod poll;
pub mod privilege;
pub mod realtime;
pub mod remedy;
pub mod resolve;
pub mod shared;
pub mod sieve;
pub mod signals;
mod socket;
pub mod swap;
pub mod tcp;
pub mod tracee;
pub mod udp;
pub mod volatile;
pub mod watch;
pub mod writer;

pub use socket::Way;

#[cfg(test)]
#[global_allocator]
static ALLOCATOR: allocations::Counting = allocations::Counting;
