//! What the core is told about the database.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::Path;

use pha_config::Home;
use pha_core::report::OfflineWish;

use super::*;

/// On a database in `dir`; nothing is published yet.
fn supervise(dir: &Path) -> Supervise {
    let home = Home::at(dir);
    let config = Config::parse("NODES=a b\nADDR_a=127.0.0.1\nADDR_b=127.0.0.2\n", &home.config()).unwrap();
    let database = Arc::new(Database::new(dir, "a"));
    let (writer, now) = (Writer::start("writer").unwrap(), now());
    let settings = settings(&home, &config, &config.nodes[0]);
    Supervise {
        window: settings.probe_window(),
        supervisor: Supervisor::new(settings, Restored::default(), now),
        recorder: Recorder::off(),
        runner: Runner::new(&home, &config, &config.nodes[0], &writer, Writer::at_once()),
        pinger: None,
        gateways: Vec::new(),
        echo: 0,
        answered: BTreeMap::new(),
        lease: config.lease,
        own: Vec::new(),
        carrier: true,
        record: Record::default(),
        publisher: Publisher::with(writer.clone(), Arc::clone(&database)).unwrap(),
        database,
        database_writer: writer,
        could_publish: true,
        reserving: None,
        section: SuperviseSection { pid: 1, ..SuperviseSection::default() },
        outside: Outside::default(),
        receiver_lock: dir.join("receiver.pid"),
        next_look: now,
        ended: false,
    }
}

// What is kept beside a lost database is what a reboot leaves: no `offline`.
#[test]
fn wishes_are_put_back_into_a_lost_database_whatever_was_kept_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut supervise = supervise(dir.path());
    let offline = OfflineWish { since: now(), until: now() + Duration::from_secs(60), force: false };
    let wish = |operator: &mut OperatorSection| {
        operator.wishes.offline = Some(offline);
        operator.wishes.maintenance = true;
        (operator.by, operator.at) = ("somebody".to_owned(), now());
    };
    supervise.database.update(Durability::Lasting, Patience::Operator, wish).unwrap();
    supervise.read();
    assert_eq!(supervise.record.operator.wishes.offline, Some(offline));
    fs::remove_file(dir.path().join("status.dat")).unwrap();
    let left = supervise.database.read().unwrap().operator;
    assert!(left.wishes.maintenance && left.wishes.offline.is_none(), "{left:?}");
    supervise.read();
    assert_eq!(supervise.record.operator.wishes.offline, Some(offline));
    assert!(supervise.database_writer.drain(Duration::from_secs(20)));
    assert_eq!(supervise.database.read().unwrap().operator.wishes.offline, Some(offline));
}

// Or it takes itself for mute until it next has something to say, and may give way meanwhile.
#[test]
fn a_word_that_is_put_back_into_a_database_that_can_be_written_again_is_told_to_the_core() {
    let dir = tempfile::tempdir().unwrap();
    let mut supervise = supervise(dir.path());
    supervise.record = supervise.publisher.publish_first(supervise.section.clone(), Durability::Volatile).unwrap();
    let file = dir.path().join("status.dat");
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    supervise.section.tick = now();
    let section = supervise.section.clone();
    let failed = supervise.publisher.store(section, Durability::Volatile, Duration::from_secs(20));
    assert_eq!(supervise.note_published(failed), Some(Event::Published(false)));
    fs::remove_dir(&file).unwrap();
    let mut told = supervise.read();
    // A busy disk takes its time.
    while supervise.publisher.late_since().is_some() {
        std::thread::sleep(Duration::from_millis(1));
        told = supervise.publisher.collect().and_then(|published| supervise.note_published(published)).or(told);
    }
    assert_eq!(told, Some(Event::Published(true)));
    assert_eq!(supervise.read(), None, "nothing was overwritten any more");
}
