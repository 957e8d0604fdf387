//! The program as an operator meets it: recorded transcripts, daemons that start and stop, a terminal.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod daemons;
mod homes;
mod pair;
mod reports;
mod terminal;
mod traces;
mod transcripts;

use std::io::Write;
use std::process::{Command, Output, Stdio};

const PROGRAM: &str = env!("CARGO_BIN_EXE_pha-cli");

/// Runs a command to its end with `input` as its standard input.
fn input_into(command: &mut Command, input: &str) -> Output {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A program that reads nothing may be gone already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
