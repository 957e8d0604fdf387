//! Resources that die, and agents that hang, fail, crash or leave something behind.

use std::process::Stdio;

use anyhow::{Context, Result};

use super::super::allows::Allows;
use super::{Fault, Kind, Needs, RESOURCE, Scene, Undo, if_active};
use crate::command;
use crate::node::Node;

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        name: "hanging agent",
        what: "its agent hangs, in a start, a stop or a check",
        kind: Kind::Agents,
        needs: Needs::Nothing,
        lasts: (1000, 5000),
        allows: |case| if_active(case, Allows::MOVES),
        begin: |scene| troubled(scene, "slow", "30"),
    },
    Fault {
        name: "failing agent",
        what: "its agent fails, in a start, a stop or a check",
        kind: Kind::Agents,
        needs: Needs::Nothing,
        lasts: (500, 4000),
        allows: |case| if_active(case, Allows::MOVES),
        begin: |scene| troubled(scene, "fail", ""),
    },
    Fault {
        name: "crashing agent",
        what: "its agent is killed by a signal, in a start, a stop or a check",
        kind: Kind::Agents,
        needs: Needs::Nothing,
        lasts: (500, 4000),
        allows: |case| if_active(case, Allows::MOVES),
        begin: |scene| troubled(scene, "die", ""),
    },
    Fault {
        name: "litter",
        what: "its resource dies, and its agent leaves a process behind at each start, with its output open",
        kind: Kind::Agents,
        needs: Needs::Nothing,
        lasts: (500, 3000),
        allows: |case| if_active(case, Allows::MOVES),
        begin: litter,
    },
    Fault {
        name: "dead service",
        what: "the active node's service is killed",
        kind: Kind::Agents,
        needs: Needs::Nothing,
        lasts: (0, 1000),
        allows: |_| Allows::MOVES,
        begin: dead_service,
    },
];

/// The resource on `node` goes down by itself.
fn dies(node: &Node) {
    node.clear_fault(RESOURCE, "up");
}

/// From now on one of the agent's verbs has this `trouble`, and something happens for which the verb is needed.
fn troubled<'a>(scene: &Scene<'a>, trouble: &str, text: &str) -> Result<Undo<'a>> {
    let node = scene.node;
    let verb = ["start", "stop", "check"][(scene.chance % 3) as usize];
    let file = format!("{trouble}-{verb}");
    node.set_fault(RESOURCE, &file, text)?;
    let mut asked = None;
    match verb {
        "start" => dies(node),
        "stop" => {
            let mut order = node.command("timeout");
            order.arg("20").arg(node.home().join("bin/pha-cli")).arg("switchover");
            order.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            asked = Some(order.spawn().context("switchover")?);
        }
        _ => {}
    }
    Ok(Box::new(move || {
        node.clear_fault(RESOURCE, &file);
        // Whether it was possible is for the daemons to say.
        asked.map_or(Ok(()), |mut order| order.wait().map(drop))?;
        Ok(())
    }))
}

fn litter<'a>(scene: &Scene<'a>) -> Result<Undo<'a>> {
    let node = scene.node;
    node.set_fault(RESOURCE, "leave", "")?;
    dies(node);
    Ok(Box::new(|| {
        node.clear_fault(RESOURCE, "leave");
        command::signal("KILL", &node.named(|name| name == "sleep"))
    }))
}

fn dead_service<'a>(scene: &Scene<'a>) -> Result<Undo<'a>> {
    for node in scene.lab.nodes().iter().filter(|node| node.holds_address()) {
        command::signal("KILL", &node.named(|name| name == "pha-lab"))?;
    }
    Ok(Box::new(|| Ok(())))
}
