//! `bin/bench`: what pha does beside keepalived, on one machine, with the same faults at the same moments.
//!
//! An experiment is a fault with its figures (`experiments`); a `stage::Stage` is one system on two nodes. Each
//! experiment runs on pha and at once after it on each rival, so that a busy machine disturbs both alike. Timings belong
//! here and not into the tests: a shared machine may be slow, a test must not be flaky.

mod document;
mod experiments;
mod faults;
mod idle;
mod machine;
mod micro;
mod series;
mod stage;
mod system;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Result, ensure};

use crate::keepalived::Keepalived;
use crate::many::ManyOptions;
use crate::world::{self, CtrlC};
use experiments::{ALL_EXPERIMENTS, Experiment};
use series::{Reading, Skip};
use stage::Stage;
use system::System;
use table::Outcome;

pub use micro::run as micro;

/// Longest wait for anything that has no figure of its own.
const PATIENCE: Duration = Duration::from_secs(20);

/// A run that has begun may take so long at most.
const LONGEST_RUN: Duration = Duration::from_secs(180);

/// What to measure, and how often.
#[derive(Debug, Clone, clap::Args)]
pub struct BenchOptions {
    /// Runs of each experiment.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    runs: u32,
    /// Only this experiment: crash, switchover, kill, heartbeats, removed, split, lan, loss, idle, both, one, many; may be repeated.
    #[arg(long, value_name = "EXPERIMENT", value_parser = clap::builder::PossibleValuesParser::new(keys()))]
    only: Vec<String>,
    /// Three runs, short loss and idle: to see whether it works.
    #[arg(long)]
    quick: bool,
    /// Seconds with loss, for each percentage.
    #[arg(long, default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=36000))]
    loss_seconds: u64,
    /// Seconds without faults.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=36000))]
    idle_seconds: u64,
    /// What chance decides with: the moments of the faults.
    #[arg(long)]
    seed: Option<u64>,
    /// Where the nodes' trees lie; without it in memory (tmpfs).
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
    /// Write the figures into docs/benchmarks.md and README.md.
    #[arg(long, conflicts_with_all = ["only", "quick"])]
    write: bool,
}

fn keys() -> Vec<&'static str> {
    let mut keys: Vec<&str> = ALL_EXPERIMENTS.iter().map(|experiment| experiment.key).collect();
    keys.dedup();
    keys
}

/// What a run of the program does.
pub(crate) struct Plan {
    runs: u32,
    loss: Duration,
    idle: Duration,
    seed: u64,
    directory: PathBuf,
    /// No run begins after this.
    end: Instant,
}

/// Runs the experiments and prints the table. Exit code 1 if a bar was missed.
///
/// # Errors
/// There is no world for the nodes, or a document could not be written.
pub fn run(options: BenchOptions) -> Result<ExitCode> {
    if !world::inside() {
        world::available()?;
        return Err(world::enter(CtrlC::Ends));
    }
    world::furnish()?;
    let chosen = |experiment: &&Experiment| options.only.is_empty() || options.only.iter().any(|k| k == experiment.key);
    let experiments: Vec<&Experiment> = ALL_EXPERIMENTS.iter().filter(chosen).collect();
    let plan = Plan::new(&options, &experiments);
    let (about, warning) = (plan.about(), machine::warning());
    println!("{about}");
    let (mut rows, mut notes) = (Vec::new(), Vec::new());
    for experiment in experiments {
        let outcomes: Vec<Outcome> = systems(experiment).map(|system| plan.measure(experiment, system)).collect();
        let note = |outcome: &Outcome| {
            let note = outcome.note.as_ref()?;
            Some(format!("- {}, {}: {note}\n", experiment.key, outcome.system.name()))
        };
        notes.extend(outcomes.iter().filter_map(note));
        rows.extend(table::rows(experiment, &outcomes));
    }
    let figures = format!("{}\n{}- load after: {}\n", table::full(&rows), notes.concat(), machine::load());
    println!("{figures}");
    if options.write {
        document::write(document::BENCHMARKS, "figures", &format!("{about}\n{figures}"))?;
        document::write("README.md", "figures", &format!("{}\n{warning}", table::short(&rows)))?;
    }
    let count = |kept| rows.iter().filter(|row| row.kept == kept).count();
    let (kept, missed) = (count(Some(true)), count(Some(false)));
    println!("Figures that kept their bars: {kept}, that missed one: {missed}");
    Ok(ExitCode::from(u8::from(missed > 0)))
}

