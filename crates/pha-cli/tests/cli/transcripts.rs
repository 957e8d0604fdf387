//! Plays the transcripts of `tests/cli/*.txt`.
//!
//! A transcript is what an operator would see. `# home: NAME` chooses a home with a status database as the daemons would
//! have left it, and `$ pha-cli …` runs a command there; `<` lines before it are piped into it. `# pair` makes two real
//! nodes, and `[lb1:Active] > …` is a line at the prompt of one: the player waits until the node's prompt is that, and
//! repeats what only shows something until it shows what is recorded. What follows up to the next command is its output
//! (standard output, then standard error), closed by `exit N` unless that is 0. `##` is a remark, `HOME` the home, `PID` a
//! process id, and `[..]` whatever differs. `SNAPSHOTS=overwrite cargo test -p pha-cli` records what really came.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::thread::sleep;
use std::time::{Duration, Instant};

use snapbox::IntoData;

use crate::homes::FakeHome;
use crate::pair::{Pair, said};
use crate::{PROGRAM, input_into};

/// A node shows by then what it is to show, on any machine.
const SOON: Duration = Duration::from_secs(20);

/// Commands that change nothing and may be repeated.
const DISPLAYS: [&str; 6] = ["stat", "status", "explain", "res", "res list", "history"];

/// Plays a transcript and compares it with what was recorded.
fn play(name: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/cli").join(name);
    let script = fs::read_to_string(&path).unwrap();
    let lines: Vec<_> = script.lines().collect();
    let mut home = FakeHome::empty();
    let mut pair = None;
    let mut input = String::new();
    let mut played = String::new();
    for (number, line) in lines.iter().enumerate() {
        if let Some(words) = line.strip_prefix("$ pha-cli") {
            played += &format!("{line}\n{}", run(&home, words, &std::mem::take(&mut input)));
        } else if let Some((node, state, words)) = prompt(line) {
            let end =
                lines[number + 1..].iter().position(|line| is_directive(line)).map_or(lines.len(), |n| number + 1 + n);
            let recorded = lines[number..end].join("\n");
            played += &at_the_prompt(pair.get_or_insert_with(Pair::new), node, state, words, &recorded);
        } else if line.starts_with("# home: ") || *line == "# pair" {
            match line.strip_prefix("# home: ") {
                Some(name) => home = FakeHome::named(name),
                None => pair = Some(Pair::new()),
            }
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

fn is_directive(line: &str) -> bool {
    line.starts_with("$ pha-cli") || line.starts_with('#') || line.starts_with("< ") || prompt(line).is_some()
}

/// Node, state and words of `[lb1:Active] > words`.
fn prompt(line: &str) -> Option<(&str, &str, &str)> {
    let (inside, words) = line.strip_prefix('[')?.split_once("] > ")?;
    let (node, state) = inside.split_once(':')?;
    Some((node, state, words))
}

/// A line at the prompt of a real node and its output.
fn at_the_prompt(pair: &Pair, node: &str, state: &str, words: &str, recorded: &str) -> String {
    let begin = Instant::now();
    loop {
        let late = begin.elapsed() > SOON;
        let shown = pair.state(node);
        if shown == state || late {
            let output = shape(&pair.cli(node, words, ""), pair.root());
            let played = format!("[{node}:{shown}] > {words}\n{output}");
            if late || !DISPLAYS.contains(&words) || is_like(&played, recorded) {
                return played;
            }
        }
        sleep(Duration::from_millis(20));
    }
}

fn is_like(played: &str, recorded: &str) -> bool {
    let recorded = recorded.trim_end().to_owned() + "\n";
    snapbox::Assert::new().try_eq(None, played.into_data(), recorded.into_data()).is_ok()
}

/// A command in a home and its output.
fn run(home: &FakeHome, words: &str, input: &str) -> String {
    let mut command = Command::new(PROGRAM);
    command.args(words.split_whitespace()).env("PHA_HOME", home.root()).env("PHA_NODE", "lb1");
    shape(&input_into(&mut command, input), home.root())
}

/// The output of one command as a transcript shows it, without what differs from run to run.
fn shape(output: &Output, root: &Path) -> String {
    let mut text = said(output).replace(&root.display().to_string(), "HOME");
    if !output.status.success() {
        text += &format!("exit {}\n", output.status.code().unwrap());
    }
    text.lines().map(|line| without_pid(line) + "\n").collect()
}

/// `sender:         16468` with PID for a number that is not 0.
fn without_pid(line: &str) -> String {
    match line.split_once(":  ") {
        Some(("sender" | "receiver" | "supervise", pid)) if pid.trim().parse().is_ok_and(|pid: u32| pid > 0) => {
            line.replace(pid.trim(), "PID")
        }
        _ => line.to_owned(),
    }
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

transcripts! { state why what_if switching resources maintenance configuration usage broken session }
