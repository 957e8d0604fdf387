//! New programs on a running pair: nothing moves, and no client notices.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use pha_lab::world::scenario;
use pha_lab::{Lab, LabOptions, Node, Onlookers, Program, command, home};

const SOON: Duration = Duration::from_secs(20);

/// The outage that a switchover may cost on a busy test machine.
const OUTAGE: Duration = Duration::from_secs(3);

/// What `bin/install` does with programs that were built: all of `node` are files of their own then.
fn install(node: &Node) -> Result<()> {
    // It looks for them in `release` of the build's folder.
    let build = tempfile::tempdir_in(node.home())?;
    std::os::unix::fs::symlink(home::programs()?, build.path().join("release"))?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../bin/install");
    let mut install = Command::new(script);
    install
        .args(["--no-build", "--no-user"])
        .arg(node.home())
        .env("CARGO_TARGET_DIR", build.path())
        .env_remove("DESTDIR");
    let said = command::finish(&mut install)?;
    ensure!(said.status.success(), "bin/install: {}", String::from_utf8_lossy(&said.stderr));
    Ok(())
}

/// Whether `program` runs from the file that is installed now.
fn runs_what_is_installed(node: &Node, program: Program) -> Result<bool> {
    let running = std::fs::metadata(format!("/proc/{}/exe", node.pid(program)?)).context("its file")?;
    let installed = std::fs::metadata(node.home().join("bin").join(program.name()))?;
    Ok((running.dev(), running.ino()) == (installed.dev(), installed.ino()))
}

fn all_run_what_is_installed(node: &Node) -> Result<()> {
    for program in Program::ALL {
        ensure!(runs_what_is_installed(node, program)?, "{}: {program:?} is an old one", node.name());
    }
    Ok(())
}

/// The documented steps on one node.
fn upgrade(lab: &Lab, node: &Node) -> Result<()> {
    let active = node.is_active();
    install(node)?;
    ensure!(!runs_what_is_installed(node, Program::Supervise)?, "nothing was replaced");
    node.order(&["restart"])?;
    all_run_what_is_installed(node)?;
    lab.wait(SOON, "it is what it was", || if active { node.is_active() } else { node.is_standby() }).map(drop)
}

// Promise 3
#[test]
fn programs_replaced_and_restarted_one_by_one_on_the_active_node_move_nothing() {
    scenario(LabOptions::default(), |lab| {
        let active = lab.start_all()?;
        let node = lab.node(active);
        let eyes = Onlookers::start(lab)?;
        install(node)?;
        for (program, stop, start) in [
            (Program::Receiver, "re_stop", "re_start"),
            (Program::Sender, "se_stop", "se_start"),
            (Program::Supervise, "su_stop", "su_start"),
        ] {
            node.order(&[stop])?;
            node.order(&[start])?;
            ensure!(runs_what_is_installed(node, program)?, "{program:?} is an old one");
            lab.wait(SOON, "all is as before", || lab.wait_settled(Duration::ZERO).is_ok_and(|id| id == active))?;
        }
        lab.stays(Duration::from_secs(2), "the same node is active", || lab.active_nodes() == [active])?;
        eyes.saw_nothing_move()
    });
}

// Promise 3
#[test]
fn a_restart_with_new_programs_on_the_active_node_moves_nothing() {
    scenario(LabOptions::default(), |lab| {
        let active = lab.start_all()?;
        let eyes = Onlookers::start(lab)?;
        upgrade(lab, lab.node(active))?;
        lab.stays(Duration::from_secs(2), "the same node is active", || lab.active_nodes() == [active])?;
        eyes.saw_nothing_move()
    });
}

// Promise 3; docs/operations.md, "Upgrade"
#[test]
fn both_nodes_are_upgraded_one_after_the_other_with_one_switchover() {
    scenario(LabOptions::default(), |lab| {
        let first = lab.start_all()?;
        let (old, standby) = (lab.node(first), lab.other(first));
        let mut eyes = Onlookers::start(lab)?;
        upgrade(lab, standby)?;
        lab.wait(SOON, "both hear each other", || lab.wait_settled(Duration::ZERO).is_ok())?;
        eyes.saw_nothing_move()?;
        old.order(&["switchover"])?;
        let gap = eyes.saw_change_to(lab, standby.name(), SOON)?;
        ensure!(gap.length().is_some_and(|length| length < OUTAGE), "{gap:?}");
        lab.wait(SOON, "the other is active", || lab.wait_settled(Duration::ZERO).is_ok_and(|id| id == standby.id()))?;
        eyes.look_anew();
        upgrade(lab, old)?;
        lab.stays(Duration::from_secs(2), "the other stays active", || lab.active_nodes() == [standby.id()])?;
        eyes.saw_nothing_move()
    });
}
