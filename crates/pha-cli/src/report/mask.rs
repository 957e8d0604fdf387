//! Removes what may be a secret from text: the values of words like `password`, and long hexadecimal numbers.
//!
//! It masks rather too much: a report without a harmless word is still a report. It knows words, not programs: a secret
//! that stands in an agent's arguments without any such word before it is not found.

use super::parts::Part;

const MASK: &str = "***";

/// A word whose name contains one of these has a secret for its value.
const SECRET: [&str; 10] =
    ["pass", "pwd", "secret", "token", "credential", "key", "psk", "auth", "bearer", "community"];

/// A word whose last part is one of these announces a secret by itself: `DB_PASSWORD x`, `password x`. `key` and `token` are
/// too common: they do so as an option or before `=` and `:`.
const ANNOUNCING: [&str; 11] = [
    "password",
    "passwd",
    "passphrase",
    "pass",
    "pwd",
    "secret",
    "credentials",
    "apikey",
    "psk",
    "bearer",
    "community",
];

/// What may stand between an announcing word and its secret.
const BETWEEN: [&str; 12] = ["=", ":", ":=", "==", "=>", "->", "is", "is:", "was", "basic", "bearer", "digest"];

/// What opens and closes a quotation; the first two stand in quoted text.
const QUOTES: [&str; 5] = ["\\\"", "\\'", "\"", "'", "`"];

/// Values of `AUTH` in `etc/config`: no secret.
const AUTH: [&str; 4] = ["auth=auto", "auth=rollout", "auth=required", "auth=off"];

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
    let (text, line_end) = line.strip_suffix('\n').map_or((line, ""), |text| (text, "\n"));
    let name_end = text.find('=').filter(|end| is_name(text[..*end].trim_start_matches('#').trim()));
    if let Some(end) = name_end.filter(|end| is_secret(&text[..*end]) && !text[end + 1..].trim().is_empty())
        && !is_harmless(text)
    {
        return format!("{}{MASK}{line_end}", &text[..=end]);
    }
    words(text) + line_end
}

fn words(mut rest: &str) -> String {
    let mut masked = String::with_capacity(rest.len());
    let mut announced = false;
    while !rest.is_empty() {
        let (blanks, from_word) = rest.split_at(rest.len() - rest.trim_start().len());
        masked += blanks;
        rest = from_word;
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let word = &rest[..end];
        let between = announced && BETWEEN.iter().any(|known| word.eq_ignore_ascii_case(known));
        let value_at = if announced { Some(0) } else { value_at(word) };
        if let Some(at) = value_at.filter(|_| !between && !word.is_empty()) {
            let (shown, taken) = without_value(rest, at, end);
            masked += &shown;
            rest = &rest[taken..];
            announced = false;
        } else {
            masked += &without_hex(&without_login(word));
            announced = between || announces(word);
            rest = &rest[end..];
        }
    }
    masked
}

/// Where in the word a secret begins: `password=x`, `'token:x`, `-px`.
fn value_at(word: &str) -> Option<usize> {
    let bare = word.trim_start_matches(['"', '\'', '`']);
    if bare.starts_with("-p") && bare.len() > 2 {
        return Some(word.len() - bare.len() + 2);
    }
    let mut begin = 0;
    for (at, _) in word.match_indices(['=', ':']) {
        if is_secret(&word[begin..at]) && at + 1 < word.len() && !is_harmless(&word[begin..]) {
            return Some(at + 1);
        }
        begin = at + 1;
    }
    None
}

/// The next word is a secret.
fn announces(word: &str) -> bool {
    let bare = word.trim_matches(|c: char| !c.is_alphanumeric());
    let unquoted = word.trim_matches(['"', '\'', '`', '\\']);
    let option = unquoted.starts_with('-') || unquoted.ends_with('=') || word.ends_with('=');
    let label = word.ends_with(':') && !bare.contains('/');
    let bare = bare.to_ascii_lowercase();
    let named = |known: &str| bare.strip_suffix(known).is_some_and(|prefix| !prefix.ends_with(char::is_alphanumeric));
    unquoted == "-p" || ((option || label) && is_secret(&bare)) || ANNOUNCING.iter().any(|known| named(known))
}

