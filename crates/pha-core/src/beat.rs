//! When the sender speaks, and when it falls silent.
//!
//! A fixed beat; at once when what it says changes (and twice more, quickly, so that one lost datagram does not delay the
//! news); quick beats that want an answer while a peer is suspect; an answer at once to a peer that wants one. It falls
//! silent when supervise has not ticked for the silence limit (`LEASE − DEADTIME`), with one last beat exactly then: so
//! the peer, which waits one dead time more, cannot take over before the kernel has let the leased addresses go.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::heartbeat::{Saying, Serial};
use crate::node::NodeId;
use crate::report::{Liveness, PeerReport, SuperviseReport};
use crate::time::BootTime;
use crate::word::Word;

/// Quick copies of a heartbeat that brings news, [`QUICK`] intervals apart.
const COPIES: u32 = 2;
/// The copies come after this fraction of the interval, and so do questions at the latest.
const QUICK: u32 = 10;
/// How often a suspect peer is asked before it is dead. With 30 % of all datagrams lost each way a question remains without
/// its answer half of the time; this many do once in a million suspicions.
const QUESTIONS: u32 = 20;
/// And no more than this in one suspicion, however long it is drawn out: the receiver that should end it may be dead.
const MOST_QUESTIONS: u32 = 10 * QUESTIONS;
/// Questions come no faster, whatever the times: a peer writes its status database for each.
const FASTEST: Duration = Duration::from_micros(250);

/// The sender's times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BeatSettings {
    /// `HEARTBEAT_INT`.
    pub interval: Duration,
    /// `DEADTIME`: for how long a suspect peer can be asked.
    pub dead_time: Duration,
    /// Age of supervise's tick at which the sender falls silent: `LEASE − DEADTIME`.
    pub silence_limit: Duration,
}

impl BeatSettings {
    /// From `HEARTBEAT_INT`, `DEADTIME` and `LEASE`.
    #[must_use]
    pub const fn new(interval: Duration, dead_time: Duration, lease: Duration) -> Self {
        Self { interval, dead_time, silence_limit: lease.saturating_sub(dead_time) }
    }

    /// The time between two questions: the suspicion, from 1.5 intervals to the dead time, has room for twenty.
    #[must_use]
    pub fn question_pause(&self) -> Duration {
        let suspicion = self.dead_time.saturating_sub(self.interval * 3 / 2);
        (suspicion / QUESTIONS).min(self.interval / QUICK).max(FASTEST)
    }
}

/// What supervise has put into the status database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Said {
    /// What to say.
    pub saying: Saying,
    /// When an announced PROGRESS ends.
    pub progress_until: Option<BootTime>,
    /// Whether supervise wants heartbeats sent at all.
    pub announce: bool,
    /// Supervise's last tick.
    pub tick: BootTime,
}

impl Said {
    /// What a report published at `tick` wants said.
    #[must_use]
    pub fn from_report(report: &SuperviseReport, tick: BootTime) -> Self {
        Self { saying: report.saying, progress_until: report.progress_until, announce: report.announce, tick }
    }

    /// A node that left does not age: its word stays true without a supervise.
    fn ages(&self) -> bool {
        self.saying.word.status().is_some()
    }

    fn says_the_same(&self, other: &Self) -> bool {
        self.saying == other.saying && self.progress_until == other.progress_until && self.announce == other.announce
    }
}

/// One round of heartbeats to be sent to every peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Round {
    /// What to say, with the time that remains worked out.
    pub saying: Saying,
    /// Whether an answer is wanted.
    pub reply_wanted: bool,
    /// Age of supervise's tick.
    pub supervise_age: Duration,
}

/// Decides when a round of heartbeats goes out.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Beat {
    settings: BeatSettings,
    said: Option<Said>,
    suspicion: bool,
    /// Questions since it began.
    asked: u32,
    answered: BTreeMap<NodeId, Serial>,
    copies: u32,
    next: BootTime,
    /// A peer wants an answer, earlier than the next beat.
    answer_due: Option<BootTime>,
    last_beat_done: bool,
}

