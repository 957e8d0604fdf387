//! The failure detector: is this peer alive?
//!
//! ```text
//!   Unheard ──heartbeat──▶ Alive ──1.5 intervals──▶ Suspect ──dead time──▶ Dead
//!      │                    ▲ └──says LEFT or KEPT──▶ Absent                 ▲
//!      │                    └──── any heartbeat: Alive or Absent             │
//!      └──────────────────────── init dead time ─────────────────────────────┘
//! ```
//!
//! One [`PeerDetector`] a peer, fed with authentic heartbeats; it accuses only for silence that this machine was awake
//! to hear: [`PeerDetector::was_late`] excuses the peer for the time its own timer overslept.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::heartbeat::{Heartbeat, Saying, Serial};
use crate::node::NodeId;
use crate::report::{LinkReport, Liveness, PeerReport};
use crate::time::BootTime;
use crate::word::{Direction, Word};

/// The detector's times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DetectorSettings {
    /// `HEARTBEAT_INT`.
    pub interval: Duration,
    /// `DEADTIME`.
    pub dead_time: Duration,
    /// `INITDEAD`: how long a detector that has just started waits for a first heartbeat.
    pub init_dead: Duration,
}

impl DetectorSettings {
    fn suspect_time(&self) -> Duration {
        self.interval * 3 / 2
    }

    /// A timer that fires later than this makes the detector doubt itself.
    #[must_use]
    pub fn tolerated_lateness(&self) -> Duration {
        self.dead_time / 4
    }
}

/// Whether a heartbeat brings news or is a copy that came over another link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Arrival {
    /// Newer than anything heard.
    Newest,
    /// Heard before on another link: it tells about that link, not about the peer.
    Copy,
}

/// Watches one peer.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PeerDetector {
    settings: DetectorSettings,
    own_config: u32,
    silent_since: BootTime,
    report: PeerReport,
    link_serials: Vec<Serial>,
}

impl PeerDetector {
    /// A peer that has not been heard; `addresses` name its links, `own_config` is the hash to compare with.
    #[must_use]
    pub fn new(
        node: NodeId,
        addresses: Vec<String>,
        own_config: u32,
        settings: DetectorSettings,
        now: BootTime,
    ) -> Self {
        let links: Vec<LinkReport> = addresses
            .into_iter()
            .map(|address| LinkReport { address, heard_at: None, longest_gap: Duration::ZERO, received: 0, lost: 0 })
            .collect();
        Self {
            settings,
            own_config,
            silent_since: now,
            link_serials: vec![Serial::default(); links.len()],
            report: PeerReport {
                node,
                liveness: Liveness::Unheard,
                liveness_since: now,
                saying: None,
                word_since: now,
                progress_until: None,
                serial: Serial::default(),
                heard_at: None,
                hears_us: Serial::default(),
                hears_us_at: now,
                reply_wanted: Serial::default(),
                supervise_age: Duration::ZERO,
                config_differs: false,
                links,
            },
        }
    }

    /// An authentic, fresh heartbeat came in over `link` (an index into the addresses).
    pub fn heartbeat_received(&mut self, heartbeat: &Heartbeat, link: usize, arrival: Arrival, now: BootTime) {
        self.note_link(link, heartbeat.serial, now);
        if arrival == Arrival::Copy {
            return;
        }
        self.silent_since = now;
        self.report.heard_at = Some(now);
        self.note_saying(heartbeat, now);
        let gone = self.report.saying.is_some_and(|s| s.word.status().is_none());
        self.change_liveness(if gone { Liveness::Absent } else { Liveness::Alive }, now);
    }

    /// The shell's timer fired `lateness` after it was due: the peer is not to blame for silence while we slept. What it said
    /// last may still be on its way, so it has the time of one more heartbeat at least. In a sleep longer than the dead time
    /// that may have found the socket's buffer full: silence begins anew.
    pub fn was_late(&mut self, lateness: Duration, now: BootTime) {
        let last_chance = now - self.settings.dead_time.saturating_sub(self.settings.suspect_time());
        let excused = self.silent_since + lateness;
        let silent_since = if self.report.liveness == Liveness::Unheard {
            excused
        } else if lateness >= self.settings.dead_time {
            now
        } else {
            excused.max(last_chance)
        };
        self.silent_since = silent_since.min(now);
    }

