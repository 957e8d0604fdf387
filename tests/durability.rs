//! A program that ends in the middle of a write, before every system call there is: what readers see, what the next writer
//! finds, and whether what is to last was flushed before anybody could see it.
//!
//! `PHA_WRITE_GOLDEN=1 cargo test -p pha-lab --test durability` writes the list of docs/durability.md anew.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use anyhow::{Context, Result, ensure};
use pha_lab::world::{self, scenario};
use pha_lab::{LabOptions, command};
use pha_status::{Database, Durability, Patience, Record, SenderSection};
use pha_sys::tracee::{Call, end_at_every_call};

const DURABILITY: &str = "PHA_TEST_DURABILITY";
const PLACE: &str = "PHA_TEST_PLACE";
const MEMORY: &str = "PHA_TEST_MEMORY";

const DOCUMENT: &str = "docs/durability.md";

fn database(dir: &Path, memory: Option<&Path>) -> Database {
    let database = Database::new(dir, "lb1");
    memory.into_iter().fold(database, |database, memory| database.remembering(memory))
}

fn update(database: &Database, durability: Durability, incarnation: u64) -> Result<Record> {
    let change = |sender: &mut SenderSection| sender.incarnation = incarnation;
    let updated = database.update(durability, Patience::Daemon, change)?;
    ensure!(!updated.without_lock, "the lock is not free");
    Ok(updated.record)
}

#[test]
#[ignore = "the part of the process that is ended"]
fn one_update() {
    let Some(place) = env::var_os(PLACE) else { return };
    let durability = if env::var_os(DURABILITY).is_some() { Durability::Lasting } else { Durability::Volatile };
    let memory = env::var_os(MEMORY).map(PathBuf::from);
    update(&database(Path::new(&place), memory.as_deref()), durability, 2).unwrap();
    // What the test harness does afterwards is no part of it.
    std::process::exit(0);
}

/// A program that updates a database, and how that database is before.
struct Writer<'a> {
    dir: &'a Path,
    memory: Option<&'a Path>,
    durability: Durability,
    /// What an earlier update has left, of which program ever; or nothing.
    before: Option<&'a str>,
}

impl Writer<'_> {
    fn database(&self) -> Database {
        database(self.dir, self.memory)
    }

    fn program(&self) -> Command {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", "one_update", "--ignored", "--test-threads=1"]).env(PLACE, self.dir);
        if let Some(memory) = self.memory {
            command.env(MEMORY, memory);
        }
        if self.durability == Durability::Lasting {
            command.env(DURABILITY, "1");
        }
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command
    }

    /// As before the update: incarnation 1, or a file that is bad, or nothing.
    fn prepare(&self) {
        for dir in [Some(self.dir), self.memory].into_iter().flatten() {
            for file in fs::read_dir(dir).unwrap().flatten().filter(|file| file.file_name() != "fill") {
                fs::remove_file(file.path()).unwrap();
            }
        }
        match self.before {
            Some("") => drop(update(&self.database(), Durability::Lasting, 1).unwrap()),
            Some(bad) => fs::write(self.database().path(), bad).unwrap(),
            None => {}
        }
    }

    /// Ends the program before each of its calls. `incarnation 2` is the new state, and `old` whatever was before.
    fn end_everywhere(&self, old: u64) -> Result<Vec<Call>> {
        let mut shown = None;
        let command = || {
            self.prepare();
            self.program()
        };
        let calls = end_at_every_call(self.dir, command, |calls| {
            let seen =
                self.judge(calls, old).unwrap_or_else(|error| panic!("{error:#}, ended before {:?}", calls.last()));
            assert!(shown.is_none() || seen, "the new state was there, and is gone: {:?}", calls.last());
            shown = shown.or(seen.then_some(calls.len()));
        })?;
        ensure!(shown.is_some_and(|shown| shown > 1) && calls.len() > 10, "{shown:?} of {} calls", calls.len());
        println!("{} calls; what is new is seen from number {} on", calls.len(), shown.unwrap_or_default());
        Ok(calls)
    }

    /// Whether a reader sees the new state. It sees one of the two, whole, and the next writer goes on from there.
    fn judge(&self, calls: &[Call], old: u64) -> Result<bool> {
        let damaged = self.before.is_some_and(|before| !before.is_empty());
        let seen = match self.database().read() {
            Ok(record) => record.sender.incarnation,
            Err(error) => {
                ensure!(damaged, "{error}");
                old
            }
        };
        ensure!(seen == 2 || seen == old, "incarnation {seen}");
        let head = fs::read(self.database().path());
        ensure!(self.before.is_none() || head.is_ok(), "there is no file");
        let next = update(&self.database(), Durability::Lasting, 3).context("the next writer")?;
        ensure!(next.sender.incarnation == 3 && next.sender.pid == 0);
        for dir in [Some(self.dir), self.memory].into_iter().flatten() {
            let left = fs::read_dir(dir)?.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
            let left: Vec<String> = left.filter(|name| name.ends_with(".tmp")).collect();
            ensure!(left.is_empty(), "{left:?} is left, {} calls", calls.len());
        }
        Ok(seen == 2)
    }
}

