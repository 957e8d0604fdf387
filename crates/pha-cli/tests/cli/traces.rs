//! Traces of real daemons, played again; and what `report` makes of them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use pha_status::Database;
use serde_json::Value;
use tempfile::TempDir;

use crate::homes::FakeHome;
use crate::pair::{Pair, await_that, said};
use crate::{PROGRAM, input_into, text};

/// `pha-cli words` in `folder`, where there is no installation.
fn elsewhere(folder: &Path, words: &[&str]) -> Output {
    let mut command = Command::new(PROGRAM);
    command.args(words).current_dir(folder).env("PHA_HOME", folder.join("nowhere")).env_remove("PHA_NODE");
    input_into(&mut command, "")
}

/// The traces of a node, by their paths.
fn traces(pair: &Pair, node: &str) -> Vec<String> {
    let entries = fs::read_dir(pair.home(node).join("var/log")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path().display().to_string());
    let mut paths: Vec<_> = paths.filter(|path| path.contains(".trace")).collect();
    paths.sort();
    paths
}

/// The lines of `replay --json`.
fn replayed(folder: &Path, files: &[String]) -> Vec<Value> {
    let words: Vec<_> = ["replay", "--json"].into_iter().chain(files.iter().map(String::as_str)).collect();
    let output = elsewhere(folder, &words);
    assert!(output.status.success(), "{}", said(&output));
    text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn of_kind<'a>(lines: &'a [Value], program: &str, kind: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["program"] == program && line["kind"] == kind).collect()
}

/// What the status database remembers, in the words of a replay.
fn history(pair: &Pair, node: &str) -> Vec<(u64, String, String, String, String, u64)> {
    let record = Database::new(&pair.home(node).join("var"), node).read().unwrap();
    let history = record.supervise.report.unwrap().history;
    let entry = |step: pha_core::report::Transition| {
        let (from, to, role) = (step.from.to_string(), step.to.to_string(), step.role.to_string());
        (step.at.as_nanos(), from, to, role, step.reason.to_string(), step.term.value())
    };
    history.into_iter().map(entry).collect()
}

fn transitions(lines: &[Value]) -> Vec<(u64, String, String, String, String, u64)> {
    let word = |line: &Value, name: &str| line[name].as_str().unwrap().to_owned();
    of_kind(lines, "supervise", "transition")
        .into_iter()
        .map(|line| {
            let (from, to, role) = (word(line, "from"), word(line, "to"), word(line, "role"));
            (line["boot_ns"].as_u64().unwrap(), from, to, role, word(line, "reason"), line["term"].as_u64().unwrap())
        })
        .collect()
}

/// The last entry of each trace is the machine's state, and the replay says so only if it has come to the very same.
#[test]
fn a_replay_decides_as_the_daemons_did_and_arrives_at_their_states() {
    let pair = Pair::new();
    for (node, state) in [("lb1", "Active"), ("lb2", "Standby")] {
        assert!(pair.cli(node, "start", "").status.success());
        pair.await_state(node, state);
    }
    await_that("lb1 hears lb2", || pair.hears_its_peer("lb1"));
    // Refused until lb2 has said that it is willing.
    await_that("lb1 hands over", || pair.cli("lb1", "offline", "").status.success());
    pair.await_state("lb2", "Active");
    // The wish moves, and a configuration that was read again is an input too.
    assert!(pair.cli("lb1", "reload", "").status.success());
    assert!(pair.cli("lb1", "online", "").status.success());
    pair.await_state("lb1", "Standby");
    assert!(pair.cli("lb2", "res stop service", "").status.success());
    for node in ["lb1", "lb2"] {
        assert!(pair.cli(node, "stop", "").status.success());
    }
    let folder = tempfile::tempdir().unwrap();
    for node in ["lb1", "lb2"] {
        let lines = replayed(folder.path(), &traces(&pair, node));
        assert_eq!(transitions(&lines), history(&pair, node), "{node}");
        for program in ["sender", "receiver", "supervise"] {
            assert_eq!(of_kind(&lines, program, "end").len(), 1, "{node} {program}");
            assert_eq!(of_kind(&lines, program, "differs"), Vec::<&Value>::new(), "{node}");
        }
        assert!(of_kind(&lines, "supervise", "decision").iter().all(|line| line["reason"].is_string()));
    }
    let both: Vec<_> = ["lb1", "lb2"].iter().flat_map(|node| traces(&pair, node)).collect();
    let told = elsewhere(
        folder.path(),
        &both.iter().map(String::as_str).fold(vec!["replay"], |mut words, path| {
            words.push(path);
            words
        }),
    );
    let told = text(&told.stdout);
    let [wish, stop, start] = [
        "lb1 supervise the operator wishes: offline",
        "lb1 supervise run stop ipaddr: operator",
        "lb2 supervise run start service: peer left",
    ]
    .map(|line| told.find(line).unwrap_or_else(|| panic!("{line} in {told}")));
    assert!(wish < stop && stop < start, "{told}");
}