/// What of `text` is shown if a secret begins at `at`, in a word that ends at `end`, and how much of it that stands for: to
/// the end of the quotation that the secret or its word opens, or of the text if nothing closes it.
fn without_value(text: &str, at: usize, end: usize) -> (String, usize) {
    let (name, value) = text.split_at(at);
    let name = without_hex(&without_login(name));
    let opened = |text: &str| QUOTES.into_iter().find(|quote| text.starts_with(quote));
    if let Some(quote) = opened(value) {
        let Some(close) = closing(&value[quote.len()..], quote) else {
            return (format!("{name}{quote}{MASK}"), text.len());
        };
        let after = at + 2 * quote.len() + close;
        let end = text[after..].find(char::is_whitespace).map_or(text.len(), |end| after + end);
        // What follows at once belongs to the secret, unless it is punctuation.
        let tail = Some(&text[after..end]).filter(|tail| !tail.contains(char::is_alphanumeric)).unwrap_or_default();
        return (format!("{name}{quote}{MASK}{quote}{tail}"), end);
    }
    let around = opened(text).filter(|quote| closing(&text[quote.len()..at.max(quote.len())], quote).is_none());
    if let Some(close) = around.filter(|_| at > 0).and_then(|quote| closing(value, quote)) {
        return (format!("{name}{MASK}"), at + close);
    }
    let word = &text[..end];
    let tail = if word.ends_with("\",") { "\"," } else { &word[word.trim_end_matches('"').len()..] };
    (format!("{name}{MASK}{tail}"), end)
}

/// Where `quote` closes what it opened.
fn closing(text: &str, quote: &str) -> Option<usize> {
    let mut found = text.match_indices(quote).map(|(at, _)| at);
    found.find(|at| quote.starts_with('\\') || !text[..*at].ends_with('\\'))
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

fn is_secret(name: &str) -> bool {
    // What is authentic, or was authenticated, is no secret.
    let name = name.to_ascii_lowercase().replace("authentic", "");
    SECRET.iter().any(|known| name.contains(known))
}

fn is_harmless(setting: &str) -> bool {
    AUTH.contains(&setting.trim_matches(|c: char| !c.is_alphanumeric()).to_ascii_lowercase().as_str())
}

/// `scheme://user:password@host` without the password.
fn without_login(word: &str) -> String {
    let login = || {
        let begin = word.find("://")? + 3;
        let path = word[begin..].find('/').map_or(word.len(), |path| begin + path);
        // A password may hold an '@', and if it has to be a '/'.
        let end = begin + word[begin..path].rfind('@').or_else(|| word[begin..].rfind('@'))?;
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
            ("'MY_KEY=abc': unknown key", "'MY_KEY=***': unknown key"),
            ("--token= abc", "--token=***"),
            ("#RES_x=DB_PASSWORD:hunter2", "#RES_x=DB_PASSWORD:***"),
            ("mount //srv password hunter2", "mount //srv password ***"),
            ("http://user:hunter2@host/x", "http://user:***@host/x"),
            ("http://user:p@ss@host/x", "http://user:***@host/x"),
            ("http://user:p/ss@host/x", "http://user:***@host/x"),
            ("RES_db=x password = hunter2 eth0", "RES_db=x password = *** eth0"),
            ("INFO agent: password : hunter2", "INFO agent: password : ***"),
            ("INFO agent: password is: hunter2 now", "INFO agent: password is: *** now"),
            ("password is hunter2", "password is ***"),
            ("x pass=hunter2 psk=abc", "x pass=*** psk=***"),
            ("x token: abc y", "x token: *** y"),
            ("x api_key: abc y", "x api_key: *** y"),
            ("x Authorization: Bearer abc y", "x Authorization: Bearer *** y"),
            ("x Bearer abc", "x Bearer ***"),
            ("snmp community public", "snmp community ***"),
            ("mysql -uroot -phunter2 db", "mysql -uroot -p*** db"),
            ("sshpass -p hunter2 ssh", "sshpass -p *** ssh"),
            ("RES_db=x password 'two words' y", "RES_db=x password '***' y"),
            ("RES_db=x password=\"two words\"more y", "RES_db=x password=\"***\" y"),
            ("x \"--password=two words\" y", "x \"--password=***\" y"),
            ("x password 'never closed y\n", "x password '***\n"),
            ("  \"password\": \"two words\",", "  \"password\": \"***\","),
            ("\"last_error\": \"no: password = hunter2\",", "\"last_error\": \"no: password = ***\","),
            (r#""last_error": "password \"two words\" bad","#, r#""last_error": "password \"***\" bad","#),
            ("id 0123456789abcdef0123456789ABCDEF.", "id ***."),
        ] {
            assert_eq!(text(written), shown, "{written}");
        }
    }

    #[test]
    fn what_is_no_secret_stays() {
        let config =
            "NODES=lb1 lb2\nAUTH=required\n# a new key with `pha-cli keygen`\nRES_ipaddr=192.168.42.20/24 eth0\n";
        assert_eq!(text(config), config);
        let json = "      \"authentic\": true,\n";
        assert_eq!(text(json), json);
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
