//! Removes what may be a secret from text: the values of words like `password`, and long hexadecimal numbers.
//!
//! It masks rather too much: a report without a harmless word is still a report. It knows words, not programs: a secret
//! that stands in an agent's arguments without any such word before it is not found.

use super::parts::Part;

const MASK: &str = "***";

/// A word whose name contains one of these has a secret for its value.
const SECRET: [&str; 9] = ["password", "passwd", "passphrase", "secret", "token", "credential", "apikey", "key", "pwd"];

/// By themselves these words announce a secret too: `--password x`, `password x`. `key` and `token` are too common.
const ANNOUNCING: [&str; 6] = ["password", "passwd", "passphrase", "secret", "credentials", "apikey"];

/// Hexadecimal digits from which on a number may be a key; a status file's checksum has 8.
const LONG_HEX: usize = 32;

/// `text` without secrets, line by line.
pub(super) fn text(text: &str) -> String {
    text.split_inclusive('\n').map(line).collect()
}

/// Removes the words of the key file from every part: text is masked, anything else left out.
pub(super) fn remove_key(parts: &mut [Part], key: &[String]) {
    for part in parts {
        let Ok(bytes) = &mut part.content else { continue };
        for word in key {
            if !bytes.windows(word.len()).any(|window| window.eq_ignore_ascii_case(word.as_bytes())) {
                continue;
            }
            let masked = std::str::from_utf8(bytes).ok().map(|text| text.replace(word.as_str(), MASK));
            match masked.filter(|text| !text.to_ascii_lowercase().contains(&word.to_ascii_lowercase())) {
                Some(text) => *bytes = text.into_bytes(),
                None => {
                    part.content = Err("it holds the key of etc/authkey".to_owned());
                    break;
                }
            }
        }
    }
}

/// `NAME = value` with a secret's name has no value left; else words are looked at one by one, and blanks stay.
fn line(line: &str) -> String {
    let name_end = line.find('=').filter(|end| is_name(line[..*end].trim_start_matches('#').trim()));
    if let Some(end) = name_end.filter(|end| is_secret(&line[..*end]) && !line[end + 1..].trim().is_empty()) {
        let line_end = if line.ends_with('\n') { "\n" } else { "" };
        return format!("{}{MASK}{line_end}", &line[..=end]);
    }
    let mut masked = String::with_capacity(line.len());
    let mut announced = false;
    for piece in line.split_inclusive(char::is_whitespace) {
        let word = piece.trim_end();
        if !word.is_empty() {
            let (shown, announces) = if announced { (MASK.to_owned(), false) } else { look(&without_login(word)) };
            masked += &shown;
            announced = announces;
        }
        masked += &piece[word.len()..];
    }
    masked
}

/// The word without its secret, and whether the next one is a secret.
fn look(word: &str) -> (String, bool) {
    let value_at = word.find(['=', ':']).map(|end| end + 1).filter(|begin| *begin < word.len());
    if let Some(begin) = value_at {
        let (name, value) = word.split_at(begin);
        let (shown, announces) = if is_secret(name) { (MASK.to_owned(), false) } else { look(value) };
        return (format!("{name}{shown}"), announces);
    }
    let bare = word.trim_matches(|c: char| !c.is_alphanumeric());
    let option = word.trim_start_matches(['"', '\'']).starts_with('-') || word.ends_with('=');
    let announces = (option && is_secret(bare)) || ANNOUNCING.iter().any(|known| bare.eq_ignore_ascii_case(known));
    (without_hex(word), announces)
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET.iter().any(|known| name.contains(known))
}

/// `scheme://user:password@host` without the password.
fn without_login(word: &str) -> String {
    let login = || {
        let begin = word.find("://")? + 3;
        let end = begin + word[begin..].find('@')?;
        let colon = begin + word[begin..end].find(':')?;
        Some(format!("{}:{MASK}{}", &word[..colon], &word[end..]))
    };
    login().unwrap_or_else(|| word.to_owned())
}

fn without_hex(word: &str) -> String {
    let mut shown = String::with_capacity(word.len());
    for piece in word.split_inclusive(|c: char| !c.is_ascii_hexdigit()) {
        let digits = piece.trim_end_matches(|c: char| !c.is_ascii_hexdigit());
        shown += if digits.len() >= LONG_HEX { MASK } else { digits };
        shown += &piece[digits.len()..];
    }
    shown
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn what_a_word_announces_as_a_secret_is_masked() {
        for (written, shown) in [
            ("RES_db=mysql password=hunter2 eth0\n", "RES_db=mysql password=*** eth0\n"),
            ("RES_db=--password hunter2 x\n", "RES_db=--password *** x\n"),
            ("RES_db=--password=hunter2 x", "RES_db=--password=*** x"),
            ("  login --api-token abc --port 7", "  login --api-token *** --port 7"),
            ("MY_KEY = \t abc", "MY_KEY =***"),
            ("#MY_KEY=abc def\n", "#MY_KEY=***\n"),
            ("'MY_KEY=abc': unknown key", "'MY_KEY=*** unknown key"),
            ("--token= abc", "--token=***"),
            ("#RES_x=DB_PASSWORD:hunter2", "#RES_x=DB_PASSWORD:***"),
            ("mount //srv password hunter2", "mount //srv password ***"),
            ("http://user:hunter2@host/x", "http://user:***@host/x"),
            ("id 0123456789abcdef0123456789ABCDEF.", "id ***."),
        ] {
            assert_eq!(text(written), shown, "{written}");
        }
    }

    #[test]
    fn what_is_no_secret_stays() {
        let config = "NODES=lb1 lb2\nAUTH=required\n# a new key: `pha-cli keygen`\nRES_ipaddr=192.168.42.20/24 eth0\n";
        assert_eq!(text(config), config);
        let log = "2026-11-21T09:43:07.405+00:00 INFO  pha-supervise[11592] ONLINE -> PROGRESS (stopping)\n";
        assert_eq!(text(log), log);
    }

    #[test]
    fn the_key_itself_is_masked_in_text_and_bars_anything_else() {
        let key = ["00ff00ff".to_owned()];
        let binary = [&[0xff, 0x00][..], b"00FF00ff"].concat();
        let mut parts = [
            Part::text("a.txt", "", "before 00ff00ff after".to_owned()),
            Part { name: "b".into(), remark: String::new(), content: Ok(binary) },
            Part { name: "c".into(), remark: String::new(), content: Ok(vec![0xff, 1]) },
        ];
        remove_key(&mut parts, &key);
        assert_eq!(parts[0].content.as_deref().unwrap(), b"before *** after");
        assert!(parts[1].content.is_err());
        assert!(parts[2].content.is_ok());
    }
}
