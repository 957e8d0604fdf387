//! pha-receiver: hears the peers and publishes their state.
//!
//! It accepts only authentic, fresh heartbeats from addresses of configured peers, counts everything else by reason and
//! never answers it, and runs the failure detector for each peer. It decides nothing about resources.

mod contacts;
mod daemon;
mod ears;
mod flood;
mod freshness;
mod peers;

use pha_daemon::{Options, Program};

#[cfg(test)]
#[global_allocator]
static ALLOCATOR: pha_sys::allocations::Counting = pha_sys::allocations::Counting;

/// Command line of pha-receiver.
#[derive(Debug, clap::Parser)]
#[command(name = "pha-receiver", version, about = "Hears the peers and publishes their state")]
pub struct Arguments {
    #[command(flatten)]
    options: Options,
}

/// Runs until it is told to end; the result is the exit code.
#[must_use]
pub fn run(arguments: &Arguments) -> i32 {
    pha_daemon::run(Program::Receiver, &arguments.options, |daemon| {
        let mut receiver = daemon::Receiver::new(daemon)?;
        daemon.give_up_root()?;
        receiver.run(daemon)
    })
}