#[test]
fn the_trace_of_a_killed_daemon_is_there_after_its_restart_and_a_torn_end_is_told() {
    let pair = Pair::new();
    assert!(pair.cli("lb1", "start", "").status.success());
    pair.await_state("lb1", "Active");
    let folder = tempfile::tempdir().unwrap();
    let trace = pair.home("lb1").join("var/log/supervise.trace").display().to_string();
    // The status database is written before the turn of the loop ends, the trace at its end.
    let is_there = |lines: &[Value]| transitions(lines).pop().is_some_and(|last| last.2 == "ONLINE");
    await_that("the trace has it", || is_there(&replayed(folder.path(), std::slice::from_ref(&trace))));
    let pid = pair.running("lb1")[2].to_string();
    assert!(Command::new("kill").args(["-9", &pid]).status().unwrap().success());
    await_that("supervise is gone", || pair.running("lb1").len() == 2);
    assert!(pair.cli("lb1", "su_start", "").status.success());
    let crashed = pair.home("lb1").join("var/log/supervise.trace.1");
    let lines = replayed(folder.path(), &[crashed.display().to_string()]);
    let last = transitions(&lines).pop().unwrap();
    assert_eq!((last.2.as_str(), last.3.as_str()), ("ONLINE", "Active"));
    let bytes = fs::read(&crashed).unwrap();
    let torn = folder.path().join("torn.trace");
    fs::write(&torn, &bytes[..bytes.len() - 3]).unwrap();
    let lines = replayed(folder.path(), &[torn.display().to_string()]);
    assert_eq!(of_kind(&lines, "supervise", "torn").len(), 1);
    assert_eq!(transitions(&lines).pop().unwrap(), last);
}

#[test]
fn without_traces_nothing_is_written_and_replay_says_what_to_do() {
    let pair = Pair::new();
    let config = pair.home("lb1").join("etc/config");
    fs::write(&config, fs::read_to_string(&config).unwrap() + "TRACE_SIZE=0\n").unwrap();
    assert!(pair.cli("lb1", "start", "").status.success());
    assert_eq!(traces(&pair, "lb1"), Vec::<String>::new());
    let replay = pair.cli("lb1", "replay", "");
    assert_eq!(replay.status.code(), Some(74));
    assert!(said(&replay).contains("TRACE_SIZE above 0"), "{}", said(&replay));
}

#[test]
fn a_file_that_cannot_be_played_is_named_with_a_remedy() {
    let folder = tempfile::tempdir().unwrap();
    for (name, content, expected) in [
        ("config", "NODES=lb1 lb2\n", "not a trace of pha: name a .trace or .trace.1 file of var/log"),
        ("new.trace", "#pha-trace 99 sender\nx", "a trace of version 99; this program plays version 1"),
        ("other.trace", "#pha-trace 1 quorum\nx", "a trace of a program that this pha does not have"),
        ("short.trace", "#pha-trace 1 sender\n", "the other file of this program (.trace or .trace.1) may be whole"),
    ] {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        let output = elsewhere(folder.path(), &["replay", name]);
        assert_eq!(output.status.code(), Some(74));
        let told = said(&output);
        assert!(told.starts_with(&format!("pha-cli: {name}: ")) && told.contains(expected), "{told}");
    }
    assert_eq!(elsewhere(folder.path(), &["replay", "missing"]).status.code(), Some(74));
}

/// A report on `home`, made in a folder of its own: the folder, what was printed, the archive.
fn report(home: &Path) -> (TempDir, String, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(PROGRAM);
    command.args(["report", "r.tar"]).current_dir(folder.path()).env("PHA_HOME", home).env("PHA_NODE", "lb1");
    let output = input_into(&mut command, "");
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let path = folder.path().join("r.tar");
    (folder, said(&output), path)
}

