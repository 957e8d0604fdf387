//! Standard output and standard error, for programs whose reader may go away.
//!
//! `println!` panics on a closed pipe; an operator who types `pha-cli history | head -1` has done nothing wrong.

use std::io::{self, Write};

use pha_sys::exit;

use crate::failure::Failure;

/// Writes `text` to standard output, with a newline at its end if it has none.
///
/// # Errors
/// A full disk is [`exit::IO_ERR`]; a closed pipe is a silent failure with [`exit::OK`].
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    if text.is_empty() {
        return Ok(());
    }
    let end = if text.ends_with('\n') { "" } else { "\n" };
    write_raw(&format!("{text}{end}"))
}

/// Writes `value` as indented JSON; errors as [`print`].
pub(crate) fn print_json(value: &serde_json::Value) -> Result<(), Failure> {
    print(&format!("{value:#}"))
}

/// Writes `text` as it is.
///
/// # Errors
/// As [`print`].
pub(crate) fn write_raw(text: &str) -> Result<(), Failure> {
    let mut output = io::stdout().lock();
    output.write_all(text.as_bytes()).and_then(|()| output.flush()).map_err(|error| {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Failure::silent(exit::OK);
        }
        Failure::new(exit::IO_ERR, format!("cannot write to standard output: {error}"))
    })
}

/// Tells the operator something on standard error, with the program's name before it; a closed one is no fault.
pub(crate) fn warn(text: &str) {
    if !text.is_empty() {
        // Nobody is left to be told that nobody can be told.
        let _ = writeln!(io::stderr().lock(), "pha-cli: {}", text.trim_end());
    }
}
