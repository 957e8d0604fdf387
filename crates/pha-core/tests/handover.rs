//! A handover as the operator sees it: who is asked, what is answered, and what becomes of it.

mod among_peers;
mod virtual_node;

use among_peers::{Scene, saying};
use pha_core::handover::{Answer, Ask, GaveUp, Handover, Unready};
use pha_core::supervisor::{Command, Note, Settings};
use pha_core::{Direction, LeaveCause, Reason, Role, Saying, Word};
use virtual_node::{at, ms, node, settings};

/// Five heartbeats and the slowest check with its grace.
const ANSWER_TIME: u64 = 5 * 200 + 500 + 2000;
const STANDBY: Word = Word::Offline { clean: true };
const STARTING: Word = Word::Progress { direction: Direction::Starting, remaining: ms(900) };

impl Scene {
    fn handover(&self) -> Handover {
        self.report().handover.expect("one was begun")
    }

    /// lb2 answers what it was asked.
    fn is_answered(&mut self, unready: Option<Unready>) {
        let at = self.handover().asked;
        self.hears(2, Saying { answer: Some(Answer { node: node(1), at, unready }), ..saying(STANDBY) });
    }

    /// lb2 was ready, and everything is down here.
    fn lets_go(&mut self) {
        self.is_answered(None);
        self.until(|report| report.handover.is_some_and(|handover| handover.left.is_some()));
    }

    /// lb1, which is active, asks this node now.
    fn is_asked(&mut self) {
        let ask = Ask { node: node(2), at: at(self.now) };
        self.hears(1, Saying { asks: Some(ask), ..saying(Word::Online) });
    }

    /// What is answered to lb1: ready, or why not.
    fn answer(&self) -> Option<Option<Unready>> {
        self.report().saying.answer.map(|answer| answer.unready)
    }
}

#[test]
fn a_peer_that_does_not_answer_is_not_waited_for_for_ever() {
    let mut scene = Scene::active();
    scene.types_switchover();
    assert_eq!(scene.report().saying.asks, Some(Ask { node: node(2), at: at(scene.now) }));
    scene.pass(ANSWER_TIME - 1);
    assert_eq!(scene.handover().gave_up, None);
    scene.commanded(|_| true);
    scene.pass(1);
    assert_eq!((scene.handover().gave_up, scene.report().role), (Some(GaveUp::NoAnswer), Role::Active));
    let given_up = Command::Note(Note::OfflineGivenUp(GaveUp::NoAnswer));
    assert_eq!(scene.commanded(|command| *command == given_up), 1);
}

#[test]
fn nothing_waits_for_a_peer_that_has_refused() {
    let mut scene = Scene::active();
    scene.types_switchover();
    scene.is_answered(Some(Unready::Held));
    assert_eq!(scene.handover().gave_up, Some(GaveUp::Refused(Unready::Held)));
    let asked = scene.now;
    while scene.now < asked + ANSWER_TIME {
        assert_ne!(scene.node.supervisor.next_deadline(), at(asked + ANSWER_TIME), "at {} ms", scene.now);
        scene.pass(1);
    }
}

#[test]
fn an_answer_to_another_question_is_none() {
    let mut scene = Scene::active();
    scene.types_switchover();
    let (earlier, now) = (at(scene.now - 1), at(scene.now));
    for (asker, at) in [(1, earlier), (3, now)] {
        for unready in [None, Some(Unready::Unfit)] {
            let answer = Some(Answer { node: node(asker), at, unready });
            scene.hears(2, Saying { answer, ..saying(STANDBY) });
            let Handover { ready, gave_up, .. } = scene.handover();
            assert_eq!((ready, gave_up), (None, None), "{answer:?}");
        }
    }
    scene.is_answered(None);
    assert_eq!(scene.handover().ready, Some(now));
}

#[test]
fn the_heartbeat_rests_after_an_offline_and_goes_on_after_a_switchover() {
    for (offline, rests) in [(true, true), (false, false)] {
        let mut scene = Scene::active();
        if offline {
            scene.types_offline(30_000)
        } else {
            scene.types_switchover()
        }
        scene.lets_go();
        assert_eq!(scene.report().saying.word, Word::Left { cause: LeaveCause::Operator });
        // Three heartbeats.
        scene.pass(599);
        assert!(scene.report().announce);
        scene.pass(1);
        assert_eq!(scene.report().announce, !rests, "offline: {offline}");
    }
}