/// pha, then its rivals.
fn systems(experiment: &Experiment) -> impl Iterator<Item = System> {
    let interval = Duration::from_millis(experiment.interval);
    let rival = move |&priority: &u8| System::Keepalived(Keepalived { interval, priority });
    std::iter::once(System::Pha).chain(experiment.rivals.iter().map(rival))
}

impl Plan {
    fn new(options: &BenchOptions, experiments: &[&Experiment]) -> Self {
        let of_clock = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |now| now.as_secs());
        let short = |seconds: u64, quick: u64| Duration::from_secs(if options.quick { quick } else { seconds });
        let mut plan = Self {
            runs: if options.quick { options.runs.min(3) } else { options.runs },
            loss: short(options.loss_seconds, 10),
            idle: short(options.idle_seconds, 10),
            seed: options.seed.unwrap_or_else(of_clock),
            directory: options.directory.clone().unwrap_or_else(|| world::ROOT.into()),
            end: Instant::now(),
        };
        let usual = experiments.iter().map(|experiment| plan.usual(experiment)).sum::<Duration>();
        plan.end += usual * 2;
        let minutes = |time: Duration| time.as_secs().div_ceil(60);
        eprintln!("bench: about {} minutes, at most {}", minutes(usual), minutes(usual * 2 + LONGEST_RUN));
        plan
    }

    /// How long an experiment usually takes on all its systems.
    fn usual(&self, experiment: &Experiment) -> Duration {
        let runs = systems(experiment).map(|system| u64::from(self.runs_of(experiment, system)));
        Duration::from_secs(runs.map(|runs| 4 + runs * (experiment.seconds)(self)).sum())
    }

    fn runs_of(&self, experiment: &Experiment, system: System) -> u32 {
        let (ours, theirs) = experiment.most_runs;
        self.runs.min(if system == System::Pha { ours } else { theirs })
    }

    fn about(&self) -> String {
        let Self { runs, loss, idle, seed, .. } = self;
        format!(
            "{}- {}, load before {}; seed {seed}, {runs} runs, {} s with loss, {} s idle\n{}",
            machine::describe(&self.directory),
            machine::date(),
            machine::load(),
            loss.as_secs(),
            idle.as_secs(),
            machine::warning()
        )
    }

    /// All runs of `experiment` on `system`; a failure ends them and becomes a note.
    fn measure(&self, experiment: &Experiment, system: System) -> Outcome {
        let mut outcome = Outcome { system, runs: Vec::new(), note: None };
        if let Err(why) = self.try_measure(experiment, &mut outcome) {
            let skipped = why.downcast_ref::<Skip>().is_some();
            let word = if skipped { "not measured" } else { "FAILED" };
            eprintln!("bench: {}, {}: {word}: {why:#}", experiment.key, system.name());
            let first = why.to_string().lines().next().unwrap_or_default().to_owned();
            outcome.note = Some(format!("{word}: {first}"));
            if system == System::Pha && !skipped {
                // Whatever could not be measured to its end did not keep its promise.
                outcome.runs.push(vec![Some(f64::INFINITY); experiment.figures.len()]);
            }
        }
        outcome
    }

    fn try_measure(&self, experiment: &Experiment, outcome: &mut Outcome) -> Result<()> {
        let system = outcome.system;
        // The same for every system: the same pauses.
        let mut stage = Stage::set(system, experiment.lines, &self.directory, self.seed)?;
        let runs = self.runs_of(experiment, system);
        for number in 1..=runs {
            if Instant::now() >= self.end {
                return Err(Skip(format!("no time for run {number} and later")).into());
            }
            let readings = (experiment.run)(&mut stage, self);
            let readings = readings.inspect_err(|_| eprintln!("{}", stage.lab.story()))?;
            ensure!(readings.len() == experiment.figures.len(), "a reading for each figure");
            let shown: Vec<String> = readings.iter().map(|r| r.map_or("–".to_owned(), |r| format!("{r:.2}"))).collect();
            eprintln!("bench: {}, {} {number}/{runs}: {}", experiment.key, system.name(), shown.join("  "));
            outcome.runs.push(readings);
            outcome.note = (stage.unasked > 0).then(|| format!("the address moved by itself {} times", stage.unasked));
        }
        Ok(())
    }
}

/// A hundred resources, beside the stage, whose pair rests meanwhile: by scripts, and by the dearest built-in check.
fn many(_: &mut Stage, _: &Plan) -> Result<Vec<Reading>> {
    let [scripts, built_in @ ..] = crate::many::shares(ManyOptions::default())?;
    Ok(vec![Some(scripts), built_in.into_iter().reduce(f64::max)])
}
