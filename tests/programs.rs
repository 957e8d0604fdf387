//! Single programs that die, stop or find a database they did not expect: nothing moves that need not move.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use pha_core::Reason;
use pha_lab::world::{scenario, skip};
use pha_lab::{Lab, LabOptions, Node, Onlookers, Program, command};

const SOON: Duration = Duration::from_secs(20);

fn start(node: &Node, program: Program) -> Result<()> {
    let status = node.command(node.home().join("bin").join(program.name())).status()?;
    ensure!(status.success(), "{program:?}: {status}");
    Ok(())
}

/// `program` is killed on the active node and started again at once; the client must not notice.
fn killed_and_restarted(lab: &Lab, program: Program) -> Result<()> {
    let active = lab.start_all()?;
    let node = lab.node(active);
    let eyes = Onlookers::start(lab)?;
    let transitions = |node: &Node| node.record().supervise.report.map_or(0, |report| report.history.len());
    let before: Vec<usize> = lab.nodes().iter().map(transitions).collect();
    let killed = Instant::now();
    node.signal("KILL", &[program])?;
    start(node, program)?;
    ensure!(killed.elapsed() < Duration::from_secs(2), "the restart took {:?}", killed.elapsed());
    lab.wait(SOON, "all is as before", || lab.wait_settled(Duration::ZERO).is_ok_and(|id| id == active))?;
    lab.stays(Duration::from_secs(5), "the same node holds the address", || lab.active_nodes() == [active])?;
    if program != Program::Supervise {
        let after: Vec<usize> = lab.nodes().iter().map(transitions).collect();
        ensure!(after == before, "there were transitions: {before:?} → {after:?}");
    }
    eyes.saw_nothing_move()
}

// Promise 3: restarting any one program moves nothing.
#[test]
fn a_sender_killed_and_restarted_moves_nothing() {
    scenario(LabOptions::default(), |lab| killed_and_restarted(lab, Program::Sender));
}

// Promise 3
#[test]
fn a_receiver_killed_and_restarted_moves_nothing() {
    scenario(LabOptions::default(), |lab| killed_and_restarted(lab, Program::Receiver));
}

// Promise 3
#[test]
fn a_supervise_killed_and_restarted_moves_nothing() {
    scenario(LabOptions::default(), |lab| killed_and_restarted(lab, Program::Supervise));
}

// P19: a dead sender is not a dead node; its address answers.
#[test]
fn a_sender_killed_for_good_moves_nothing() {
    scenario(LabOptions::default(), |lab| {
        let active = lab.start_all()?;
        let eyes = Onlookers::start(lab)?;
        lab.node(active).signal("KILL", &[Program::Sender])?;
        let standby = lab.other(active);
        lab.wait(SOON, "the peer sees a held address", || standby.reason() == Some(Reason::AddressHeld))?;
        lab.stays(Duration::from_secs(6), "the same node holds the address", || lab.active_nodes() == [active])?;
        start(lab.node(active), Program::Sender)?;
        ensure!(lab.wait_settled(SOON)? == active, "another node is active");
        eyes.saw_nothing_move()
    });
}

// P19: only with a healthy own receiver.
#[test]
fn a_deaf_standby_takes_nothing_over_until_it_hears_again() {
    scenario(LabOptions::default(), |lab| {
        let first = lab.start_all()?;
        let standby = lab.other(first);
        let eyes = Onlookers::start(lab)?;
        standby.signal("KILL", &[Program::Receiver])?;
        lab.wait(SOON, "the standby knows that it is deaf", || standby.reason() == Some(Reason::Deaf))?;
        lab.stays(Duration::from_secs(2), "the deaf node takes nothing over", || !standby.holds_address())?;
        eyes.saw_nothing_move()?;
        lab.node(first).crash()?;
        lab.stays(Duration::from_secs(4), "the deaf node takes nothing over", || !standby.holds_address())?;
        start(standby, Program::Receiver)?;
        lab.wait(SOON, "it hears, and takes over", || standby.is_active())?;
        eyes.never_saw_two()
    });
}

// P19, P61: a receiver that dies in the moment of the crash.
#[test]
fn a_receiver_killed_while_the_active_crashes_makes_no_wrong_takeover() {
    scenario(LabOptions::default(), |lab| {
        let first = lab.start_all()?;
        let standby = lab.other(first);
        let eyes = Onlookers::start(lab)?;
        standby.signal("KILL", &[Program::Receiver])?;
        lab.node(first).crash()?;
        start(standby, Program::Receiver)?;
        lab.wait(SOON, "it hears nobody for the grace, and takes over", || standby.is_active())?;
        eyes.never_saw_two()
    });
}

