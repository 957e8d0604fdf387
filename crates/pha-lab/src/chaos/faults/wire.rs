//! What is between the nodes: cables, ports, packets, the gateway.

use std::time::Duration;

use anyhow::Result;

use super::super::allows::Allows;
use super::{Fault, Kind, Needs, Scene, Undo, if_active};
use crate::network::{self, Link, Way};

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        name: "cable",
        what: "its cable is pulled: it sees no carrier",
        kind: Kind::Wire,
        needs: Needs::Nothing,
        lasts: (300, 4000),
        allows: |case| if_active(case, Allows::MOVES.apart()),
        begin: cable,
    },
    Fault {
        name: "flapping cable",
        what: "its cable is pulled and plugged in again, four times in quick succession",
        kind: Kind::Wire,
        needs: Needs::Nothing,
        lasts: (0, 500),
        // A standby may ask the wire while it is out, and its gateway while it is in.
        allows: |_| Allows::MOVES.apart(),
        begin: flapping,
    },
    Fault {
        name: "port",
        what: "its switch port is off: nothing passes, but it sees a carrier",
        kind: Kind::Wire,
        needs: Needs::Nothing,
        lasts: (300, 4500),
        allows: |case| if_active(case, Allows::MOVES.apart()),
        begin: port,
    },
    Fault {
        name: "partition",
        what: "all nodes are cut off from each other, while each reaches the client and the gateway",
        kind: Kind::Wire,
        needs: Needs::Nothing,
        lasts: (300, 4000),
        allows: |_| Allows::RESTS.apart(),
        begin: partition,
    },
    Fault {
        name: "one way",
        what: "all heartbeats that it sends, or all that it should get, are lost",
        kind: Kind::Wire,
        needs: Needs::Packets,
        lasts: (300, 4500),
        allows: |_| Allows::STAYS,
        begin: one_way,
    },
    Fault {
        name: "loss",
        what: "30 % of the heartbeats and ARP packets of every node are lost",
        kind: Kind::Wire,
        needs: Needs::Packets,
        lasts: (500, 4500),
        allows: |_| Allows::STAYS,
        begin: loss,
    },
    Fault {
        name: "gateway",
        what: "it reaches its gateway no more",
        kind: Kind::Wire,
        needs: Needs::Nothing,
        lasts: (500, 4500),
        allows: |case| if_active(case, Allows::MOVES),
        begin: gateway,
    },
    Fault {
        name: "no gateway",
        what: "the gateway is gone for every node",
        kind: Kind::Wire,
        needs: Needs::Nothing,
        lasts: (500, 4500),
        // It may come back for one while another is still asking whether its peers have lost it, too.
        allows: |_| Allows::MOVES,
        begin: no_gateway,
    },
    Fault {
        name: "robbed",
        what: "somebody else removes the address from the active node's device",
        kind: Kind::Wire,
        needs: Needs::Nothing,
        lasts: (0, 500),
        allows: |_| Allows::MOVES,
        begin: robbed,
    },
];

fn cable<'a>(scene: &Scene<'a>) -> Result<Undo<'a>> {
    let node = scene.node;
    node.cable(Link::Down)?;
    Ok(Box::new(|| node.cable(Link::Up)))
}

fn flapping<'a>(scene: &Scene<'a>) -> Result<Undo<'a>> {
    let mut random = fastrand::Rng::with_seed(scene.chance);
    for _ in 0..4 {
        scene.node.cable(Link::Down)?;
        std::thread::sleep(Duration::from_millis(random.u64(10..200)));
        scene.node.cable(Link::Up)?;
        std::thread::sleep(Duration::from_millis(random.u64(10..200)));
    }
    Ok(Box::new(|| Ok(())))
}

fn port<'a>(scene: &Scene<'a>) -> Result<Undo<'a>> {
    let node = scene.node;
    node.port(Link::Down)?;
    Ok(Box::new(|| node.port(Link::Up)))
}

fn partition<'a>(scene: &Scene<'a>) -> Result<Undo<'a>> {
    let lab = scene.lab;
    // A machine that crashed meanwhile has no port that could be cut, or mended: it comes back with a whole one.
    let cut = |link| lab.nodes().iter().for_each(|node| drop(network::between_nodes([node.id()], link)));
    cut(Link::Down);
    Ok(Box::new(move || {
        cut(Link::Up);
        Ok(())
    }))
}

fn one_way<'a>(scene: &Scene<'a>) -> Result<Undo<'a>> {
    let (lab, node) = (scene.lab, scene.node);
    let way = if scene.chance.is_multiple_of(2) { Way::In } else { Way::Out };
    lab.drop_heartbeats(node, way, 100)?;
    Ok(Box::new(|| lab.restore_heartbeats(node)))
}

fn loss<'a>(scene: &Scene<'a>) -> Result<Undo<'a>> {
    let lab = scene.lab;
    lab.nodes().iter().try_for_each(|node| network::lose(node.name(), lab.port(), 30))?;
    Ok(Box::new(|| lab.nodes().iter().try_for_each(|node| network::lose_nothing(node.name()))))
}

fn gateway<'a>(scene: &Scene<'a>) -> Result<Undo<'a>> {
    let node = scene.node;
    node.gateway(Link::Down)?;
    Ok(Box::new(|| node.gateway(Link::Up)))
}

fn no_gateway<'a>(scene: &Scene<'a>) -> Result<Undo<'a>> {
    let lab = scene.lab;
    lab.gateway(Link::Down)?;
    Ok(Box::new(|| lab.gateway(Link::Up)))
}

fn robbed<'a>(scene: &Scene<'a>) -> Result<Undo<'a>> {
    // In the moment of another fault there may be none.
    for node in scene.lab.nodes().iter().filter(|node| node.holds_address()) {
        let _ = network::remove_address(node.name());
    }
    Ok(Box::new(|| Ok(())))
}
