//! The file's bytes as lines: what cannot be text at all is found here.

use std::path::Path;

use crate::problem::{Problem, Wrong};

/// Largest configuration file, in bytes; a thousand times what anybody needs.
pub(crate) const MAX_BYTES: usize = 1024 * 1024;

const BOM: char = '\u{feff}';

/// A line that is neither empty nor a comment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    pub(crate) number: usize,
    pub(crate) key: &'a str,
    pub(crate) value: &'a str,
}

/// Bytes as text, each bad byte replaced and told.
pub(crate) fn decode(bytes: &[u8], file: &Path, problems: &mut Vec<Problem>) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(error) => {
            let before = &bytes[..error.valid_up_to()];
            let number = 1 + before.iter().filter(|byte| **byte == b'\n').count();
            let wrong = Wrong::new("there are bytes here that are not UTF-8", "save the file as UTF-8 or plain ASCII");
            problems.push(Problem::new(file, Some(number), "", wrong));
            String::from_utf8_lossy(bytes).into_owned()
        }
    }
}

/// The lines that say something; everything that is not `KEY=value` is told.
pub(crate) fn lines<'a>(text: &'a str, file: &Path, problems: &mut Vec<Problem>) -> Vec<Line<'a>> {
    if text.len() > MAX_BYTES {
        let wrong = Wrong::new(format!("larger than {MAX_BYTES} bytes"), "this is no configuration: look what it is");
        problems.push(Problem::new(file, None, "", wrong));
        return Vec::new();
    }
    let body = text.strip_prefix(BOM).unwrap_or(text);
    if body.len() < text.len() {
        let wrong = Wrong::new("the file begins with a byte order mark", "sed -i '1s/^\\xEF\\xBB\\xBF//' FILE");
        problems.push(Problem::new(file, Some(1), "", wrong));
    }
    if let Some(index) = body.split('\n').position(|line| line.ends_with('\r')) {
        let wrong = Wrong::new("lines end with CR LF, as on Windows", "sed -i 's/\\r$//' FILE");
        problems.push(Problem::new(file, Some(index + 1), "", wrong));
    }
    let numbered = body.split('\n').zip(1..).map(|(line, number)| (line.trim(), number));
    let speaking = numbered.filter(|(line, _)| !line.is_empty() && !line.starts_with('#'));
    speaking.filter_map(|(line, number)| split(line, number, file, problems)).collect()
}

fn split<'a>(line: &'a str, number: usize, file: &Path, problems: &mut Vec<Problem>) -> Option<Line<'a>> {
    let wrong = if line.chars().any(|character| character.is_control() && character != '\t') {
        Wrong::new("there are control characters in this line", "remove them (`cat -A FILE` shows them)")
    } else if let Some((key, value)) = line.split_once('=').filter(|(key, _)| is_key(key.trim_end())) {
        return Some(Line { number, key: key.trim_end(), value: unquoted(value.trim()) });
    } else {
        Wrong::new("this is not KEY=value", "begin the line with # to make it a comment")
    };
    problems.push(Problem::new(file, Some(number), line, wrong));
    None
}

/// Whether this can be a key at all, known or not. No slash: agents are files of one folder.
fn is_key(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

/// Without the quotes around the whole value, if there are any.
fn unquoted(value: &str) -> &str {
    let inside = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote).filter(|inner| !inner.contains(quote));
    inside('"').or_else(|| inside('\'')).map_or(value, str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Vec<(usize, String, String)>, Vec<String>) {
        let mut problems = Vec::new();
        let lines = lines(text, Path::new("config"), &mut problems);
        let lines = lines.into_iter().map(|line| (line.number, line.key.to_owned(), line.value.to_owned())).collect();
        (lines, problems.iter().map(ToString::to_string).collect())
    }

    // P25
    #[test]
    fn comments_and_empty_lines_say_nothing_and_whitespace_around_words_does_not_matter() {
        let (lines, problems) = read("# PORT=1\n\n  #RES_test=/ONLINE\n\t\n  PORT =\t4711 \nLAST=1");
        assert_eq!(lines, [(5, "PORT".into(), "4711".into()), (6, "LAST".into(), "1".into())]);
        assert!(problems.is_empty());
    }

    #[test]
    fn quotes_around_a_whole_value_are_taken_off_and_others_stay() {
        for (written, meant) in [
            ("\"a b\"", "a b"),
            ("' a '", "a"),
            ("\"it's\"", "it's"),
            ("''", ""),
            ("'a' 'b'", "'a' 'b'"),
            ("\"a'", "\"a'"),
            ("\"", "\""),
            ("a\"b\"", "a\"b\""),
        ] {
            assert_eq!(unquoted(written), meant, "{written}");
        }
    }

    #[test]
    fn windows_files_are_told_once_and_read_on() {
        let (lines, problems) = read("\u{feff}A=1\r\nB=2\r\n");
        assert_eq!(lines, [(1, "A".into(), "1".into()), (2, "B".into(), "2".into())]);
        assert_eq!(
            problems,
            [
                "config:1: the file begins with a byte order mark: sed -i '1s/^\\xEF\\xBB\\xBF//' FILE",
                "config:1: lines end with CR LF, as on Windows: sed -i 's/\\r$//' FILE"
            ]
        );
    }

    #[test]
    fn what_is_not_a_key_with_a_value_is_told_with_its_line() {
        let (lines, problems) = read("A=1\nhello\n=2\nRES_../../bin/sh=x\nB=\0\n");
        assert_eq!(lines.len(), 1);
        assert_eq!(problems.len(), 4);
        assert_eq!(problems[0], "config:2: 'hello': this is not KEY=value: begin the line with # to make it a comment");
        assert!(problems[2].starts_with("config:4: 'RES_../../bin/sh=x': this is not KEY=value"));
        assert!(problems[3].starts_with("config:5: 'B=\\u{0}': there are control characters"));
    }

    #[test]
    fn a_file_that_is_too_large_is_one_problem() {
        let (lines, problems) = read(&"A=1\n".repeat(MAX_BYTES / 4 + 1));
        assert!(lines.is_empty());
        assert_eq!(problems.len(), 1);
    }

    #[test]
    fn bytes_that_are_no_text_are_told_with_their_line() {
        let mut problems = Vec::new();
        let text = decode(b"A=1\nB=\xff\n", Path::new("config"), &mut problems);
        assert_eq!(text, "A=1\nB=\u{fffd}\n");
        assert_eq!(problems[0].line, Some(2));
    }
}