    /// Time has come for [`Self::next_deadline`].
    pub fn deadline_passed(&mut self, now: BootTime) {
        let silence = now.since(self.silent_since);
        match self.report.liveness {
            Liveness::Alive | Liveness::Suspect if silence >= self.settings.dead_time => {
                self.change_liveness(Liveness::Dead, now);
            }
            Liveness::Unheard if silence >= self.settings.init_dead => self.change_liveness(Liveness::Dead, now),
            Liveness::Alive if silence >= self.settings.suspect_time() => self.change_liveness(Liveness::Suspect, now),
            Liveness::Alive | Liveness::Suspect | Liveness::Unheard | Liveness::Dead | Liveness::Absent => {}
        }
    }

    /// When silence next means something.
    #[must_use]
    pub fn next_deadline(&self) -> Option<BootTime> {
        match self.report.liveness {
            Liveness::Alive => Some(self.silent_since + self.settings.suspect_time()),
            Liveness::Suspect => Some(self.silent_since + self.settings.dead_time),
            Liveness::Unheard => Some(self.silent_since + self.settings.init_dead),
            Liveness::Dead | Liveness::Absent => None,
        }
    }

    /// What stands in the status database.
    #[must_use]
    pub const fn report(&self) -> &PeerReport {
        &self.report
    }

    fn change_liveness(&mut self, to: Liveness, now: BootTime) {
        if self.report.liveness != to {
            self.report.liveness = to;
            self.report.liveness_since = now;
        }
    }

    fn note_link(&mut self, index: usize, serial: Serial, now: BootTime) {
        let (Some(link), Some(last)) = (self.report.links.get_mut(index), self.link_serials.get_mut(index)) else {
            return;
        };
        if serial.incarnation == last.incarnation {
            link.lost += serial.sequence.saturating_sub(last.sequence + 1);
            let gap = link.heard_at.map_or(Duration::ZERO, |heard| now.since(heard));
            link.longest_gap = link.longest_gap.max(gap);
        }
        link.received += 1;
        link.heard_at = Some(now);
        *last = serial;
    }

    fn note_saying(&mut self, heartbeat: &Heartbeat, now: BootTime) {
        let report = &mut self.report;
        let said = heartbeat.saying;
        let goes_on = |before: Word| same_word(before, said.word) || (lets_go(before) && lets_go(said.word));
        if !report.saying.is_some_and(|before| goes_on(before.word)) {
            report.word_since = now;
        }
        report.progress_until = match said.word {
            Word::Progress { remaining, .. } => Some(now + remaining),
            Word::Online | Word::Offline { .. } | Word::Left { .. } | Word::Kept => None,
        };
        // Remaining time runs down by itself; what is stored must change only when the peer's mind does.
        report.saying = Some(Saying { word: without_remaining(said.word), ..said });
        report.serial = heartbeat.serial;
        report.hears_us_at = match report.liveness {
            _ if heartbeat.heard != report.hears_us => now,
            Liveness::Alive | Liveness::Suspect => report.hears_us_at,
            // It heard nobody while it was dead. But one that is dead and alive in turn does not begin anew each time.
            Liveness::Dead => report.hears_us_at + now.since(report.liveness_since),
            Liveness::Unheard | Liveness::Absent => now,
        };
        report.hears_us = heartbeat.heard;
        report.supervise_age = heartbeat.supervise_age;
        report.config_differs = said.config_hash != self.own_config;
        if heartbeat.reply_wanted {
            report.reply_wanted = heartbeat.serial;
        }
    }
}

fn without_remaining(word: Word) -> Word {
    match word {
        Word::Progress { direction, .. } => Word::Progress { direction, remaining: Duration::ZERO },
        Word::Online | Word::Offline { .. } | Word::Left { .. } | Word::Kept => word,
    }
}