#[test]
fn a_handover_is_over_when_the_peer_is_online_whatever_it_does_later() {
    let mut scene = Scene::active();
    scene.types_offline(30_000);
    scene.lets_go();
    scene.pass(20);
    assert!(scene.report().saying.asks.is_some());
    scene.hears(2, saying(STARTING));
    scene.pass(20);
    let begun = scene.handover();
    assert_eq!((begun.begun, begun.taken), (Some(at(scene.now - 20)), None));
    scene.hears(2, saying(Word::Online));
    let taken = scene.handover();
    assert_eq!((taken.begun, taken.taken), (begun.begun, Some(at(scene.now))));
    assert_eq!(scene.report().saying.asks, None, "nobody is asked any more");
    scene.pass(1000);
    scene.hears(2, saying(STARTING));
    assert_eq!((scene.handover(), scene.report().reason), (taken, Reason::Operator));
}

#[test]
fn who_leaves_itself_or_is_busy_says_so_at_once() {
    let mut scene = Scene::standby();
    scene.types_offline(30_000);
    scene.is_asked();
    assert_eq!(scene.answer(), Some(Some(Unready::Leaving)));
    let mut scene = Scene::new(settings(2));
    scene.is_asked();
    assert_eq!(scene.answer(), Some(Some(Unready::Busy)));
    scene.pass(10);
    assert_eq!(scene.answer(), Some(None));
    let mut scene = Scene::new(settings(2));
    (scene.node.up, scene.world.slow) = ([true, false], true);
    scene.hears(1, saying(Word::Online));
    scene.pass(10);
    scene.is_asked();
    assert_eq!(scene.answer(), Some(Some(Unready::Busy)), "it stops what should not be up");
}

#[test]
fn who_tests_its_gateway_anew_gets_ready_and_does_not_call_its_database_unwritable() {
    let mut scene = Scene::new(settings(2));
    (scene.world.gateway_answers, scene.world.writable) = (false, false);
    scene.hears(1, saying(Word::Online));
    scene.pass(10);
    scene.world.writable = true;
    scene.pass(3000);
    scene.is_asked();
    assert_eq!(scene.answer(), Some(Some(Unready::Gateway)));
    scene.node.supervisor.reconfigure(Settings { ping_timeout: ms(800), ..settings(2) }, at(scene.now));
    assert_eq!(scene.answer(), None);
}

#[test]
fn whom_a_node_asked_as_it_left_goes_first_as_long_as_that_is_heard() {
    for (left_again, role) in [(true, Role::Active), (false, Role::Standby)] {
        let mut scene = Scene::new(settings(3));
        let left = Word::Left { cause: LeaveCause::Operator };
        let left = Saying { asks: Some(Ask { node: node(3), at: at(1) }), ..saying(left) };
        scene.hears(2, saying(STARTING));
        scene.hears(1, left);
        scene.pass(700);
        if left_again {
            scene.hears(1, left);
        }
        scene.hears(2, saying(STANDBY));
        scene.pass(50);
        assert_eq!(scene.report().role, role, "{:?}", scene.report().reason);
    }
}

#[test]
fn an_offline_that_never_brought_everything_down_ends_with_its_time() {
    let mut scene = Scene::active();
    scene.types_offline(1000);
    scene.is_answered(None);
    for _ in 0..999 {
        scene.pass(1);
        scene.node.up[0] = true;
    }
    assert_eq!(scene.report().reason, Reason::Operator);
    scene.pass(1);
    assert_eq!((scene.report().reason, scene.report().role), (Reason::Active, Role::Active));
}

#[test]
fn who_took_over_in_the_end_is_shown_even_if_another_was_asked() {
    let mut scene = Scene::active();
    scene.hears(3, saying(STANDBY));
    scene.types_offline(30_000);
    scene.lets_go();
    assert_eq!(scene.handover().to, Some(node(2)));
    scene.hears(3, saying(Word::Online));
    assert_eq!((scene.handover().to, scene.handover().taken), (Some(node(3)), Some(at(scene.now))));
}
