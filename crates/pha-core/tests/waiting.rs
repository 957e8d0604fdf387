//! How long a node waits before it acts, to the millisecond.

mod among_peers;
mod virtual_node;

use among_peers::{Scene, saying};
use pha_core::resource::Call;
use pha_core::supervisor::{Command, Event, Note, Settings};
use pha_core::{Gateway, Reason, Role, Saying, Word};
use virtual_node::{DEAD, ms, settings};

const STANDBY: Word = Word::Offline { clean: true };

impl Scene {
    /// It shows that reason for exactly so long, and then the other.
    fn waits(&mut self, reason: Reason, milliseconds: u64, then: Reason) {
        self.pass(milliseconds - 1);
        assert_eq!(self.report().reason, reason, "too early");
        self.pass(1);
        assert_eq!(self.report().reason, then, "too late");
    }
}

#[test]
fn a_node_that_cannot_write_gives_way_when_its_heartbeat_falls_silent() {
    let mut scene = Scene::active();
    scene.commanded(|_| true);
    while scene.commanded(|command| *command == Command::Publish) == 0 {
        scene.pass(1);
    }
    scene.world.writable = false;
    // The lease without the dead time.
    scene.waits(Reason::Active, 2400, Reason::Mute);
    assert_eq!(scene.report().role, Role::Standby);
}

#[test]
fn the_preferred_node_gets_the_service_back_when_it_has_been_healthy_for_long_enough() {
    let mut scene = Scene::new(settings(2));
    scene.node.up = [true; 2];
    scene.hears(1, Saying { willing: false, ..saying(STANDBY) });
    scene.pass(4000);
    assert_eq!(scene.report().reason, Reason::Active);
    scene.hears(1, saying(STANDBY));
    scene.waits(Reason::Active, 2700, Reason::ClaimTurn);
    assert_eq!(scene.report().moves.last().map(|release| release.reason), Some(Reason::Failback));
}

#[test]
fn a_gateway_that_is_lost_here_alone_is_believed_as_soon_as_the_peers_have_had_the_time_to_say_more() {
    for (theirs, milliseconds) in [(Gateway::Reachable, 600), (Gateway::Testing, 1500)] {
        let mut scene = Scene::active();
        scene.world.gateway_answers = false;
        scene.hears(2, Saying { gateway: theirs, ..saying(STANDBY) });
        scene.until(|report| report.gateway() == Gateway::Lost);
        scene.waits(Reason::GatewayDoubtful, milliseconds, Reason::GatewayLost);
    }
}

#[test]
fn a_gateway_that_is_back_for_the_peer_is_tested_here_at_once() {
    let mut scene = Scene::active();
    scene.world.gateway_answers = false;
    scene.hears(2, Saying { gateway: Gateway::Lost, ..saying(STANDBY) });
    scene.until(|report| report.gateway() == Gateway::Lost);
    scene.pass(1010);
    scene.commanded(|_| true);
    scene.hears(2, saying(STANDBY));
    assert_eq!(scene.commanded(|command| *command == Command::Ping), 1);
    assert_eq!(scene.commanded(|command| matches!(command, Command::Note(Note::Gateway(_)))), 0);
}

#[test]
fn the_wire_is_asked_for_no_longer_than_a_local_network_needs() {
    assert_eq!(settings(1).probe_window(), ms(75));
}

#[test]
fn an_address_that_somebody_removes_again_and_again_is_put_back_ten_times() {
    let mut scene = Scene::active();
    scene.commanded(|_| true);
    for _ in 0..15 {
        scene.node.up[1] = false;
        scene.feed(Event::ResourceRemoved { resource: 1 });
        scene.pass(10);
    }
    assert_eq!(scene.commanded(|command| matches!(command, Command::Run { call: Call::Restore, .. })), 10);
}

#[test]
fn a_lease_is_renewed_in_the_kernels_quiet_moments_and_not_twice_in_a_row() {
    let mut scene = Scene::new(Settings { lease: ms(1500), ..settings(1) });
    scene.node.up = [true; 2];
    scene.looks();
    scene.commanded(|_| true);
    let mut renewed = Vec::new();
    while scene.now < 1500 {
        scene.pass(1);
        let renews = |command: &Command| matches!(command, Command::Run { lease: true, .. });
        renewed.extend((scene.commanded(renews) > 0).then_some(scene.now));
    }
    assert_eq!(renewed, vec![450, 950, 1450]);
}

#[test]
fn a_node_is_not_taken_over_from_while_its_address_answers() {
    let mut scene = Scene::standby();
    scene.world.address_answers = true;
    scene.pass(DEAD);
    scene.looks();
    scene.pass(2000);
    assert_eq!((scene.report().reason, scene.report().role), (Reason::AddressHeld, Role::Standby));
    scene.world.address_answers = false;
    scene.until(|report| report.saying.word == Word::Online);
}
