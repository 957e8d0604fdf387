//! What a node shows of itself: how its takeovers and releases went, how long it waits, and what it writes into the log.

mod among_peers;
mod virtual_node;

use among_peers::{Scene, saying};
use pha_core::handover::Answer;
use pha_core::report::{ResourceState, Wishes};
use pha_core::resource::Call;
use pha_core::stages::{CallSpan, Stages};
use pha_core::supervisor::{Command, Event, Note, Settings};
use pha_core::{BootTime, Direction, Gateway, LeaveCause, Reason, Role, Saying, Status, Term, Word};
use virtual_node::{at, ms, node, settings};

const STANDBY: Word = Word::Offline { clean: true };
const STARTING: Word = Word::Progress { direction: Direction::Starting, remaining: ms(900) };
const STOPPING: Word = Word::Progress { direction: Direction::Stopping, remaining: ms(900) };

impl Scene {
    /// The last takeover or release.
    fn moved(&self) -> Stages {
        self.report().moves.last().cloned().expect("one was begun")
    }
}

/// A resource after the other, 3 ms each.
fn calls(order: [usize; 2], began: BootTime) -> Vec<CallSpan> {
    let span = |resource, after| CallSpan { resource, began: began + ms(after), ended: began + ms(after + 3) };
    vec![span(order[0], 0), span(order[1], 3)]
}

#[test]
fn a_takeover_from_a_dead_node_shows_when_it_was_heard_suspected_and_dead() {
    let mut scene = Scene::standby();
    scene.pass(990);
    scene.hears(1, saying(Word::Online));
    scene.pass(300);
    scene.looks();
    scene.pass(300);
    scene.looks();
    scene.until(|report| report.saying.word == Word::Online);
    let stages = scene.moved();
    assert_eq!((stages.direction, stages.reason), (Direction::Starting, Reason::PeerDead));
    assert_eq!(stages.last_heard, Some(at(1000)));
    assert_eq!((stages.suspected, stages.declared_dead), (Some(at(1300)), Some(at(1600))));
    assert_eq!((stages.releasing, stages.let_go, stages.stored), (None, None, None));
    assert_eq!(stages.calls, calls([0, 1], stages.decided));
    assert_eq!(stages.done, Some(at(scene.now)));
}

#[test]
fn a_suspicion_that_came_to_nothing_is_not_shown_with_a_later_takeover() {
    let mut scene = Scene::standby();
    scene.pass(300);
    scene.looks();
    scene.pass(10);
    scene.hears(1, saying(Word::Online));
    scene.pass(700);
    scene.looks();
    scene.until(|report| report.role == Role::Active);
    let stages = scene.moved();
    assert_eq!((stages.suspected, stages.declared_dead), (None, Some(at(1020))));
}

#[test]
fn a_takeover_from_a_node_that_let_go_shows_when_it_began_to_stop_and_when_it_was_down() {
    for word in [Word::Left { cause: LeaveCause::Operator }, Word::Left { cause: LeaveCause::Stopped }, STANDBY] {
        let mut scene = Scene::standby();
        scene.pass(990);
        scene.hears(1, saying(STOPPING));
        scene.pass(100);
        scene.hears(1, Saying { willing: false, ..saying(word) });
        scene.until(|report| report.role == Role::Active);
        let stages = scene.moved();
        assert_eq!((stages.releasing, stages.let_go), (Some(at(1000)), Some(at(1100))), "{word}");
        assert_eq!((stages.suspected, stages.declared_dead), (None, None), "{word}");
    }
}

#[test]
fn a_release_shows_when_it_was_decided_which_stops_it_took_and_when_all_was_down() {
    let mut scene = Scene::active();
    scene.pass(100);
    scene.types_offline(30_000);
    let ask = scene.report().saying.asks.expect("lb2 is asked");
    let answer = Some(Answer { node: node(1), at: ask.at, unready: None });
    scene.hears(2, Saying { answer, ..saying(STANDBY) });
    let decided = at(scene.now);
    scene.until(|report| report.saying.word.status().is_none());
    let stages = scene.moved();
    assert_eq!((stages.direction, stages.reason, stages.decided), (Direction::Stopping, Reason::Operator, decided));
    assert_eq!(stages.calls, calls([1, 0], decided));
    assert_eq!(stages.done, Some(at(scene.now)));
}

#[test]
fn a_takeover_shows_when_its_term_was_on_disk_if_it_had_to_wait_for_that() {
    let mut scene = Scene::new(settings(2));
    scene.world.writable = false;
    scene.hears(1, saying(Word::Online));
    scene.pass(10);
    scene.world.writable = true;
    scene.pass(900);
    scene.hears(1, saying(Word::Left { cause: LeaveCause::Stopped }));
    scene.until(|report| report.role == Role::Active);
    assert_eq!(scene.moved().stored, Some(at(scene.now)));
}

#[test]
fn a_wait_shows_when_it_ends_by_itself() {
    let shows = |scene: &Scene| (scene.report().reason, scene.report().until);
    let mut scene = Scene::standby();
    assert_eq!(shows(&scene), (Reason::PeerActive, None));
    scene.hears(1, saying(STOPPING));
    assert_eq!(shows(&scene), (Reason::PeerBusy, Some(at(scene.now + 900))));
    scene.pass(300);
    scene.hears(1, saying(STANDBY));
    let turn_ends = at(scene.now + 1200);
    assert_eq!(shows(&scene), (Reason::ClaimTurn, Some(turn_ends)));
    scene.pass(5);
    assert_eq!(shows(&scene), (Reason::ClaimTurn, Some(turn_ends)));
    scene.types_offline(30_000);
    assert_eq!(shows(&scene), (Reason::Operator, Some(at(scene.now + 30_000))));
}

