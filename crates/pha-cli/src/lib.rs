//! The operator's command line and REPL.
//!
//! One command enum (`commands.rs`) serves the command line, the prompt and lines from a pipe. Commands only read the
//! status database and write the operator's wishes into it; what a wish leads to is decided by pha-supervise. The CLI
//! never runs an agent itself, never changes another program's section, and reads without a lock, so that it can be
//! stopped, killed or started twice without anybody noticing.
//!
//! Entry points: [`run`], then `dispatch.rs`. Displays are pure functions of a `Session` and a `View`.

mod check;
mod commands;
mod completion;
mod daemons;
mod dispatch;
mod document;
mod explain;
mod failure;
mod grid;
mod handover;
mod history;
mod keygen;
mod notes;
mod programs;
mod repl;
mod replay;
mod report;
mod resources;
#[cfg(test)]
mod samples;
mod screen;
mod session;
mod signing;
mod stages;
mod stat;
mod switchover;
mod table;
mod times;
mod view;
mod wait;
mod watch;
mod what_if;
mod wishes;
mod words;

use std::ffi::OsString;
use std::io::{IsTerminal, stdin};
use std::process::ExitCode;

use clap::Parser;
use pha_sys::exit;

use crate::commands::CommandLine;
use crate::failure::Failure;
use crate::session::Session;

/// Runs `pha-cli` with its arguments, the program's name first. The exit code is one of sysexits; with commands from a
/// pipe it is the last failing command's.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let result = match CommandLine::try_parse_from(arguments) {
        Ok(line) => run_command_line(&line),
        Err(error) => Err(commands::usage_failure(&error)),
    };
    let code = match result {
        Ok(()) => exit::OK,
        // Help and version were asked for.
        Err(failure) if failure.code() == exit::OK => {
            screen::print(&failure.to_string()).map_or_else(|e| e.code(), |()| exit::OK)
        }
        Err(failure) => {
            screen::warn(&failure.to_string());
            failure.code()
        }
    };
    ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX))
}

fn run_command_line(line: &CommandLine) -> Result<(), Failure> {
    match &line.command {
        Some(command) => dispatch::run(&Session::open(&line.global), command).map(drop),
        None if stdin().is_terminal() => repl::run(&line.global),
        None => dispatch::run_lines(&line.global, stdin().lock()).map_err(Failure::silent),
    }
}
