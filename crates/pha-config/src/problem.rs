//! What is wrong with a configuration, told so that it can be corrected without a manual.

use std::fmt;
use std::path::{Path, PathBuf};

/// Bad text is shown up to this many characters.
const SHOWN: usize = 80;

/// One thing wrong: where, what, and what to do about it.
///
/// Prints as one line, `FILE:LINE: 'bad text': what is wrong: remedy`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The configuration file.
    pub file: PathBuf,
    /// The line, counted from 1; `None` if the trouble is not in one line.
    pub line: Option<usize>,
    /// The bad text as it stands in the file; may be empty. Unescaped: print the problem, not this.
    pub text: String,
    /// What is wrong with it.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
}

impl Problem {
    pub(crate) fn new(file: &Path, line: Option<usize>, text: impl Into<String>, wrong: Wrong) -> Self {
        Self { file: file.to_owned(), line, text: text.into(), what: wrong.what, remedy: wrong.remedy }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        if !self.text.is_empty() {
            write!(f, " '{}':", shown(&self.text))?;
        }
        write!(f, " {}: {}", self.what, self.remedy)
    }
}

/// Text from a file as it may go to a terminal: shortened, control characters escaped.
pub(crate) fn shown(text: &str) -> String {
    let mut shown = String::new();
    for character in text.chars().take(SHOWN) {
        if character.is_control() {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

/// A [`Problem`] that does not know yet where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub(crate) what: String,
    pub(crate) remedy: String,
}

impl Wrong {
    pub(crate) fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { what: what.into(), remedy: remedy.into() }
    }
}

/// Everything wrong with a configuration, in the order of its lines; never empty. Nothing of it may be used.
///
/// Prints one problem a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigErrors(pub Vec<Problem>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_prints_as_one_line_without_control_characters() {
        let wrong = Wrong::new("is no port", "write PORT=4711");
        let problem = Problem::new(Path::new("/h/etc/config"), Some(7), "PORT=\u{1b}[2J\n7", wrong);
        assert_eq!(problem.to_string(), "/h/etc/config:7: 'PORT=\\u{1b}[2J\\n7': is no port: write PORT=4711");
        let whole = Problem { line: None, text: String::new(), ..problem };
        assert_eq!(whole.to_string(), "/h/etc/config: is no port: write PORT=4711");
    }

    #[test]
    fn long_text_is_shortened() {
        assert_eq!(shown(&"ä".repeat(80)), "ä".repeat(80));
        assert_eq!(shown(&"ä".repeat(81)), "ä".repeat(80) + "…");
    }
}
