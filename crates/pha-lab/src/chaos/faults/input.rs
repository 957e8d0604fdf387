//! What comes from outside: datagrams, the configuration, the machine's name.

use anyhow::{Context, Result, ensure};

use super::super::allows::Allows;
use super::{Fault, Kind, Needs, Scene, Undo};
use crate::home;
use crate::network;
use crate::node::{Node, Program};

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        name: "garbage",
        what: "a thousand datagrams that are no heartbeats come to every node",
        kind: Kind::Input,
        needs: Needs::Nothing,
        lasts: (0, 500),
        allows: |_| Allows::STAYS,
        begin: garbage,
    },
    Fault {
        name: "wrong config",
        what: "its `etc/config` has errors and is reloaded (SIGHUP), then it is mended and reloaded",
        kind: Kind::Input,
        needs: Needs::Nothing,
        lasts: (200, 2000),
        allows: |_| Allows::STAYS,
        begin: wrong_config,
    },
    Fault {
        name: "no config",
        what: "its `etc/config` is gone while it is reloaded",
        kind: Kind::Input,
        needs: Needs::Nothing,
        lasts: (200, 2000),
        allows: |_| Allows::STAYS,
        begin: no_config,
    },
    Fault {
        name: "host name",
        what: "the machine is called by another name, which is no node's",
        kind: Kind::Alone,
        needs: Needs::Nothing,
        lasts: (200, 2500),
        allows: |_| Allows::STAYS,
        begin: host_name,
    },
];

fn garbage<'a>(scene: &Scene<'a>) -> Result<Undo<'a>> {
    network::send_garbage(scene.lab.nodes().len(), scene.lab.port(), scene.chance)?;
    Ok(Box::new(|| Ok(())))
}

/// Lines of which each is an error.
const WRONG: [&str; 4] = ["BROKEN", "LEASE=1", "NODES=lb1", "RES_none=such"];

fn wrong_config<'a>(scene: &Scene<'a>) -> Result<Undo<'a>> {
    let node = scene.node;
    let file = node.home().join("etc/config");
    let good = std::fs::read_to_string(&file)?;
    home::write(&file, &format!("{good}{}\n", WRONG[(scene.chance % 4) as usize]), 0o644)?;
    reload(node)?;
    Ok(Box::new(move || {
        home::write(&file, &good, 0o644)?;
        reload(node)
    }))
}

fn no_config<'a>(scene: &Scene<'a>) -> Result<Undo<'a>> {
    let node = scene.node;
    let file = node.home().join("etc/config");
    let away = file.with_extension("away");
    std::fs::rename(&file, &away).context("etc/config")?;
    reload(node)?;
    Ok(Box::new(move || {
        std::fs::rename(&away, &file).context("etc/config")?;
        reload(node)
    }))
}

fn reload(node: &Node) -> Result<()> {
    node.signal("HUP", &Program::ALL)
}

fn host_name<'a>(scene: &Scene<'a>) -> Result<Undo<'a>> {
    let node = scene.node;
    node.rename("somebody-else")?;
    let said = node.cli(&["check"])?;
    ensure!(!said.status.success(), "{}: `check` finds nothing wrong: {}", node.name(), said.stdout);
    Ok(Box::new(|| node.rename(node.name())))
}
