//! The database in a directory of its own, with real locks: `flock` is per open file, so two databases in two threads
//! exclude each other as two processes do.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::thread;

use pha_core::BootTime;
use tempfile::TempDir;

use super::*;
use crate::record::tests::full_record;
use crate::record::{OperatorSection, ReceiverSection, SenderSection, SuperviseSection};

fn database() -> (TempDir, Database) {
    let dir = tempfile::tempdir().unwrap();
    let database = Database::new(dir.path(), "lb1");
    (dir, database)
}

fn set_pid(database: &Database, pid: u32) -> Result<Updated, StatusError> {
    database.update(Durability::Volatile, Patience::Operator, |sender: &mut SenderSection| sender.pid = pid)
}

/// What lies in the directory besides file, lock, reserve and what is kept.
fn others(dir: &TempDir) -> Vec<PathBuf> {
    let paths = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
    let usual = [STATUS_FILE, LOCK_FILE, "status.dat.reserve", "status.dat.kept"];
    paths.filter(|path| !usual.iter().any(|name| path.ends_with(name))).collect()
}

#[test]
fn before_the_first_update_the_record_is_empty_and_nothing_is_created() {
    // P46
    let (dir, database) = database();
    let record = database.read().unwrap();
    assert_eq!(record, Record { node: "lb1".into(), boot_id: clock::boot_id().unwrap(), ..Record::default() });
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn an_update_is_read_back_and_leaves_the_other_sections_alone() {
    // P10
    let (dir, database) = database();
    for durability in [Durability::Lasting, Durability::Volatile] {
        let full = full_record();
        database.update(durability, Patience::Operator, |section| *section = full.receiver.clone()).unwrap();
        database.update(durability, Patience::Daemon, |section| *section = full.operator.clone()).unwrap();
        let updated = set_pid(&database, 7).unwrap();
        assert_eq!((updated.set_aside, updated.without_lock), (None, false));
        let record = database.read().unwrap();
        assert_eq!(record, updated.record);
        assert_eq!((record.receiver, record.operator, record.sender.pid), (full.receiver, full.operator, 7));
    }
    assert_eq!(database.read().unwrap().generation, 6);
    assert!(others(&dir).is_empty());
}

#[test]
fn a_bad_file_is_refused_by_readers_and_set_aside_by_the_next_update() {
    let (dir, database) = database();
    set_pid(&database, 7).unwrap();
    let good = fs::read(database.path()).unwrap();
    let mut flipped = good.clone();
    *flipped.last_mut().unwrap() ^= 1;
    for bad in [b"".to_vec(), good[..good.len() - 1].to_vec(), flipped, b"$VAR1 = {};\n".to_vec(), vec![0; 9999]] {
        fs::write(database.path(), &bad).unwrap();
        assert!(matches!(database.read(), Err(StatusError::Bad { .. })));
        assert_eq!(fs::read(database.path()).unwrap(), bad, "a reader moved it");
        let updated =
            database.update(Durability::Volatile, Patience::Daemon, |receiver: &mut ReceiverSection| receiver.pid = 8);
        let updated = updated.unwrap();
        let aside = updated.set_aside.unwrap();
        assert_eq!(fs::read(&aside).unwrap(), bad);
        assert_eq!((updated.record.sender.pid, updated.record.receiver.pid, updated.record.generation), (0, 8, 1));
        assert_eq!(database.read().unwrap(), updated.record);
        fs::remove_file(aside).unwrap();
    }
    assert!(others(&dir).is_empty());
}

// A sender would say what another node is, under that node's term.
#[test]
fn the_file_of_another_node_is_bad_however_good_it_is() {
    let (dir, database) = database();
    set_pid(&Database::new(dir.path(), "lb2"), 7).unwrap();
    assert!(matches!(database.read(), Err(StatusError::Bad { why: Defect::AnotherNode, .. })));
    let updated = database.update(Durability::Volatile, Patience::Daemon, |_: &mut ReceiverSection| {}).unwrap();
    assert!(updated.set_aside.is_some() && updated.record.sender.pid == 0);
    assert_eq!(database.read().unwrap().node, "lb1");
}

#[test]
fn a_node_is_the_same_in_any_case_and_who_knows_no_node_changes_the_database_that_is_there() {
    let (dir, database) = database();
    set_pid(&database, 7).unwrap();
    assert_eq!(Database::new(dir.path(), "LB1").read().unwrap().sender.pid, 7);
    let anyones = Database::of_anyone(dir.path());
    assert_eq!(anyones.read().unwrap().sender.pid, 7);
    let updated = anyones.update(Durability::Lasting, Patience::Operator, |_: &mut OperatorSection| {}).unwrap();
    assert!(updated.set_aside.is_none());
    assert_eq!((updated.record.node.as_str(), database.read().unwrap().sender.pid), ("lb1", 7));
}

#[test]
fn a_file_cut_at_any_byte_is_set_aside_and_never_used() {
    let (_dir, database) = database();
    set_pid(&database, 7).unwrap();
    let good = fs::read(database.path()).unwrap();
    for length in 0..good.len() {
        fs::write(database.path(), &good[..length]).unwrap();
        let updated = database.update(Durability::Volatile, Patience::Daemon, |_: &mut ReceiverSection| {}).unwrap();
        assert!(updated.set_aside.is_some() && updated.record.sender.pid == 0, "cut to {length} bytes");
    }
}

#[test]
fn a_file_of_another_boot_comes_without_what_that_boot_knew() {
    let (_dir, database) = database();
    let old = full_record();
    fs::write(database.path(), file::render(&old).unwrap()).unwrap();
    let expected = old.after_reboot(&clock::boot_id().unwrap());
    assert_eq!(database.read().unwrap(), expected);
    let updated = set_pid(&database, 7).unwrap();
    assert_eq!(updated.record.supervise, expected.supervise);
    assert_eq!(updated.record.sender, SenderSection { pid: 7, incarnation: 9, ..SenderSection::default() });
    assert_eq!(database.read().unwrap(), updated.record);
}

#[test]
fn a_file_of_this_boot_is_left_as_it_is() {
    let (_dir, database) = database();
    let record = Record { boot_id: clock::boot_id().unwrap(), ..full_record() };
    fs::write(database.path(), file::render(&record).unwrap()).unwrap();
    assert_eq!(database.read().unwrap(), record);
}

#[test]
fn writers_of_different_sections_lose_nothing() {
    // P10
    const ROUNDS: u64 = 50;
    let (dir, reader) = database();
    let write = |step: fn(&Database)| {
        let database = Database::new(dir.path(), "lb1");
        move || (0..ROUNDS).for_each(|_| step(&database))
    };
    thread::scope(|scope| {
        let writers = [
            scope.spawn(write(|database| {
                database
                    .update(Durability::Volatile, Patience::Operator, |s: &mut SenderSection| s.incarnation += 1)
                    .unwrap();
            })),
            scope.spawn(write(|database| {
                database
                    .update(Durability::Volatile, Patience::Operator, |s: &mut ReceiverSection| s.late += 1)
                    .unwrap();
            })),
            scope.spawn(write(|database| {
                database
                    .update(Durability::Lasting, Patience::Operator, |s: &mut SuperviseSection| s.pid += 1)
                    .unwrap();
            })),
            scope.spawn(write(|database| {
                let second = Duration::from_secs(1);
                database
                    .update(Durability::Volatile, Patience::Operator, |s: &mut OperatorSection| s.at = s.at + second)
                    .unwrap();
            })),
        ];
        while !writers.iter().all(|writer| writer.is_finished()) {
            reader.read().expect("a reader without a lock never sees a part of a file");
        }
    });
    let record = reader.read().unwrap();
    assert_eq!((record.sender.incarnation, record.receiver.late), (ROUNDS, ROUNDS));
    assert_eq!(u64::from(record.supervise.pid), ROUNDS);
    assert_eq!(record.operator.at, BootTime::since_boot(Duration::from_secs(ROUNDS)));
    assert_eq!(record.generation, 4 * ROUNDS);
    assert!(others(&dir).is_empty());
}

/// Some file systems leave an empty file behind a power failure, where a name led to data that was not written yet.
#[test]
fn a_power_failure_that_takes_what_was_not_flushed_takes_nothing_that_was_to_last() {
    let (_dir, database) = database();
    set_incarnation(&database, Durability::Lasting, 5);
    set_pid(&database, 7).unwrap();
    for spoiled in ["", "#pha-status 1 5 0 00000000\nx\n--\n"] {
        fs::write(database.path(), spoiled).unwrap();
        let record = database.read().unwrap();
        assert_eq!((record.sender.incarnation, record.sender.pid, record.generation), (5, 0, 1));
    }
    let updated = set_pid(&database, 8).unwrap();
    assert!(updated.set_aside.is_some());
    assert_eq!((updated.record.sender.incarnation, updated.record.generation), (5, 2));
    fs::remove_file(database.path()).unwrap();
    assert_eq!(database.read().unwrap().sender.incarnation, 5, "nor does it where the name is gone");
}

#[test]
fn after_a_reboot_the_newer_of_the_file_and_what_was_kept_is_read() {
    let (_dir, database) = database();
    let kept = kept_path(database.path());
    let written = |path: &Path, boot: &str, generation: u64| {
        let sender = SenderSection { incarnation: generation, ..SenderSection::default() };
        let node = "lb1".to_owned();
        let record = Record { node, boot_id: boot.into(), generation, sender, ..Record::default() };
        fs::write(path, file::render(&record).unwrap()).unwrap();
    };
    for (file, keeps) in [(7, 8), (8, 7), (8, 8)] {
        written(database.path(), "another", file);
        written(&kept, "another", keeps);
        assert_eq!(database.read().unwrap().sender.incarnation, 8, "{file} and {keeps}");
    }
    fs::write(&kept, "bad").unwrap();
    assert_eq!(database.read().unwrap().sender.incarnation, 8);
    // Of this boot the file itself is always the newest there is.
    written(&kept, &clock::boot_id().unwrap(), 9);
    written(database.path(), &clock::boot_id().unwrap(), 6);
    assert_eq!(database.read().unwrap().sender.incarnation, 6);
}

#[test]
fn a_record_that_is_too_large_leaves_the_old_file_intact() {
    let (dir, database) = database();
    set_pid(&database, 7).unwrap();
    let huge = |operator: &mut OperatorSection| operator.by = "x".repeat(crate::RECORD_LIMIT);
    let error = database.update(Durability::Lasting, Patience::Operator, huge).unwrap_err();
    assert!(matches!(error, StatusError::Unwritable { .. }), "{error}");
    assert_eq!(database.read().unwrap().sender.pid, 7);
    assert!(others(&dir).is_empty());
}

#[test]
fn a_missing_directory_is_an_error_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let database = Database::new(&dir.path().join("var"), "lb1");
    let error = set_pid(&database, 7).unwrap_err().to_string();
    assert!(error.contains("var/status.lock") && error.contains("No such file"), "{error}");
    assert!(database.watch().is_err());
}

