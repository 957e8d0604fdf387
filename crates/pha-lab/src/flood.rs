//! Two healthy nodes, one of which is flooded with hostile datagrams from its peer's network.
//!
//! None of it may be believed, cost a heartbeat of the peer, or grow anything. Exit code 1 if a bar is missed.

use std::collections::BTreeMap;
use std::fs;
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum as _;
use pha_core::DropReason;
use pha_status::Record;

use crate::command;
use crate::disturb::Watch;
use crate::flooder::Kind;
use crate::lab::{Lab, LabOptions};
use crate::network;
use crate::node::{Node, Program};
use crate::usage::Usage;
use crate::world::{self, CtrlC};

const PATIENCE: Duration = Duration::from_secs(20);
/// After the flood, until everything that was heard stands in the database.
const SETTLED: Duration = Duration::from_secs(3);
/// Its address is nobody's: no node has this number.
const NOBODY: usize = 89;

/// Of a core, for the receiver.
const MOST_PROCESSOR: f64 = 60.0;
/// Of growth, in KiB.
const MOST_MEMORY: i64 = 1024;
/// Part of the wanted rate that has to be reached for the figures to mean anything.
const LEAST_RATE: f64 = 0.95;

/// What the flood is like.
#[derive(Debug, Clone, clap::Args)]
pub struct FloodOptions {
    /// Datagrams each second.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    rate: u32,
    /// For how long.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// Datagrams that come right behind each other; a single sender is slower with few.
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u16).range(1..=46))]
    burst: u16,
    /// Only this kind; may be given several times.
    #[arg(long)]
    kind: Vec<Kind>,
    /// A line of the configuration, KEY=VALUE; may be given several times.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

/// Floods, and prints what was counted.
///
/// # Errors
/// The lab could not be built, or the nodes did not become healthy.
pub fn run(options: &FloodOptions) -> Result<ExitCode> {
    if !world::inside() {
        world::available()?;
        return Err(world::enter(CtrlC::Ends));
    }
    world::furnish()?;
    let lab = Lab::new(LabOptions::default().config(options.set.clone()))?;
    let (target, peer) = (lab.node(1), lab.node(2));
    peer.start()?;
    let address = network::node_address(1);
    let mut ear = target.command(target.home().join("bin/pha-lab"));
    let overheard = command::finish(ear.args(["overhear", &format!("{address}:{}", lab.port())]))?;
    let heartbeat = String::from_utf8_lossy(&overheard.stdout).trim().to_owned();
    ensure!(overheard.status.success(), "{}", String::from_utf8_lossy(&overheard.stderr));
    lab.start_all()?;
    command::ip(&format!(
        "-n {} addr add {}/{} dev eth0",
        peer.name(),
        network::node_address(NOBODY),
        network::PREFIX
    ))?;
    lab.wait_settled(PATIENCE)?;
    std::thread::sleep(SETTLED);
    let missed = flood(&lab, options, &heartbeat)?;
    missed.iter().for_each(|bar| println!("MISSED: {bar}"));
    Ok(ExitCode::from(u8::from(!missed.is_empty())))
}

/// What the target's receiver has come to.
struct Figures {
    usage: Usage,
    memory: i64,
    drops: BTreeMap<DropReason, u64>,
    received: u64,
    lost: u64,
    late: u64,
}

impl Figures {
    fn of(node: &Node) -> Result<Self> {
        let (pid, Record { receiver, .. }) = (node.pid(Program::Receiver)?, node.record());
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
        let links = || receiver.peers.iter().flat_map(|peer| &peer.links);
        Ok(Self {
            usage: Usage::of(pid)?,
            memory: memory.trim().trim_end_matches(" kB").parse()?,
            received: links().map(|link| link.received).sum(),
            lost: links().map(|link| link.lost).sum(),
            late: receiver.late,
            drops: receiver.drops,
        })
    }
}

/// Floods healthy nodes; the bars that were missed.
fn flood(lab: &Lab, options: &FloodOptions, heartbeat: &str) -> Result<Vec<String>> {
    let target = lab.node(1);
    let (holders, watches) = (lab.watch_holders(), [Watch::start(target), Watch::start(lab.node(2))]);
    let before = Figures::of(target)?;
    let began = Instant::now();
    let sent = send(lab, options, heartbeat)?;
    let took = began.elapsed();
    let (percent, wakeups) = Usage::of(target.pid(Program::Receiver)?)?.rates(&before.usage, took);
    std::thread::sleep(SETTLED);
    let after = Figures::of(target)?;
    let rate = sent / took.as_secs_f64();
    println!("{rate:.0} datagrams/s for {} s, {} in a burst", took.as_secs(), options.burst);
    for (reason, count) in &after.drops {
        println!("  {reason:?}: {} heard and dropped", count - before.drops.get(reason).unwrap_or(&0));
    }
    let (lost, growth) = (after.lost - before.lost, after.memory - before.memory);
    println!("receiver: {percent:.1} % of a core, {wakeups:.0} wake-ups/s, {} KiB, {growth:+} KiB", after.memory);
    println!(
        "heartbeats: {} heard, {lost} lost; late {} times",
        after.received - before.received,
        after.late - before.late
    );
    let mut false_states = 0;
    for (node, watch) in lab.nodes().iter().zip(watches) {
        let seen = watch.end()?;
        false_states += seen.verdicts();
        println!("{}: {}", node.name(), seen.text());
    }
    let moves = holders.moves(Duration::ZERO) + holders.doubles().len();
    println!("failovers and times with two holders: {moves}");
    let bars = [
        (percent <= MOST_PROCESSOR, format!("the receiver uses at most {MOST_PROCESSOR} % of a core")),
        (growth <= MOST_MEMORY, format!("it grows by at most {MOST_MEMORY} KiB")),
        (lost == 0, "no heartbeat of the peer is lost".to_owned()),
        (false_states == 0 && moves == 0, "nobody is suspected, and nothing moves".to_owned()),
        (rate >= f64::from(options.rate) * LEAST_RATE, "the flood is as fast as was asked for".to_owned()),
    ];
    Ok(bars.into_iter().filter(|(met, _)| !met).map(|(_, bar)| bar).collect())
}

/// Has the flooder flood from the peer's place; how many datagrams it has sent.
fn send(lab: &Lab, options: &FloodOptions, heartbeat: &str) -> Result<f64> {
    let peer = lab.node(2);
    let mut flooder = peer.command(peer.home().join("bin/pha-lab"));
    flooder.arg("flooder").args(["--rate", &options.rate.to_string(), "--seconds", &options.seconds.to_string()]);
    flooder.args(["--burst", &options.burst.to_string()]);
    let kinds = if options.kind.is_empty() { Kind::value_variants() } else { &options.kind };
    for kind in kinds.iter().filter_map(clap::ValueEnum::to_possible_value) {
        flooder.args(["--kind", kind.get_name()]);
    }
    flooder.args([format!("{}:{}", network::node_address(1), lab.port()), heartbeat.to_owned()]);
    flooder.args([2, NOBODY].map(|id| format!("{}:0", network::node_address(id))));
    let sent = command::finish(flooder.stderr(Stdio::inherit()))?;
    String::from_utf8_lossy(&sent.stdout).trim().parse().context("the flooder said nothing")
}
