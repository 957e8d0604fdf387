//! What the text says, and what a shell makes of it.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::process::Command;

use proptest::prelude::*;

use super::*;
use crate::record::tests::full_record;

/// Names and texts that break out of careless quoting.
const HOSTILE: [&str; 8] = [
    "it's",
    "'; touch owned; '",
    "$(touch owned)",
    "`touch owned`",
    "two\nlines\n--\ntouch owned",
    "\\'; touch owned #",
    "\"$HOME\" & ${IFS} | > owned \u{1b}[2J\r\0end",
    "'\\''; touch owned; '\\''",
];

/// Evaluates the readable part of a status file with `sh`, the way the documentation shows it, and returns `$name`.
fn evaluate(record: &Record, name: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("status.dat");
    fs::write(&file, crate::file::render(record).unwrap()).unwrap();
    let script = format!(
        "cd '{dir}' && sed '/^--$/,$d' status.dat >part && . ./part && printf '%s' \"${name}\" && rm part status.dat",
        dir = dir.path().display()
    );
    let output = Command::new("sh").arg("-euc").arg(&script).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "something was executed");
    String::from_utf8(output.stdout).unwrap()
}

fn shown(value: &str) -> String {
    value.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}

#[test]
fn the_documented_keys_come_first_in_their_order() {
    // P11, P14, P16, P44, P55
    let text = text(&full_record());
    let expected = [
        "NODE='lb1'",
        "ROLE='Active'",
        "STATUS='ONLINE'",
        "RECEIVER_IN='OFFLINE'",
        "SENDER_RUN='1'",
        "SUPERVISE='1'",
        "RES_ipaddr='UP'",
        "RES_service_web='DOWN'",
        "RES_test='UNKNOWN'",
    ];
    assert_eq!(text.lines().take(expected.len()).collect::<Vec<_>>(), expected);
    assert!(text.lines().any(|line| line == r"ERROR_service_web='can'\''t bind: $(reboot) `x`'"), "{text}");
    assert!(text.lines().any(|line| line == "PEER_2='alive OFFLINE'"), "{text}");
}

#[test]
fn before_the_first_start_everything_is_undefined_or_zero() {
    // P46, P47
    let text = text(&Record { node: "lb1".into(), ..Record::default() });
    let start =
        "NODE='lb1'\nROLE='NOTRUNNING'\nSTATUS=''\nRECEIVER_IN=''\nSENDER_RUN='0'\nSUPERVISE='0'\nPHA_TERM=''\n";
    assert!(text.starts_with(start), "{text}");
    assert!(text.contains("SENDER_PID='0'\n") && text.contains("SUPERVISE_TICK='0'\n"), "{text}");
}

#[test]
fn a_shell_that_evaluates_the_text_executes_nothing_and_sees_the_values() {
    for value in HOSTILE {
        let mut record = full_record();
        record.node = value.to_owned();
        record.operator.wishes.held = vec![value.to_owned()];
        let report = record.supervise.report.as_mut().unwrap();
        report.resources[0].name = value.to_owned();
        report.resources[1].last_error = Some(value.to_owned());
        assert_eq!(evaluate(&record, "NODE"), shown(value));
        assert_eq!(evaluate(&record, "HELD"), shown(value));
        assert_eq!(evaluate(&record, "ERROR_service_web"), shown(value));
        assert_eq!(evaluate(&record, &format!("RES_{}", shell_name(value))), "UP");
    }
}

#[test]
fn the_terminal_s_own_variable_is_left_alone() {
    // P56: the helper for the shell's prompt evaluates these lines in the operator's own shell.
    for name in ["TERM", "HOME", "PATH", "USER", "HOSTNAME", "IFS", "PS1", "LINES", "COLUMNS", "SECONDS"] {
        assert!(!text(&full_record()).lines().any(|line| line.starts_with(&format!("{name}="))), "{name}");
    }
}

#[test]
fn a_long_value_is_cut() {
    assert_eq!(quoted(&"ä".repeat(5000)).chars().count(), VALUE_LIMIT + 2);
}

proptest! {
    #[test]
    fn every_line_is_a_name_and_one_quoted_word(node in any::<String>(), resource in any::<String>(), error: String) {
        let mut record = full_record();
        record.node = node;
        let report = record.supervise.report.as_mut().unwrap();
        report.resources[0].name = resource;
        report.resources[0].last_error = Some(error);
        for line in text(&record).lines() {
            let (name, word) = line.split_once('=').unwrap();
            prop_assert!(name.chars().all(|character| character.is_ascii_alphanumeric() || character == '_'));
            let inner = word.strip_prefix('\'').and_then(|word| word.strip_suffix('\'')).unwrap();
            prop_assert!(!inner.replace(r"'\''", "").contains('\''), "{}", line);
        }
    }
}
