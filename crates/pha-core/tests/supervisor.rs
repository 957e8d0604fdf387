//! The supervisor's life from the first check to the last word, event by event.

use std::time::Duration;

use pha_core::detector::{Arrival, DetectorSettings, PeerDetector};
use pha_core::report::OfflineWish;
use pha_core::resource::{Call, Outcome, ResourceSettings};
use pha_core::supervisor::{Command, Event, Note, Outside, Restored, Settings, Supervisor};
use pha_core::{
    Ask, BootTime, Direction, Gateway, Heartbeat, LeaveCause, NodeId, Reason, Role, Saying, Serial, Term, Unready, Word,
};

fn at(ms: u64) -> BootTime {
    BootTime::ZERO + Duration::from_millis(ms)
}

/// lb2, which does not hold anything.
fn settled(settings: Settings) -> Supervisor {
    let mut s = Supervisor::new(
        Settings { me: NodeId::new(2).expect("2 is a node id"), ..settings },
        Restored::default(),
        at(0),
    );
    s.handle(Event::DeadlinePassed, at(0));
    s.handle(checked(Outcome::Failed), at(3));
    s
}

/// lb1 has just said this.
fn hears(word: Word, now: u64) -> Event {
    hears_asked(word, None, now)
}

/// The same, with whom it asks to take over.
fn hears_asked(word: Word, asks: Option<Ask>, now: u64) -> Event {
    let (interval, dead_time) = (Duration::from_millis(200), Duration::from_millis(600));
    let times = DetectorSettings { interval, dead_time, init_dead: dead_time };
    let node = NodeId::new(1).expect("1 is a node id");
    let heartbeat = Heartbeat {
        node,
        serial: Serial { incarnation: 1, sequence: now },
        saying: Saying { config_hash: 1, asks, ..Saying::healthy(word) },
        reply_wanted: false,
        heard: Serial::default(),
        supervise_age: Duration::ZERO,
    };
    let mut detector = PeerDetector::new(node, vec!["10.0.0.1".into()], 1, times, at(now));
    detector.heartbeat_received(&heartbeat, 0, Arrival::Newest, at(now));
    Event::OutsideChanged(Box::new(Outside { peers: vec![detector.report().clone()], ..Outside::default() }))
}

fn settings() -> Settings {
    let service = ResourceSettings {
        name: "service".into(),
        start_timeout: Duration::from_secs(5),
        stop_timeout: Duration::from_secs(5),
        check_timeout: Duration::from_secs(2),
        leased: false,
        probes: false,
        announces: false,
        watched: false,
        beside_previous: false,
    };
    Settings {
        me: NodeId::new(1).expect("1 is a node id"),
        heartbeat_interval: Duration::from_millis(200),
        dead_time: Duration::from_millis(600),
        supervise_interval: Duration::from_secs(2),
        ping_timeout: Duration::from_millis(2100),
        gateway: false,
        lease: Duration::from_secs(3),
        restarts: 1,
        restart_window: Duration::from_secs(60),
        unfit_time: Duration::from_secs(60),
        failback: None,
        witness: false,
        config_hash: 1,
        resources: vec![service],
    }
}

fn checked(outcome: Outcome) -> Event {
    let duration = Duration::from_millis(3);
    Event::CallFinished { resource: 0, call: Call::Check, outcome, message: String::new(), duration }
}

#[test]
fn it_is_settled_when_the_first_checks_have_ended_and_has_ended_when_its_last_word_is_said() {
    let mut s = Supervisor::new(settings(), Restored::default(), at(1000));
    s.handle(Event::DeadlinePassed, at(1000));
    assert!(!s.is_settled() && !s.has_ended());
    s.handle(checked(Outcome::Failed), at(1003));
    assert!(s.is_settled() && !s.has_ended());
    let commands = s.handle(Event::StopRequested, at(1100));
    assert!(s.has_ended() && commands.contains(&Command::Exit), "{commands:?}");
    assert_eq!(s.report().saying.word, Word::Left { cause: LeaveCause::Stopped });
}

#[test]
fn it_wants_to_be_woken_after_now_and_within_a_tick() {
    let mut s = Supervisor::new(settings(), Restored::default(), at(1000));
    let mut now = at(1000);
    assert_eq!(s.next_deadline(), at(2000), "even before it was told anything");
    for _ in 0..100 {
        s.handle(Event::DeadlinePassed, now);
        assert!(s.next_deadline() > now && s.next_deadline() <= now + Duration::from_secs(1));
        now = s.next_deadline();
    }
}

#[test]
fn a_second_stop_does_not_interrupt_what_the_first_one_began() {
    let mut leased = settings();
    leased.resources[0].leased = true;
    let mut s = Supervisor::new(leased, Restored::default(), at(1000));
    s.handle(Event::DeadlinePassed, at(1000));
    s.handle(checked(Outcome::Succeeded), at(1003));
    let is_keep = |command: &Command| matches!(command, Command::Run { call: Call::Keep, .. });
    assert!(s.handle(Event::StopRequested, at(1100)).iter().any(is_keep));
    let commands = s.handle(Event::StopRequested, at(1101));
    assert!(!commands.iter().any(|command| matches!(command, Command::Cancel { .. })), "{commands:?}");
}

