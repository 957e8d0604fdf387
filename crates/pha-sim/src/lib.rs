//! Virtual nodes of the real core in virtual time, for tests only.
//!
//! It plays the shells' part: carries out the core's commands, keeps each node's "database", moves heartbeats after a
//! millisecond, lets every agent call take a few, and takes a leased address away as the kernel would. It counts how long
//! two nodes held the address at once, and how long nobody did.

#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "tests only: a broken promise panics")]

mod cluster;
mod node;

pub use cluster::{Cluster, Program};
pub use node::{Agents, Node, settings};
