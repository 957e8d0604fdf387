//! What a pair costs while nothing happens: processor, memory, wake-ups of all processes of the active node's system.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

use super::Plan;
use super::series::Reading;
use super::stage::Stage;

/// Nothing happens for a while. Figures: percent of one core, MiB, wake-ups a second.
pub(super) fn idle(stage: &mut Stage, plan: &Plan) -> Result<Vec<Reading>> {
    let id = stage.settle()?;
    let now = || Used::by(&stage.system.processes(stage.node(id)));
    let before = now();
    std::thread::sleep(plan.idle);
    let after = now();
    stage.eyes.saw_nothing_move()?;
    let pids = stage.system.processes(stage.node(id));
    // One that ends just now has none.
    let kib: u64 = pids.into_iter().filter_map(|pid| pss(pid).ok()).sum();
    let seconds = plan.idle.as_secs_f64();
    let percent = after.time.saturating_sub(before.time).as_secs_f64() * 100.0 / seconds;
    let wakeups = after.wakeups.saturating_sub(before.wakeups) as f64 / seconds;
    Ok(vec![Some(percent), Some(kib as f64 / 1024.0), Some(wakeups)])
}

/// What processes have used so far.
#[derive(Debug, Clone, Copy, Default)]
struct Used {
    /// With their children that have ended.
    time: Duration,
    /// Voluntary context switches; those of children that have ended are known to nobody.
    wakeups: u64,
}

impl Used {
    fn by(pids: &[u32]) -> Self {
        let parts = pids.iter().filter_map(|pid| Self::by_one(*pid).ok());
        parts.fold(Self::default(), |sum, one| Self { time: sum.time + one.time, wakeups: sum.wakeups + one.wakeups })
    }

    fn by_one(pid: u32) -> Result<Self> {
        let mut used = Self { time: children(pid)?, wakeups: 0 };
        for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
            let dir = thread?.path();
            let schedstat = fs::read_to_string(dir.join("schedstat"))?;
            let nanos = schedstat.split_whitespace().next().context("schedstat")?.parse()?;
            used.time += Duration::from_nanos(nanos);
            let status = fs::read_to_string(dir.join("status"))?;
            used.wakeups += value(&status, "voluntary_ctxt_switches:")?;
        }
        Ok(used)
    }
}

/// Processor time of the children of `pid` that have ended.
fn children(pid: u32) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let after_name = stat.rsplit_once(')').context("a stat line")?.1;
    let ticks = after_name.split_whitespace().skip(13).take(2).map(str::parse::<u64>);
    // Linux counts these in hundredths of a second on every architecture.
    Ok(Duration::from_millis(ticks.sum::<Result<u64, _>>()? * 10))
}

/// A process's share of memory, in KiB.
fn pss(pid: u32) -> Result<u64> {
    value(&fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?, "Pss:")
}

/// The number after `name` at the beginning of a line.
fn value(text: &str, name: &str) -> Result<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("a line {name}"))?;
    line.trim().trim_end_matches(" kB").parse().with_context(|| format!("a line {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_found_by_its_name_at_the_beginning_of_a_line() -> Result<()> {
        let text = "nonvoluntary_ctxt_switches:\t3\nvoluntary_ctxt_switches:\t17\nPss:      120 kB\n";
        assert_eq!(value(text, "voluntary_ctxt_switches:")?, 17);
        assert_eq!(value(text, "Pss:")?, 120);
        assert!(value(text, "Rss:").is_err());
        Ok(())
    }

    #[test]
    fn this_process_has_used_something() -> Result<()> {
        // The kernel accounts for what a thread has used when another has its turn.
        std::thread::sleep(Duration::from_millis(1));
        assert!(Used::by_one(std::process::id())?.time > Duration::ZERO);
        Ok(())
    }
}
