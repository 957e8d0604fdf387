//! `pha-address`: tells the neighbours about an address and asks them for it.

use std::process::ExitCode;

fn main() -> ExitCode {
    pha_address::run(std::env::args_os())
}
