//! `pha-cli`: the operator's command line and REPL. Everything is in the library, so that tests reach it.

use std::process::ExitCode;

fn main() -> ExitCode {
    pha_cli::run(std::env::args_os())
}
