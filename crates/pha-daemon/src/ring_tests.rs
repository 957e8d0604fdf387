//! Tests of the files.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use pha_sys::tracee::end_at_every_call;

use super::*;

const PLACE: &str = "PHA_TEST_PLACE";

/// A ring in a folder of its own.
fn ring(limit: u64) -> (tempfile::TempDir, Ring) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.trace");
    (dir, Ring::new(path, limit, Writer::at_once()))
}

fn content(ring: &Ring) -> [Option<String>; 2] {
    [ring.path().to_owned(), named(ring.path(), ".1")].map(|path| fs::read_to_string(path).ok())
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn a_new_segment_makes_the_present_one_the_older_and_drops_the_one_before() {
    let (dir, mut ring) = ring(1000);
    for opening in ["a", "b", "c"] {
        ring.begin(opening.as_bytes().to_vec()).unwrap();
        ring.push(b"1");
        ring.flush().unwrap();
    }
    assert_eq!(content(&ring), [some("c1"), some("b1")]);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    assert_eq!(fs::metadata(ring.path()).unwrap().permissions().mode() & 0o777, MODE);
}

#[test]
fn a_turn_is_written_when_it_is_over_and_counts_before() {
    let (_dir, mut ring) = ring(4);
    ring.begin(b"a".to_vec()).unwrap();
    ring.push(b"bc");
    assert_eq!((content(&ring)[0].clone(), ring.is_full()), (some("a"), false));
    ring.push(b"d");
    assert!(ring.is_full());
    ring.flush().unwrap();
    ring.flush().unwrap();
    assert_eq!(content(&ring)[0], some("abcd"));
}

#[test]
fn a_segment_that_cannot_begin_costs_none_that_is_there() {
    let (dir, mut ring) = ring(1000);
    ring.begin(b"a".to_vec()).unwrap();
    ring.begin(b"b".to_vec()).unwrap();
    // What is in the way cannot be removed, as a disk without room cannot be written.
    fs::create_dir_all(dir.path().join("x.trace.new/x")).unwrap();
    assert!(ring.begin(b"c".to_vec()).is_err());
    assert_eq!(content(&ring), [some("b"), some("a")]);
    fs::remove_dir_all(dir.path().join("x.trace.new")).unwrap();
    ring.begin(b"d".to_vec()).unwrap();
    assert_eq!(content(&ring), [some("d"), some("b")]);
}

#[test]
fn a_link_or_a_pipe_in_place_of_a_file_is_replaced_and_not_followed() {
    let (dir, mut ring) = ring(1000);
    let victim = dir.path().join("victim");
    fs::write(&victim, "untouched").unwrap();
    for name in ["x.trace", "x.trace.1", "x.trace.new"] {
        std::os::unix::fs::symlink(&victim, dir.path().join(name)).unwrap();
    }
    ring.begin(b"a".to_vec()).unwrap();
    assert_eq!(content(&ring)[0], some("a"));
    assert_eq!(fs::read_to_string(victim).unwrap(), "untouched");
}

#[test]
fn a_full_disk_is_told_and_ends_the_segment() {
    let (_dir, mut ring) = ring(1000);
    ring.begin(b"a".to_vec()).unwrap();
    ring.fill_disk();
    ring.push(b"b");
    assert_eq!(ring.flush().unwrap_err().kind(), io::ErrorKind::StorageFull);
    ring.push(b"c");
    ring.flush().unwrap();
    assert_eq!(content(&ring)[0], some("a"));
    assert_eq!(ring.take_lost(), 2);
}

#[test]
fn a_panic_writes_what_was_pushed() {
    let (_dir, mut ring) = ring(1000);
    ring.begin(b"a".to_vec()).unwrap();
    ring.keep_in_panic();
    ring.push(b"b");
    std::thread::spawn(|| panic!("as the test wants it")).join().unwrap_err();
    assert_eq!(content(&ring)[0], some("ab"));
}

impl Ring {
    /// The disk is full from now on.
    pub(crate) fn fill_disk(&self) {
        *self.way.file.lock().unwrap() = Some(OpenOptions::new().write(true).open("/dev/full").unwrap());
    }
}

#[test]
#[ignore = "the part of the process that is ended"]
fn one_begin() {
    let Some(dir) = std::env::var_os(PLACE) else { return };
    let mut ring = Ring::new(Path::new(&dir).join("x.trace"), 1000, Writer::at_once());
    ring.begin(b"c".to_vec()).unwrap();
    // What the test harness does afterwards is no part of it.
    std::process::exit(0);
}

#[test]
fn a_program_that_ends_before_any_call_of_a_beginning_leaves_whole_segments() {
    let (dir, mut ring) = ring(1000);
    let command = || {
        ring.begin(b"a".to_vec()).unwrap();
        ring.begin(b"b".to_vec()).unwrap();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "ring::tests::one_begin", "--ignored", "--test-threads=1"]).env(PLACE, dir.path());
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command
    };
    let place = dir.path().to_owned();
    let after = || {
        let mut next = Ring::new(place.join("x.trace"), 1000, Writer::at_once());
        let found = content(&next);
        next.begin(b"d".to_vec()).unwrap();
        assert_eq!((content(&next)[0].clone(), place.join("x.trace.new").exists()), (some("d"), false));
        found
    };
    let mut states = BTreeSet::new();
    let traced = end_at_every_call(dir.path(), command, |_| {
        states.insert(after());
    });
    // Where nothing may be traced there is nothing to see.
    if traced.is_ok() {
        let expected = [[some("b"), some("a")], [None, some("b")], [some("c"), some("b")]];
        assert_eq!(states, expected.into());
    }
}