/// What a file is called in the document.
fn name(file: &Path) -> String {
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let parts: Vec<&str> = name.split('.').collect();
    let part = |part: &&str| match part {
        number if !number.is_empty() && number.chars().all(|c| c.is_ascii_digit()) => "PID".to_owned(),
        time if time.starts_with("bad-") => "bad-TIME".to_owned(),
        other => (*other).to_owned(),
    };
    // The microseconds of the time, and the letter behind them.
    let shown = parts.iter().filter(|part| !(part.len() == 7 && part.ends_with('Z')));
    shown.map(part).collect::<Vec<_>>().join(".")
}

/// What of the calls changes files of `dirs`, one line each. A directory is called by what it is.
fn changes(calls: &[Call], dirs: &[(&Path, &str)]) -> Vec<String> {
    let file = |file: &PathBuf| {
        let (dir, called) = dirs.iter().find(|(dir, _)| file.starts_with(dir))?;
        Some(if file == dir { format!("{called}.") } else { format!("{called}{}", name(file)) })
    };
    let line = |call: &Call| {
        let deed = call.deed.filter(|deed| deed.is_change())?;
        let files: Option<Vec<String>> = call.files.iter().map(file).collect();
        let files = files.filter(|files| !files.is_empty())?;
        Some(format!("{} {}", format!("{deed:?}").to_lowercase(), files.join(" ")))
    };
    calls.iter().filter_map(line).collect()
}

/// Every file that gets a name that somebody reads was flushed after it was written, and the name itself is flushed.
fn ensure_lasting(changes: &[String], directory: &str) -> Result<()> {
    let moved = |line: &String| {
        Some(line.strip_prefix("rename ").or(line.strip_prefix("swap "))?.split(' ').next()?.to_owned())
    };
    let last = changes.iter().rposition(|line| moved(line).is_some()).context("nothing takes its place")?;
    let file = moved(&changes[last]).unwrap();
    let (before, after) = changes.split_at(last);
    let at = |wanted: String| before.iter().rposition(|line| *line == wanted);
    let flushed = at(format!("flush {file}")).with_context(|| format!("{file} is not flushed: {changes:?}"))?;
    ensure!(at(format!("write {file}")).is_some_and(|written| written < flushed), "{changes:?}");
    ensure!(after.contains(&format!("flush {directory}")), "the name may be lost: {changes:?}");
    Ok(())
}

fn is_traceable(test: &str) -> bool {
    let traced = end_at_every_call(Path::new("/none"), || Command::new("true"), |_| {});
    if let Err(error) = &traced {
        world::skip(test, &format!("no program can be traced here: {error}"));
    }
    traced.is_ok()
}

/// Compares a list of the document with what the program did, or writes it there.
fn compare(title: &str, changes: &[String]) {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _held = ONE_AT_A_TIME.lock();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(DOCUMENT);
    let document = fs::read_to_string(&path).expect("the document is there");
    let (begin, end) = (format!("<!-- {title} -->\n```\n"), format!("```\n<!-- /{title} -->"));
    let (before, rest) = document.split_once(&begin).unwrap_or_else(|| panic!("{DOCUMENT} has no block {title}"));
    let (listed, after) = rest.split_once(&end).unwrap_or_else(|| panic!("block {title} has no end"));
    let found: String = changes.iter().map(|line| format!("{line}\n")).collect();
    if env::var_os("PHA_WRITE_GOLDEN").is_some() {
        fs::write(&path, format!("{before}{begin}{found}{end}{after}")).unwrap();
        return;
    }
    assert_eq!(listed, found, "{DOCUMENT}, {title}, on the left; PHA_WRITE_GOLDEN=1 writes it anew");
}

#[test]
fn an_update_that_ends_before_any_of_its_calls_leaves_the_old_record_or_the_new_one() -> Result<()> {
    if !is_traceable("an_update_that_ends_before_any_of_its_calls_leaves_the_old_record_or_the_new_one") {
        return Ok(());
    }
    let place = tempfile::tempdir()?;
    let dir = place.path();
    let writer = Writer { dir, memory: None, durability: Durability::Volatile, before: Some("") };
    let changes = changes(&writer.end_everywhere(1)?, &[(dir, "")]);
    assert!(!changes.iter().any(|line| line.starts_with("flush")), "nobody waits for the disk: {changes:?}");
    compare("volatile", &changes);
    Ok(())
}

#[test]
fn an_update_that_is_to_last_is_flushed_before_it_is_seen_and_ends_anywhere_without_harm() -> Result<()> {
    if !is_traceable("an_update_that_is_to_last_is_flushed_before_it_is_seen_and_ends_anywhere_without_harm") {
        return Ok(());
    }
    let place = tempfile::tempdir()?;
    let dir = place.path();
    for (title, before, old) in [("lasting", Some(""), 1), ("first", None, 0), ("bad", Some("spoiled"), 0)] {
        let writer = Writer { dir, memory: None, durability: Durability::Lasting, before };
        let changes = changes(&writer.end_everywhere(old)?, &[(dir, "")]);
        ensure_lasting(&changes, ".")?;
        compare(title, &changes);
    }
    Ok(())
}