#[test]
fn a_program_that_waits_is_woken_by_an_update_and_not_by_a_read() {
    let (_dir, database) = database();
    let mut watch = database.watch().unwrap();
    database.read().unwrap();
    assert!(!watch.changed().unwrap());
    set_pid(&database, 7).unwrap();
    assert_eq!(pha_sys::poll::wait(&[watch.as_fd()], Some(Duration::from_secs(5))).unwrap(), [true]);
    assert!(watch.changed().unwrap());
    assert!(!watch.changed().unwrap());
}

#[test]
fn only_news_rings() {
    let (_dir, database) = database();
    let mut ear = database.listen().unwrap();
    set_pid(&database, 7).unwrap();
    assert_eq!(pha_sys::poll::wait(&[ear.as_fd()], Some(Duration::ZERO)).unwrap(), [true]);
    assert!(ear.changed().unwrap());
    let tick = |sender: &mut SenderSection| sender.tick = sender.tick + Duration::from_secs(1);
    database.update(Durability::Volatile, Patience::Daemon, tick).unwrap();
    assert_eq!(pha_sys::poll::wait(&[ear.as_fd()], Some(Duration::ZERO)).unwrap(), [false], "a sign of life");
    fs::write(database.path(), "spoiled").unwrap();
    database.update(Durability::Volatile, Patience::Daemon, tick).unwrap();
    assert!(ear.changed().unwrap(), "everything else that stood there is gone");
}

