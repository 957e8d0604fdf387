//! Tests of the publisher, with a writer that stalls when the test wants it.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::mpsc::{self, Sender};

use pha_status::SenderSection;
use pha_sys::poll;

use super::*;

const LONG: Duration = Duration::from_secs(20);

struct Node {
    _dir: tempfile::TempDir,
    writer: Writer,
    database: Arc<Database>,
    publisher: Publisher<SenderSection>,
}

fn node() -> Node {
    let dir = tempfile::tempdir().unwrap();
    let (writer, database) = (Writer::start("test").unwrap(), Arc::new(Database::new(dir.path(), "lb1")));
    let publisher = Publisher::with(writer.clone(), Arc::clone(&database)).unwrap();
    Node { _dir: dir, writer, database, publisher }
}

fn section(incarnation: u64) -> SenderSection {
    SenderSection { incarnation, ..SenderSection::default() }
}

impl Node {
    /// The disk answers no more, until the result is dropped.
    fn stall(&self) -> Sender<()> {
        let (thaw, frozen) = mpsc::channel::<()>();
        assert!(self.writer.take(move || assert!(frozen.recv().is_err())));
        thaw
    }

    fn publish(&mut self, incarnation: u64) -> Published {
        self.publisher.publish(section(incarnation), Duration::ZERO)
    }

    fn stored(&self) -> Record {
        self.database.read().unwrap()
    }

    fn rings(&self, patience: Duration) -> bool {
        poll::wait(&[self.publisher.as_fd()], Some(patience)).unwrap()[0]
    }
}

#[test]
fn on_a_disk_that_is_well_the_database_is_true_when_publishing_returns() {
    let mut node = node();
    let published = node.publisher.publish(section(1), LONG);
    let Published::Written(record) = published else { panic!("{published:?}") };
    assert_eq!((record.sender.incarnation, node.stored()), (1, *record));
    assert!(!node.rings(Duration::ZERO));
    assert_eq!(node.publisher.collect(), None);
}

#[test]
fn of_what_is_published_while_the_disk_stalls_only_the_newest_is_written_and_its_end_wakes() {
    let mut node = node();
    let thaw = node.stall();
    for incarnation in 1..=5 {
        assert_eq!(node.publish(incarnation), Published::Late);
    }
    assert!(node.publisher.late_since().is_some());
    assert!(node.publisher.collect().is_none() && !node.rings(Duration::ZERO));
    drop(thaw);
    assert!(node.rings(LONG));
    let Some(Published::Written(record)) = node.publisher.collect() else { panic!("it is written") };
    assert_eq!((record.sender.incarnation, record.generation), (5, 1));
    assert!(!node.rings(Duration::ZERO) && node.publisher.late_since().is_none());
}

#[test]
fn the_bell_of_a_publication_that_was_replaced_wakes_nobody_for_ever() {
    let mut node = node();
    let thaw = node.stall();
    assert_eq!(node.publish(1), Published::Late);
    drop(thaw);
    assert!(node.rings(LONG));
    assert!(matches!(node.publisher.store(section(2), Durability::Lasting, LONG), Published::Written(_)));
    assert!(!node.rings(Duration::ZERO));
}

#[test]
fn a_term_that_is_waited_for_in_vain_is_not_stored_and_its_late_end_does_no_harm() {
    let mut node = node();
    let thaw = node.stall();
    let patience = Duration::from_millis(10);
    assert_eq!(node.publisher.store(section(7), Durability::Lasting, patience), Published::Late);
    assert_eq!(node.publish(8), Published::Late);
    drop(thaw);
    assert!(node.rings(LONG));
    assert!(matches!(node.publisher.collect(), Some(Published::Written(record)) if record.sender.incarnation == 8));
}

#[test]
fn what_was_to_last_lasts_in_what_replaces_it() {
    let mut node = node();
    let _thaw = node.stall();
    node.publisher.store(section(1), Durability::Lasting, Duration::ZERO);
    node.publish(2);
    let papers = node.publisher.desk.papers();
    assert!(papers.waiting.as_ref().is_some_and(|task| task.number == 2 && task.durability == Durability::Lasting));
}

#[test]
fn nobody_takes_what_is_on_its_way_for_overwritten() {
    let mut node = node();
    node.publisher.publish_first(section(1), Durability::Volatile).unwrap();
    let mut record = node.stored();
    assert!(!node.publisher.was_overwritten(&mut record));
    let thaw = node.stall();
    node.publish(2);
    assert!(!node.publisher.was_overwritten(&mut record));
    drop(thaw);
    assert!(node.rings(LONG));
    node.publisher.collect();
    assert!(node.publisher.was_overwritten(&mut record));
}

#[test]
fn a_failure_is_told_and_made_good_by_the_next_publication() {
    let mut node = node();
    std::fs::create_dir(node.database.path()).unwrap();
    assert_eq!(node.publisher.publish(section(1), LONG), Published::Failed);
    assert!(node.publisher.publish_first(section(1), Durability::Volatile).is_err());
    std::fs::remove_dir(node.database.path()).unwrap();
    assert!(matches!(node.publisher.publish(section(2), LONG), Published::Written(_)));
}

#[test]
fn what_was_to_last_is_not_called_stored_because_something_after_it_was_written() {
    let mut node = node();
    node.publisher.store(section(1), Durability::Lasting, LONG);
    assert_eq!(node.publisher.lasts(node.publisher.number()), Some(true));
    let thaw = node.stall();
    node.publisher.store(section(2), Durability::Lasting, Duration::ZERO);
    let number = node.publisher.number();
    assert_eq!(node.publisher.lasts(number), None);
    node.publish(3);
    drop(thaw);
    assert!(node.rings(LONG));
    assert_eq!(node.publisher.lasts(number), Some(true), "what replaced it lasts in its place");
    node.publisher.publish(section(4), LONG);
    assert_eq!(node.publisher.lasts(number + 2), None, "that was not to last");
    let dir = node.database.path().parent().unwrap().to_owned();
    std::fs::rename(&dir, dir.with_extension("away")).unwrap();
    node.publisher.store(section(5), Durability::Lasting, LONG);
    let failed = node.publisher.number();
    std::fs::rename(dir.with_extension("away"), &dir).unwrap();
    assert!(matches!(node.publisher.publish(section(6), LONG), Published::Written(_)));
    assert_eq!(node.publisher.lasts(failed), Some(false));
}
