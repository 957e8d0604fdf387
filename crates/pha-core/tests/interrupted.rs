//! Calls that are interrupted because something else matters more.

mod among_peers;
mod virtual_node;

use among_peers::{Scene, saying};
use pha_core::resource::{Call, Outcome};
use pha_core::supervisor::{Command, Event, Settings};
use pha_core::{Role, Saying, Term, Word};
use virtual_node::{ms, node, settings};

impl Scene {
    /// Goes on until such a call runs on that resource.
    fn runs(&mut self, resource: usize, call: Call) {
        while !self.node.calls.iter().any(|(_, of, which)| (*of, *which) == (resource, call)) {
            self.pass(1);
        }
        self.commanded(|_| true);
    }
}

#[test]
fn a_release_does_not_wait_for_a_check_that_runs() {
    let mut scene = Scene::active();
    scene.runs(1, Call::Check);
    scene.hears(2, Saying { term: Term::next(Term::NONE, node(2)), ..saying(Word::Online) });
    assert!(scene.commanded(|command| *command == Command::Cancel { resource: 1 }) > 0);
}

#[test]
fn a_start_beside_one_that_failed_is_ended() {
    let mut beside = Settings { restarts: 0, ..settings(1) };
    beside.resources[1].beside_previous = true;
    let mut scene = Scene::new(beside);
    (scene.node.up, scene.world.slow) = ([true; 2], true);
    scene.looks();
    scene.pass(10);
    assert_eq!(scene.report().role, Role::Active);
    scene.node.up = [false; 2];
    scene.feed(Event::WatchTripped { resource: 0 });
    scene.until(|report| report.resources[1].failures > 0 && report.resources[0].failures > 0);
    scene.runs(1, Call::Start);
    scene.node.calls.retain(|(_, resource, _)| *resource == 1);
    let (call, outcome, message) = (Call::Start, Outcome::Failed, String::new());
    scene.feed(Event::CallFinished { resource: 0, call, outcome, message, duration: ms(3) });
    assert_eq!(scene.commanded(|command| *command == Command::Cancel { resource: 1 }), 1);
}
