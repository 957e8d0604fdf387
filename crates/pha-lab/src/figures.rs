//! The figures that pha promises, measured again and again on two real nodes; the same lab as the demo and the tests.
//!
//! Each figure has a bar. A figure is printed as minimum, median and maximum of its runs; the whole fails if one run missed
//! the bar. Timings belong here and not into the tests: a shared machine may be slow, a test must not be flaky.

use std::fs;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use pha_core::Reason;

use crate::lab::{Lab, LabOptions};
use crate::node::{Node, Program};
use crate::onlookers::Onlookers;
use crate::world::{self, CtrlC};

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often, and how long.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct FigureOptions {
    /// Runs of each figure.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub runs: u32,
    /// Minutes without faults.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(0..=600))]
    pub idle_minutes: u64,
}

/// Measures every figure and prints it. Exit code 1 if a bar was missed.
///
/// # Errors
/// The lab could not be built, or a run did not come to its end.
pub fn run(options: FigureOptions) -> Result<ExitCode> {
    if !world::inside() {
        world::available()?;
        return Err(world::enter(CtrlC::Ends));
    }
    world::furnish()?;
    let lab = Lab::new(LabOptions::default().config(["OFFLINE_TIME=2"]))?;
    let measured = Figures::new(&lab).and_then(|mut figures| figures.all(options));
    let kept = measured.inspect_err(|_| println!("{}", lab.story()))?;
    println!("{}", if kept { "every bar was kept" } else { "a bar was missed" });
    Ok(ExitCode::from(u8::from(!kept)))
}

struct Figures<'a> {
    lab: &'a Lab,
    eyes: Onlookers,
    kept: bool,
    phase: Duration,
}

impl<'a> Figures<'a> {
    fn new(lab: &'a Lab) -> Result<Self> {
        lab.start_all()?;
        Ok(Self { lab, eyes: Onlookers::start(lab)?, kept: true, phase: Duration::ZERO })
    }

    fn all(&mut self, options: FigureOptions) -> Result<bool> {
        println!("{:<58} {:>8} {:>8} {:>8} {:>8}  ms", "figure", "min", "median", "max", "bar");
        let runs = options.runs;
        self.figure("crash of the active node until the client is served", runs, ms(900), Self::crash)?;
        self.figure("switchover until the client is served", runs, ms(150), Self::switchover)?;
        let both = "both started at once until one is active, no bounce";
        self.figure(both, runs, ms(3000), Self::both_at_once)?;
        let removed = "kill -9 of all daemons until the kernel lets go";
        self.figure(removed, runs.div_ceil(2), ms(3200), Self::keepers_die)?;
        for program in Program::ALL {
            let name = format!("{} killed and restarted: outage", program.name());
            self.figure(&name, runs.div_ceil(4), ms(0), |figures| figures.one_dies(program))?;
        }
        self.idle(Duration::from_secs(options.idle_minutes * 60))?;
        self.eyes.never_saw_two()?;
        println!("never two holders of the address: looked every millisecond");
        Ok(self.kept)
    }

    fn figure(
        &mut self,
        name: &str,
        runs: u32,
        bar: Duration,
        measure: impl Fn(&mut Self) -> Result<Duration>,
    ) -> Result<()> {
        let mut figures = Vec::new();
        for run in 1..=runs {
            self.settle()?;
            figures.push(measure(self).with_context(|| format!("{name}, run {run}"))?);
        }
        figures.sort_unstable();
        let (least, most) = (figures[0], figures[figures.len() - 1]);
        let median = figures[figures.len() / 2];
        self.kept &= most <= bar;
        let [least, median, most, bar] = [least, median, most, bar].map(|figure| figure.as_millis());
        println!("{name:<58} {least:>8} {median:>8} {most:>8} {bar:>8}");
        Ok(())
    }

    /// A healthy pair: the standby has heard the active node, so that its start-up grace is over.
    fn settle(&mut self) -> Result<()> {
        let id = self.lab.wait_settled(PATIENCE)?;
        let standby = self.lab.other(id);
        self.lab.wait(PATIENCE, "the standby hears", || standby.reason() == Some(Reason::PeerActive))?;
        self.eyes.look_anew();
        Ok(())
    }

    fn active(&self) -> Result<usize> {
        self.lab.active_nodes().first().copied().context("nobody is active")
    }

    fn outage(&self, id: usize) -> Result<Duration> {
        let other = self.lab.other(id);
        let gap = self.eyes.saw_change_to(self.lab, other.name(), PATIENCE)?;
        self.lab.wait(PATIENCE, "the other node is active", || other.is_active())?;
        gap.length().context("the outage is not over")
    }

    fn crash(&mut self) -> Result<Duration> {
        let id = self.active()?;
        self.lab.node(id).crash()?;
        let outage = self.outage(id)?;
        self.lab.node(id).boot()?;
        self.lab.node(id).start()?;
        Ok(outage)
    }

    fn switchover(&mut self) -> Result<Duration> {
        let id = self.active()?;
        self.lab.node(id).order(&["offline"])?;
        let outage = self.outage(id)?;
        self.lab.node(id).order(&["online"])?;
        Ok(outage)
    }

