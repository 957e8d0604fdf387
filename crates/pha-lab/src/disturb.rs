//! Two healthy nodes, disturbed for a while: lost datagrams, busy processes, scarce memory, disks and programs that stall for a
//! moment.
//!
//! None of this may move the service. What the nodes make of it is counted: suspicions, peers taken for dead, takeovers
//! that the address as witness held up, failovers, and what it cost. Without any disturbance this measures an idle pair.

use std::fs;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use pha_core::report::{Liveness, PeerReport};
use pha_core::{BootTime, Reason};
use pha_status::{Database, Record};

use crate::lab::{Lab, LabOptions};
use crate::network;
use crate::node::{Disk, Node, Program};
use crate::onlookers::Onlookers;
use crate::pressure::Pressure;
use crate::usage::{self, Usage};
use crate::world::{self, CtrlC};

/// Longest wait for two healthy nodes.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two stops: everybody is well again.
const RECOVERY: Duration = Duration::from_millis(1200);

/// What happens to the nodes, and for how long.
#[derive(Debug, Clone, clap::Args)]
pub struct DisturbOptions {
    /// How long.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub seconds: u64,
    /// Percent of the heartbeats and of the ARP packets that are lost on their way out of each node.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=100))]
    pub loss: u32,
    /// Processes that do nothing but use a processor.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=1000))]
    pub busy: u32,
    /// Milliseconds for which the sender and the receiver of either node are stopped, in turn, again and again.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=60_000))]
    pub stop: u64,
    /// Milliseconds for which the disk of either node stalls, in turn, again and again.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=25_000))]
    pub stall: u64,
    /// MiB of memory for both nodes and everything around them, while a reader wants four times as much; 0 for no limit.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=4096))]
    pub memory: u64,
    /// Afterwards, so many crashes of the active node, each timed until the client is served again.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=1000))]
    pub crashes: u32,
    /// A line of the configuration, KEY=VALUE; may be given several times.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

/// Disturbs, and prints what was counted. Exit code 1 if the service moved, or two nodes had it.
///
/// # Errors
/// The lab could not be built, or the nodes did not become healthy.
pub fn run(options: &DisturbOptions) -> Result<ExitCode> {
    if !world::inside() {
        world::available()?;
        return Err(world::enter(CtrlC::Ends));
    }
    world::furnish()?;
    let mut pressure = (options.memory > 0).then(|| Pressure::enter(options.memory)).transpose()?;
    let lab = Lab::new(LabOptions::default().config(options.set.clone()))?;
    let disks = lab.nodes().iter().filter(|_| options.stall > 0).map(Node::own_disk).collect::<Result<Vec<_>>>()?;
    lab.start_all()?;
    std::thread::sleep(Duration::from_secs(3));
    lab.wait_settled(PATIENCE)?;
    if let Some(pressure) = &mut pressure {
        pressure.press(options.memory)?;
    }
    let moves = measure(&lab, options, &disks)?;
    if let Some(shortages) = pressure.as_ref().and_then(Pressure::shortages) {
        println!("memory: the limit was reached {shortages} times");
    }
    if options.crashes > 0 {
        crash(&lab, options.crashes)?;
    }
    if moves > 0 {
        println!("{}", lab.story());
    }
    Ok(ExitCode::from(u8::from(moves > 0)))
}

/// Disturbs nodes that are healthy, with their `disks` if those are to stall, and prints what was counted. How often the service moved, or two nodes had it.
///
/// # Errors
/// A fault could not be made, or a daemon has ended.
pub fn measure(lab: &Lab, options: &DisturbOptions, disks: &[Disk]) -> Result<usize> {
    let holders = lab.watch_holders();
    let watches: Vec<_> = lab.nodes().iter().map(Watch::start).collect();
    let daemons = lab.nodes().iter().map(daemons).collect::<Result<Vec<_>>>()?;
    let used = |pids: &Vec<u32>| pids.iter().map(|pid| Usage::of(*pid)).sum::<Result<Usage>>();
    let before = daemons.iter().map(used).collect::<Result<Vec<_>>>()?;
    let began = Instant::now();
    let stops = disturb(lab, options, disks)?;
    let took = began.elapsed();
    println!("{options:?}: {} s, {stops} stops", took.as_secs());
    for ((node, watch), (before, pids)) in lab.nodes().iter().zip(watches).zip(before.iter().zip(&daemons)) {
        let (percent, wakeups) = used(pids)?.rates(before, took);
        println!(
            "{}: {}; daemons: {wakeups:.1} wake-ups/s, {percent:.2} % of a core, {:.1} MiB PSS",
            node.name(),
            watch.end()?.text(),
            usage::pss(pids)
        );
    }
    let (moves, doubles) = (holders.moves(Duration::ZERO), holders.doubles().len());
    println!("failovers: {moves}, times with two holders: {doubles}");
    Ok(moves + doubles)
}

/// Crashes the active node so often, and prints how long the client was not served.
fn crash(lab: &Lab, times: u32) -> Result<()> {
    let mut eyes = Onlookers::start(lab)?;
    let mut outages = Vec::new();
    for _ in 0..times {
        lab.wait_settled(PATIENCE)?;
        std::thread::sleep(RECOVERY);
        eyes.look_anew();
        let id = lab.active_nodes().first().copied().context("nobody is active")?;
        lab.node(id).crash()?;
        let gap = eyes.saw_change_to(lab, lab.other(id).name(), PATIENCE)?;
        outages.push(gap.length().context("the outage is not over")?);
        lab.node(id).boot()?;
        lab.node(id).start()?;
    }
    outages.sort_unstable();
    let (least, median, most) = (outages[0], outages[outages.len() / 2], outages[outages.len() - 1]);
    println!("{times} crashes: client served after {least:.1?} at least, {median:.1?} median, {most:.1?} at most");
    eyes.never_saw_two()
}

/// Does what the options say until their time is over; returns how often a program or a disk was stopped.
fn disturb(lab: &Lab, options: &DisturbOptions, disks: &[Disk]) -> Result<u32> {
    let until = Instant::now() + Duration::from_secs(options.seconds);
    for node in lab.nodes().iter().filter(|_| options.loss > 0) {
        network::lose(node.name(), lab.port(), options.loss)?;
    }
    let _busy = (0..options.busy).map(|_| Busy::start()).collect::<Result<Vec<_>>>()?;
    let mut stops = 0;
    while (options.stop > 0 || !disks.is_empty()) && Instant::now() < until {
        let programs = [Program::Sender, Program::Receiver];
        let stopped = lab.nodes().iter().filter(|_| options.stop > 0).flat_map(|node| programs.map(|one| (node, one)));
        for (node, program) in stopped {
            node.signal("STOP", &[program])?;
            std::thread::sleep(Duration::from_millis(options.stop));
            node.signal("CONT", &[program])?;
            stops += 1;
            std::thread::sleep(RECOVERY);
        }
        for disk in disks {
            disk.freeze()?;
            std::thread::sleep(Duration::from_millis(options.stall));
            disk.thaw()?;
            stops += 1;
            std::thread::sleep(RECOVERY);
        }
    }
    std::thread::sleep(until.saturating_duration_since(Instant::now()));
    Ok(stops)
}

/// A process that does nothing, as fast as it can; it ends with this value.
pub(crate) struct Busy(Child);

impl Busy {
    pub(crate) fn start() -> Result<Self> {
        let mut command = Command::new("sh");
        command.args(["-c", "while :; do :; done"]).stdin(Stdio::null());
        command.spawn().map(Self).context("a busy process")
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What one node thought.
#[derive(Debug, Default, Clone)]
pub(crate) struct Seen {
    last: Option<(Liveness, BootTime)>,
    reason: Option<Reason>,
    suspicions: u32,
    longest_suspicion: Duration,
    deaths: u32,
    saves: u32,
}

impl Seen {
    fn look(&mut self, record: &Record) {
        record.receiver.peers.iter().for_each(|peer| self.look_at_peer(peer));
        let reason = record.supervise.report.as_ref().map(|report| report.reason);
        if reason != self.reason && reason == Some(Reason::AddressHeld) {
            self.saves += 1;
        }
        self.reason = reason;
    }

    /// A state that was too short to be seen has left its mark in the beginning of the next one.
    fn look_at_peer(&mut self, peer: &PeerReport) {
        let now = (peer.liveness, peer.liveness_since);
        let Some((before, since)) = self.last.replace(now).filter(|before| *before != now) else { return };
        match (before, now.0) {
            (Liveness::Alive, Liveness::Dead) => {
                (self.suspicions, self.deaths) = (self.suspicions + 1, self.deaths + 1)
            }
            (_, Liveness::Dead) => self.deaths += 1,
            (_, Liveness::Suspect) | (Liveness::Alive, _) => self.suspicions += 1,
            (Liveness::Suspect, _) => self.longest_suspicion = self.longest_suspicion.max(now.1.since(since)),
            (Liveness::Unheard | Liveness::Dead | Liveness::Absent, _) => {}
        }
    }

    /// Peers that were suspected or taken for dead.
    pub(crate) const fn verdicts(&self) -> u32 {
        self.suspicions + self.deaths
    }

    pub(crate) fn text(&self) -> String {
        format!(
            "{} suspicions, the longest for {:.1} ms; {} times dead; witness held up {}",
            self.suspicions,
            self.longest_suspicion.as_secs_f64() * 1000.0,
            self.deaths,
            self.saves
        )
    }
}

/// Looks at a node's status database every millisecond.
pub(crate) struct Watch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Seen>,
}

impl Watch {
    pub(crate) fn start(node: &Node) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let (ended, database) = (Arc::clone(&stop), Database::new(&node.home().join("var"), node.name()));
        let thread = std::thread::spawn(move || {
            let (mut seen, mut last) = (Seen::default(), None);
            while !ended.load(Ordering::Relaxed) {
                let modified = fs::metadata(database.path()).and_then(|found| found.modified()).ok();
                if modified != last
                    && let Ok(record) = database.read()
                {
                    seen.look(&record);
                    last = modified;
                }
                std::thread::sleep(Duration::from_millis(1));
            }
            seen
        });
        Self { stop, thread }
    }

    pub(crate) fn end(self) -> Result<Seen> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow!("a watch failed"))
    }
}

/// The process identifiers of the three daemons of a node.
fn daemons(node: &Node) -> Result<Vec<u32>> {
    Program::ALL.iter().map(|program| node.pid(*program)).collect()
}
