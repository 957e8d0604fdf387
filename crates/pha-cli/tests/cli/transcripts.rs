//! Plays the transcripts of `tests/cli/*.txt` against homes made for them.
//!
//! A transcript is what an operator would see: `$ pha-cli …` runs a command in the home that the last `# home: NAME` line
//! chose, `<` lines before it are piped into it, and what follows up to the next command is its output (standard output,
//! then standard error), closed by `exit N` unless that is 0. `##` is a remark, `HOME` the home, `PID` a process id, and
//! `[..]` whatever differs. `SNAPSHOTS=overwrite cargo test -p pha-cli` records what really came.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::PROGRAM;
use crate::homes::FakeHome;

/// Plays a transcript and compares it with what was recorded.
fn play(name: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/cli").join(name);
    let script = fs::read_to_string(&path).unwrap();
    let mut home = FakeHome::empty();
    let mut input = String::new();
    let mut played = String::new();
    for line in script.lines() {
        if let Some(words) = line.strip_prefix("$ pha-cli") {
            played += &format!("{line}\n{}", run(&home, words, &std::mem::take(&mut input)));
        } else if let Some(chosen) = line.strip_prefix("# home: ") {
            home = FakeHome::named(chosen);
            played += &format!("{}{line}\n", if played.is_empty() { "" } else { "\n" });
        } else if let Some(typed) = line.strip_prefix("< ") {
            input += &format!("{typed}\n");
            played += &format!("{line}\n");
        } else if line.starts_with("## ") {
            played += &format!("{line}\n");
        }
    }
    let recorded = snapbox::Data::read_from(&path, Some(snapbox::data::DataFormat::Text));
    snapbox::Assert::new().action_env("SNAPSHOTS").eq(played, recorded);
}

/// The output of one command as a transcript shows it.
fn run(home: &FakeHome, words: &str, input: &str) -> String {
    let mut child = Command::new(PROGRAM)
        .args(words.split_whitespace())
        .env("PHA_HOME", home.root())
        .env("PHA_NODE", "lb1")
        .env("USER", "operator")
        .env_remove("SUDO_USER")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let mut text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    if !output.status.success() {
        text += &format!("exit {}\n", output.status.code().unwrap());
    }
    // What differs from run to run.
    text.replace(&home.root().display().to_string(), "HOME").replace(&format!(" {}\n", std::process::id()), " PID\n")
}

macro_rules! transcripts {
    ($($name:ident)*) => {
        const PLAYED: &[&str] = &[$(concat!(stringify!($name), ".txt")),*];
        $(
        #[test]
        fn $name() {
            play(concat!(stringify!($name), ".txt"));
        }
    )*};
}

#[test]
fn every_recorded_transcript_is_played() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/cli");
    for entry in fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(PLAYED.contains(&name.as_str()), "{name} is not in the list below");
    }
}

transcripts! { state why switching resources maintenance configuration usage broken }
