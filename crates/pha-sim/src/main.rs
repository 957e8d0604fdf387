//! The simulator's command line: many seeds, one story, or the table of worst times.

use std::fs;
use std::ops::Range;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use pha_sim::search;
use pha_sim::{Broken, Class, Cluster, Findings, Schedule, line, play, run, shrink};

/// Plays faults against virtual nodes of the real core.
#[derive(Debug, Parser)]
#[command(name = "pha-sim", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Plays the schedules of many seeds under the eyes of all invariants.
    Run {
        /// The seeds, FROM..TO.
        #[arg(long, default_value = "0..2000", value_parser = seeds)]
        seeds: Range<u64>,
        /// Faults of one class only.
        #[arg(long)]
        class: Option<Class>,
        /// How many at once; all processors if not given.
        #[arg(long)]
        jobs: Option<usize>,
        /// Ends after so many that broke a promise.
        #[arg(long, default_value_t = 10)]
        enough: usize,
    },
    /// Tells the story of one seed, or of a schedule in a file; shortens it first if it breaks a promise.
    Story {
        /// A seed, or a file that `--save` wrote.
        what: String,
        /// The class with which the seed was played.
        #[arg(long)]
        class: Option<Class>,
        /// Every call and every step of the schedule as it is.
        #[arg(long)]
        whole: bool,
        /// Writes the (shortened) schedule here.
        #[arg(long)]
        save: Option<PathBuf>,
    },
    /// Goes through everything that can befall two nodes, so many choices deep, each state once.
    Search {
        /// Choices, one after the other.
        #[arg(long, default_value_t = 4)]
        depth: usize,
        /// Ends after so many seconds, in the middle of a depth if need be.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
    },
    /// Lists the promises that are watched.
    Promises,
}

fn seeds(text: &str) -> Result<Range<u64>, String> {
    let bounds = text.split_once("..").and_then(|(from, to)| Some(from.parse().ok()?..to.parse().ok()?));
    let bounds: Range<u64> = bounds.ok_or_else(|| "FROM..TO, such as 0..20000".to_owned())?;
    if bounds.is_empty() {
        Err("no seed lies between these: TO is the first that is not played".to_owned())
    } else {
        Ok(bounds)
    }
}

fn main() -> anyhow::Result<ExitCode> {
    match Arguments::parse().command {
        Command::Run { seeds, class, jobs, enough } => Ok(campaign(seeds, class, jobs, enough)),
        Command::Story { what, class, whole, save } => story(&what, class, whole, save),
        Command::Search { depth, seconds } => {
            let limits =
                search::Limits { depth, time: Some(Duration::from_secs(seconds)), ..search::Limits::default() };
            let found = search::run(&limits, &mut |level| println!("{level}"));
            println!("{found}");
            Ok(if found.violation.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Command::Promises => {
            for invariant in pha_sim::invariants::all() {
                println!("{:22} {}", invariant.name(), invariant.promise());
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn campaign(seeds: Range<u64>, class: Option<Class>, jobs: Option<usize>, enough: usize) -> ExitCode {
    // A core that panics is reported with its seed; the panic's own lines would only be in the way.
    std::panic::set_hook(Box::new(|_| {}));
    let jobs = jobs.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from));
    let started = Instant::now();
    let findings = run(seeds, class, jobs, enough);
    print_table(&findings);
    for (schedule, broken) in &findings.broken {
        println!("seed {} ({}): {} broken: {}", schedule.seed, schedule.class, broken.promise, broken.how);
    }
    println!(
        "{} schedules, {:.1} hours of virtual time, {} broken, {:.1} s",
        findings.schedules(),
        findings.virtual_time as f64 / 3.6e9,
        findings.broken.len(),
        started.elapsed().as_secs_f64()
    );
    if let Some((schedule, _)) = findings.broken.first() {
        let class = class.map_or_else(String::new, |class| format!(" --class {class}"));
        println!("pha-sim story {}{class} tells the first one", schedule.seed);
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn print_table(findings: &Findings) {
    println!("class       schedules  two holders  two, cut apart  peace to one active");
    for (class, worst) in &findings.worst {
        let ms = |us: u64| format!("{:.1} ms", us as f64 / 1000.0);
        println!(
            "{:11} {:>9}  {:>11}  {:>14}  {:>19}",
            class.to_string(),
            worst.schedules,
            ms(worst.two),
            ms(worst.two_apart),
            ms(worst.recovery)
        );
    }
}

fn story(what: &str, class: Option<Class>, whole: bool, save: Option<PathBuf>) -> anyhow::Result<ExitCode> {
    let mut schedule = match what.parse() {
        Ok(seed) => Schedule::drawn(seed, class),
        Err(_) => {
            let text = fs::read_to_string(what).with_context(|| format!("{what} is neither a seed nor a file"))?;
            let schedule: Schedule =
                serde_json::from_str(&text).with_context(|| format!("{what} is not a schedule that --save wrote"))?;
            schedule.check().map_err(|why| anyhow::anyhow!("{what} cannot be played: {why}"))?;
            schedule
        }
    };
    let (result, mut cluster) = play(&schedule);
    let mut verdict = result.err();
    if let Some(broken) = &verdict
        && !whole
    {
        let (shorter, broken) = shrink(&schedule, broken);
        cluster = play(&shorter).1;
        (schedule, verdict) = (shorter, Some(broken));
    }
    tell(&schedule, &cluster, whole);
    if let Some(path) = save {
        fs::write(&path, serde_json::to_string_pretty(&schedule)? + "\n")
            .with_context(|| format!("{} cannot be written", path.display()))?;
    }
    Ok(conclude(verdict.as_ref()))
}

fn tell(schedule: &Schedule, cluster: &Cluster, whole: bool) {
    let Schedule { seed, class, nodes, links, clocks, witness, failback, .. } = schedule;
    println!(
        "seed {seed} ({class}): {nodes} nodes, {links} links, clocks {clocks:?} ppm, witness {witness}, failback {failback:?}"
    );
    for (at, happening) in &cluster.happened {
        if whole || happening.is_news() {
            println!("{}", line(*at, happening));
        }
    }
}

fn conclude(broken: Option<&Broken>) -> ExitCode {
    match broken {
        None => {
            println!("all promises kept");
            ExitCode::SUCCESS
        }
        Some(broken) => {
            println!("{:>10.4} {} broken: {}", broken.at as f64 / 1e6, broken.promise, broken.how);
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_without_seeds_is_refused() {
        assert_eq!(seeds("5..9"), Ok(5..9));
        for empty in ["9..5", "5..5"] {
            assert!(seeds(empty).is_err_and(|why| why.starts_with("no seed lies between")), "{empty}");
        }
        assert!(seeds("5").is_err());
    }
}
