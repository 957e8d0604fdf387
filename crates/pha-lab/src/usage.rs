//! What processes have used so far, from the kernel's own accounts: processor, wake-ups, memory.

use std::fs;
use std::iter::Sum;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

/// What one process or some have used so far, with all their threads.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// Processor time, with that of children that have ended and were waited for.
    pub time: Duration,
    /// Voluntary context switches, without those of children.
    pub wakeups: u64,
}

impl Usage {
    /// What `pid` has used until now. A thread that ends meanwhile counts nothing.
    ///
    /// # Errors
    /// The process has ended.
    pub fn of(pid: u32) -> Result<Self> {
        let children = Self { time: children(pid)?, wakeups: 0 };
        let tasks = fs::read_dir(format!("/proc/{pid}/task"))?.flatten();
        let threads = tasks.filter_map(|task| Self::of_thread(&task.path()).ok());
        Ok(threads.chain([children]).sum())
    }

    fn of_thread(dir: &Path) -> Result<Self> {
        let schedstat = fs::read_to_string(dir.join("schedstat"))?;
        let nanos = schedstat.split_whitespace().next().context("schedstat")?.parse()?;
        let status = fs::read_to_string(dir.join("status"))?;
        Ok(Self { time: Duration::from_nanos(nanos), wakeups: number(&status, "voluntary_ctxt_switches:")? })
    }

    /// What was used since `before`, which was `lasted` ago: percent of one core, and wake-ups a second.
    #[must_use]
    pub fn rates(&self, before: &Self, lasted: Duration) -> (f64, f64) {
        let seconds = lasted.as_secs_f64();
        let percent = self.time.saturating_sub(before.time).as_secs_f64() * 100.0 / seconds;
        (percent, self.wakeups.saturating_sub(before.wakeups) as f64 / seconds)
    }
}

impl Sum for Usage {
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        parts.fold(Self::default(), |sum, one| Self { time: sum.time + one.time, wakeups: sum.wakeups + one.wakeups })
    }
}

/// The memory of `pids` in MiB, with their share of what is shared.
#[must_use]
pub fn pss(pids: &[u32]) -> f64 {
    let rollup = |pid: &u32| fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok();
    let kib: u64 = pids.iter().filter_map(rollup).filter_map(|text| number(&text, "Pss:").ok()).sum();
    kib as f64 / 1024.0
}

/// Processor time of the children of `pid` that have ended.
fn children(pid: u32) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // `PID (NAME) STATE …`, and the name may hold anything; cutime and cstime are fields 16 and 17.
    let after_name = stat.rsplit_once(')').context("a stat line")?.1;
    let ticks = after_name.split_whitespace().skip(13).take(2).map(str::parse::<u64>);
    // Linux counts these in hundredths of a second on every architecture.
    Ok(Duration::from_millis(ticks.sum::<Result<u64, _>>()? * 10))
}

/// The number after `name` at the beginning of a line.
fn number(text: &str, name: &str) -> Result<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("a line {name}"))?;
    line.trim().trim_end_matches(" kB").parse().with_context(|| format!("a line {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_found_by_its_name_at_the_beginning_of_a_line() -> Result<()> {
        let text = "nonvoluntary_ctxt_switches:\t3\nvoluntary_ctxt_switches:\t17\nPss:      120 kB\n";
        assert_eq!(number(text, "voluntary_ctxt_switches:")?, 17);
        assert_eq!(number(text, "Pss:")?, 120);
        assert!(number(text, "Rss:").is_err());
        Ok(())
    }

    #[test]
    fn this_process_has_used_something_and_one_that_is_not_there_is_an_error() -> Result<()> {
        // The kernel accounts for what a thread has used when another has its turn.
        std::thread::sleep(Duration::from_millis(1));
        let (this, nobody) = (std::process::id(), u32::MAX);
        assert!(Usage::of(this)?.time > Duration::ZERO && pss(&[this]) > 0.0);
        assert!(Usage::of(nobody).is_err() && pss(&[nobody]) == 0.0);
        Ok(())
    }

    #[test]
    fn rates_are_what_came_since_then_by_the_time_it_took() {
        let before = Usage { time: Duration::from_millis(10), wakeups: 5 };
        let after = Usage { time: Duration::from_millis(30), wakeups: 45 };
        assert_eq!(after.rates(&before, Duration::from_secs(2)), (1.0, 20.0));
        assert_eq!(before.rates(&after, Duration::from_secs(2)), (0.0, 0.0), "a process has ended");
    }
}
