//! Programs that die, stand still or lack something, and machines that crash with them.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::super::allows::Allows;
use super::{Case, Fault, Kind, Needs, Scene, Undo, if_active};
use crate::command;
use crate::disturb::Busy;
use crate::network;
use crate::node::{Node, Program};

/// A supervise that is away for no longer is not missed: well below `LEASE` − `DEADTIME` − a tick.
const NOT_MISSED: Duration = Duration::from_millis(1000);

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        name: "killed program",
        what: "one of its daemons is killed (kill -9)",
        kind: Kind::Programs,
        needs: Needs::Nothing,
        lasts: (0, 4500),
        allows: one_away,
        begin: kill_one,
    },
    Fault {
        name: "stopped program",
        what: "one of its daemons stands still (SIGSTOP)",
        kind: Kind::Programs,
        needs: Needs::Nothing,
        lasts: (50, 4500),
        allows: one_away,
        begin: stop_one,
    },
    Fault {
        name: "killed programs",
        what: "all its daemons are killed",
        kind: Kind::Programs,
        needs: Needs::Nothing,
        lasts: (0, 4500),
        allows: |case| if_active(case, Allows::MOVES),
        begin: kill_all,
    },
    Fault {
        name: "stopped programs",
        what: "all its daemons stand still",
        kind: Kind::Programs,
        needs: Needs::Nothing,
        lasts: (50, 4500),
        allows: |case| if_active(case, Allows::MOVES),
        begin: stop_all,
    },
    Fault {
        name: "ended program",
        what: "one of its daemons is asked to end (SIGTERM)",
        kind: Kind::Programs,
        needs: Needs::Nothing,
        lasts: (0, 2500),
        // A supervise that ends in order says that it leaves its resources running.
        allows: |_| Allows::STAYS,
        begin: end_one,
    },
    Fault {
        name: "crash",
        what: "the machine loses its power, and boots",
        kind: Kind::Programs,
        needs: Needs::Nothing,
        lasts: (100, 3500),
        allows: |case| if_active(case, Allows::MOVES),
        begin: crash,
    },
    Fault {
        name: "power cut",
        what: "all machines lose their power, and boot",
        // Nobody remembers its term then but the databases: not together with one that is lost.
        kind: Kind::Database,
        needs: Needs::Nothing,
        lasts: (0, 1500),
        allows: |_| Allows::RESTS,
        begin: power_cut,
    },
    Fault {
        name: "restart",
        what: "its daemons are restarted by the operator, as for an upgrade",
        kind: Kind::Programs,
        needs: Needs::Nothing,
        lasts: (0, 500),
        allows: |_| Allows::STAYS,
        begin: restart,
    },
    Fault {
        name: "old peer",
        what: "a standby speaks the protocol version before for a while",
        kind: Kind::Alone,
        needs: Needs::Nothing,
        lasts: (4000, 4500),
        allows: |_| Allows::STAYS,
        begin: old_peer,
    },
    Fault {
        name: "few descriptors",
        what: "one of its daemons may open no further file (RLIMIT_NOFILE)",
        kind: Kind::Programs,
        needs: Needs::Limits,
        lasts: (500, 4000),
        allows: |case| if_active(case, Allows::MOVES),
        begin: few_descriptors,
    },
    Fault {
        name: "little memory",
        what: "one of its daemons gets no further memory (RLIMIT_AS)",
        kind: Kind::Programs,
        needs: Needs::Limits,
        lasts: (500, 4000),
        allows: |case| if_active(case, Allows::MOVES),
        begin: little_memory,
    },
    Fault {
        name: "busy machine",
        what: "four processes use whatever processor time they get",
        kind: Kind::Programs,
        needs: Needs::Nothing,
        lasts: (500, 3000),
        allows: |_| Allows::STAYS,
        begin: busy,
    },
];

fn one(chance: u64) -> Program {
    Program::ALL[(chance % 3) as usize]
}

/// Without its receiver a node keeps what it has, without its sender its address answers; only supervise is missed.
fn one_away(case: Case) -> Allows {
    let missed = one(case.chance) == Program::Supervise && case.lasts > NOT_MISSED;
    if missed { if_active(case, Allows::MOVES) } else { Allows::STAYS }
}

fn nothing_to_undo<'a>() -> Undo<'a> {
    Box::new(|| Ok(()))
}

fn kill_one<'a>(scene: &Scene<'a>) -> Result<Undo<'a>> {
    scene.node.signal("KILL", &[one(scene.chance)])?;
    Ok(nothing_to_undo())
}

fn kill_all<'a>(scene: &Scene<'a>) -> Result<Undo<'a>> {
    scene.node.signal("KILL", &Program::ALL)?;
    Ok(nothing_to_undo())
}

