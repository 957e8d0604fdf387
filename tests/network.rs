//! A network that lies: splits, lost heartbeats, one-way links, forged datagrams.

use std::time::Duration;

use anyhow::{Result, ensure};
use pha_core::report::Liveness;
use pha_core::{Gateway, Reason};
use pha_lab::network::{self, Link, Way};
use pha_lab::world::{scenario, skip};
use pha_lab::{Lab, LabOptions, Node, Onlookers, Program};

const SOON: Duration = Duration::from_secs(20);

/// Whether packets can be dropped here; says that `test` is skipped if not.
fn can_drop(test: &str) -> bool {
    network::can_drop().map_err(|reason| skip(test, &format!("{reason:#}"))).is_ok()
}

// P19, P20: two nodes without a third vote prefer the service, and only one of them survives the healing.
#[test]
fn after_a_split_one_node_stays_active_and_the_client_is_served() {
    scenario(LabOptions::default(), |lab| {
        lab.start_all()?;
        let mut eyes = Onlookers::start(lab)?;
        lab.between_nodes(Link::Down)?;
        lab.wait(SOON, "both are active", || lab.nodes().iter().all(Node::is_active))?;
        lab.between_nodes(Link::Up)?;
        let active = lab.wait_settled(SOON)?;
        let name = lab.node(active).name();
        let three = Duration::from_secs(3);
        lab.wait(three, "the client is served by it", || eyes.client().answer().as_deref() == Some(name))?;
        eyes.look_anew();
        lab.stays(Duration::from_secs(5), "it stays so", || lab.node(active).is_active())?;
        let gaps = eyes.client().gaps(eyes.client().mark());
        ensure!(gaps.is_empty(), "the client is not served: {gaps:?}");
        Ok(())
    });
}

// P19: the address is a witness.
#[test]
fn lost_heartbeats_alone_move_nothing_while_the_address_answers() {
    scenario(LabOptions::default(), |lab| {
        if !can_drop("lost_heartbeats_alone_move_nothing_while_the_address_answers") {
            return Ok(());
        }
        let active = lab.start_all()?;
        let standby = lab.other(active);
        let eyes = Onlookers::start(lab)?;
        lab.heartbeats(Link::Down)?;
        lab.wait(SOON, "the standby sees a held address", || standby.reason() == Some(Reason::AddressHeld))?;
        lab.stays(Duration::from_secs(8), "the active keeps the address", || lab.active_nodes() == [active])?;
        lab.heartbeats(Link::Up)?;
        ensure!(lab.wait_settled(SOON)? == active, "another node is active");
        eyes.saw_nothing_move()
    });
}

/// The heartbeats that `deaf` should get are lost for 6 s; then all is as before.
fn one_way_loss(lab: &Lab, pick: fn(&Lab, usize) -> &Node) -> Result<()> {
    let active = lab.start_all()?;
    let deaf = pick(lab, active);
    let eyes = Onlookers::start(lab)?;
    lab.drop_heartbeats(deaf, Way::In, 100)?;
    lab.stays(Duration::from_secs(6), "one holder, the same", || lab.active_nodes() == [active])?;
    lab.restore_heartbeats(deaf)?;
    ensure!(lab.wait_settled(SOON)? == active, "another node is active");
    eyes.saw_nothing_move()
}

// P19
#[test]
fn a_standby_that_hears_nothing_moves_nothing() {
    scenario(LabOptions::default(), |lab| {
        if !can_drop("a_standby_that_hears_nothing_moves_nothing") {
            return Ok(());
        }
        one_way_loss(lab, Lab::other)
    });
}

// P19
#[test]
fn an_active_node_that_hears_nothing_stays_active() {
    scenario(LabOptions::default(), |lab| {
        if !can_drop("an_active_node_that_hears_nothing_stays_active") {
            return Ok(());
        }
        one_way_loss(lab, Lab::node)
    });
}

// P7, P61: a few lost datagrams do not make a dead peer.
#[test]
fn every_fifth_heartbeat_lost_moves_nothing() {
    scenario(LabOptions::default(), |lab| {
        if !can_drop("every_fifth_heartbeat_lost_moves_nothing") {
            return Ok(());
        }
        let active = lab.start_all()?;
        let eyes = Onlookers::start(lab)?;
        for node in lab.nodes() {
            lab.drop_heartbeats(node, Way::In, 20)?;
        }
        lab.stays(Duration::from_secs(15), "one holder, the same", || lab.active_nodes() == [active])?;
        eyes.saw_nothing_move()
    });
}

// P7: where datagrams are lost, so are the kernel's questions where a neighbour is, and it drops for seconds what is for it.
#[test]
fn a_kernel_that_finds_its_neighbours_no_more_loses_neither_peer_nor_gateway() {
    scenario(LabOptions::default(), |lab| {
        let active = lab.start_all()?;
        for node in lab.nodes() {
            network::doubt_neighbours(node.name(), lab.other(node.id()).id())?;
        }
        let alive = |node: &Node| node.record().receiver.peers.iter().all(|peer| peer.liveness != Liveness::Dead);
        let gateway = |node: &Node| node.record().supervise.report.map(|report| report.gateway());
        let well = |node: &Node| alive(node) && gateway(node) == Some(Gateway::Reachable);
        lab.stays(Duration::from_secs(8), "each hears the other and the gateway", || lab.nodes().iter().all(well))?;
        ensure!(lab.active_nodes() == [active], "the service moved");
        Ok(())
    });
}

fn dropped(node: &Node) -> u64 {
    node.record().receiver.drops.values().sum()
}

/// Garbage is counted, no program dies, nothing moves.
fn survives_garbage(lab: &Lab) -> Result<()> {
    let active = lab.start_all()?;
    let eyes = Onlookers::start(lab)?;
    let pids = |node: &Node| Program::ALL.map(|program| node.pid(program).ok());
    let before: Vec<_> = lab.nodes().iter().map(pids).collect();
    network::send_garbage(lab.nodes().len(), lab.port(), 1)?;
    lab.wait(SOON, "the garbage is counted", || lab.nodes().iter().all(|node| dropped(node) > 100))?;
    lab.stays(Duration::from_secs(2), "one holder, the same", || lab.active_nodes() == [active])?;
    ensure!(lab.nodes().iter().map(pids).collect::<Vec<_>>() == before, "a daemon died");
    eyes.saw_nothing_move()
}

// P8
#[test]
fn forged_datagrams_are_counted_and_move_nothing() {
    scenario(LabOptions::default(), |lab| survives_garbage(lab));
}

// P8
#[test]
fn forged_datagrams_move_nothing_without_a_key_either() {
    scenario(LabOptions::default().without_key(), |lab| survives_garbage(lab));
}

// P8: heartbeats of another key are nobody's.
#[test]
fn a_node_with_another_key_is_not_heard() {
    scenario(LabOptions::default(), |lab| {
        let key = lab.node(2).home().join("etc/authkey");
        std::fs::write(&key, "00".repeat(31) + "ff\n")?;
        lab.node(1).start()?;
        lab.wait(SOON, "lb1 is active", || lab.node(1).is_active())?;
        let eyes = Onlookers::start(lab)?;
        lab.node(2).start()?;
        lab.wait(SOON, "lb1 drops what it cannot trust", || dropped(lab.node(1)) > 0)?;
        lab.stays(Duration::from_secs(4), "lb1 keeps the address", || lab.active_nodes() == [1])?;
        eyes.saw_nothing_move()
    });
}