#[test]
fn it_can_be_asked_what_it_was_told_last() {
    let mut s = settled(settings());
    let Event::OutsideChanged(told) = hears(Word::Online, 100) else { unreachable!("it is one") };
    s.handle(Event::OutsideChanged(told.clone()), at(100));
    assert_eq!(s.outside(), &*told);
}

#[test]
fn a_node_that_slept_through_a_round_of_echoes_does_not_call_its_gateway_lost() {
    let mut s = settled(Settings { gateway: true, ..settings() });
    let commands = s.handle(Event::DeadlinePassed, at(5000));
    assert!(commands.iter().any(|command| matches!(command, Command::Note(Note::WasAway(_)))), "{commands:?}");
    assert!(!commands.contains(&Command::Note(Note::Gateway(Gateway::Lost))), "{commands:?}");
}

#[test]
fn a_turn_that_was_interrupted_is_waited_for_anew() {
    let mut s = settled(settings());
    let offline = Word::Offline { clean: true };
    let starting = Word::Progress { direction: Direction::Starting, remaining: Duration::from_secs(9) };
    for (word, now, reason) in [
        (offline, 100, Reason::ClaimTurn),
        (offline, 500, Reason::ClaimTurn),
        (starting, 900, Reason::PeerBusy),
        (offline, 1400, Reason::ClaimTurn),
    ] {
        s.handle(hears(word, now), at(now));
        assert_eq!(s.report().reason, reason, "{now} ms");
    }
}

#[test]
fn a_turn_that_is_not_taken_is_over_after_twice_the_dead_time() {
    let mut s = settled(settings());
    let mut now = at(300);
    s.handle(hears(Word::Offline { clean: true }, 300), now);
    while s.report().reason == Reason::ClaimTurn {
        now = s.next_deadline();
        s.handle(Event::DeadlinePassed, now);
    }
    assert_eq!((s.role(), now), (Role::Active, at(1500)));
}

/// lb1 asks this node, which is lb2.
fn asked(at_ms: u64) -> Option<Ask> {
    Some(Ask { node: NodeId::new(2).expect("2 is a node id"), at: at(at_ms) })
}

/// It takes over from lb1, which has left, under the term that is on its disk.
fn takes_over(s: &mut Supervisor, now: u64) -> Term {
    let reserved = s.report().highest_term;
    let commands = s.handle(hears(Word::Left { cause: LeaveCause::Stopped }, now), at(now));
    assert!(commands.contains(&Command::PublishTerm) && !commands.contains(&Command::StoreTerm), "{commands:?}");
    let starts = |c: &Command| matches!(c, Command::Run { call: Call::Start, term, .. } if *term == reserved);
    assert!(!commands.iter().any(starts), "its heartbeat says first that it starts: {commands:?}");
    let commands = s.handle(Event::TermStored(true), at(now + 1));
    assert!(commands.iter().any(starts), "{commands:?}");
    reserved
}

#[test]
fn whoever_could_take_over_has_its_next_term_on_disk_and_starts_without_a_flush() {
    let mut s = settled(settings());
    let commands = s.handle(hears(Word::Online, 300), at(300));
    let place = |wanted: &Command| commands.iter().position(|command| command == wanted);
    assert!(place(&Command::ReserveTerm).is_some() && place(&Command::Publish) < place(&Command::ReserveTerm));
    s.handle(Event::TermReserved(true), at(312));
    assert_eq!(s.report().saying.term, Term::NONE, "nobody is told of a term that is not acted under");
    assert!(takes_over(&mut s, 320) > Term::NONE);
    assert_eq!(flushed(&s), None, "there was none");
}

/// When the term of the last takeover was on disk, if that was waited for.
fn flushed(s: &Supervisor) -> Option<BootTime> {
    s.report().moves.last().expect("it takes over").stored
}

#[test]
fn how_long_a_takeover_waited_for_the_flush_of_its_term_can_be_seen_later() {
    let mut s = settled(settings());
    let commands = s.handle(hears(Word::Left { cause: LeaveCause::Stopped }, 320), at(320));
    assert!(commands.contains(&Command::StoreTerm), "{commands:?}");
    s.handle(Event::TermStored(true), at(345));
    assert_eq!(flushed(&s), Some(at(345)));
}

#[test]
fn a_node_that_has_just_started_looks_around_for_an_interval_before_it_claims() {
    let mut s = settled(settings());
    let claims = |commands: Vec<Command>| commands.contains(&Command::StoreTerm);
    let left = Word::Left { cause: LeaveCause::Stopped };
    assert!(!claims(s.handle(hears(left, 10), at(10))));
    assert_eq!((s.report().reason, s.next_deadline()), (Reason::PeerLeft, at(203)));
    assert!(!claims(s.handle(Event::DeadlinePassed, at(202))));
    assert!(claims(s.handle(Event::DeadlinePassed, at(203))));
}