#[test]
fn an_update_of_a_database_in_memory_is_flushed_elsewhere_before_it_is_seen() -> Result<()> {
    let test = "an_update_of_a_database_in_memory_is_flushed_elsewhere_before_it_is_seen";
    let Some(place) =
        tempfile::tempdir_in("/dev/shm").ok().filter(|place| pha_sys::volatile::is_volatile(place.path()))
    else {
        world::skip(test, "there is no memory to write to");
        return Ok(());
    };
    if !is_traceable(test) {
        return Ok(());
    }
    let (dir, kept) = (place.path(), tempfile::tempdir()?);
    let writer = Writer { dir, memory: Some(kept.path()), durability: Durability::Lasting, before: Some("") };
    let changes = changes(&writer.end_everywhere(1)?, &[(dir, ""), (kept.path(), "var/")]);
    let position = |wanted: &str| changes.iter().position(|line| line == wanted);
    ensure!(position("flush var/.") < position("rename status.dat.PID.tmp status.dat"), "{changes:?}");
    let elsewhere: Vec<String> = changes.iter().filter(|line| line.contains("var/")).cloned().collect();
    ensure_lasting(&elsewhere, "var/.")?;
    compare("memory", &changes);
    Ok(())
}

#[test]
fn an_update_on_a_full_disk_ends_anywhere_without_harm() {
    scenario(LabOptions::default(), |_| {
        let test = "an_update_on_a_full_disk_ends_anywhere_without_harm";
        if !is_traceable(test) {
            return Ok(());
        }
        let place = tempfile::tempdir()?;
        let dir = place.path();
        command::run("mount", ["-t", "tmpfs", "-o", "size=256k", "none", &dir.to_string_lossy()])?;
        // The file and its reserve are there before the disk is full, and stay.
        for durability in [Durability::Volatile, Durability::Lasting] {
            let result = end_on_full_disk(dir, durability);
            if result.is_err() {
                command::run("umount", ["-l", &dir.to_string_lossy()])?;
            }
            result?;
        }
        command::run("umount", ["-l", &dir.to_string_lossy()]).map(drop)
    });
}

fn end_on_full_disk(dir: &Path, durability: Durability) -> Result<()> {
    let writer = Writer { dir, memory: None, durability, before: Some("") };
    let fill = dir.join("fill");
    let command = || {
        let _ = fs::remove_file(&fill);
        writer.prepare();
        update(&writer.database(), Durability::Lasting, 1).unwrap();
        let _ = command::run("sh", ["-c", &format!("cat /dev/zero >'{}'", fill.display())]);
        writer.program()
    };
    let calls = end_at_every_call(dir, command, |calls| {
        let seen = writer.judge(calls, 1);
        assert!(seen.is_ok(), "{seen:?}, ended before {:?}", calls.last());
    })?;
    let changes = changes(&calls, &[(dir, "")]);
    let swapped = changes.iter().any(|line| line == "swap status.dat.reserve status.dat");
    ensure!(swapped, "the reserve was not used: {changes:?}");
    if durability == Durability::Lasting {
        ensure_lasting(&changes, ".")?;
        compare("full", &changes);
    }
    Ok(())
}

#[test]
fn a_new_key_is_the_old_one_or_the_new_one_wherever_keygen_ends() -> Result<()> {
    if !is_traceable("a_new_key_is_the_old_one_or_the_new_one_wherever_keygen_ends") {
        return Ok(());
    }
    let lab = pha_lab::Lab::new(LabOptions::default().plain())?;
    let node = lab.node(1);
    let (dir, key) = (node.home().join("etc"), node.home().join("etc/authkey"));
    node.order(&["keygen", "--force"])?;
    let old = fs::read(&key)?;
    let command = || {
        for file in fs::read_dir(&dir).unwrap().flatten().filter(|file| file.file_name() != "config") {
            fs::remove_file(file.path()).unwrap();
        }
        pha_lab::home::write(&key, std::str::from_utf8(&old).unwrap(), 0o600).unwrap();
        let mut command = node.command(node.home().join("bin/pha-cli"));
        command.args(["keygen", "--force"]).stdin(Stdio::null()).stdout(Stdio::null());
        command
    };
    let mut replaced = 0;
    let calls = end_at_every_call(&key, command, |calls| {
        let now = fs::read(&key).expect("there is a key");
        assert!(now.len() == old.len(), "a part of a key, before {:?}", calls.last());
        replaced += usize::from(now != old);
        let next = node.order(&["keygen", "--force"]);
        assert!(next.is_ok(), "{next:?}");
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 2, "before {:?}", calls.last());
    })?;
    ensure!(replaced > 0, "it was never seen");
    let changes = changes(&calls, &[(&dir, "")]);
    ensure_lasting(&changes, ".")?;
    compare("key", &changes);
    Ok(())
}
