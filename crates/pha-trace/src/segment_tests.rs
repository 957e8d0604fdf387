//! Tests of the layout.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use pha_core::beat::{Beat, BeatSettings, Said};
use pha_core::detector::{Arrival, DetectorSettings, PeerDetector};
use pha_core::report::{PeerReport, Wishes};
use pha_core::resource::{Call, Outcome, ResourceSettings};
use pha_core::supervisor::{Event, Outside, Restored, Settings, Supervisor};
use pha_core::{Gateway, Heartbeat, NodeId, Saying, Serial, Term, Word};
use proptest::prelude::*;

use super::*;
use crate::head::Clocks;
use crate::machine::{BeatInput, DetectorInput, Detectors, SuperviseInput};

fn at(ms: u64) -> BootTime {
    BootTime::ZERO + Duration::from_millis(ms)
}

fn id(number: usize) -> NodeId {
    NodeId::new(number).unwrap()
}

fn head() -> Head {
    Head {
        version: "0.1.0".to_owned(),
        node: "lb1".to_owned(),
        nodes: vec![(id(1), "lb1".to_owned()), (id(2), "lb2".to_owned())],
        boot_id: "boot".to_owned(),
        pid: 7,
        number: 1,
        lost: 0,
        clocks: Clocks { boot: at(1000), wall: 1_769_857_200_000_000_000, offset: 3600 },
    }
}

fn saying() -> Saying {
    let term = Term::next(Term::NONE, id(2));
    Saying { term, gateway: Gateway::Reachable, config_hash: 9, ..Saying::healthy(Word::Online) }
}

fn detector() -> PeerDetector {
    let ms = Duration::from_millis;
    let settings = DetectorSettings { interval: ms(200), dead_time: ms(600), init_dead: ms(1200) };
    PeerDetector::new(id(2), vec!["10.0.0.2".to_owned()], 9, settings, at(1000))
}

fn heard() -> DetectorInput {
    let heartbeat = Heartbeat {
        node: id(2),
        serial: Serial { incarnation: 5, sequence: 6 },
        saying: saying(),
        reply_wanted: true,
        heard: Serial { incarnation: 3, sequence: 4 },
        supervise_age: Duration::from_millis(300),
    };
    DetectorInput::Heard { peer: 0, heartbeat, link: 0, arrival: Arrival::Newest }
}

/// What a receiver publishes about a peer it has heard.
fn peer() -> PeerReport {
    let mut detectors = Detectors::new(vec![detector()]);
    detectors.feed(heard(), at(1100));
    detectors.all()[0].report().clone()
}

fn supervisor() -> Supervisor {
    let s = Duration::from_secs;
    let resource = ResourceSettings {
        name: "ipaddr".to_owned(),
        start_timeout: s(60),
        stop_timeout: s(60),
        check_timeout: s(10),
        leased: true,
        probes: true,
        announces: true,
        watched: false,
        beside_previous: false,
    };
    let settings = Settings {
        me: id(1),
        heartbeat_interval: Duration::from_millis(200),
        dead_time: Duration::from_millis(600),
        supervise_interval: s(2),
        ping_timeout: s(2),
        gateway: true,
        lease: s(3),
        restarts: 1,
        restart_window: s(60),
        unfit_time: s(60),
        failback: None,
        witness: true,
        config_hash: 9,
        resources: vec![resource],
    };
    Supervisor::new(settings, Restored::default(), at(1000))
}

fn supervise_inputs() -> Vec<SuperviseInput> {
    let outside = Outside { peers: vec![peer()], deaf: false, wishes: Wishes::default(), quorum: None };
    let checked = Event::CallFinished {
        resource: 0,
        call: Call::Check,
        outcome: Outcome::Failed,
        message: "not there (exit status 1)".to_owned(),
        duration: Duration::from_millis(12),
    };
    let events = [
        Event::OutsideChanged(Box::new(outside)),
        checked,
        Event::GatewayAnswered,
        Event::CarrierChanged,
        Event::ResourceRemoved { resource: 0 },
        Event::TermStored(true),
        Event::TermReserved(true),
        Event::StopRequested,
        Event::DeadlinePassed,
    ];
    events.into_iter().map(SuperviseInput::Happened).collect()
}

/// A file with `inputs`, 100 ms apart, and the state they lead to.
fn file<M: Machine>(state: &M, inputs: &[M::Input]) -> Vec<u8> {
    let mut bytes = opening(&head(), state).unwrap();
    let mut machine = state.clone();
    let mut now = at(1000);
    for input in inputs {
        now = now + Duration::from_millis(100);
        bytes.extend(entry(now, &EntryRef::<M>::Input(input)).unwrap());
        machine.feed(input.clone(), now);
    }
    bytes.extend(entry(now, &EntryRef::State(&machine)).unwrap());
    bytes
}

fn beat() -> (Beat, Vec<BeatInput>) {
    let settings = BeatSettings::new(Duration::from_millis(200), Duration::from_millis(600), Duration::from_secs(3));
    let said = Said { saying: saying(), progress_until: None, announce: true, tick: at(1000) };
    let changed = BeatInput::RecordChanged { said: Some(said), peers: vec![peer()] };
    (Beat::new(settings, at(1000)), vec![changed, BeatInput::DeadlinePassed, BeatInput::Farewell])
}

fn detector_inputs() -> Vec<DetectorInput> {
    let found = DetectorInput::Found { peer: 0, detector: Box::new(detector()) };
    vec![found, heard(), DetectorInput::Late(Duration::from_secs(1)), DetectorInput::DeadlinePassed]
}

