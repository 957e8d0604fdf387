//! Self-doubt: a busy machine, programs that are stopped for a moment, and what real-time scheduling is for.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use pha_lab::disturb::{DisturbOptions, measure};
use pha_lab::world::scenario;
use pha_lab::{Lab, LabOptions, Program, home};

const SOON: Duration = Duration::from_secs(20);

/// An agent that writes down how it is run: its scheduling policy (proc(5), field 41 of stat) and its locked memory.
const POLICY: &str = "#!/bin/sh
case $1 in
start)
	cut -d' ' -f41 /proc/$$/stat >$PHA_HOME/var/policy
	grep VmLck: /proc/$$/status >>$PHA_HOME/var/policy
	: >$PHA_HOME/var/up
	;;
stop) rm -f $PHA_HOME/var/up ;;
check) [ -e $PHA_HOME/var/up ] ;;
esac
";

/// Field 41 of `/proc/PID/stat`.
fn policy(pid: u32) -> Result<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let after_name = stat.rsplit_once(')').context("a stat line")?.1;
    after_name.split_whitespace().nth(41 - 3).map(str::to_owned).context("a stat line")
}

#[test]
fn daemons_may_run_before_others_and_their_agents_never_do() -> Result<()> {
    let lab = Lab::new(LabOptions::default().plain().resources(["RES_policy=x"]))?;
    let node = lab.node(1);
    home::write(&node.home().join("res/policy"), POLICY, 0o755)?;
    let permitted = node.order(&["check"])?.contains("real-time scheduling: permitted");
    node.start()?;
    lab.wait(SOON, "the agent has started", || node.home().join("var/up").exists())?;
    for program in Program::ALL {
        ensure!((policy(node.pid(program)?)? == "2") == permitted, "{program:?}");
    }
    let written = fs::read_to_string(node.home().join("var/policy"))?;
    ensure!(written.split_whitespace().eq(["0", "VmLck:", "0", "kB"]), "{written}");
    Ok(())
}

#[test]
fn a_heartbeat_below_50_ms_is_refused_without_permission_with_the_remedy() -> Result<()> {
    let lab = Lab::new(LabOptions::default().plain().config(["PROFILE=lan"]))?;
    let node = lab.node(1);
    // Who is not root has no permission to begin with, unless a limit says otherwise.
    let root = Command::new("id").arg("-u").output()?.stdout == b"0\n";
    for (program, arguments) in [("pha-cli", &["check"][..]), ("pha-sender", &["--foreground"])] {
        let mut command = node.command("setpriv");
        if root {
            command.args(["--bounding-set", "-sys_nice", "--inh-caps", "-sys_nice"]);
        }
        command.args(["--", "prlimit", "--rtprio=0", "--"]).arg(node.home().join("bin").join(program));
        let said = command.args(arguments).output()?;
        let text = String::from_utf8_lossy(&said.stdout).into_owned() + &String::from_utf8_lossy(&said.stderr);
        let code = if program == "pha-cli" { 78 } else { 77 };
        ensure!(said.status.code() == Some(code), "{program}: {:?}: {text}", said.status);
        ensure!(text.contains("HEARTBEAT_INT=10 needs real-time scheduling"), "{program}: {text}");
        ensure!(text.contains("LimitRTPRIO=10") && text.contains("cap_sys_nice"), "{program}: {text}");
    }
    Ok(())
}

/// Ten seconds, which must move nothing.
fn moves_nothing(lab: &Lab, busy: u32, stop: u64) -> Result<()> {
    lab.start_all()?;
    std::thread::sleep(Duration::from_secs(2));
    let options = DisturbOptions { seconds: 10, loss: 0, busy, stop, stall: 0, memory: 0, crashes: 0, set: Vec::new() };
    let moves = measure(lab, &options, &[])?;
    ensure!(moves == 0, "the service moved {moves} times");
    Ok(())
}

#[test]
fn busy_processes_move_nothing() {
    scenario(LabOptions::default(), |lab| moves_nothing(lab, 32, 0));
}

#[test]
fn a_sender_or_receiver_that_is_stopped_for_300_ms_moves_nothing() {
    scenario(LabOptions::default(), |lab| moves_nothing(lab, 0, 300));
}
