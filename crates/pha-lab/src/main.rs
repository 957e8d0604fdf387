//! `pha-lab`: the demo, the benchmark, and the small web service of the lab.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use pha_lab::{bench, chaos, demo, disturb, flood, flooder, many, old_peer, server};

/// Two real nodes on this machine, a client, and faults.
#[derive(Debug, Parser)]
#[command(name = "pha-lab", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show what pha does, on two nodes made for it.
    Demo {
        /// Play the story once and print what was measured; exit 1 if a promise was broken.
        #[arg(long)]
        auto: bool,
        /// Without network namespaces: two nodes on loopback addresses that keep a file.
        #[arg(long)]
        plain: bool,
    },
    /// Measure pha beside keepalived; exit 1 if a bar was missed.
    Bench(bench::BenchOptions),
    /// Make a table of what `cargo bench` prints.
    Micro {
        /// Write it into docs/benchmarks.md.
        #[arg(long)]
        write: bool,
    },
    /// Measure what the checks of many resources cost; exit 1 if a bar was missed.
    Many(many::ManyOptions),
    /// Disturb two healthy nodes for a while and count what they make of it; exit 1 if the service moved.
    Disturb(disturb::DisturbOptions),
    /// Flood one of two healthy nodes with hostile datagrams; exit 1 if a bar was missed.
    Flood(flood::FloodOptions),
    /// What `flood` runs in the peer's place.
    #[command(hide = true)]
    Flooder(flooder::FlooderOptions),
    /// Print the first datagram that comes to ADDRESS:PORT.
    #[command(hide = true)]
    Overhear {
        /// Where to listen.
        at: SocketAddr,
    },
    /// Speak like a standby of the protocol version before.
    OldPeer(old_peer::OldPeerOptions),
    /// Faults drawn from a seed befall real nodes, and every promise is audited; exit 1 if one was broken.
    Chaos(chaos::ChaosOptions),
    /// Answer every request with NAME, over HTTP and UDP.
    Serve {
        /// Return once the server answers, and leave it running.
        #[arg(long)]
        background: bool,
        /// Where the server writes its process id.
        #[arg(long)]
        pid_file: Option<PathBuf>,
        /// ADDRESS:PORT to listen on.
        address: String,
        /// What to answer.
        name: String,
    },
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Demo { auto, plain } => demo::run(auto, plain),
        Command::Bench(options) => bench::run(options),
        Command::Micro { write } => bench::micro(write),
        Command::Many(options) => many::run(options),
        Command::Disturb(options) => disturb::run(&options),
        Command::Flood(options) => flood::run(&options),
        Command::Flooder(options) => flooder::flood(&options).map(|()| ExitCode::SUCCESS),
        Command::Overhear { at } => flooder::overhear(at).map(|()| ExitCode::SUCCESS),
        Command::OldPeer(options) => old_peer::run(&options),
        Command::Chaos(options) => chaos::run(&options),
        Command::Serve { background: true, pid_file, address, name } => {
            server::serve_in_background(&address, &name, pid_file.as_deref()).map(|()| ExitCode::SUCCESS)
        }
        Command::Serve { background: false, pid_file, address, name } => {
            server::serve(&address, &name, pid_file.as_deref()).map(|()| ExitCode::SUCCESS)
        }
    };
    result.unwrap_or_else(|error| {
        eprintln!("pha-lab: {error:#}");
        ExitCode::from(1)
    })
}
