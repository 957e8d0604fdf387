//! The questions that a node puts to a peer that has fallen silent.

use std::time::Duration;

use pha_core::beat::{Beat, BeatSettings, Said};
use pha_core::detector::{Arrival, DetectorSettings, PeerDetector};
use pha_core::report::{Liveness, PeerReport};
use pha_core::{BootTime, Heartbeat, NodeId, Saying, Serial, Word};

const INTERVAL: u64 = 200;
const DEAD: u64 = 600;

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn at(milliseconds: u64) -> BootTime {
    BootTime::ZERO + ms(milliseconds)
}

/// Heard for the last time at the beginning.
fn suspect() -> PeerReport {
    let times = DetectorSettings { interval: ms(INTERVAL), dead_time: ms(DEAD), init_dead: ms(DEAD) };
    let node = NodeId::new(2).expect("2 is a node id");
    let mut detector = PeerDetector::new(node, vec!["10.0.0.2".into()], 1, times, at(0));
    let serial = Serial { incarnation: 1, sequence: 1 };
    let heartbeat = Heartbeat {
        node,
        serial,
        saying: Saying::healthy(Word::Online),
        reply_wanted: false,
        heard: serial,
        supervise_age: ms(0),
    };
    detector.heartbeat_received(&heartbeat, 0, Arrival::Newest, at(0));
    detector.deadline_passed(at(300));
    assert_eq!(detector.report().liveness, Liveness::Suspect);
    detector.report().clone()
}

#[test]
fn a_suspicion_that_nobody_ends_is_good_for_two_hundred_questions_and_no_more() {
    let peers = [suspect()];
    let saying = Saying::healthy(Word::Offline { clean: true });
    let said = |tick| Said { saying, progress_until: None, announce: true, tick: at(tick) };
    let mut beat = Beat::new(BeatSettings::new(ms(INTERVAL), ms(DEAD), ms(3000)), at(300));
    let mut asked = Vec::new();
    for now in 300..20_000 {
        if now % 300 == 0 {
            beat.record_changed(Some(said(now)), &peers, at(now));
            assert_eq!(beat.said(), Some(&said(now)));
        }
        asked.extend(beat.deadline_passed(at(now)).filter(|round| round.reply_wanted).map(|_| now));
    }
    assert_eq!((asked.len(), asked.last()), (200, Some(&(300 + 199 * 15))));
}

#[test]
fn there_is_room_for_twenty_questions_and_none_comes_slower_than_the_copies_of_news() {
    for (dead, pause) in [(DEAD, 15), (2 * DEAD, 20)] {
        assert_eq!(BeatSettings::new(ms(INTERVAL), ms(dead), ms(3000)).question_pause(), ms(pause));
    }
}