#[test]
fn the_file_before_stays_until_it_is_closed() {
    let (_dir, database) = database();
    assert!(set_pid(&database, 7).unwrap().before.is_none(), "there was none");
    let before = set_pid(&database, 8).unwrap().before.unwrap();
    assert_eq!(before.metadata().unwrap().nlink(), 0, "only the descriptor holds it");
}

#[test]
fn the_readable_part_ends_where_the_record_begins() {
    let (_dir, database) = database();
    set_pid(&database, 7).unwrap();
    let output = std::process::Command::new("sed").arg("/^--$/q").arg(database.path()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("#pha-status 2 ") && text.ends_with("\n--\n"), "{text}");
    assert!(text.contains("\nSENDER_PID='7'\n"), "{text}");
}

/// A database in memory, and where what is to last is kept.
fn volatile() -> Option<(TempDir, TempDir, Database)> {
    let dir = tempfile::tempdir_in("/dev/shm").ok().filter(|dir| is_volatile(dir.path()))?;
    let memory = tempfile::tempdir().unwrap();
    let database = Database::new(dir.path(), "lb1").remembering(memory.path());
    Some((dir, memory, database))
}

fn set_incarnation(database: &Database, durability: Durability, incarnation: u64) {
    let change = |sender: &mut SenderSection| *sender = SenderSection { pid: 7, incarnation, ..sender.clone() };
    database.update(durability, Patience::Daemon, change).unwrap();
}