    fn both_at_once(&mut self) -> Result<Duration> {
        for node in self.lab.nodes() {
            node.order(&["stop", "--release"]).or_else(|_| node.stop().and_then(|()| node.order(&["res", "stop"])))?;
        }
        self.lab.wait(PATIENCE, "nobody is active", || self.lab.active_nodes().is_empty())?;
        let mark = self.eyes.holders().mark();
        let started = Instant::now();
        let mut starts = Vec::new();
        for node in self.lab.nodes() {
            starts.push(node.command(node.home().join("bin/pha-cli")).arg("start").spawn()?);
        }
        for mut start in starts {
            ensure!(start.wait()?.success(), "a start failed");
        }
        let active = || self.lab.nodes().iter().filter(|node| node.is_active()).count();
        self.lab.wait(PATIENCE, "one node is active", || active() == 1)?;
        let took = started.elapsed();
        self.lab.stays(Duration::from_secs(2), "exactly one is active", || active() == 1)?;
        ensure!(self.eyes.holders().moves(mark) <= 1, "the address bounced: {:?}", self.eyes.holders().spans());
        Ok(took)
    }

    fn keepers_die(&mut self) -> Result<Duration> {
        let id = self.active()?;
        let (node, other) = (self.lab.node(id), self.lab.other(id));
        // Leases are renewed every second: a different moment of it in every run.
        self.phase = if self.phase < ms(900) { self.phase + ms(137) } else { ms(31) };
        std::thread::sleep(ms(500) + self.phase);
        let killed = Instant::now();
        node.signal("KILL", &Program::ALL)?;
        self.lab.wait(PATIENCE, "the kernel removes the address", || !node.holds_address())?;
        let removed = killed.elapsed();
        self.lab.wait(PATIENCE, "the peer takes over", || other.is_active())?;
        node.boot()?;
        node.start()?;
        Ok(removed)
    }

    fn one_dies(&mut self, program: Program) -> Result<Duration> {
        let id = self.active()?;
        let node = self.lab.node(id);
        node.signal("KILL", &[program])?;
        std::thread::sleep(ms(900));
        node.start()?;
        self.lab.stays(Duration::from_secs(4), "the node holds the address", || node.holds_address())?;
        self.eyes.saw_nothing_move()?;
        Ok(Duration::ZERO)
    }

    fn idle(&mut self, time: Duration) -> Result<()> {
        if time.is_zero() {
            return Ok(());
        }
        self.settle()?;
        let changes = || self.lab.nodes().iter().map(|node| node.order(&["history"])).collect::<Result<Vec<_>>>();
        let (before, used) = (changes()?, self.cpu()?);
        self.lab.stays(time, "one node is active", || self.lab.active_nodes().len() == 1)?;
        let used = self.cpu()?.into_iter().zip(used).map(|(after, before)| after - before);
        self.eyes.saw_nothing_move()?;
        ensure!(before == changes()?, "there was a transition");
        for (node, used) in self.lab.nodes().iter().zip(used) {
            let percent = |used: Duration| used.as_secs_f64() * 100.0 / time.as_secs_f64();
            let pss = daemons(node)?.into_iter().map(pss).sum::<Result<u64>>()?;
            let (own, children) = (percent(used.own), percent(used.children));
            let within = own <= 1.0 && pss <= 15 * 1024;
            self.kept &= within;
            println!(
                "{} without faults for {} s: daemons {own:.2} % of a core (bar 1 %), their agents {children:.2} %, \
                 {:.1} MiB PSS (bar 15 MiB), no transition",
                node.name(),
                time.as_secs(),
                pss as f64 / 1024.0,
            );
        }
        Ok(())
    }

    fn cpu(&self) -> Result<Vec<Used>> {
        self.lab.nodes().iter().map(|node| Used::by(&daemons(node)?)).collect()
    }
}

/// Processor time.
#[derive(Debug, Clone, Copy, Default)]
struct Used {
    own: Duration,
    children: Duration,
}

impl Used {
    /// By these processes so far, and by their children that have ended.
    fn by(pids: &[u32]) -> Result<Self> {
        let mut sum = Self::default();
        for pid in pids {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
            let after_name = stat.rsplit_once(')').context("a stat line")?.1;
            let ticks: Vec<u64> =
                after_name.split_whitespace().skip(11).take(4).filter_map(|t| t.parse().ok()).collect();
            ensure!(ticks.len() == 4, "a stat line: {stat}");
            // Linux counts these in hundredths of a second on every architecture.
            sum.own += ms((ticks[0] + ticks[1]) * 10);
            sum.children += ms((ticks[2] + ticks[3]) * 10);
        }
        Ok(sum)
    }
}

impl std::ops::Sub for Used {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self { own: self.own.saturating_sub(earlier.own), children: self.children.saturating_sub(earlier.children) }
    }
}

fn daemons(node: &Node) -> Result<Vec<u32>> {
    Program::ALL.into_iter().map(|program| node.pid(program)).collect()
}

/// A process's share of memory, in KiB.
fn pss(pid: u32) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).context("a Pss line")?;
    line.trim().trim_end_matches(" kB").parse().context("a Pss line")
}

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}
