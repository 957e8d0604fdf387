//! `pha-fuzz`: feeds hostile bytes to whatever reads bytes from outside.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use pha_fuzz::{all, by_name, hunt};

/// Feed hostile bytes to whatever reads bytes from outside; exit 1 if something panicked. The input is saved then.
#[derive(Debug, Parser)]
#[command(name = "pha-fuzz", version)]
struct Arguments {
    /// Seconds for each target.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Where chance begins; another number makes other inputs.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Where an input that breaks something is saved, and whence it is tried again first.
    #[arg(long, default_value = "target/fuzz")]
    found: PathBuf,
    /// Only these targets: datagram, database, record, trace, config, key.
    targets: Vec<String>,
}

fn main() -> ExitCode {
    run(&Arguments::parse()).unwrap_or_else(|error| {
        eprintln!("pha-fuzz: {error:#}");
        ExitCode::from(2)
    })
}

fn run(arguments: &Arguments) -> Result<ExitCode> {
    let named =
        arguments.targets.iter().map(|name| by_name(name).with_context(|| format!("there is no target {name}")));
    let named = named.collect::<Result<Vec<_>>>()?;
    let targets = if named.is_empty() { all() } else { named };
    let mut failed = false;
    for target in targets {
        let result = hunt::hunt(&target, arguments.seed, Duration::from_secs(arguments.seconds), &arguments.found)?;
        println!("{}: {result}", target.name);
        failed |= result.broke.is_some();
    }
    Ok(ExitCode::from(u8::from(failed)))
}