/// A release that is tried again and again is one: from its beginning on no lease is renewed.
fn lets_go(word: Word) -> bool {
    matches!(word, Word::Progress { direction: Direction::Stopping, .. } | Word::Offline { clean: false })
}

/// Whether two words are the same but for the time that remains.
#[must_use]
pub fn same_word(a: Word, b: Word) -> bool {
    without_remaining(a) == without_remaining(b)
}

/// Whether reports have changed in what others act on; figures alone can wait for the next tick.
#[must_use]
pub fn brings_news<'a>(before: &[PeerReport], after: impl ExactSizeIterator<Item = &'a PeerReport>) -> bool {
    let news = |a: &PeerReport, b: &PeerReport| {
        a.liveness != b.liveness
            || a.saying != b.saying
            || a.progress_until.is_some() != b.progress_until.is_some()
            || a.reply_wanted != b.reply_wanted
            || a.config_differs != b.config_differs
    };
    before.len() != after.len() || before.iter().zip(after).any(|(a, b)| news(a, b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::word::LeaveCause;

    const INTERVAL: Duration = Duration::from_millis(200);
    const DEAD: Duration = Duration::from_millis(600);

    fn at(ms: u64) -> BootTime {
        BootTime::ZERO + Duration::from_millis(ms)
    }

    fn detector() -> PeerDetector {
        let settings = DetectorSettings { interval: INTERVAL, dead_time: DEAD, init_dead: 2 * DEAD };
        let node = NodeId::new(2).expect("2 is a node id");
        PeerDetector::new(node, vec!["10.0.0.2".into(), "10.1.0.2".into()], 7, settings, at(0))
    }

    fn heartbeat(sequence: u64, word: Word) -> Heartbeat {
        Heartbeat {
            node: NodeId::new(2).expect("2 is a node id"),
            serial: Serial { incarnation: 1, sequence },
            saying: Saying { config_hash: 7, ..Saying::healthy(word) },
            reply_wanted: false,
            heard: Serial::default(),
            supervise_age: Duration::ZERO,
        }
    }

    #[test]
    fn a_silent_peer_is_suspected_after_one_and_a_half_intervals_and_dead_after_the_dead_time() {
        // P61
        let mut d = detector();
        d.heartbeat_received(&heartbeat(1, Word::Online), 0, Arrival::Newest, at(1000));
        assert_eq!(d.report().liveness, Liveness::Alive);
        assert_eq!(d.next_deadline(), Some(at(1300)));
        d.deadline_passed(at(1299));
        assert_eq!(d.report().liveness, Liveness::Alive);
        d.deadline_passed(at(1300));
        assert_eq!(d.report().liveness, Liveness::Suspect);
        assert_eq!(d.next_deadline(), Some(at(1600)));
        d.deadline_passed(at(1600));
        assert_eq!(d.report().liveness, Liveness::Dead);
        assert_eq!(d.next_deadline(), None);
        d.heartbeat_received(&heartbeat(2, Word::Offline { clean: true }), 0, Arrival::Newest, at(9000));
        assert_eq!(d.report().liveness, Liveness::Alive);
    }

    #[test]
    fn a_peer_that_is_never_heard_is_dead_after_the_init_dead_time() {
        let mut d = detector();
        d.deadline_passed(at(1199));
        assert_eq!((d.report().liveness, d.next_deadline()), (Liveness::Unheard, Some(at(1200))));
        d.deadline_passed(at(1200));
        assert_eq!(d.report().liveness, Liveness::Dead);
    }

    #[test]
    fn a_peer_that_says_it_left_is_absent_at_once_and_never_dies() {
        let mut d = detector();
        d.heartbeat_received(&heartbeat(1, Word::Online), 0, Arrival::Newest, at(0));
        for word in [Word::Left { cause: LeaveCause::Operator }, Word::Kept] {
            d.heartbeat_received(&heartbeat(2, word), 0, Arrival::Newest, at(10));
            d.deadline_passed(at(10_000));
            assert_eq!(d.report().liveness, Liveness::Absent);
            assert_eq!(d.next_deadline(), None);
        }
    }

    #[test]
    fn a_starved_receiver_does_not_accuse() {
        let mut d = detector();
        d.heartbeat_received(&heartbeat(1, Word::Online), 0, Arrival::Newest, at(0));
        // The timer due at 300 fired at 2300: what was said meanwhile may be lost.
        d.was_late(Duration::from_millis(2000), at(2300));
        for (now, liveness) in [(2300, Liveness::Alive), (2600, Liveness::Suspect), (2899, Liveness::Suspect)] {
            d.deadline_passed(at(now));
            assert_eq!(d.report().liveness, liveness, "{now}");
        }
        d.deadline_passed(at(2900));
        assert_eq!(d.report().liveness, Liveness::Dead);
    }

    #[test]
    fn silence_begins_anew_after_a_sleep_as_long_as_the_dead_time() {
        for (overslept, silent_since) in [(599, 599), (600, 900)] {
            let mut d = detector();
            d.heartbeat_received(&heartbeat(1, Word::Online), 0, Arrival::Newest, at(0));
            d.was_late(Duration::from_millis(overslept), at(300 + overslept));
            assert_eq!(d.next_deadline(), Some(at(silent_since + 300)));
        }
    }

    #[test]
    fn the_time_that_was_overslept_is_not_counted_as_silence() {
        let mut d = detector();
        assert_eq!(d.settings.tolerated_lateness(), Duration::from_millis(150));
        d.heartbeat_received(&heartbeat(1, Word::Online), 0, Arrival::Newest, at(400));
        d.was_late(Duration::from_millis(250), at(500));
        assert_eq!(d.next_deadline(), Some(at(800)));
    }

    #[test]
    fn any_link_keeps_the_peer_alive_and_each_link_counts_its_own_losses() {
        let mut d = detector();
        d.heartbeat_received(&heartbeat(1, Word::Online), 0, Arrival::Newest, at(0));
        d.heartbeat_received(&heartbeat(1, Word::Online), 1, Arrival::Copy, at(1));
        d.heartbeat_received(&heartbeat(2, Word::Online), 1, Arrival::Newest, at(200));
        d.heartbeat_received(&heartbeat(4, Word::Online), 1, Arrival::Newest, at(600));
        d.heartbeat_received(&heartbeat(4, Word::Online), 0, Arrival::Copy, at(601));
        let links = &d.report().links;
        assert_eq!((links[0].received, links[0].lost), (2, 2));
        assert_eq!((links[1].received, links[1].lost), (3, 1));
        assert_eq!(links[1].longest_gap, Duration::from_millis(400));
        assert_eq!(d.report().liveness, Liveness::Alive);
    }

    #[test]
    fn progress_carries_a_deadline_on_this_clock_and_its_countdown_is_no_change_of_word() {
        // P11, P12
        let mut d = detector();
        let progress = |ms| Word::Progress { direction: Direction::Starting, remaining: Duration::from_millis(ms) };
        d.heartbeat_received(&heartbeat(1, progress(5000)), 0, Arrival::Newest, at(100));
        d.heartbeat_received(&heartbeat(2, progress(4800)), 0, Arrival::Newest, at(300));
        assert_eq!(d.report().word_since, at(100));
        assert_eq!(d.report().progress_until, Some(at(5100)));
        d.heartbeat_received(&heartbeat(3, Word::Online), 0, Arrival::Newest, at(500));
        assert_eq!((d.report().word_since, d.report().progress_until), (at(500), None));
    }

    #[test]
    fn a_release_that_is_tried_again_goes_on_since_its_beginning() {
        let mut d = detector();
        let stopping = Word::Progress { direction: Direction::Stopping, remaining: Duration::from_secs(5) };
        d.heartbeat_received(&heartbeat(1, Word::Online), 0, Arrival::Newest, at(0));
        for (sequence, word) in [stopping, Word::Offline { clean: false }, stopping].into_iter().enumerate() {
            let n = sequence as u64;
            d.heartbeat_received(&heartbeat(2 + n, word), 0, Arrival::Newest, at(100 + 2000 * n));
            assert_eq!(d.report().word_since, at(100));
        }
        d.heartbeat_received(&heartbeat(5, Word::Offline { clean: true }), 0, Arrival::Newest, at(9000));
        assert_eq!(d.report().word_since, at(9000));
    }

    #[test]
    fn what_is_stored_of_a_countdown_does_not_count() {
        // P12
        let mut d = detector();
        let stored = Word::Progress { direction: Direction::Stopping, remaining: Duration::ZERO };
        let said = Word::Progress { direction: Direction::Stopping, remaining: Duration::from_secs(3) };
        d.heartbeat_received(&heartbeat(1, said), 0, Arrival::Newest, at(0));
        assert_eq!(d.report().saying.map(|saying| saying.word), Some(stored));
    }

    #[test]
    fn a_peer_hears_us_since_it_heard_something_new_and_is_not_deaf_while_it_is_dead() {
        let mut d = detector();
        let hears = |sequence, heard| Heartbeat {
            heard: Serial { incarnation: 1, sequence: heard },
            ..heartbeat(sequence, Word::Online)
        };
        for (sequence, heard, now, since) in [(1, 5, 100, 100), (2, 5, 300, 100), (3, 6, 500, 500), (4, 6, 700, 500)] {
            d.heartbeat_received(&hears(sequence, heard), 0, Arrival::Newest, at(now));
            assert_eq!(d.report().hears_us_at, at(since));
        }
        d.deadline_passed(at(1300));
        assert_eq!(d.report().liveness, Liveness::Dead);
        d.heartbeat_received(&hears(5, 6), 0, Arrival::Newest, at(2000));
        assert_eq!(d.report().hears_us_at, at(500 + 700), "the 700 ms that it was dead do not count");
    }

    #[test]
    fn a_peer_that_tells_it_has_heard_one_of_our_newest_heartbeats_can_be_reached() {
        let mut d = detector();
        let ours = |incarnation, sequence| Serial { incarnation, sequence };
        d.heartbeat_received(
            &Heartbeat { heard: ours(7, 100), ..heartbeat(1, Word::Online) },
            0,
            Arrival::Newest,
            at(0),
        );
        for (newest, reached) in
            [(ours(7, 100), true), (ours(7, 124), true), (ours(7, 125), false), (ours(8, 100), false)]
        {
            assert_eq!(d.report().has_heard(newest, 25), reached, "{newest:?}");
        }
    }

    #[test]
    fn whatever_others_act_on_is_news_and_figures_are_not() {
        let mut d = detector();
        d.heartbeat_received(&heartbeat(1, Word::Online), 0, Arrival::Newest, at(0));
        let old = d.report().clone();
        let news = |new: PeerReport| brings_news(std::slice::from_ref(&old), [new].iter());
        assert!(!news(old.clone()));
        assert!(!news(PeerReport { supervise_age: Duration::from_secs(1), heard_at: Some(at(9)), ..old.clone() }));
        assert!(news(PeerReport { liveness: Liveness::Suspect, ..old.clone() }));
        assert!(news(PeerReport { saying: None, ..old.clone() }));
        assert!(news(PeerReport { progress_until: Some(at(9)), ..old.clone() }));
        assert!(news(PeerReport { reply_wanted: Serial { incarnation: 1, sequence: 1 }, ..old.clone() }));
        assert!(news(PeerReport { config_differs: true, ..old.clone() }));
        assert!(brings_news(&[], [old].iter()));
    }

    #[test]
    fn another_configuration_is_noticed() {
        let mut d = detector();
        let mut other = heartbeat(1, Word::Online);
        other.saying.config_hash = 8;
        d.heartbeat_received(&other, 0, Arrival::Newest, at(0));
        assert!(d.report().config_differs);
    }
}
