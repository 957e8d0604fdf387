//! The prompt and `watch` on a pseudo-terminal, which `script` of util-linux provides.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::PROGRAM;
use crate::homes::FakeHome;
use crate::pair::Pair;
use pha_core::{Reason, Role, Word};

fn script_is_missing() -> bool {
    let missing = Command::new("script").arg("--version").output().is_err();
    if missing {
        eprintln!("skipped: a pseudo-terminal needs `script` of util-linux");
    }
    missing
}

/// `pha-cli words` on a terminal; its history stays in the test's home. It takes the shell's place: some shells between it
/// and `script` would die of the same Ctrl-C and tell their own exit code.
fn on_a_terminal(home: &Path, words: &str) -> Child {
    let command = format!("exec {PROGRAM} --home {} --node lb1 {words}", home.display());
    Command::new("script")
        .args(["-qec", &command, "/dev/null"])
        .env("HOME", home)
        .env("TERM", "xterm")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Types each text as soon as the screen shows what it waits for; returns all that was shown and the exit code.
fn converse(mut child: Child, steps: &[(&str, &str)]) -> (String, Option<i32>) {
    let mut keyboard = child.stdin.take().unwrap();
    let mut screen = child.stdout.take().unwrap();
    let mut shown = String::new();
    let mut seen = 0;
    for (awaited, typed) in steps {
        while !shown[seen..].contains(awaited) {
            let mut bytes = [0; 4096];
            let count = std::io::Read::read(&mut screen, &mut bytes).unwrap();
            assert!(count > 0, "'{awaited}' did not come: {shown}");
            shown += &String::from_utf8_lossy(&bytes[..count]);
        }
        seen += shown[seen..].find(awaited).unwrap() + awaited.len();
        keyboard.write_all(typed.as_bytes()).unwrap();
    }
    let mut rest = Vec::new();
    std::io::Read::read_to_end(&mut screen, &mut rest).unwrap();
    let code = child.wait().unwrap().code();
    (shown + &String::from_utf8_lossy(&rest), code)
}

/// P43–P46: the prompt shows the state anew for every line.
#[test]
fn the_prompt_shows_node_and_state_and_ctrl_c_leaves_the_line() {
    if script_is_missing() {
        return;
    }
    let home = FakeHome::named("standby");
    let child = on_a_terminal(home.root(), "");
    let steps = [
        ("[lb1:Standby] > ", "maintenan\x03"),
        ("[lb1:Standby] > ", "maintenance on\r"),
        ("[lb1:Standby] > ", "maintenance\r"),
        ("maintenance is on", ""),
        ("[lb1:Standby] > ", "xyzzy\r"),
        ("unknown command 'xyzzy'", ""),
        ("[lb1:Standby] > ", "q\r"),
    ];
    let (shown, code) = converse(child, &steps);
    assert_eq!(code, Some(0), "{shown}");
    let history = std::fs::read_to_string(home.root().join(".pha_history")).unwrap();
    assert!(history.contains("maintenance on\n"), "{history}");
}

/// P46.
#[test]
fn ctrl_d_leaves_and_tab_completes() {
    if script_is_missing() {
        return;
    }
    let home = FakeHome::named("never-started");
    let steps = [("[lb1:NOTRUNNING] > ", "mai\t\r"), ("maintenance is off", ""), ("[lb1:NOTRUNNING] > ", "\x04")];
    let (shown, code) = converse(on_a_terminal(home.root(), ""), &steps);
    assert_eq!(code, Some(0), "{shown}");
}

/// What is typed or pasted while a command runs is not lost.
#[test]
fn lines_typed_ahead_and_pasted_lines_run_one_after_the_other() {
    if script_is_missing() {
        return;
    }
    let home = FakeHome::named("never-started");
    let steps = [
        ("[lb1:NOTRUNNING] > ", "maintenance on\rmaintenance\r"),
        ("maintenance is on", "\x1b[200~maintenance off\nmaintenance\x1b[201~\r"),
        ("maintenance is off", ""),
        ("[lb1:NOTRUNNING] > ", "\x04"),
    ];
    let (shown, code) = converse(on_a_terminal(home.root(), ""), &steps);
    assert_eq!(code, Some(0), "{shown}");
}

/// P75.
#[test]
fn daemons_survive_ctrl_c_and_the_end_of_their_terminal() {
    if script_is_missing() {
        return;
    }
    let pair = Pair::new();
    let steps = [("[lb1:NOTRUNNING] > ", "start\r"), ("[lb1:Standby] > ", "\x03\x03"), ("[lb1:", "\x04")];
    let (shown, _) = converse(on_a_terminal(&pair.home("lb1"), ""), &steps);
    assert_eq!(pair.running("lb1").len(), 3, "{shown}");
}

#[test]
fn status_on_a_terminal_is_a_table() {
    if script_is_missing() {
        return;
    }
    let home = FakeHome::named("active");
    let (shown, _) = converse(on_a_terminal(home.root(), "status"), &[]);
    assert!(shown.starts_with("lb1: Active, ONLINE for 0 ms: active") && !shown.contains("$VAR1"), "{shown}");
}

#[test]
fn watch_on_a_terminal_leaves_it_as_it_was() {
    if script_is_missing() {
        return;
    }
    let home = FakeHome::named("active");
    let (shown, code) = converse(on_a_terminal(home.root(), "watch"), &[("lb1: Active", "\x03")]);
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("\x1b[?1049h") && shown.trim_end().ends_with("\x1b[?25h\x1b[?1049l"), "{shown:?}");
}

#[test]
fn watch_in_a_pipe_prints_every_change() {
    let home = FakeHome::named("active");
    let mut child = Command::new(PROGRAM)
        .args(["--node", "lb1", "watch"])
        .env("PHA_HOME", home.root())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.contains("'STATUS' => 'ONLINE'")));
    thread::sleep(Duration::from_millis(20));
    home.decide(Role::Standby, Word::Offline { clean: true }, Reason::Operator);
    assert!(lines.any(|line| line.contains("'STATUS' => 'OFFLINE'")));
    Command::new("sh").args(["-c", &format!("kill -INT {}", child.id())]).status().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