impl Beat {
    /// Says nothing until [`Self::record_changed`].
    #[must_use]
    pub const fn new(settings: BeatSettings, now: BootTime) -> Self {
        Self {
            settings,
            said: None,
            suspicion: false,
            asked: 0,
            answered: BTreeMap::new(),
            copies: 0,
            next: now,
            answer_due: None,
            last_beat_done: false,
        }
    }

    /// The status database changed.
    pub fn record_changed(&mut self, said: Option<Said>, peers: &[PeerReport], now: BootTime) {
        let changed = match (&self.said, &said) {
            (Some(before), Some(after)) => !before.says_the_same(after),
            (None, None) => false,
            (None, Some(_)) | (Some(_), None) => true,
        };
        let same_tick = self.said.as_ref().map(|said| said.tick) == said.as_ref().map(|said| said.tick);
        self.said = said;
        if changed {
            self.copies = COPIES;
            self.next = now;
        }
        // What is too old when it is first heard of is not said even once: it may be another's by now.
        self.last_beat_done = self.too_old(now) && (self.last_beat_done || !same_tick);
        self.note_peers(peers, now);
    }

    /// The round due now, if any.
    pub fn deadline_passed(&mut self, now: BootTime) -> Option<Round> {
        if now < self.next_deadline()? {
            return None;
        }
        self.last_beat_done = self.too_old(now);
        let only_answers = self.answer_due.take().is_some() && now < self.next;
        if !only_answers {
            self.next = now + self.pause();
            self.copies = self.copies.saturating_sub(1);
        }
        // An answer that wanted an answer would be answered: two nodes that suspect a third would never rest.
        let asks = self.asks() && !only_answers;
        self.asked += u32::from(asks);
        self.round(now, asks)
    }

    /// When the next round is due; `None` while silent.
    #[must_use]
    pub fn next_deadline(&self) -> Option<BootTime> {
        let said = self.said.as_ref().filter(|said| said.announce)?;
        let next = self.answer_due.map_or(self.next, |due| due.min(self.next));
        if !said.ages() {
            return Some(next);
        }
        (!self.last_beat_done).then(|| next.min(said.tick + self.settings.silence_limit))
    }

