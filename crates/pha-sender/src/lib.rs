//! pha-sender: sends this node's status to every peer on every address.
//!
//! On a fixed beat, and at once when the status changes. It decides nothing: what to say stands in the status database,
//! when to say it is [`pha_core::beat::Beat`]'s. It takes the database's lock only for its own sign of life, never
//! between a change and its heartbeat.

mod daemon;
mod routes;

use pha_daemon::{Options, Program};

#[cfg(test)]
#[global_allocator]
static ALLOCATOR: pha_sys::allocations::Counting = pha_sys::allocations::Counting;

/// Command line of pha-sender.
#[derive(Debug, clap::Parser)]
#[command(name = "pha-sender", version, about = "Sends this node's status to every peer")]
pub struct Arguments {
    #[command(flatten)]
    options: Options,
    /// Say once more that this node left, and end: for resources stopped while the daemons are.
    #[arg(long)]
    farewell: bool,
}

/// Runs until it is told to end; the result is the exit code.
#[must_use]
pub fn run(arguments: &Arguments) -> i32 {
    let options =
        Options { foreground: arguments.options.foreground || arguments.farewell, ..arguments.options.clone() };
    pha_daemon::run(Program::Sender, &options, |daemon| {
        let mut sender = daemon::Sender::new(daemon)?;
        daemon.give_up_root()?;
        if arguments.farewell { sender.farewell() } else { sender.run(daemon) }
    })
}
