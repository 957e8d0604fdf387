//! Two nodes of the real core against each other, in virtual time: the scenarios in which the old program failed.
//!
//! The harness plays the shells' part: it carries out commands, keeps each node's "database", moves heartbeats after a
//! millisecond and lets every agent call take a few. What it checks after every step: never two nodes with a resource up
//! while they hear each other for longer than a takeover takes.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod harness;
mod scenarios;