    /// Whether heartbeats go out at all (`SENDER_RUN`).
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.next_deadline().is_some()
    }

    /// What supervise wants said.
    #[must_use]
    pub const fn said(&self) -> Option<&Said> {
        self.said.as_ref()
    }

    /// Whether a peer is suspect, so that beats are quick and ask for an answer.
    #[must_use]
    pub const fn asks(&self) -> bool {
        self.suspicion && self.asked < MOST_QUESTIONS
    }

    /// What to say as the process ends: a node that left repeats it once, any other word would outlive its truth.
    #[must_use]
    pub fn farewell(&self, now: BootTime) -> Option<Round> {
        self.said.as_ref().filter(|said| !said.ages()).and_then(|_| self.round(now, false))
    }

    fn round(&self, now: BootTime, reply_wanted: bool) -> Option<Round> {
        let said = self.said.as_ref()?;
        let word = match said.saying.word {
            Word::Progress { direction, .. } => {
                let remaining = said.progress_until.map_or(Duration::ZERO, |until| until.since(now));
                Word::Progress { direction, remaining }
            }
            word @ (Word::Online | Word::Offline { .. } | Word::Left { .. } | Word::Kept) => word,
        };
        Some(Round { saying: Saying { word, ..said.saying }, reply_wanted, supervise_age: now.since(said.tick) })
    }

    fn note_peers(&mut self, peers: &[PeerReport], now: BootTime) {
        let suspicion = peers.iter().any(|peer| peer.liveness == Liveness::Suspect);
        if suspicion && !self.suspicion {
            self.next = now;
            self.asked = 0;
        }
        self.suspicion = suspicion;
        for peer in peers {
            if self.answered.insert(peer.node, peer.reply_wanted).unwrap_or_default() < peer.reply_wanted {
                self.answer_due = Some(now);
            }
        }
    }

    fn pause(&self) -> Duration {
        if self.asks() {
            self.settings.question_pause()
        } else if self.copies > 0 {
            self.settings.interval / QUICK
        } else {
            self.settings.interval
        }
    }

    fn too_old(&self, now: BootTime) -> bool {
        self.said.as_ref().is_some_and(|said| said.ages() && now >= said.tick + self.settings.silence_limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detector::{DetectorSettings, PeerDetector};
    use crate::word::Direction;

    fn at(ms: u64) -> BootTime {
        BootTime::ZERO + Duration::from_millis(ms)
    }

    fn said(word: Word, tick: u64) -> Said {
        Said { saying: Saying::healthy(word), progress_until: None, announce: true, tick: at(tick) }
    }

    fn beat() -> Beat {
        let ms = Duration::from_millis;
        Beat::new(BeatSettings::new(ms(200), ms(600), ms(3000)), at(0))
    }

    /// Rounds sent in `from..to` milliseconds, with a tick from supervise every second if `ticking`.
    fn run(beat: &mut Beat, word: Word, from: u64, to: u64, ticking: bool) -> Vec<u64> {
        let mut sent = Vec::new();
        for ms in from..to {
            if ticking && ms % 1000 == 0 {
                beat.record_changed(Some(said(word, ms)), &[], at(ms));
            }
            if beat.deadline_passed(at(ms)).is_some() {
                sent.push(ms);
            }
        }
        sent
    }

    #[test]
    fn ten_seconds_hold_about_fifty_heartbeats() {
        // P7
        let mut b = beat();
        b.record_changed(Some(said(Word::Online, 0)), &[], at(0));
        let sent = run(&mut b, Word::Online, 0, 10_000, true);
        assert!((48..=53).contains(&sent.len()), "{}", sent.len());
    }

    #[test]
    fn news_goes_out_at_once_and_twice_more() {
        let mut b = beat();
        b.record_changed(Some(said(Word::Online, 0)), &[], at(0));
        run(&mut b, Word::Online, 0, 1050, true);
        b.record_changed(Some(said(Word::Offline { clean: true }, 1050)), &[], at(1050));
        assert_eq!(run(&mut b, Word::Online, 1050, 1400, false), vec![1050, 1070, 1090, 1290]);
    }

    #[test]
    fn the_sender_falls_silent_exactly_at_the_limit_when_supervise_is_dead() {
        let mut b = beat();
        b.record_changed(Some(said(Word::Online, 0)), &[], at(0));
        let sent = run(&mut b, Word::Online, 0, 10_000, false);
        assert_eq!(sent.last(), Some(&2400));
        assert!(!b.is_running());
        b.record_changed(Some(said(Word::Online, 10_000)), &[], at(10_000));
        assert!(b.is_running());
    }

    #[test]
    fn a_sender_that_starts_beside_an_old_record_says_nothing() {
        let mut b = beat();
        b.record_changed(Some(said(Word::Online, 0)), &[], at(2500));
        assert!(!b.is_running());
        assert_eq!(run(&mut b, Word::Online, 2500, 3500, false), Vec::<u64>::new());
    }

    #[test]
    fn a_node_that_left_goes_on_saying_so_without_supervise() {
        let mut b = beat();
        b.record_changed(Some(said(Word::Kept, 0)), &[], at(0));
        assert!(run(&mut b, Word::Kept, 0, 10_000, false).len() > 40);
        assert!(b.farewell(at(10_000)).is_some());
        b.record_changed(Some(said(Word::Online, 10_000)), &[], at(10_000));
        assert!(b.farewell(at(10_000)).is_none());
    }

    #[test]
    fn nothing_is_sent_while_the_heartbeat_rests() {
        let mut b = beat();
        b.record_changed(Some(Said { announce: false, ..said(Word::Offline { clean: true }, 0) }), &[], at(0));
        assert!(run(&mut b, Word::Online, 1, 900, false).is_empty());
        assert!(!b.is_running());
    }

    #[test]
    fn remaining_time_is_worked_out_when_it_is_said() {
        // P11
        let word = Word::Progress { direction: Direction::Starting, remaining: Duration::ZERO };
        let mut b = beat();
        b.record_changed(Some(Said { progress_until: Some(at(5000)), ..said(word, 0) }), &[], at(0));
        let round = b.deadline_passed(at(1000)).expect("a round is due");
        assert_eq!(
            round.saying.word,
            Word::Progress { direction: Direction::Starting, remaining: Duration::from_millis(4000) }
        );
    }

    /// lb2, suspect or not, which last wanted an answer to heartbeat `wanted`.
    fn peer(liveness: Liveness, wanted: u64) -> PeerReport {
        let settings = DetectorSettings {
            interval: Duration::from_millis(200),
            dead_time: Duration::from_millis(600),
            init_dead: Duration::from_millis(1200),
        };
        let node = NodeId::new(2).expect("2 is a node id");
        let detector = PeerDetector::new(node, Vec::new(), 0, settings, at(0));
        let reply_wanted = Serial { incarnation: 1, sequence: wanted };
        PeerReport { liveness, reply_wanted, ..detector.report().clone() }
    }

    #[test]
    fn a_suspect_peer_is_asked_at_once_and_quickly_until_it_is_not_suspect_any_more() {
        let mut b = beat();
        b.record_changed(Some(said(Word::Online, 0)), &[], at(0));
        run(&mut b, Word::Online, 0, 450, false);
        b.record_changed(Some(said(Word::Online, 0)), &[peer(Liveness::Suspect, 0)], at(450));
        let round = b.deadline_passed(at(450)).expect("a round is due");
        assert!(round.reply_wanted);
        assert_eq!(run(&mut b, Word::Online, 451, 500, false), vec![465, 480, 495]);
        b.record_changed(Some(said(Word::Online, 0)), &[peer(Liveness::Alive, 0)], at(500));
        assert!(!b.deadline_passed(at(510)).expect("a round is due").reply_wanted);
        assert_eq!(run(&mut b, Word::Online, 511, 800, false), vec![710]);
    }

    #[test]
    fn an_answer_goes_out_at_once_and_only_once_and_wants_none_itself() {
        let mut b = beat();
        b.record_changed(Some(said(Word::Online, 0)), &[peer(Liveness::Alive, 0)], at(0));
        assert_eq!(run(&mut b, Word::Online, 0, 300, false), vec![0, 20, 40, 240]);
        let asks = [peer(Liveness::Suspect, 7)];
        b.record_changed(Some(said(Word::Online, 0)), &asks, at(300));
        assert!(b.deadline_passed(at(300)).expect("the first quick beat is due").reply_wanted);
        b.record_changed(Some(said(Word::Online, 0)), &[peer(Liveness::Suspect, 8)], at(305));
        assert!(!b.deadline_passed(at(305)).expect("an answer is due").reply_wanted);
        b.record_changed(Some(said(Word::Online, 0)), &[peer(Liveness::Suspect, 8)], at(306));
        assert_eq!(run(&mut b, Word::Online, 306, 330, false), vec![315]);
    }

    #[test]
    fn an_answer_that_is_due_with_a_beat_goes_out_with_it() {
        let mut b = beat();
        b.record_changed(Some(said(Word::Online, 0)), &[peer(Liveness::Alive, 0)], at(0));
        run(&mut b, Word::Online, 0, 100, false);
        b.record_changed(Some(said(Word::Online, 0)), &[peer(Liveness::Alive, 1)], at(240));
        assert_eq!(run(&mut b, Word::Online, 240, 500, false), vec![240, 440]);
    }
}
