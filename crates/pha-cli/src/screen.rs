//! Standard output and standard error, for programs whose reader may go away.
//!
//! `println!` panics on a closed pipe; an operator who types `pha-cli history | head -1` has done nothing wrong. Nor may what
//! others wrote into the database, an agent's last words among it, give orders to root's terminal.

use std::borrow::Cow;
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
    write_raw(&format!("{}{end}", printable(text)))
}

/// `text` with its control characters written as `\u{1b}` and the like, but for line ends and tabs.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    let is_foreign = |character: char| character.is_control() && !matches!(character, '\n' | '\t');
    if !text.contains(is_foreign) {
        return Cow::Borrowed(text);
    }
    let shown = |character: char| match is_foreign(character) {
        true => character.escape_default().to_string(),
        false => character.to_string(),
    };
    text.chars().map(shown).collect()
}

/// Writes `value` as indented JSON; errors as [`print`].
pub(crate) fn print_json(value: &serde_json::Value) -> Result<(), Failure> {
    // It has escapes of its own.
    write_raw(&format!("{value:#}\n"))
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
        let _ = writeln!(io::stderr().lock(), "pha-cli: {}", printable(text.trim_end()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_from_elsewhere_give_no_orders_to_the_terminal() {
        assert_eq!(printable("a\tb\nü"), "a\tb\nü");
        assert_eq!(printable("\u{1b}]0;x\u{7}\r\u{9b}2J"), "\\u{1b}]0;x\\u{7}\\r\\u{9b}2J");
    }
}
