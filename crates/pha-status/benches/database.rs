//! What reading and replacing the status database costs, with a record in which nothing is empty.

use std::fs;
use std::path::{Path, PathBuf};

use divan::{Bencher, black_box};
use pha_status::{Database, Durability, Patience, Record, STATUS_FILE, SenderSection, codec};
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

/// A database as a daemon finds it: written in this boot, with the record that the tests keep for good.
fn database(dir: &Path) -> Database {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/status-{}.dat", pha_status::VERSION));
    fs::copy(kept, dir.join(STATUS_FILE)).expect("the kept record");
    let database = Database::new(dir, "lb1");
    update(&database, Durability::Volatile);
    database
}

fn record() -> Record {
    let dir = Place::Disk.directory();
    database(dir.path()).read().expect("the record was written just now")
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