#[test]
fn each_takeover_has_a_term_of_its_own() {
    let mut s = settled(settings());
    s.handle(hears(Word::Online, 300), at(300));
    s.handle(Event::TermReserved(true), at(312));
    let first = takes_over(&mut s, 320);
    let call = |call, outcome| Event::CallFinished {
        resource: 0,
        call,
        outcome,
        message: String::new(),
        duration: Duration::from_millis(3),
    };
    s.handle(call(Call::Start, Outcome::Succeeded), at(325));
    s.handle(checked(Outcome::Succeeded), at(330));
    let left = Word::Left { cause: LeaveCause::Stopped };
    let Event::OutsideChanged(mut outside) = hears(left, 340) else { unreachable!("it is one") };
    outside.wishes.offline = Some(OfflineWish { since: at(340), until: at(30_000), force: true });
    let commands = s.handle(Event::OutsideChanged(outside), at(340));
    assert!(commands.iter().any(|command| matches!(command, Command::Run { call: Call::Stop, .. })), "{commands:?}");
    s.handle(call(Call::Stop, Outcome::Succeeded), at(345));
    s.handle(checked(Outcome::Failed), at(350));
    let commands = s.handle(hears(left, 400), at(400));
    assert!(commands.contains(&Command::StoreTerm), "{commands:?}");
    assert!(s.report().saying.term > first);
}

#[test]
fn a_term_that_could_not_be_stored_beforehand_is_tried_again_after_a_minute_or_when_somebody_asks() {
    let mut s = settled(settings());
    let reserves = |commands: Vec<Command>| commands.contains(&Command::ReserveTerm);
    assert!(reserves(s.handle(hears(Word::Online, 100), at(100))));
    s.handle(Event::TermReserved(false), at(112));
    assert!(!reserves(s.handle(hears(Word::Online, 1000), at(1000))));
    assert!(reserves(s.handle(hears_asked(Word::Online, asked(1100), 1100), at(1100))));
    s.handle(Event::TermReserved(false), at(1200));
    assert_eq!(s.report().saying.answer.and_then(|answer| answer.unready), Some(Unready::Unwritable));
    assert!(!reserves(s.handle(hears(Word::Online, 2000), at(2000))));
    assert!(reserves(s.handle(hears(Word::Online, 61_200), at(61_200))));
}

#[test]
fn who_is_asked_checks_before_it_is_ready() {
    let mut s = settled(settings());
    s.handle(hears(Word::Online, 100), at(100));
    let commands = s.handle(hears_asked(Word::Online, asked(110), 110), at(110));
    assert!(commands.iter().any(|command| matches!(command, Command::Run { call: Call::Check, .. })), "{commands:?}");
    s.handle(checked(Outcome::Failed), at(111));
    assert_eq!(s.report().saying.answer, None, "its next term is not on disk");
    s.handle(Event::TermReserved(true), at(112));
    let ready = s.report().saying.answer.map(|answer| (answer.at, answer.unready));
    assert_eq!(ready, Some((at(110), None)));
    s.handle(hears_asked(Word::Online, asked(130), 130), at(130));
    assert_eq!(s.report().saying.answer, None, "asked anew, it checks anew");
    s.handle(checked(Outcome::Cancelled), at(131));
    assert_eq!(s.report().saying.answer, None, "a check that was cancelled found nothing");
    s.handle(checked(Outcome::Failed), at(132));
    assert!(s.report().saying.answer.is_some());
}

#[test]
fn a_term_that_was_stored_beforehand_is_worth_nothing_once_a_higher_one_was_heard_of() {
    let mut s = settled(settings());
    s.handle(hears_asked(Word::Online, asked(310), 310), at(310));
    s.handle(Event::TermReserved(true), at(312));
    s.handle(checked(Outcome::Failed), at(315));
    let Event::OutsideChanged(mut outside) = hears(Word::Left { cause: LeaveCause::Operator }, 320) else {
        unreachable!("it is one")
    };
    let higher = Term::next(s.report().highest_term, NodeId::new(1).expect("1 is a node id"));
    outside.peers[0].saying = outside.peers[0].saying.map(|saying| Saying { term: higher, ..saying });
    let commands = s.handle(Event::OutsideChanged(outside), at(320));
    assert!(commands.contains(&Command::StoreTerm), "{commands:?}");
    assert!(!commands.iter().any(|command| matches!(command, Command::Run { call: Call::Start, .. })), "{commands:?}");
}

#[test]
fn who_is_asked_says_why_it_is_not_ready() {
    let mut s = settled(settings());
    s.handle(hears_asked(Word::Online, asked(110), 110), at(110));
    s.handle(Event::TermReserved(false), at(112));
    let unready = |s: &Supervisor| s.report().saying.answer.and_then(|answer| answer.unready);
    assert_eq!(unready(&s), Some(Unready::Unwritable));
    let mut s = settled(settings());
    s.handle(hears_asked(Word::Online, asked(110), 110), at(110));
    s.handle(Event::TermReserved(true), at(112));
    s.handle(checked(Outcome::TimedOut), at(115));
    assert_eq!(unready(&s), Some(Unready::Unchecked));
    s.handle(hears(Word::Online, 200), at(200));
    assert_eq!(s.report().saying.answer, None, "nobody asks any more");
}
