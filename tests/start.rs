//! Starting: one node, a second one beside it, both at once.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use anyhow::{Result, ensure};
use pha_lab::world::scenario;
use pha_lab::{Lab, LabOptions, Onlookers, Program};

const SOON: Duration = Duration::from_secs(20);

// P6, P50, P51, P52, P54
#[test]
fn a_first_node_alone_becomes_active_by_itself() {
    scenario(LabOptions::default(), |lab| {
        let node = lab.node(1);
        ensure!(node.order(&["start"])?.is_empty(), "`start` prints nothing");
        lab.wait(SOON, "lb1 is active", || node.is_active())?;
        let mut pids = Program::ALL.map(|program| node.pid(program).unwrap()).to_vec();
        pids.sort_unstable();
        pids.dedup();
        ensure!(pids.len() == 3, "three different processes");
        let stat = node.order(&["stat"])?;
        for line in ["'STATUS' => 'ONLINE'", "'RES_ipaddr' => 'UP'", "'RES_web' => 'UP'", "'SENDER_RUN' => 1"] {
            ensure!(stat.contains(line), "{line} missing in\n{stat}");
        }
        Ok(())
    });
}

// P46, P47
#[test]
fn before_the_first_start_nothing_runs_and_nothing_is_known() {
    scenario(LabOptions::default().nodes(2), |lab| {
        let stat = lab.node(1).order(&["stat"])?;
        ensure!(stat.contains("'CLI' => 1") && !stat.contains("STATUS"), "{stat}");
        ensure!(lab.node(1).processes().is_empty());
        Ok(())
    });
}

// P6, P10
#[test]
fn the_three_programs_may_start_in_any_order() {
    scenario(LabOptions::default(), |lab| {
        for (node, order) in lab.nodes().iter().zip([[2, 1, 0], [1, 0, 2]]) {
            for index in order {
                let program = Program::ALL[index];
                let status = node.command(node.home().join("bin").join(program.name())).status()?;
                ensure!(status.success(), "{program:?}: {status}");
            }
        }
        lab.wait_settled(SOON).map(drop)
    });
}

/// Starts `second` beside the active `first`, three times, and demands that the client never notices.
fn joins_quietly(lab: &Lab, first: usize, second: usize) -> Result<()> {
    lab.node(first).start()?;
    lab.wait(SOON, "the first node is active", || lab.node(first).is_active())?;
    let eyes = Onlookers::start(lab)?;
    for _ in 0..3 {
        lab.node(second).start()?;
        lab.wait(SOON, "the second node stands by", || lab.node(second).is_standby())?;
        lab.stays(Duration::from_secs(2), "the first stays active", || lab.node(first).is_active())?;
        let stat = lab.node(second).order(&["stat"])?;
        for line in ["'STATUS' => 'OFFLINE'", "'RECEIVER_IN' => 'ONLINE'", "'RES_ipaddr' => 'DOWN'"] {
            ensure!(stat.contains(line), "{line} missing in\n{stat}");
        }
        eyes.saw_nothing_move()?;
        lab.node(second).stop()?;
    }
    eyes.saw_nothing_move()
}

// P53
#[test]
fn a_second_node_joins_without_a_lost_reply() {
    scenario(LabOptions::default(), |lab| joins_quietly(lab, 1, 2));
}

// P53, P36: the lower id is no reason to take over from an active peer.
#[test]
fn the_lower_node_joins_a_higher_one_without_a_lost_reply() {
    scenario(LabOptions::default(), |lab| joins_quietly(lab, 2, 1));
}

/// Both nodes start `delay` apart; one becomes active and stays it.
fn both_start(lab: &Lab, delay: Duration) -> Result<()> {
    let holders = lab.watch_holders();
    lab.node(2).start()?;
    std::thread::sleep(delay);
    lab.node(1).start()?;
    let active = lab.wait_settled(SOON)?;
    lab.stays(Duration::from_secs(3), "the same node stays active", || lab.active_nodes() == [active])?;
    ensure!(holders.doubles().is_empty(), "two nodes held the address: {:?}", holders.doubles());
    ensure!(holders.moves(Duration::ZERO) <= 1, "the address went to and fro: {:?}", holders.spans());
    Ok(())
}

// P20, P53
#[test]
fn two_nodes_started_at_the_same_time_agree_on_one() {
    scenario(LabOptions::default(), |lab| both_start(lab, Duration::ZERO));
}

// P20, P53
#[test]
fn two_nodes_started_100_ms_apart_agree_on_one() {
    scenario(LabOptions::default(), |lab| both_start(lab, Duration::from_millis(100)));
}

// P20, P53
#[test]
fn two_nodes_started_300_ms_apart_agree_on_one() {
    scenario(LabOptions::default(), |lab| both_start(lab, Duration::from_millis(300)));
}

// P20, P53
#[test]
fn two_nodes_started_1_s_apart_agree_on_one() {
    scenario(LabOptions::default(), |lab| both_start(lab, Duration::from_secs(1)));
}

// P3: the core works for more than two.
#[test]
fn three_nodes_agree_on_one_and_survive_its_crash() {
    scenario(LabOptions::default().nodes(3), |lab| {
        let first = lab.start_all()?;
        let eyes = Onlookers::start(lab)?;
        lab.node(first).crash()?;
        let others = || lab.nodes().iter().filter(|node| node.id() != first);
        lab.wait(SOON, "another is active", || others().any(|node| node.is_active()))?;
        lab.wait(SOON, "the third stands by", || others().any(|node| node.is_standby()))?;
        lab.stays(Duration::from_secs(2), "one is active", || lab.active_nodes().len() == 1)?;
        eyes.never_saw_two()
    });
}
