//! pha-supervise: checks resources and gateway, decides, starts and stops resources.
//!
//! What it does is decided by [`pha_core::supervisor::Supervisor`]; this crate feeds it and carries out its commands. It is
//! the only program that runs agents, and the only one that must be root.

mod address;
mod builtin;
mod daemon;
mod notes;
mod oneshot;
mod runner;

use clap::ValueEnum;
use pha_daemon::{Options, Program};

/// Command line of pha-supervise.
#[derive(Debug, clap::Parser)]
#[command(name = "pha-supervise", version, about = "Checks resources, decides, starts and stops them")]
pub struct Arguments {
    #[command(flatten)]
    options: Options,
    /// Start or stop resources once, while the daemons are stopped, and end.
    #[arg(long, value_enum, value_name = "ACTION")]
    resources: Option<Once>,
    /// Only this resource.
    #[arg(requires = "resources", value_name = "NAME")]
    name: Option<String>,
}

/// What to do once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Once {
    /// In the order of the configuration, without a lease: nobody renews it.
    Start,
    /// In the reverse order.
    Stop,
}

/// Runs until it is told to end; the result is the exit code.
#[must_use]
pub fn run(arguments: &Arguments) -> i32 {
    let foreground = arguments.options.foreground || arguments.resources.is_some();
    let options = Options { foreground, ..arguments.options.clone() };
    pha_daemon::run(Program::Supervise, &options, |daemon| match arguments.resources {
        Some(once) => oneshot::run(daemon, once, arguments.name.as_deref()),
        None => daemon::Supervise::new(daemon)?.run(daemon),
    })
}
