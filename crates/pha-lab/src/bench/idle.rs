//! What a pair costs while nothing happens: processor, memory, wake-ups of all processes of the active node's system.

use anyhow::Result;

use super::Plan;
use super::series::Reading;
use super::stage::Stage;
use crate::usage::{self, Usage};

/// Nothing happens for a while. Figures: percent of one core, MiB, wake-ups a second.
pub(super) fn idle(stage: &mut Stage, plan: &Plan) -> Result<Vec<Reading>> {
    let id = stage.settle()?;
    let processes = || stage.system.processes(stage.node(id));
    // One that ends just now has used nothing.
    let used = || -> Usage { processes().into_iter().filter_map(|pid| Usage::of(pid).ok()).sum() };
    let before = used();
    std::thread::sleep(plan.idle);
    let (percent, wakeups) = used().rates(&before, plan.idle);
    let mib = usage::pss(&processes());
    stage.eyes.saw_nothing_move()?;
    Ok(vec![Some(percent), Some(mib), Some(wakeups)])
}
