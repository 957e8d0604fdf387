//! The database between real processes: copies of this test program play the other one.
//!
//! A copy runs the test `other_process` with its task in the environment; the tests wait for what it publishes or
//! prints, never for time to pass.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::env;
use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use pha_status::{
    Database, Durability, OperatorSection, Patience, ReceiverSection, SenderSection, StatusError, SuperviseSection,
    Updated,
};

const TASK: &str = "PHA_STATUS_TEST_TASK";
const DIR: &str = "PHA_STATUS_TEST_DIR";
const ROUNDS: u64 = 100;

/// Another process; killed when the test ends.
struct Other(Child);

impl Other {
    fn start(task: &str, dir: &Path) -> Self {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", "other_process", "--ignored", "--nocapture"]).env(TASK, task).env(DIR, dir);
        Self(command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap())
    }

    /// Waits until it prints `line`.
    fn says(&mut self, line: &str) {
        let output = BufReader::new(self.0.stdout.as_mut().unwrap());
        assert!(output.lines().any(|said| said.unwrap().ends_with(line)), "it never said {line:?}");
    }

    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
#[ignore = "the other process's part"]
fn other_process() {
    let (Ok(task), Some(dir)) = (env::var(TASK), env::var_os(DIR)) else { return };
    let database = Database::new(Path::new(&dir), "lb1");
    match task.as_str() {
        "sender" => (0..ROUNDS).for_each(|_| count(&database, |section: &mut SenderSection| section.incarnation += 1)),
        "receiver" => (0..ROUNDS).for_each(|_| count(&database, |section: &mut ReceiverSection| section.late += 1)),
        "supervise" => (0..ROUNDS).for_each(|_| count(&database, |section: &mut SuperviseSection| section.pid += 1)),
        "write for ever" => loop {
            count(&database, |section: &mut SenderSection| section.incarnation += 1);
        },
        "hold" => hold(&database),
        other => panic!("unknown task {other}"),
    }
}

fn count<S: pha_status::Section>(database: &Database, step: fn(&mut S)) {
    database.update(Durability::Volatile, Patience::Operator, step).unwrap();
}

/// Stops in the middle of an update, with the lock, until somebody closes its input.
fn hold(database: &Database) {
    let wait = |operator: &mut OperatorSection| {
        println!("\nholding");
        io::stdin().read_to_end(&mut Vec::new()).unwrap();
        operator.by = "late".into();
    };
    database.update(Durability::Volatile, Patience::Operator, wait).unwrap();
}

fn daemon_update(database: &Database) -> (Updated, Duration) {
    let start = Instant::now();
    let step = |section: &mut SenderSection| section.incarnation += 1;
    (database.update(Durability::Volatile, Patience::Daemon, step).unwrap(), start.elapsed())
}

fn temporary_files(dir: &Path) -> usize {
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.ends_with(".tmp")).count()
}

#[test]
fn processes_that_write_different_sections_lose_nothing() {
    // P10
    let dir = tempfile::tempdir().unwrap();
    let mut others = ["sender", "receiver", "supervise"].map(|task| Other::start(task, dir.path()));
    for other in &mut others {
        io::copy(other.0.stdout.as_mut().unwrap(), &mut io::sink()).unwrap();
        assert!(other.0.wait().unwrap().success());
    }
    let record = Database::new(dir.path(), "lb1").read().unwrap();
    assert_eq!((record.sender.incarnation, record.receiver.late), (ROUNDS, ROUNDS));
    assert_eq!((u64::from(record.supervise.pid), record.generation), (ROUNDS, 3 * ROUNDS));
}

#[test]
fn a_writer_killed_at_any_moment_leaves_a_whole_file_and_no_lock() {
    let dir = tempfile::tempdir().unwrap();
    let reader = Database::new(dir.path(), "lb1");
    let mut last = 0;
    for round in 0..25_u64 {
        let mut other = Other::start("write for ever", dir.path());
        while reader.read().unwrap().sender.incarnation < last + 1 + round % 7 {}
        other.kill();
        let next = Database::new(dir.path(), "lb1");
        let (updated, _) = daemon_update(&next);
        assert!(updated.set_aside.is_none() && !updated.without_lock && updated.record.sender.incarnation > last);
        assert_eq!(temporary_files(dir.path()), 0, "the dead writer's file is still there");
        last = updated.record.sender.incarnation;
    }
}

#[test]
fn a_writer_killed_between_write_and_rename_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let before = daemon_update(&Database::new(dir.path(), "lb1")).0.record;
    let mut dead = Other::start("sender", dir.path());
    dead.kill();
    let file = fs::read(dir.path().join("status.dat")).unwrap();
    let left = dir.path().join(format!("status.dat.{}.tmp", dead.0.id()));
    fs::write(&left, &file[..file.len() / 2]).unwrap();
    let next = Database::new(dir.path(), "lb1");
    assert!(next.read().unwrap().generation >= before.generation);
    assert!(left.exists(), "a reader removes nothing");
    assert!(daemon_update(&next).0.set_aside.is_none());
    assert!(!left.exists());
}

#[test]
fn a_stopped_command_holds_up_a_daemon_once_and_briefly_and_a_command_not_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let mut holder = Other::start("hold", dir.path());
    holder.says("holding");

    let daemon = Database::new(dir.path(), "lb1");
    let (updated, waited) = daemon_update(&daemon);
    assert!(updated.without_lock && waited >= Duration::from_millis(100), "{waited:?}");
    let quickest = (0..10).map(|_| daemon_update(&daemon).1).min().unwrap();
    assert!(quickest < Duration::from_millis(50), "only one try while the lock stays taken, not {quickest:?}");

    let start = Instant::now();
    let command = Database::new(dir.path(), "lb1");
    let step = |operator: &mut OperatorSection| operator.by = "root".into();
    let error = command.update(Durability::Lasting, Patience::Operator, step).unwrap_err();
    assert!(matches!(&error, StatusError::Locked { path } if path.ends_with("status.lock")), "{error}");
    assert!(start.elapsed() >= Duration::from_secs(2));
    assert_eq!(daemon.read().unwrap().operator.by, "", "nothing was written");

    holder.kill();
    assert!(!daemon_update(&daemon).0.without_lock);
    assert!(command.update(Durability::Lasting, Patience::Operator, step).is_ok());
    assert_eq!(daemon.read().unwrap().sender.incarnation, 12);
}

#[test]
fn a_command_that_goes_on_after_all_writes_a_whole_file() {
    let dir = tempfile::tempdir().unwrap();
    let mut holder = Other::start("hold", dir.path());
    holder.says("holding");
    let daemon = Database::new(dir.path(), "lb1");
    assert!(daemon_update(&daemon).0.without_lock);
    drop(holder.0.stdin.take());
    assert!(holder.0.wait().unwrap().success());
    let record = daemon.read().unwrap();
    assert_eq!(
        (record.operator.by.as_str(), record.sender.incarnation),
        ("late", 0),
        "the daemon writes its part again"
    );
}
