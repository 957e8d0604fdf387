//! A disk that stalls, and how often a disk is written to at all.

use std::time::Duration;

use anyhow::{Result, ensure};
use pha_lab::world::{self, scenario};
use pha_lab::{Disk, Lab, LabOptions, Onlookers, Program};

const SOON: Duration = Duration::from_secs(20);

/// A short stall, one that outlasts `LEASE − DEADTIME`, and one that outlasts everything but patience.
const STALLS: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(3), Duration::from_secs(10)];

/// A disk for each of these nodes; `None` where there can be none, and `test` is skipped.
fn disks(lab: &Lab, test: &str) -> Option<Vec<Disk>> {
    match lab.nodes().iter().map(pha_lab::Node::own_disk).collect() {
        Ok(disks) => Some(disks),
        Err(reason) => {
            world::skip(test, &format!("no disk can be mounted and frozen: {reason:#}"));
            None
        }
    }
}

/// Both nodes hear each other, and their own programs.
fn is_well(lab: &Lab) -> bool {
    lab.nodes().iter().all(|node| {
        let record = node.record();
        record.receiver_in().is_some() && record.sender.running && (node.is_active() || node.is_standby())
    })
}

/// Stalls `frozen` for each of the times: the address stays where it is, every client is answered, nobody is accused.
fn stall(lab: &Lab, frozen: &[&Disk], active: usize) -> Result<()> {
    let eyes = Onlookers::start(lab)?;
    for time in STALLS {
        frozen.iter().try_for_each(|disk| disk.freeze())?;
        let stays = lab.stays(time, "only the active node has the address", || lab.active_nodes() == [active]);
        frozen.iter().try_for_each(|disk| disk.thaw())?;
        stays?;
        lab.wait(SOON, "all is as before", || is_well(lab) && lab.node(active).is_active())?;
        eyes.saw_nothing_move()?;
    }
    Ok(())
}

#[test]
fn a_disk_that_stalls_under_the_active_node_moves_nothing() {
    scenario(LabOptions::default(), |lab| {
        let Some(disks) = disks(lab, "a_disk_that_stalls_under_the_active_node_moves_nothing") else { return Ok(()) };
        let active = lab.start_all()?;
        stall(lab, &[&disks[active - 1]], active)
    });
}

#[test]
fn a_disk_that_stalls_under_the_standby_moves_nothing() {
    scenario(LabOptions::default(), |lab| {
        let Some(disks) = disks(lab, "a_disk_that_stalls_under_the_standby_moves_nothing") else { return Ok(()) };
        let active = lab.start_all()?;
        stall(lab, &[&disks[2 - active]], active)
    });
}

#[test]
fn disks_that_stall_under_both_nodes_move_nothing() {
    scenario(LabOptions::default(), |lab| {
        let Some(disks) = disks(lab, "disks_that_stall_under_both_nodes_move_nothing") else { return Ok(()) };
        let active = lab.start_all()?;
        stall(lab, &[&disks[0], &disks[1]], active)
    });
}

#[test]
fn a_standby_whose_disk_stalls_takes_over_from_the_dead_when_it_can_say_so() {
    scenario(LabOptions::default(), |lab| {
        let test = "a_standby_whose_disk_stalls_takes_over_from_the_dead_when_it_can_say_so";
        let Some(disks) = disks(lab, test) else { return Ok(()) };
        let active = lab.start_all()?;
        let (standby, disk) = (lab.other(active), &disks[2 - active]);
        let term = |node: &pha_lab::Node| node.record().supervise.report.map(|report| report.saying.term);
        let before = term(lab.node(active));
        disk.freeze()?;
        lab.node(active).crash()?;
        let waits =
            lab.stays(Duration::from_secs(6), "nobody takes over who cannot say so", || !standby.holds_address());
        disk.thaw()?;
        waits?;
        lab.wait(SOON, "it takes over", || standby.is_active())?;
        ensure!(term(standby) > before, "under a new term");
        Ok(())
    });
}

// Heartbeats that bring no news cost no write: fifty of them come while the daemons tick. (The bound leaves room for news
// that a busy machine makes; a write for each heartbeat would make more than eighty.)
#[test]
fn at_rest_a_node_writes_for_ticks_and_renewals_and_not_for_heartbeats() {
    let time = Duration::from_secs(10);
    scenario(LabOptions::default(), |lab| {
        let active = lab.start_all()?;
        std::thread::sleep(Duration::from_secs(5));
        let written = |id: usize| lab.node(id).record().generation;
        let before = [written(1), written(2)];
        std::thread::sleep(time);
        for id in [1, 2] {
            let writes = written(id) - before[id - 1];
            let role = if id == active { "active" } else { "standby" };
            println!("{role}: {writes} writes in {time:?}");
            ensure!(writes <= 60, "lb{id} ({role}) wrote {writes} times in {time:?}");
        }
        Ok(())
    });
}

// With VARDIR on a tmpfs the disk holds up nothing at all; what has to outlive the machine is on the disk nevertheless.
#[test]
fn with_the_database_in_memory_a_disk_that_stalls_silences_nobody_and_a_reboot_forgets_no_term_and_no_wish() {
    scenario(LabOptions::default().volatile(), |lab| {
        let test =
            "with_the_database_in_memory_a_disk_that_stalls_silences_nobody_and_a_reboot_forgets_no_term_and_no_wish";
        let Some(disks) = disks(lab, test) else { return Ok(()) };
        let active = lab.start_all()?;
        let (node, standby) = (lab.node(active), lab.other(active));
        let term = |node: &pha_lab::Node| node.record().supervise.report.map(|report| report.highest_term);
        let before = term(node);
        disks[active - 1].freeze()?;
        let heard = lab.stays(Duration::from_secs(10), "the standby hears the active node", || {
            standby.record().receiver_in().is_some() && lab.active_nodes() == [active]
        });
        disks[active - 1].thaw()?;
        heard?;
        node.order(&["maintenance", "on"])?;
        node.crash()?;
        node.boot()?;
        ensure!(
            node.record() == pha_status::Record::default() || !node.var_dir().exists(),
            "memory outlived the machine"
        );
        node.start()?;
        let remembers = || node.record().operator.wishes.maintenance && term(node) >= before;
        lab.wait(SOON, "term and wish are remembered", remembers).map(drop)
    });
}

// What is shown can be written, what has to last cannot: the next write that succeeds is no sign that a term can be stored,
// but one that fails is no reason never to try again either.
#[test]
fn a_standby_that_could_not_store_its_term_once_takes_over_when_it_can() {
    scenario(LabOptions::default().volatile(), |lab| {
        let test = "a_standby_that_could_not_store_its_term_once_takes_over_when_it_can";
        let Some(_disks) = disks(lab, test) else { return Ok(()) };
        let active = lab.start_all()?;
        let standby = lab.other(active);
        let supervise = standby.pid(Program::Supervise)?;
        standby.refuse_writes(supervise)?;
        lab.node(active).crash()?;
        lab.wait(SOON, "it takes over under the term that it stored before", || standby.is_active())?;
        lab.node(active).boot()?;
        lab.node(active).start()?;
        ensure!(lab.wait_settled(SOON)? == standby.id(), "the node that crashed is active again");
        standby.order(&["switchover"])?;
        ensure!(lab.wait_settled(SOON)? == active, "the service was not switched over");
        lab.node(active).crash()?;
        let waits = lab.stays(Duration::from_secs(6), "nobody takes over under a term that is not stored", || {
            !standby.holds_address()
        });
        standby.accept_writes(supervise)?;
        waits?;
        lab.wait(SOON, "it takes over", || standby.is_active()).map(drop)
    });
}