fn end_one<'a>(scene: &Scene<'a>) -> Result<Undo<'a>> {
    scene.node.signal("TERM", &[one(scene.chance)])?;
    Ok(nothing_to_undo())
}

fn stop_one<'a>(scene: &Scene<'a>) -> Result<Undo<'a>> {
    stop(scene.node, &[one(scene.chance)])
}

fn stop_all<'a>(scene: &Scene<'a>) -> Result<Undo<'a>> {
    stop(scene.node, &Program::ALL)
}

fn stop<'a>(node: &'a Node, programs: &[Program]) -> Result<Undo<'a>> {
    let programs = programs.to_vec();
    node.signal("STOP", &programs)?;
    Ok(Box::new(move || node.signal("CONT", &programs)))
}

fn crash<'a>(scene: &Scene<'a>) -> Result<Undo<'a>> {
    let node = scene.node;
    node.crash()?;
    Ok(Box::new(|| node.boot()))
}

fn power_cut<'a>(scene: &Scene<'a>) -> Result<Undo<'a>> {
    let lab = scene.lab;
    lab.nodes().iter().try_for_each(Node::crash)?;
    Ok(Box::new(|| lab.nodes().iter().try_for_each(Node::boot)))
}

/// Whoever stands by: the old peer never takes over. It ends by itself.
fn old_peer<'a>(scene: &Scene<'a>) -> Result<Undo<'a>> {
    let node = if scene.node.holds_address() { scene.other } else { scene.node };
    let active = scene.lab.active_nodes().first().copied().context("nobody is active")?;
    let place = |id: usize| format!("{}:{}", network::node_address(id), scene.lab.port());
    node.order(&["stop"])?;
    let mut peer = node.command(node.home().join("bin/pha-lab"));
    peer.args(["old-peer", "--cluster", "lab", "--seconds", "4", "--node", &node.id().to_string()]);
    peer.args(["--at", &place(node.id()), "--key"]).arg(node.home().join("etc/authkey"));
    for other in scene.lab.nodes().iter().filter(|other| other.id() != node.id()) {
        peer.args(["--to", &place(other.id())]);
    }
    let mut peer = peer.stdin(Stdio::null()).stdout(Stdio::null()).spawn().context("the old peer")?;
    let heard = || {
        let receiver = scene.lab.node(active).record().receiver;
        let contact = receiver.contacts.iter().find(|(id, _)| usize::from(id.number()) == node.id());
        contact.is_some_and(|(_, contact)| contact.dialect.version == pha_wire::OLDEST)
    };
    scene.lab.wait(Duration::from_secs(3), "the old peer is heard", heard)?;
    Ok(Box::new(move || {
        ensure!(peer.wait()?.success(), "the old peer has failed");
        Ok(())
    }))
}

fn restart<'a>(scene: &Scene<'a>) -> Result<Undo<'a>> {
    // Refused where something is wrong with the configuration, and then nothing is restarted.
    scene.node.cli(&["restart"])?;
    Ok(nothing_to_undo())
}

fn few_descriptors<'a>(scene: &Scene<'a>) -> Result<Undo<'a>> {
    let pids = scene.node.pids(one(scene.chance));
    let open = |pid: &u32| std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
    let least = pids.iter().map(open).max().unwrap_or_default();
    limit(pids, "nofile", least as u64)
}

fn little_memory<'a>(scene: &Scene<'a>) -> Result<Undo<'a>> {
    // Less than any of them has: what it has it keeps.
    limit(scene.node.pids(one(scene.chance)), "as", 1 << 20)
}

/// Lowers the soft limit `name` of these processes, until it is undone.
fn limit<'a>(pids: Vec<u32>, name: &'static str, to: u64) -> Result<Undo<'a>> {
    let before: Vec<(u32, String)> = pids
        .into_iter()
        .map(|pid| {
            let asked = ["--pid", &pid.to_string(), &format!("--{name}"), "--output", "SOFT", "--noheadings", "--raw"];
            Ok((pid, command::run("prlimit", asked)?.trim().to_owned()))
        })
        .collect::<Result<_>>()
        .context("limits")?;
    let set = move |pid: u32, soft: &str| {
        command::run("prlimit", ["--pid", &pid.to_string(), &format!("--{name}={soft}:")]).map(drop)
    };
    before.iter().try_for_each(|(pid, _)| set(*pid, &to.to_string()))?;
    Ok(Box::new(move || {
        // Who died of it has no limit any more.
        before.iter().for_each(|(pid, soft)| drop(set(*pid, soft)));
        Ok(())
    }))
}

fn busy<'a>(_: &Scene<'a>) -> Result<Undo<'a>> {
    let busy = (0..4).map(|_| Busy::start()).collect::<Result<Vec<_>>>()?;
    Ok(Box::new(move || {
        drop(busy);
        Ok(())
    }))
}