// P10: role is never read from disk at start, the term is.
#[test]
fn a_node_rebooted_with_a_stale_database_stands_by() {
    scenario(LabOptions::default(), |lab| {
        let (one, two) = (lab.node(1), lab.node(2));
        one.start()?;
        lab.wait(SOON, "lb1 is active", || one.is_active())?;
        two.start()?;
        lab.wait(SOON, "lb2 stands by", || two.is_standby())?;
        let mut eyes = Onlookers::start(lab)?;
        let boot_id = one.record().boot_id;
        one.crash()?;
        eyes.saw_change_to(lab, two.name(), SOON)?;
        lab.wait(SOON, "lb2 is active", || two.is_active())?;
        eyes.look_anew();
        let stale = std::fs::read(one.home().join("var/status.dat"))?;
        ensure!(!String::from_utf8_lossy(&stale).contains(&boot_id), "the database is not of an earlier boot");
        let term = one.record().supervise.report.context("the term was not kept")?.highest_term;
        one.boot()?;
        let stat = one.order(&["stat"])?;
        ensure!(!stat.contains("ONLINE"), "what was before the reboot is shown as if it were now:\n{stat}");
        one.start()?;
        lab.wait(SOON, "lb1 stands by", || one.is_standby())?;
        lab.stays(Duration::from_secs(3), "lb2 stays active", || two.is_active())?;
        let now = one.record().supervise.report.context("no report")?.highest_term;
        ensure!(now > term, "the term went from {term} to {now}");
        eyes.saw_nothing_move()
    });
}

// P10: an active node that reboots alone starts from an empty slate and takes its service up again.
#[test]
fn a_lone_node_rebooted_takes_its_service_up_again() {
    scenario(LabOptions::default(), |lab| {
        let node = lab.node(1);
        node.start()?;
        lab.wait(SOON, "lb1 is active", || node.is_active())?;
        node.crash()?;
        node.boot()?;
        node.start()?;
        lab.wait(SOON, "lb1 is active", || node.is_active()).map(drop)
    });
}

// P10: the beat path never takes the lock.
#[test]
fn a_stopped_program_that_holds_the_database_lock_moves_nothing() {
    scenario(LabOptions::default(), |lab| {
        if !command::exists("flock") {
            skip("a_stopped_program_that_holds_the_database_lock_moves_nothing", "`flock` is not installed");
            return Ok(());
        }
        let active = lab.start_all()?;
        let eyes = Onlookers::start(lab)?;
        let lock = |node: &Node| {
            let mut flock = Command::new("flock");
            flock.arg(node.home().join("var/status.lock")).args(["sleep", "6"]).stdin(Stdio::null()).spawn()
        };
        let holders: Vec<_> = lab.nodes().iter().map(lock).collect::<Result<_, _>>()?;
        lab.stays(Duration::from_secs(5), "the same node holds the address", || lab.active_nodes() == [active])?;
        for mut holder in holders {
            holder.wait()?;
        }
        ensure!(lab.wait_settled(SOON)? == active, "another node is active");
        eyes.saw_nothing_move()
    });
}

// Promise 5: an unreadable database keeps or releases, and never takes over.
#[test]
fn a_damaged_database_is_set_aside_and_moves_nothing() {
    scenario(LabOptions::default(), |lab| {
        let active = lab.start_all()?;
        let eyes = Onlookers::start(lab)?;
        for node in lab.nodes() {
            let damaged = node.home().join("var/damaged");
            std::fs::write(&damaged, "#pha-status 1 5 5 00000000\nNO\n--\n")?;
            std::fs::rename(&damaged, node.home().join("var/status.dat"))?;
        }
        ensure!(lab.wait_settled(SOON)? == active, "another node is active");
        lab.stays(Duration::from_secs(3), "the same node holds the address", || lab.active_nodes() == [active])?;
        for node in lab.nodes() {
            let entries = std::fs::read_dir(node.home().join("var"))?.flatten();
            let aside = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("status.dat.bad-"));
            ensure!(aside.count() >= 1, "{}: the damaged file was not kept", node.name());
        }
        eyes.never_saw_two()
    });
}

// Rule 5: a standby that was away takes nothing over from a healthy peer.
#[test]
fn a_standby_that_was_stopped_for_a_while_moves_nothing() {
    scenario(LabOptions::default(), |lab| {
        let active = lab.start_all()?;
        let standby = lab.other(active);
        let eyes = Onlookers::start(lab)?;
        for programs in [&Program::ALL[..], &[Program::Receiver], &[Program::Supervise]] {
            standby.signal("STOP", programs)?;
            std::thread::sleep(Duration::from_secs(2));
            standby.signal("CONT", programs)?;
            lab.stays(Duration::from_secs(2), "the active keeps the address", || lab.active_nodes() == [active])?;
        }
        ensure!(lab.wait_settled(SOON)? == active, "another node is active");
        eyes.saw_nothing_move()
    });
}
