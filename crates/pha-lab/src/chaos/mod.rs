//! `bin/chaos`: faults drawn from a seed befall real nodes, and after each of them every promise is audited from outside.
//!
//! A plan is a list of steps; it depends on nothing but the seed. Each step begins one fault or two at once, waits, undoes
//! them, waits until the nodes are healthy, and asks the audit what the kernels, the client and the
//! processes say. What a fault allows meanwhile stands beside it in the table. A step that breaks a promise keeps the
//! nodes' files as evidence, and the next one begins on new nodes.

mod allows;
mod audit;
mod evidence;
mod faults;
mod healthy;
mod plan;
mod stage;
mod step;
mod summary;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::ValueEnum as _;

pub use audit::Auditor;
use plan::Step;
use stage::Stage;
use summary::Summary;

use crate::lab::LabOptions;
use crate::world::{self, CtrlC};

/// After so many broken promises the run ends.
const MOST_BROKEN: u32 = 20;

/// sysexits: what the nodes need is not there.
const UNAVAILABLE: u8 = 69;

/// What to do, and how often.
#[derive(Debug, Clone, clap::Args)]
pub struct ChaosOptions {
    /// What chance decides with: the same seed makes the same faults, in the same order, at the same moments.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many faults.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    faults: u32,
    /// The first of them to play; those before it are left out.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    from: u32,
    /// How many nodes: 2, 3, or mixed, which changes every 25 faults.
    #[arg(long, default_value = "mixed")]
    nodes: plan::Nodes,
    /// Only this fault, alone; may be repeated.
    #[arg(long, value_name = "FAULT", value_parser = clap::builder::PossibleValuesParser::new(faults::names()))]
    only: Vec<String>,
    /// Print the table of faults.
    #[arg(long)]
    list: bool,
}

impl ChaosOptions {
    /// What the plan depends on.
    fn plan(&self) -> String {
        let nodes = self.nodes.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
        let only: String = self.only.iter().map(|name| format!(" --only '{name}'")).collect();
        format!("--seed {} --nodes {nodes}{only}", self.seed)
    }
}

/// Plays the faults and prints a table. Exit code 1 if a promise was broken, 69 where there can be no world for the nodes.
///
/// # Errors
/// The nodes did not become healthy before anything befell them.
pub fn run(options: &ChaosOptions) -> Result<ExitCode> {
    if options.list {
        print!("{}", faults::list());
        return Ok(ExitCode::SUCCESS);
    }
    if !world::inside() {
        if let Err(reason) = world::available() {
            eprintln!("pha-lab: {reason:#}");
            return Ok(ExitCode::from(UNAVAILABLE));
        }
        return Err(world::enter(CtrlC::Ends));
    }
    world::furnish()?;
    let (table, left_out) = faults::possible(&options.only);
    left_out.iter().for_each(|line| println!("left out: {line}"));
    if table.is_empty() {
        return Ok(ExitCode::from(UNAVAILABLE));
    }
    let steps = plan::draw(options.seed, options.faults, options.nodes, &table, options.only.is_empty());
    let mut summary = Summary::default();
    let began = Instant::now();
    play(steps.into_iter().filter(|step| step.number >= options.from), &options.plan(), &mut summary)?;
    print!("{}", summary.text(began.elapsed()));
    Ok(ExitCode::from(u8::from(summary.broken() > 0)))
}

/// What all nodes are configured with: as documented, with limits for the resource that hangs.
///
/// Its limits are as short as they may be, or a single hanging script would take a minute.
#[must_use]
pub fn lab_options(nodes: usize) -> LabOptions {
    let resources = [crate::lab::web(), format!("RES_fault={}", faults::RESOURCE), crate::lab::kept_address()];
    let limits = ["START_TIMEOUT_fault=1", "STOP_TIMEOUT_fault=1", "CHECK_TIMEOUT_fault=1"];
    LabOptions::default().nodes(nodes).host_names().resources(resources).config(limits)
}

/// Steps on one stage after the other: a new one when the number of nodes changes, or a promise was broken.
fn play(steps: impl Iterator<Item = Step>, options: &str, summary: &mut Summary) -> Result<()> {
    let mut stage: Option<Stage> = None;
    for step in steps {
        let fits = stage.as_ref().is_some_and(|stage| stage.lab.nodes().len() == step.nodes);
        if !fits {
            // The old one goes first: both have the same names.
            drop(stage.take());
            stage = Some(Stage::set(step.nodes)?);
        }
        let on = stage.as_mut().context("a stage")?;
        let played = step::play(on, &step);
        println!("{}", summary.line(&step, &played));
        if let Err(broken) = &played.result {
            println!("{}", evidence::keep(on, options, &step, broken)?);
            drop(stage.take());
        }
        summary.add(&step, played);
        if summary.broken() >= MOST_BROKEN {
            println!("so many promises were broken that the run ends here");
            break;
        }
    }
    Ok(())
}

/// In seconds, for people.
fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}
