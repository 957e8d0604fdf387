//! Which agents are called when, with what they are told, and what their end means.

mod scene;
mod virtual_node;

use std::time::Duration;

use pha_core::report::OfflineWish;
use pha_core::resource::{Call, Outcome};
use pha_core::supervisor::{Command, Event, Note, Settings};
use pha_core::{Gateway, LeaveCause, Word};
use scene::Scene;
use virtual_node::{at, ms, settings};

const SERVICE: usize = 0;
const ADDRESS: usize = 1;

/// lb1, to which lb2 has just said this.
fn beside(word: Word) -> Scene {
    let mut scene = Scene::new(Settings { gateway: false, ..settings(1) });
    scene.hears(word, Gateway::Off, 0);
    scene
}

/// Waits for the next such call, which goes on until [`ends`] says how it ended.
fn waits_for(scene: &mut Scene, resource: usize, call: Call) {
    let is_it = |running: &(u64, usize, Call)| (running.1, running.2) == (resource, call);
    while scene.node.calls.extract_if(.., |running| is_it(running)).next().is_none() {
        scene.pass(1);
    }
    scene.node.commands.clear();
}

fn ends(scene: &mut Scene, resource: usize, call: Call, outcome: Outcome, duration: Duration) {
    scene.feed(Event::CallFinished { resource, call, outcome, message: String::new(), duration });
}

fn is_run(resource: usize, call: Call) -> impl Fn(&Command) -> bool {
    move |command| matches!(command, Command::Run { resource: r, call: c, .. } if (*r, *c) == (resource, call))
}

#[test]
fn an_agent_need_not_look_for_a_duplicate_if_whoever_held_the_address_is_gone_and_nobody_else_is_there() {
    let left = Word::Left { cause: LeaveCause::Stopped };
    for (word, dead, expected) in [
        (Word::Online, true, 2),
        (left, false, 2),
        // It may have been taking over when it fell silent.
        (Word::Offline { clean: false }, true, 0),
        (Word::Offline { clean: true }, false, 0),
    ] {
        let mut scene = beside(word);
        scene.pass(1000);
        if dead {
            scene.hears(word, Gateway::Off, 1000);
        }
        scene.pass(500);
        let starts = |command: &&Command| matches!(command, Command::Run { call: Call::Start, .. });
        let (starts, others): (Vec<_>, Vec<_>) = scene.node.commands.iter().partition(starts);
        let soles =
            |commands: &[&Command]| commands.iter().filter(|c| matches!(c, Command::Run { sole: true, .. })).count();
        assert_eq!((starts.len(), soles(&starts)), (2, expected), "{word:?}");
        assert_eq!(soles(&others), 0, "only a start looks for one");
    }
}

#[test]
fn an_address_that_is_started_again_in_place_is_looked_for_on_the_wire() {
    let mut scene = beside(Word::Left { cause: LeaveCause::Stopped });
    while scene.word() != Word::Online {
        scene.pass(1);
    }
    scene.node.commands.clear();
    scene.dies(ADDRESS);
    scene.pass(1500);
    let start = scene.node.commands.iter().find(|command| is_run(ADDRESS, Call::Start)(command));
    assert!(matches!(start, Some(Command::Run { sole: false, .. })), "{start:?}");
}

#[test]
fn a_check_that_outlived_its_interval_is_noted_unless_it_was_cancelled() {
    for (took, outcome, noted) in [
        (3, Outcome::Succeeded, 0),
        (1000, Outcome::Succeeded, 0),
        (1001, Outcome::Succeeded, 1),
        (1001, Outcome::TimedOut, 1),
        (1001, Outcome::Cancelled, 0),
    ] {
        let mut scene = Scene::alone();
        waits_for(&mut scene, ADDRESS, Call::Check);
        ends(&mut scene, ADDRESS, Call::Check, outcome, ms(took));
        let overruns = scene.commanded(|command| matches!(command, Command::Note(Note::Overrun { .. })));
        assert_eq!(overruns, noted, "{took} ms, {outcome:?}");
    }
}

#[test]
fn a_check_during_which_somebody_removed_the_address_is_no_failure_and_it_is_put_back() {
    let mut scene = Scene::alone();
    waits_for(&mut scene, ADDRESS, Call::Check);
    scene.feed(Event::ResourceRemoved { resource: ADDRESS });
    ends(&mut scene, ADDRESS, Call::Check, Outcome::Failed, ms(3));
    assert_eq!((scene.commanded(is_run(ADDRESS, Call::Restore)), scene.failures()), (1, 0));
}

#[test]
fn what_is_lost_while_something_else_is_restarted_is_noticed() {
    let mut scene = Scene::alone();
    scene.world.slow = true;
    scene.dies(SERVICE);
    while scene.failures() == 0 {
        scene.pass(1);
    }
    scene.dies(ADDRESS);
    scene.pass(1300);
    assert!(matches!(scene.word(), Word::Progress { .. }), "the service is still being restarted");
    let lost = |command: &Command| matches!(command, Command::Note(Note::ResourceLost { resource: ADDRESS }));
    assert_eq!(scene.commanded(lost), 1);
}

#[test]
fn a_built_in_check_that_ends_without_a_word_does_not_hold_up_a_release() {
    let mut scene = Scene::alone();
    waits_for(&mut scene, SERVICE, Call::Watch);
    scene.wishes.offline = Some(OfflineWish { since: at(scene.now), until: at(60_000), force: true });
    scene.hears(Word::Offline { clean: true }, Gateway::Off, 0);
    scene.pass(20);
    ends(&mut scene, SERVICE, Call::Watch, Outcome::NotRun, ms(3));
    let commands = std::mem::take(&mut scene.node.commands);
    assert!(commands.iter().any(is_run(SERVICE, Call::Stop)), "{commands:?}");
    assert!(!commands.iter().any(is_run(SERVICE, Call::Check)), "{commands:?}");
}

#[test]
fn an_address_is_announced_again_soon_after_a_takeover_and_then_once_a_minute() {
    let mut scene = beside(Word::Left { cause: LeaveCause::Stopped });
    while scene.word() != Word::Online {
        scene.pass(1);
    }
    let online = scene.now;
    let mut announced = Vec::new();
    while scene.now < online + 125_000 {
        scene.pass(1);
        if scene.commanded(is_run(ADDRESS, Call::Announce)) > 0 {
            announced.push(scene.now - online);
        }
    }
    assert_eq!(announced, [100, 500, 2000, 5000, 60_000, 120_000]);
}
