//! What reading and replacing the status database costs, with a record in which nothing is empty.

use std::fs;
use std::path::{Path, PathBuf};

use divan::{Bencher, black_box};
use pha_status::{
    Database, Durability, OperatorSection, Patience, ReceiverSection, Record, Section, SenderSection, SuperviseSection,
    codec,
};
use tempfile::TempDir;

fn main() {
    divan::main();
}

/// Where the database lies.
#[derive(Debug, Clone, Copy)]
enum Place {
    /// Where the sources were built: a disk, as a rule.
    Disk,
    /// A tmpfs.
    Memory,
}

impl Place {
    /// A directory there.
    fn directory(self) -> TempDir {
        let parent = match self {
            Self::Disk => PathBuf::from(env!("CARGO_TARGET_TMPDIR")),
            Self::Memory => PathBuf::from("/dev/shm"),
        };
        tempfile::tempdir_in(parent).expect("a directory for the database")
    }
}

/// The record that the tests keep for good, in which every field says something.
fn record() -> Record {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/status-{}.dat", pha_status::VERSION));
    let file = fs::read(kept).expect("the kept record");
    // `#pha-status 1 <bytes of text> <bytes of record> <crc32 of record>`, the text, the record.
    let line = file.split(|byte| *byte == b'\n').next().expect("a first line");
    let words = String::from_utf8_lossy(line);
    let length: usize = words.split(' ').nth(3).and_then(|word| word.parse().ok()).expect("the record's length");
    codec::decode(&file[file.len() - length..]).expect("a record of this version")
}

/// A database with that record in all its sections.
fn database(dir: &Path) -> Database {
    let (database, record) = (Database::new(dir, "lb1"), record());
    set::<SenderSection>(&database, record.sender);
    set::<ReceiverSection>(&database, record.receiver);
    set::<SuperviseSection>(&database, record.supervise);
    set::<OperatorSection>(&database, record.operator);
    database
}

fn set<S: Section>(database: &Database, section: S) {
    let updated = database.update(Durability::Volatile, Patience::Daemon, |old: &mut S| *old = section);
    updated.expect("the directory can be written");
}

fn update(database: &Database, durability: Durability) {
    let updated = database.update(durability, Patience::Daemon, |sender: &mut SenderSection| sender.incarnation += 1);
    updated.expect("the directory can be written");
}

#[divan::bench]
fn encode(bencher: Bencher<'_, '_>) {
    let record = record();
    bencher.bench_local(|| codec::encode(black_box(&record)));
}

#[divan::bench]
fn decode(bencher: Bencher<'_, '_>) {
    let bytes = codec::encode(&record()).expect("a record can be encoded");
    bencher.bench_local(|| codec::decode::<Record>(black_box(&bytes)));
}

#[divan::bench(args = [Place::Disk, Place::Memory])]
fn read(bencher: Bencher<'_, '_>, place: Place) {
    let dir = place.directory();
    let database = database(dir.path());
    bencher.bench_local(|| database.read());
}

#[divan::bench(args = [Place::Disk, Place::Memory])]
fn update_until_renamed(bencher: Bencher<'_, '_>, place: Place) {
    let dir = place.directory();
    let database = database(dir.path());
    bencher.bench_local(|| update(&database, Durability::Volatile));
}

#[divan::bench(args = [Place::Disk, Place::Memory])]
fn update_until_durable(bencher: Bencher<'_, '_>, place: Place) {
    let dir = place.directory();
    let database = database(dir.path());
    bencher.bench_local(|| update(&database, Durability::Lasting));
}
