//! The program as an operator meets it: recorded transcripts, daemons that start and stop, a terminal.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod daemons;
mod homes;
mod terminal;
mod transcripts;

const PROGRAM: &str = env!("CARGO_BIN_EXE_pha-cli");
