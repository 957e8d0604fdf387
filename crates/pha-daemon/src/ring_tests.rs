//! Tests of the files.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::os::unix::fs::PermissionsExt as _;

use super::*;

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
