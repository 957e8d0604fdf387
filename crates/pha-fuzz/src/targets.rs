//! What is fed, and what has to hold whatever it is fed with.

use std::cell::OnceCell;
use std::fs;
use std::path::Path;
use std::time::Duration;

use pha_config::Config;
use pha_core::beat::{Beat, BeatSettings};
use pha_core::detector::{Arrival, DetectorSettings, PeerDetector};
use pha_core::supervisor::Supervisor;
use pha_core::{BootTime, Dialect, Heartbeat, NodeId, Saying, Serial, Word};
use pha_status::{Database, Durability, Patience, Record, SenderSection, codec};
use pha_trace::{Clocks, DetectorInput, Detectors, Entry, EntryRef, Head, Machine, Segment, entry, opening, program};
use pha_wire::{Codec, Key, Keyring, OLDEST, Trust, VERSION};

/// Written by each version; `crates/pha-status` keeps them.
const DATABASES: [&[u8]; 2] = [
    include_bytes!("../../pha-status/tests/data/status-1.dat"),
    include_bytes!("../../pha-status/tests/data/status-2.dat"),
];

/// The configuration as it is shipped.
const CONFIG: &str = include_str!("../../../etc/config");

/// Something that reads bytes from outside.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// What it is called.
    pub name: &'static str,
    /// Good inputs.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Takes any bytes; whether they are good. Panics if something is wrong.
    pub feed: fn(&[u8]) -> bool,
}

/// Every target.
#[must_use]
pub fn all() -> Vec<Target> {
    vec![
        Target { name: "datagram", seeds: heartbeats, feed: datagram },
        Target { name: "database", seeds: || DATABASES.map(<[u8]>::to_vec).into(), feed: database },
        Target { name: "record", seeds: records, feed: record },
        Target { name: "trace", seeds: traces, feed: trace },
        Target { name: "config", seeds: configurations, feed: config },
        Target { name: "key", seeds: || vec![keys().to_text().into_bytes()], feed: key },
    ]
}

/// The target of this name.
#[must_use]
pub fn by_name(name: &str) -> Option<Target> {
    all().into_iter().find(|target| target.name == name)
}

fn heartbeat(sequence: u64) -> Heartbeat {
    Heartbeat {
        node: NodeId::new(2).expect("there is a node 2"),
        serial: Serial { incarnation: 1, sequence },
        saying: Saying::healthy(Word::Online),
        reply_wanted: false,
        heard: Serial::default(),
        supervise_age: Duration::ZERO,
    }
}

/// In every version that is understood.
fn heartbeats() -> Vec<Vec<u8>> {
    let codec = Codec::new("pha", Trust::Anybody);
    let spoken = |version: u8| codec.encode(&heartbeat(version.into()), Dialect { version, signer: 0 }).to_vec();
    (OLDEST..=VERSION).map(spoken).collect()
}

/// Without a key, so that it comes to the fields. What was understood is said in the same way again.
fn datagram(bytes: &[u8]) -> bool {
    let codec = Codec::new("pha", Trust::Anybody);
    let keyed = Codec::new("pha", Trust::Holders(keys()));
    assert!(keyed.decode(bytes).is_err(), "nobody but a holder of the key makes authentic bytes");
    let Ok((understood, dialect)) = codec.decode(bytes) else { return false };
    let again = codec.decode(&codec.encode(&understood, dialect));
    assert_eq!(again.map(|(heartbeat, _)| heartbeat), Ok(understood));
    true
}

fn keys() -> Keyring {
    Keyring::new(Key::from_bytes([7; 32]), None).expect("one key is a ring")
}

/// The file is read or refused, never a mixture; and the next update always succeeds. Checksums are put right first, or
/// nothing would ever come behind them.
fn database(bytes: &[u8]) -> bool {
    thread_local! {
        static FOLDER: OnceCell<tempfile::TempDir> = const { OnceCell::new() };
    }
    FOLDER.with(|folder| {
        let made = || tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        let dir = folder.get_or_init(|| made().expect("there is room for a folder")).path();
        let database = Database::new(dir, "lb1");
        for file in fs::read_dir(dir).into_iter().flatten().flatten() {
            fs::remove_file(file.path()).expect("it is our folder");
        }
        fs::write(database.path(), with_checksum(bytes)).expect("there is room for a file");
        let read = database.read();
        let change = |sender: &mut SenderSection| sender.pid = 7;
        let updated = database.update(Durability::Volatile, Patience::Operator, change).expect("it can be written");
        assert_eq!(updated.set_aside.is_some(), read.is_err());
        assert_eq!(database.read().expect("it was just written"), updated.record);
        read.is_ok()
    })
}

/// `bytes` with the checksum in the first line that its record has.
fn with_checksum(bytes: &[u8]) -> Vec<u8> {
    let sealed = || {
        let end = bytes.iter().position(|byte| *byte == b'\n')?;
        let words: Vec<&str> = std::str::from_utf8(&bytes[..end]).ok()?.split(' ').collect();
        let [magic, version, text, record, _] = words[..] else { return None };
        let start = (end + 1).checked_add(text.parse().ok()?)?;
        let crc = crc32fast::hash(bytes.get(start..start.checked_add(record.parse().ok()?)?)?);
        Some([format!("{magic} {version} {text} {record} {crc:08x}\n").as_bytes(), &bytes[end + 1..]].concat())
    };
    sealed().unwrap_or_else(|| bytes.to_vec())
}