#[test]
fn a_gateway_that_is_lost_or_back_is_worth_one_line_and_one_that_goes_on_answering_is_worth_none() {
    let mut scene = Scene::active();
    let lines = |scene: &mut Scene, milliseconds| {
        scene.pass(milliseconds);
        let line = |command| if let Command::Note(Note::Gateway(state)) = command { Some(state) } else { None };
        scene.node.commands.drain(..).filter_map(line).collect::<Vec<_>>()
    };
    assert_eq!(lines(&mut scene, 3000), vec![]);
    scene.feed(Event::CarrierChanged);
    assert_eq!(lines(&mut scene, 100), vec![], "tested anew, it answers");
    scene.world.gateway_answers = false;
    assert_eq!(lines(&mut scene, 8000), vec![Gateway::Lost]);
    scene.world.gateway_answers = true;
    assert_eq!(lines(&mut scene, 8000), vec![Gateway::Reachable]);
}

#[test]
fn a_node_whose_term_is_on_its_way_to_the_disk_says_that_it_starts() {
    let mut scene = Scene::active();
    scene.pass(300);
    scene.hears(2, Saying { term: Term::next(Term::NONE, node(2)), ..saying(Word::Online) });
    scene.hears(2, saying(Word::Left { cause: LeaveCause::Stopped }));
    while scene.node.calls.iter().filter(|(_, _, call)| *call == Call::Check).count() < 2 {
        scene.pass(1);
    }
    scene.now += 3;
    let ended = scene.node.what_ended(&scene.world, scene.now);
    let handled = ended.into_iter().flat_map(|event| scene.node.supervisor.handle(event, at(scene.now)));
    assert!(handled.collect::<Vec<_>>().contains(&Command::StoreTerm), "released, it takes over at once");
    scene.hears(2, saying(STARTING));
    let starting = Word::Progress { direction: Direction::Starting, remaining: ms(0) };
    assert_eq!((scene.report().reason, scene.report().saying.word), (Reason::PeerBusy, starting));
    scene.feed(Event::TermStored(true));
    assert_eq!(scene.report().saying.word, STANDBY);
}

#[test]
fn only_an_active_node_with_its_address_up_is_witnessed_by_the_wire() {
    let witnessed = |settings: Settings, word, up| {
        let mut scene = Scene::new(settings);
        scene.node.up = up;
        scene.hears(1, saying(word));
        scene.pass(3);
        (scene.report().role, scene.node.supervisor.is_witnessed())
    };
    let off = Settings { witness: false, ..settings(2) };
    let mut unasked = settings(2);
    unasked.resources[1].probes = false;
    assert_eq!(witnessed(settings(2), STANDBY, [true; 2]), (Role::Active, true));
    assert_eq!(witnessed(off, STANDBY, [true; 2]), (Role::Active, false));
    assert_eq!(witnessed(unasked, STANDBY, [true; 2]), (Role::Active, false));
    assert_eq!(witnessed(settings(2), Word::Online, [false, true]), (Role::Standby, false));
    let mut scene = Scene::active();
    scene.world.slow = true;
    scene.node.up[1] = false;
    scene.until(|report| report.resources[1].state != ResourceState::Up);
    assert_eq!((scene.report().role, scene.node.supervisor.is_witnessed()), (Role::Active, false));
}

/// The word before, the word after, and why.
fn last_change(scene: &Scene) -> (Word, Word, Reason) {
    let change = scene.report().history.last().cloned().expect("something has happened");
    (change.from, change.to, change.reason)
}

#[test]
fn history_tells_what_failed_from_what_the_operator_let_go_while_nothing_is_done_about_it() {
    let unclean = Word::Offline { clean: false };
    for (held, reason) in [(false, Reason::ResourceFailed), (true, Reason::Maintenance)] {
        let mut scene = Scene::active();
        if held {
            scene.outside.wishes.held = vec!["service".into()];
            scene.looks();
            scene.pass(100);
        }
        scene.outside.wishes = Wishes { maintenance: true, ..Wishes::default() };
        scene.node.up[0] = false;
        scene.looks();
        scene.until(|report| report.saying.word != Word::Online);
        assert_eq!(last_change(&scene), (Word::Online, unclean, reason));
    }
}

#[test]
fn history_explains_the_end_of_a_start_by_what_began_it() {
    let mut scene = Scene::new(Settings { restarts: 0, ..settings(1) });
    scene.node.up = [true; 2];
    scene.outside.wishes.held = vec!["service".into()];
    scene.looks();
    scene.pass(100);
    scene.outside.wishes.held.clear();
    scene.world.starts_fail = true;
    scene.looks();
    scene.until(|report| report.saying.word.status() == Some(Status::Offline));
    let starting = Word::Progress { direction: Direction::Starting, remaining: ms(0) };
    assert_eq!(last_change(&scene), (starting, Word::Offline { clean: false }, Reason::Operator));
}

#[test]
fn history_explains_the_end_of_a_rest_by_what_is_decided_then() {
    let mut scene = Scene::active();
    scene.types_offline(30_000);
    scene.hears(2, saying(Word::Online));
    scene.until(|report| report.saying.word.status().is_none());
    let left = Word::Left { cause: LeaveCause::Operator };
    assert_eq!(scene.report().saying.word, left);
    scene.outside.wishes = Wishes::default();
    scene.looks();
    assert_eq!(last_change(&scene), (left, STANDBY, Reason::PeerActive));
}
