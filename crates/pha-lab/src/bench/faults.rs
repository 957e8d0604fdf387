//! The faults: the same for every system, and each returns what its figures are made of, in their order.

use std::time::Duration;

use anyhow::Result;

use super::series::Reading;
use super::stage::{CLIENT_PATIENCE, Stage, millis};
use super::system;
use super::{PATIENCE, Plan};
use crate::network::{self, Link};

/// After `kill -9` it is looked for so long who holds the address.
const HOLDERS_CAP: Duration = Duration::from_secs(10);

/// How long the nodes are cut off from each other: longer than a lease.
const CUT: Duration = Duration::from_secs(5);

/// After a cut is healed it is waited for so long until the client is served.
const HEALED_CAP: Duration = Duration::from_secs(60);

/// The active machine crashes. Figures: outage; microseconds from the verdict to the last start.
pub(super) fn crash(stage: &mut Stage, _: &Plan) -> Result<Vec<Reading>> {
    let id = stage.settle()?;
    stage.crash(id)?;
    let outage = stage.outage_until_other_than(id);
    let overhead = match stage.system {
        system::System::Pha => system::takeover_overhead(stage.lab.other(id))?.map(|us| us / 1000.0),
        system::System::Keepalived(_) => None,
    };
    stage.boot(id)?;
    Ok(vec![Some(outage), overhead])
}

/// The active node is asked to hand over. Figure: outage.
pub(super) fn switchover(stage: &mut Stage, _: &Plan) -> Result<Vec<Reading>> {
    let id = stage.settle()?;
    stage.system.hand_over(stage.node(id))?;
    let outage = stage.outage_until_other_than(id);
    stage.system.stand_by(&stage.lab, stage.node(id))?;
    Ok(vec![Some(outage)])
}

/// `kill -9` of everything of the system on the active node. Figures: time with two holders, outage.
pub(super) fn kill(stage: &mut Stage, _: &Plan) -> Result<Vec<Reading>> {
    let id = stage.settle()?;
    let (held, asked) = (stage.eyes.holders().mark(), stage.eyes.client().mark());
    stage.kill(id)?;
    let other = stage.lab.other(id);
    let taken_over = || !stage.node(id).holds_address() && other.holds_address();
    // It is no error that the other one does not take over, or not alone: the figures say so.
    let _ = stage.lab.wait(HOLDERS_CAP, "the other node holds the address alone", taken_over);
    std::thread::sleep(CLIENT_PATIENCE + Duration::from_millis(500));
    let figures = vec![Some(stage.two_holders(held)), Some(stage.longest_outage(asked))];
    // Whatever was left behind goes with the machine.
    stage.crash(id)?;
    stage.boot(id)?;
    Ok(figures)
}

/// Heartbeats get lost, and nothing else. Figures: time with two holders, outage, nodes that raised an alarm.
pub(super) fn heartbeats_cut(stage: &mut Stage, _: &Plan) -> Result<Vec<Reading>> {
    stage.settle()?;
    let (held, asked) = (stage.eyes.holders().mark(), stage.eyes.client().mark());
    let warnings = || -> Option<Vec<usize>> { stage.lab.nodes().iter().map(|n| stage.system.warnings(n)).collect() };
    let before = warnings();
    stage.lose_heartbeats(100)?;
    std::thread::sleep(CUT);
    let figures = (stage.two_holders(held), stage.longest_outage(asked));
    let alarmed = before.zip(warnings()).map(|(before, after)| {
        let alarmed = before.iter().zip(&after).filter(|(before, after)| after > before);
        alarmed.count() as f64
    });
    stage.restore_heartbeats()?;
    recover(stage)?;
    Ok(vec![Some(figures.0), Some(figures.1), alarmed])
}

