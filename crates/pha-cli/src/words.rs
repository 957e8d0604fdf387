//! Splits a typed line into words, with the quoting everybody knows from the shell.
//!
//! Words are separated by blanks; `'…'` keeps everything, `"…"` keeps everything but `\"` and `\\`, a backslash keeps
//! the next character, and `#` at the beginning of a word starts a comment. Nothing is expanded.

use pha_sys::exit;

use crate::failure::Failure;

/// Bytes of the longest line that is looked at: whoever sends more sends no commands, and looking for what was meant takes long.
pub(crate) const LONGEST: usize = 4096;

/// The words of `line`.
///
/// # Errors
/// A quote that is not closed, a backslash at the end, or a line above [`LONGEST`].
pub(crate) fn split(line: &str) -> Result<Vec<String>, Failure> {
    if line.len() > LONGEST {
        return Err(Failure::new(exit::USAGE, format!("the line is longer than {LONGEST} bytes; no command is")));
    }
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut rest = line.chars();
    while let Some(character) = rest.next() {
        match character {
            '#' if word.is_none() => break,
            blank if blank.is_whitespace() => words.extend(word.take()),
            '\'' => quoted(word.get_or_insert_default(), &mut rest, '\'')?,
            '"' => quoted(word.get_or_insert_default(), &mut rest, '"')?,
            '\\' => word.get_or_insert_default().push(rest.next().ok_or_else(unfinished)?),
            plain => word.get_or_insert_default().push(plain),
        }
    }
    words.extend(word);
    Ok(words)
}

/// Takes everything up to the closing `quote` into `word`.
fn quoted(word: &mut String, rest: &mut std::str::Chars<'_>, quote: char) -> Result<(), Failure> {
    while let Some(character) = rest.next() {
        match character {
            end if end == quote => return Ok(()),
            '\\' if quote == '"' => match rest.next().ok_or_else(unfinished)? {
                escaped @ ('"' | '\\') => word.push(escaped),
                other => word.extend(['\\', other]),
            },
            plain => word.push(plain),
        }
    }
    Err(unfinished())
}

fn unfinished() -> Failure {
    Failure::new(exit::USAGE, "the line ends within a quotation: close the quote or drop the backslash")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::split;

    #[test]
    fn a_line_longer_than_any_command_is_refused() {
        assert_eq!(split(&"a".repeat(super::LONGEST)).unwrap().len(), 1);
        assert!(split(&"a".repeat(super::LONGEST + 1)).is_err());
    }

    #[test]
    fn words_split_at_blanks_and_quotes_keep_them() {
        assert_eq!(split("  res  stop\tweb ").unwrap(), ["res", "stop", "web"]);
        assert_eq!(split(r#"a 'b c' "d \"e\" \n" f\ g '' "#).unwrap(), ["a", "b c", r#"d "e" \n"#, "f g", ""]);
        assert_eq!(split("").unwrap(), Vec::<String>::new());
    }

    #[test]
    fn a_comment_ends_the_line_only_at_the_beginning_of_a_word() {
        assert_eq!(split("stat # now").unwrap(), ["stat"]);
        assert_eq!(split("res stop a#b").unwrap(), ["res", "stop", "a#b"]);
        assert!(split("# all of it").unwrap().is_empty());
    }

    #[test]
    fn an_unfinished_quotation_is_refused() {
        for line in ["'a", "\"a", "a\\", "\"a\\"] {
            assert_eq!(split(line).unwrap_err().code(), 64, "{line}");
        }
    }
}