/// The members of an archive with their content.
fn members(archive: &Path) -> Vec<(String, Vec<u8>)> {
    let list = Command::new("tar").arg("-tf").arg(archive).output().unwrap();
    let content =
        |name: &str| Command::new("tar").arg("-xOf").args([archive, Path::new(name)]).output().unwrap().stdout;
    let names = text(&list.stdout);
    names.lines().map(|name| (name.rsplit('/').next().unwrap().to_owned(), content(name))).collect()
}

#[test]
fn a_report_of_a_running_node_is_whole_and_has_no_secret() {
    let pair = Pair::new();
    let config = pair.home("lb1").join("etc/config");
    fs::write(&config, fs::read_to_string(&config).unwrap() + "RES_db=mysql --password hunter2 token=hunter2\n")
        .unwrap();
    let agent = "#!/bin/sh\ncase $1 in check) exit 1 ;; esac\necho password=hunter2, password = hunter2\nexit 1\n";
    fs::write(pair.home("lb1").join("res/db"), agent).unwrap();
    fs::set_permissions(pair.home("lb1").join("res/db"), fs::Permissions::from_mode(0o755)).unwrap();
    assert!(pair.cli("lb1", "keygen", "").status.success());
    assert!(pair.cli("lb1", "start", "").status.success());
    await_that("the agent has said its secret", || {
        let log = fs::read_to_string(pair.home("lb1").join("var/log/supervise.log")).unwrap();
        log.contains("password=hunter2")
    });
    let key = fs::read_to_string(pair.home("lb1").join("etc/authkey")).unwrap();
    let key = key.lines().find(|line| !line.starts_with('#')).unwrap()[..64].to_owned();
    // Even if it has come into a log.
    let log = pair.home("lb1").join("var/log/sender.log");
    fs::write(&log, format!("{}the key is {key}\n", fs::read_to_string(&log).unwrap())).unwrap();
    let (_folder, told, archive) = report(&pair.home("lb1"));
    let bytes = fs::read(&archive).unwrap();
    assert!(!text(&bytes).to_lowercase().contains(&key));
    assert_eq!(fs::metadata(&archive).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(told.contains("not packed: authkey: the key is never packed"), "{told}");
    let members = members(&archive);
    let wanted = ["config", "check.txt", "stat.txt", "status.json", "explain.txt", "status.dat", "supervise.log"];
    for name in
        wanted.iter().chain(&["sender.trace", "receiver.trace", "supervise.trace", "system.txt", "contents.txt"])
    {
        assert!(members.iter().any(|(member, content)| member == name && !content.is_empty()), "{name} in {told}");
    }
    for (name, content) in &members {
        // What an agent printed is masked in text; a trace and the database have it as it was.
        let as_it_was = name.ends_with(".trace") || name == "status.dat";
        assert!(as_it_was || !text(content).contains("hunter2"), "{name}");
        let mut listed = told.lines().filter(|line| line.starts_with(&format!("{name} ")));
        assert!(!as_it_was || listed.all(|line| line.contains("NOT MASKED")), "{name} in {told}");
    }
    let contents = |name: &str| text(&members.iter().find(|(member, _)| member == name).unwrap().1);
    assert!(contents("contents.txt").contains("NOT MASKED"), "{}", contents("contents.txt"));
    assert!(serde_json::from_str::<Value>(&contents("status.json")).is_ok(), "{}", contents("status.json"));
    let lines = replayed(archive.parent().unwrap(), &["r.tar".to_owned()]);
    assert!(!of_kind(&lines, "supervise", "transition").is_empty());
}

#[test]
fn a_report_can_be_made_when_nothing_works() {
    for (name, missing) in [("corrupt", "stat.txt"), ("bad-config", "sender.trace"), ("never-started", "status.dat")] {
        let home = FakeHome::named(name);
        let (_folder, told, archive) = report(home.root());
        assert!(told.contains(&format!("not packed: {missing}: ")), "{name}: {told}");
        let members = members(&archive);
        for wanted in ["config", "check.txt", "system.txt", "contents.txt"] {
            assert!(members.iter().any(|(member, _)| member == wanted), "{name}: {wanted} in {told}");
        }
    }
}

#[test]
fn a_report_replaces_no_file() {
    let home = FakeHome::named("never-started");
    let file = home.root().join("mine");
    fs::write(&file, "mine").unwrap();
    let output = {
        let mut command = Command::new(PROGRAM);
        command.arg("report").arg(&file).env("PHA_HOME", home.root()).env("PHA_NODE", "lb1");
        input_into(&mut command, "")
    };
    assert_eq!(output.status.code(), Some(73));
    assert_eq!(fs::read_to_string(file).unwrap(), "mine");
}
