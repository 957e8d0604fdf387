//! Tests of the recorder, with the sender's machine.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::Path;

use pha_core::beat::{Beat, BeatSettings, Said};
use pha_core::{Saying, Word};
use pha_sys::writer::Writer;
use pha_trace::{BeatInput, End, Entry, Segment};

use super::*;

fn at(ms: u64) -> BootTime {
    BootTime::ZERO + Duration::from_millis(ms)
}

fn beat() -> Beat {
    let settings = BeatSettings::new(Duration::from_millis(200), Duration::from_millis(600), Duration::from_secs(3));
    Beat::new(settings, at(0))
}

fn said(ms: u64) -> BeatInput {
    let saying = Saying::healthy(Word::Online);
    let said = Said { saying, progress_until: None, announce: true, tick: at(ms) };
    BeatInput::RecordChanged { said: Some(said), peers: Vec::new() }
}

fn recorder(path: &Path, limit: u64, machine: &Beat, now: BootTime) -> Recorder {
    recorder_with(Writer::at_once(), path, limit, machine, now)
}

fn recorder_with(writer: Writer, path: &Path, limit: u64, machine: &Beat, now: BootTime) -> Recorder {
    let head = Head {
        version: "0.1.0".to_owned(),
        node: "lb1".to_owned(),
        nodes: Vec::new(),
        boot_id: String::new(),
        pid: 1,
        number: 0,
        lost: 0,
        clocks: Clocks::read(now),
    };
    let mut trace = Trace { ring: Ring::new(path.to_owned(), limit, writer), head, broken_until: None, due: None };
    trace.begin(machine, now);
    Recorder { trace: Some(trace) }
}

/// Writes what was recorded up to `now`.
fn write(recorder: &mut Recorder, now: BootTime) {
    recorder.hurry(now);
    recorder.flush(now + SOON);
}

fn read(path: &Path) -> Segment<Beat> {
    Segment::parse(&fs::read(path).unwrap()).unwrap()
}

fn play(segment: &Segment<Beat>) -> Beat {
    let mut machine = segment.state.clone();
    for (now, entry) in &segment.entries {
        match entry {
            Entry::Input(input) => drop(machine.feed(input.clone(), *now)),
            Entry::State(state) => assert_eq!(**state, machine),
        }
    }
    machine
}

#[test]
fn each_segment_begins_where_the_one_before_leads_and_none_grows_beyond_its_limit() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sender.trace");
    let mut machine = beat();
    let mut recorder = recorder(&path, 1024, &machine, at(0));
    for ms in (0..60_000).step_by(20) {
        if ms % 1000 == 0 {
            recorder.feed(&mut machine, said(ms), at(ms));
        }
        recorder.feed(&mut machine, BeatInput::DeadlinePassed, at(ms));
        write(&mut recorder, at(ms));
    }
    recorder.end(&machine, at(60_000));
    let (older, newer) = (read(&crate::ring::named(&path, ".1")), read(&path));
    assert_eq!(older.head.number + 1, newer.head.number);
    assert!(newer.head.number > 2);
    assert_eq!(play(&older), newer.state);
    assert_eq!(play(&newer), machine);
    assert!(matches!(newer.entries.last(), Some((_, Entry::State(_)))));
    for path in [&path, &crate::ring::named(&path, ".1")] {
        assert!(fs::metadata(path).unwrap().len() < 1024 + 200);
    }
}

#[test]
fn a_full_disk_loses_inputs_and_nothing_else_and_the_next_segment_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sender.trace");
    let (mut machine, mut alone) = (beat(), beat());
    let mut recorder = recorder(&path, 4096, &machine, at(0));
    recorder.feed(&mut machine, said(0), at(0));
    write(&mut recorder, at(0));
    recorder.trace.as_ref().unwrap().ring.fill_disk();
    for ms in [1000, 2000, 12_000] {
        recorder.feed(&mut machine, said(ms), at(ms));
        write(&mut recorder, at(ms));
    }
    for ms in [0, 1000, 2000, 12_000] {
        alone.feed(said(ms), at(ms));
    }
    assert_eq!(machine, alone);
    let newer = read(&path);
    assert_eq!((newer.head.lost, newer.entries.len(), newer.end), (2, 1, End::Whole));
    assert_eq!(play(&newer), machine);
    assert_eq!(read(&crate::ring::named(&path, ".1")).entries.len(), 1);
}

// Honest after a stall: either every input is there, or the next segment says how many are not.
#[test]
fn a_stalled_disk_loses_what_does_not_fit_and_the_next_segment_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sender.trace");
    let writer = Writer::start("test").unwrap();
    let mut machine = beat();
    let mut recorder = recorder_with(writer.clone(), &path, 1 << 20, &machine, at(0));
    let (thaw, frozen) = std::sync::mpsc::channel::<()>();
    assert!(writer.take(move || assert!(frozen.recv().is_err())));
    let mut fed = 0;
    while recorder.trace.as_ref().unwrap().broken_until.is_none() {
        fed += 1;
        recorder.feed(&mut machine, said(fed), at(fed));
        write(&mut recorder, at(fed));
    }
    recorder.feed(&mut machine, said(fed + 1), at(fed + 1));
    drop(thaw);
    assert!(writer.drain(Duration::from_secs(20)));
    let later = fed + 11_000;
    recorder.feed(&mut machine, said(later), at(later));
    write(&mut recorder, at(later));
    assert!(writer.drain(Duration::from_secs(20)));
    let (older, newer) = (read(&crate::ring::named(&path, ".1")), read(&path));
    assert_eq!((older.entries.len() as u64, older.end), (fed - 1, End::Whole));
    assert_eq!((newer.head.lost, newer.entries.len(), newer.end), (2, 1, End::Whole));
    assert_eq!(play(&newer), machine);
}

#[test]
fn what_is_recorded_is_written_within_a_second_if_people_may_ask_and_within_five_at_rest() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sender.trace");
    let mut machine = beat();
    let mut recorder = recorder(&path, 4096, &machine, at(0));
    let mut written = |ms, hurry| {
        recorder.feed(&mut machine, said(ms), at(ms));
        if hurry {
            recorder.hurry(at(ms));
        }
        recorder.flush(at(ms));
        read(&path).entries.len()
    };
    assert_eq!([0, 1000, 4999, 5000, 6000].map(|ms| written(ms, false)), [0, 0, 0, 4, 4]);
    assert_eq!([(7000, true), (7999, true), (8000, false)].map(|(ms, hurry)| written(ms, hurry)), [4, 4, 8]);
    assert_eq!([8001, 13_000, 13_001].map(|ms| written(ms, false)), [8, 8, 11]);
}

#[test]
fn a_start_keeps_the_trace_of_the_run_before() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sender.trace");
    let mut machine = beat();
    let mut crashed = recorder(&path, 4096, &machine, at(0));
    crashed.feed(&mut machine, said(0), at(0));
    write(&mut crashed, at(0));
    recorder(&path, 4096, &beat(), at(5000));
    assert_eq!(play(&read(&crate::ring::named(&path, ".1"))), machine);
    assert_eq!(read(&path).entries, []);
}

#[test]
fn a_folder_that_is_not_there_keeps_nobody_from_working() {
    let mut machine = beat();
    let mut recorder = recorder(Path::new("/nonexistent/x.trace"), 4096, &machine, at(0));
    recorder.feed(&mut machine, said(0), at(0));
    recorder.end(&machine, at(1));
    let mut trace = recorder.trace.unwrap();
    assert_eq!(trace.head.lost + trace.ring.take_lost(), 2);
    assert!(machine.is_running());
}