/// Somebody else takes the address off the active node's device. Figure: outage.
pub(super) fn removed(stage: &mut Stage, _: &Plan) -> Result<Vec<Reading>> {
    let id = stage.settle()?;
    let asked = stage.eyes.client().mark();
    network::remove_address(stage.node(id).name())?;
    std::thread::sleep(CLIENT_PATIENCE + Duration::from_millis(500));
    // It is no error that it never comes back: the figure says so.
    let _ = stage.lab.wait(HOLDERS_CAP, "the client is served", || stage.eyes.client().answer().is_some());
    let outage = stage.longest_outage(asked);
    if outage.is_infinite() {
        stage.crash(id)?;
        stage.boot(id)?;
    }
    Ok(vec![Some(outage)])
}

/// The nodes are cut off from each other, and the cut is healed. Figure: outage from then on.
pub(super) fn split(stage: &mut Stage, _: &Plan) -> Result<Vec<Reading>> {
    stage.settle()?;
    stage.between_nodes(Link::Down)?;
    std::thread::sleep(CUT);
    let healed = stage.eyes.client().mark();
    stage.between_nodes(Link::Up)?;
    recover(stage)?;
    Ok(vec![Some(stage.longest_outage(healed))])
}

/// Waits until a pair that was cut is well again and the client knows what became of its last requests.
fn recover(stage: &Stage) -> Result<()> {
    std::thread::sleep(CLIENT_PATIENCE + Duration::from_millis(500));
    let well = stage.well(HEALED_CAP).map(drop);
    // A client that is still not served is what is to be shown, as an outage without end.
    if well.is_err() && stage.lab.active_nodes().len() != 1 {
        return well;
    }
    std::thread::sleep(CLIENT_PATIENCE + Duration::from_millis(500));
    Ok(())
}

/// Some heartbeats get lost for a while. Figure: how often the address moved.
pub(super) fn loss<const PERCENT: u32>(stage: &mut Stage, plan: &Plan) -> Result<Vec<Reading>> {
    stage.settle()?;
    let mark = stage.eyes.holders().mark();
    stage.lose_heartbeats(PERCENT)?;
    std::thread::sleep(plan.loss);
    let moves = stage.eyes.holders().moves(mark);
    stage.restore_heartbeats()?;
    stage.well(PATIENCE)?;
    Ok(vec![Some(moves as f64)])
}

/// Both are started at once. Figure: time until exactly one is active; for ever if the address then bounces.
pub(super) fn both_at_once(stage: &mut Stage, _: &Plan) -> Result<Vec<Reading>> {
    let id = stage.settle()?;
    for node in [stage.lab.other(id), stage.node(id)] {
        node.stop()?;
        node.order(&["res", "stop"])?;
    }
    let lab = &stage.lab;
    lab.wait(PATIENCE, "nobody is active", || lab.active_nodes().is_empty())?;
    let mark = stage.eyes.holders().mark();
    let started = std::time::Instant::now();
    let starts = lab.nodes().iter().map(|node| node.command(node.home().join("bin/pha-cli")).arg("start").spawn());
    for start in starts.collect::<Vec<_>>() {
        anyhow::ensure!(start?.wait()?.success(), "a start failed");
    }
    let active = || lab.nodes().iter().filter(|node| node.is_active()).count();
    lab.wait(PATIENCE, "one node is active", || active() == 1)?;
    let took = started.elapsed();
    let calm = lab.stays(Duration::from_secs(2), "exactly one is active", || active() == 1);
    let bounced = calm.is_err() || stage.eyes.holders().moves(mark) > 1;
    Ok(vec![Some(if bounced { f64::INFINITY } else { millis(took) })])
}

/// One daemon of the active node is killed and started again 900 ms later, one after the other. Figure: outage.
pub(super) fn one_dies(stage: &mut Stage, _: &Plan) -> Result<Vec<Reading>> {
    let mut longest: f64 = 0.0;
    for program in crate::node::Program::ALL {
        let id = stage.settle()?;
        let asked = stage.eyes.client().mark();
        stage.node(id).signal("KILL", &[program])?;
        std::thread::sleep(Duration::from_millis(900));
        stage.node(id).start()?;
        std::thread::sleep(Duration::from_secs(4));
        longest = longest.max(stage.longest_outage(asked));
        let moved = stage.lab.active_nodes() != [id];
        longest = if moved { f64::INFINITY } else { longest };
    }
    Ok(vec![Some(longest)])
}