fn records() -> Vec<Vec<u8>> {
    vec![codec::encode(&Record::default()).expect("it is small")]
}

/// A record of any content can be made what a reboot leaves of it, and be written again.
fn record(bytes: &[u8]) -> bool {
    let Ok(record) = codec::decode::<Record>(bytes) else { return false };
    let left = record.clone().after_reboot("another");
    assert_eq!(left.clone().after_reboot("another"), left);
    assert_eq!(codec::decode::<Record>(&codec::encode(&record).expect("it was decoded")), Ok(record));
    true
}

fn traces() -> Vec<Vec<u8>> {
    let clocks = Clocks::read(BootTime::ZERO);
    let head = Head {
        version: "0.1.0".into(),
        node: "lb1".into(),
        nodes: Vec::new(),
        boot_id: "a boot".into(),
        pid: 7,
        number: 1,
        lost: 0,
        clocks,
    };
    let second = Duration::from_secs(1);
    let settings = DetectorSettings { interval: second / 5, dead_time: second, init_dead: second };
    let node = NodeId::new(2).expect("there is a node 2");
    let peer = PeerDetector::new(node, vec!["10.0.0.2".to_owned()], 7, settings, BootTime::ZERO);
    let begun = opening(&head, &Detectors::new(vec![peer])).expect("it is small");
    let heard =
        |sequence| DetectorInput::Heard { peer: 0, heartbeat: heartbeat(sequence), link: 0, arrival: Arrival::Newest };
    let inputs = [heard(1), DetectorInput::Late(second), heard(2), DetectorInput::DeadlinePassed];
    let at = |number: u32| BootTime::ZERO + second * number;
    let entries = (1..).zip(&inputs).map(|(number, input)| entry(at(number), &EntryRef::<Detectors>::Input(input)));
    let receiver = [begun, entries.map(|entry| entry.expect("it is small")).collect::<Vec<_>>().concat()].concat();
    let beats = Beat::new(BeatSettings::new(second / 5, second, 3 * second), BootTime::ZERO);
    let sender = opening(&head, &beats).expect("it is small");
    vec![receiver, sender]
}

/// Read as far as it is good, and played.
fn trace(bytes: &[u8]) -> bool {
    let bytes = with_checksums(bytes);
    match program(&bytes) {
        Ok("supervise") => played::<Supervisor>(&bytes),
        Ok("receiver") => played::<Detectors>(&bytes),
        Ok(_) => played::<Beat>(&bytes),
        Err(_) => false,
    }
}

fn played<M: Machine>(bytes: &[u8]) -> bool {
    let Ok(segment) = Segment::<M>::parse(bytes) else { return false };
    let mut machine = segment.state;
    for (at, entry) in segment.entries {
        match entry {
            Entry::Input(input) => drop(machine.feed(input, at)),
            Entry::State(state) => machine = *state,
        }
    }
    true
}

/// `bytes` with the checksum before each frame that the frame has.
fn with_checksums(bytes: &[u8]) -> Vec<u8> {
    let mut sealed = bytes.to_vec();
    let mut at = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |end| end + 1);
    while let Some((length, rest)) = bytes.get(at..).and_then(|rest| rest.split_first_chunk::<4>()) {
        let Some(payload) = rest.get(4..).and_then(|rest| rest.get(..u32::from_le_bytes(*length) as usize)) else {
            break;
        };
        sealed[at + 4..at + 8].copy_from_slice(&crc32fast::hash(payload).to_le_bytes());
        at += 8 + payload.len();
    }
    sealed
}

fn configurations() -> Vec<Vec<u8>> {
    let lines = "NODES=a b c\nADDR_a=10.0.0.1 fd00::1\nADDR_b=10.0.0.2\nADDR_c=h\nGW=10.0.0.254 fd00::2\nRES_x.y=1 2\nRES_z=\n\
                 CHECK_z=tcp 127.0.0.1:80\nRES_PARALLEL=x.y z\nLEASE=3\nPROFILE=lan\nHEARTBEAT_INT=10\nDEADTIME=30\n";
    vec![CONFIG.as_bytes().to_vec(), lines.as_bytes().to_vec()]
}

/// Each error names a line that is there. What is accepted says the same to everybody who reads it.
fn config(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    match Config::parse(&text, Path::new("config")) {
        Ok(config) => {
            let again = Config::parse(&text, Path::new("config"));
            assert_eq!(again.map(|again| again.shared_hash()).ok(), Some(config.shared_hash()));
            let _ = (config.takeover_bound(), config.failure_bound(), config.start_limits());
            true
        }
        Err(errors) => {
            assert!(!errors.to_string().is_empty());
            false
        }
    }
}

fn key(bytes: &[u8]) -> bool {
    let Ok(keys) = Keyring::parse(&String::from_utf8_lossy(bytes)) else { return false };
    assert_eq!(Keyring::parse(&keys.to_text()), Ok(keys));
    true
}