/// One file of each program, with every kind of input but a new configuration.
fn files() -> [Vec<u8>; 3] {
    let (beat, beats) = beat();
    [
        file(&supervisor(), &supervise_inputs()),
        file(&Detectors::new(vec![detector()]), &detector_inputs()),
        file(&beat, &beats),
    ]
}

/// Every state in the segment is the one that playing it leads to.
fn arrives<M: Machine>(bytes: &[u8]) -> usize {
    let segment = Segment::<M>::parse(bytes).unwrap();
    assert_eq!((segment.head, segment.end), (head(), End::Whole));
    let mut machine = segment.state;
    let count = segment.entries.len();
    for (now, entry) in segment.entries {
        match entry {
            Entry::Input(input) => drop(machine.feed(input, now)),
            Entry::State(state) => assert_eq!(*state, machine),
        }
    }
    count
}

#[test]
fn a_segment_survives_its_bytes_and_leads_to_the_same_state() {
    let [supervise, receiver, sender] = files();
    assert_eq!(arrives::<Supervisor>(&supervise), 10);
    assert_eq!(arrives::<Detectors>(&receiver), 5);
    assert_eq!(arrives::<Beat>(&sender), 4);
}

/// If this fails, a type of the core has changed: raise [`VERSION`], and write the new numbers here.
#[test]
fn the_layout_of_this_version_is_the_pinned_one() {
    let hashes = files().map(|file| crc32fast::hash(&file));
    assert_eq!((VERSION, hashes), (1, [4_250_927_475, 219_854_783, 4_203_912_240]));
}

#[test]
fn a_file_that_was_cut_at_any_byte_is_good_up_to_there() {
    let bytes = file(&supervisor(), &supervise_inputs());
    let whole = Segment::<Supervisor>::parse(&bytes).unwrap();
    let opening = opening(&head(), &supervisor()).unwrap().len();
    for length in 0..bytes.len() {
        match Segment::<Supervisor>::parse(&bytes[..length]) {
            Ok(cut) => {
                assert!(length >= opening && whole.entries.starts_with(&cut.entries), "{length}");
                let lost = cut.entries.len() < whole.entries.len();
                assert!(lost, "{length}");
                if let End::Torn { at, left } = cut.end {
                    assert_eq!(at + left, length);
                }
            }
            Err(error) => {
                let expected = if length < 23 { TraceError::NotOurs } else { TraceError::Beginning };
                assert!(length < opening && error == expected, "{length}: {error}");
            }
        }
    }
}

#[test]
fn nothing_behind_a_changed_byte_is_believed() {
    let bytes = file(&supervisor(), &supervise_inputs());
    let opening = opening(&head(), &supervisor()).unwrap().len();
    for place in (opening..bytes.len()).step_by(7) {
        let mut changed = bytes.clone();
        changed[place] ^= 0x10;
        let segment = Segment::<Supervisor>::parse(&changed).unwrap();
        assert!(matches!(segment.end, End::Torn { at, .. } if at <= place), "{place}");
    }
}

#[test]
fn what_is_no_trace_of_this_version_is_refused_by_name() {
    let parse = |bytes: &[u8]| Segment::<Beat>::parse(bytes).unwrap_err();
    for foreign in [&b""[..], b"#pha-status 1 2 3\n", b"\x7fELF", b"#pha-trace", b"#pha-trace x sender\n"] {
        assert_eq!(parse(foreign), TraceError::NotOurs);
    }
    assert_eq!(parse(b"#pha-trace 2 sender\nxx"), TraceError::Version { found: 2 });
    assert_eq!(parse(&file(&supervisor(), &[])), TraceError::Program);
    assert_eq!(parse(b"#pha-trace 1 sender\nxx"), TraceError::Beginning);
}

#[test]
fn what_leaves_no_mark_need_not_be_recorded() {
    let (mut beat, inputs) = beat();
    assert!(beat.ignores(&BeatInput::DeadlinePassed, at(1000)));
    assert!(!beat.ignores(&inputs[0], at(1000)));
    beat.feed(inputs[0].clone(), at(1000));
    assert!(beat.ignores(&inputs[0], at(1001)));
    assert!(!beat.ignores(&BeatInput::DeadlinePassed, at(1001)));
    let mut detectors = Detectors::new(vec![detector()]);
    detectors.feed(heard(), at(1000));
    assert!(detectors.ignores(&DetectorInput::DeadlinePassed, at(1299)));
    assert!(!detectors.ignores(&DetectorInput::DeadlinePassed, at(1300)));
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let mut file = b"#pha-trace 1 receiver\n".to_vec();
        file.extend(&bytes);
        let _ = Segment::<Detectors>::parse(&file);
        let _ = Segment::<Detectors>::parse(&bytes);
    }

    #[test]
    fn a_deadline_that_is_said_to_be_ignored_changes_nothing(beats in prop::collection::vec((0_u64..3000, any::<bool>()), 1..20)) {
        let mut detectors = Detectors::new(vec![detector()]);
        let mut now = at(1000);
        for (later, hears) in beats {
            now = now + Duration::from_millis(later);
            let input = if hears { heard() } else { DetectorInput::DeadlinePassed };
            let ignored = detectors.ignores(&input, now);
            let before = detectors.clone();
            detectors.feed(input, now);
            prop_assert!(!ignored || before == detectors);
        }
    }
}