#[test]
fn what_is_to_last_outlives_a_database_in_memory_and_nothing_else_does() {
    let Some((dir, memory, database)) = volatile() else { return };
    set_incarnation(&database, Durability::Volatile, 1);
    assert_eq!(fs::read_dir(memory.path()).unwrap().count(), 0);
    set_incarnation(&database, Durability::Lasting, 2);
    set_incarnation(&database, Durability::Volatile, 3);
    fs::remove_file(dir.path().join(STATUS_FILE)).unwrap();
    let record = database.read().unwrap();
    assert_eq!((record.sender.incarnation, record.sender.pid, record.generation), (2, 0, 2));
    set_incarnation(&database, Durability::Volatile, 4);
    assert_eq!(database.read().unwrap().sender.incarnation, 4);
    // Back on the disk: nothing of it is taken for this boot's.
    let moved = Database::new(memory.path(), "lb1").read().unwrap();
    assert_eq!((moved.sender.incarnation, moved.sender.pid), (2, 0));
}

#[test]
fn a_term_that_cannot_be_remembered_is_not_shown() {
    let Some((_dir, memory, database)) = volatile() else { return };
    set_incarnation(&database, Durability::Lasting, 1);
    memory.close().unwrap();
    let change = |sender: &mut SenderSection| sender.incarnation = 2;
    assert!(database.update(Durability::Lasting, Patience::Daemon, change).is_err());
    assert_eq!(database.read().unwrap().sender.incarnation, 1);
}

#[test]
fn a_damaged_memory_is_set_aside_and_not_used() {
    let Some((_dir, memory, database)) = volatile() else { return };
    fs::write(memory.path().join(STATUS_FILE), "bad").unwrap();
    assert!(database.read().is_err());
    let aside = database.update(Durability::Lasting, Patience::Daemon, |sender: &mut SenderSection| sender.pid = 1);
    assert!(aside.unwrap().set_aside.is_some_and(|aside| aside.starts_with(memory.path())));
    assert_eq!(database.read().unwrap().sender.pid, 1);
}

#[test]
fn a_database_on_a_disk_needs_no_memory() {
    let Some((_dir, memory, _)) = volatile() else { return };
    let database = Database::new(memory.path(), "lb1").remembering(memory.path());
    assert!(database.memory.is_none());
}

#[test]
fn a_link_in_the_place_of_the_file_leads_nobody_elsewhere() {
    let (dir, database) = database();
    let victim = dir.path().join("victim");
    set_pid(&database, 1).unwrap();
    fs::rename(database.path(), &victim).unwrap();
    let before = fs::read(&victim).unwrap();
    std::os::unix::fs::symlink(&victim, database.path()).unwrap();
    assert!(matches!(database.read(), Err(StatusError::Bad { why: Defect::NotOurs, .. })));
    assert!(set_pid(&database, 2).unwrap().set_aside.is_some_and(|aside| aside.is_symlink()));
    assert_eq!(fs::read(&victim).unwrap(), before);
    assert_eq!(database.read().unwrap().sender.pid, 2);
}

#[test]
fn whoever_makes_the_lock_anew_leaves_it_to_the_group_that_shares_the_folder() {
    use std::os::unix::fs::PermissionsExt as _;
    let (dir, database) = database();
    let lock = dir.path().join(LOCK_FILE);
    for (folder, mode) in [(0o755, 0o600), (0o2775, 0o660)] {
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(folder)).unwrap();
        let _ = fs::remove_file(&lock);
        set_pid(&database, 1).unwrap();
        assert_eq!(fs::metadata(&lock).unwrap().mode() & 0o777, mode);
    }
}
