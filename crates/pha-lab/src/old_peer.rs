//! A standby of the protocol version before: what the node beside it has to live with while a cluster is upgraded.
//!
//! It says OFFLINE every interval in the oldest version that pha still speaks, and understands nothing newer.

use std::fs;
use std::net::UdpSocket;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use pha_core::{Dialect, Heartbeat, NodeId, Saying, Serial, Word};
use pha_wire::{Codec, Keyring, LENGTH, OLDEST, Trust};

/// Between two heartbeats.
const INTERVAL: Duration = Duration::from_millis(200);

/// Who it is and whom it talks to.
#[derive(Debug, clap::Args)]
pub struct OldPeerOptions {
    /// Its node id.
    #[arg(long)]
    node: usize,
    /// Its own ADDRESS:PORT.
    #[arg(long)]
    at: String,
    /// ADDRESS:PORT of another node; may be repeated.
    #[arg(long, required = true)]
    to: Vec<String>,
    /// `CLUSTER` of the other node.
    #[arg(long)]
    cluster: String,
    /// The file with the key.
    #[arg(long)]
    key: PathBuf,
    /// How long.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
}

/// Speaks for a while, and prints how many heartbeats were understood, how many were of a version to come, and the longest time
/// in ms without one that was understood.
///
/// # Errors
/// No socket, no key.
pub fn run(options: &OldPeerOptions) -> Result<ExitCode> {
    let text = fs::read_to_string(&options.key).with_context(|| options.key.display().to_string())?;
    let keys = Keyring::parse(&text)?;
    let dialect = Dialect { version: OLDEST, signer: keys.first().id() };
    let codec = Codec::new(&options.cluster, Trust::Holders(keys));
    let socket = UdpSocket::bind(&options.at).with_context(|| options.at.clone())?;
    let mut heartbeat = Heartbeat {
        node: NodeId::new(options.node).context("no such node id")?,
        serial: Serial { incarnation: milliseconds_since_1970(), sequence: 0 },
        saying: Saying::healthy(Word::Offline { clean: true }),
        reply_wanted: false,
        heard: Serial::default(),
        supervise_age: Duration::ZERO,
    };
    let (mut understood, mut newer, mut longest, mut last) = (0_u32, 0_u32, Duration::ZERO, None::<Instant>);
    let end = Instant::now() + Duration::from_secs(options.seconds);
    while Instant::now() < end {
        heartbeat.serial.sequence += 1;
        for to in &options.to {
            socket.send_to(&codec.encode(&heartbeat, dialect), to)?;
        }
        let next = Instant::now() + INTERVAL;
        while let Some(rest) = next.checked_duration_since(Instant::now()).filter(|rest| !rest.is_zero()) {
            socket.set_read_timeout(Some(rest))?;
            let mut bytes = [0; LENGTH];
            let Ok(length) = socket.recv(&mut bytes) else { continue };
            match codec.decode(&bytes[..length]) {
                Ok((said, Dialect { version: OLDEST, .. })) => {
                    let now = Instant::now();
                    longest = longest.max(last.replace(now).map_or(Duration::ZERO, |last| now - last));
                    heartbeat.heard = said.serial;
                    understood += 1;
                }
                Ok(_) => newer += 1,
                Err(reason) => println!("dropped: {}", reason.as_str()),
            }
        }
    }
    println!("understood {understood}, newer {newer}, longest silence {} ms", longest.as_millis());
    Ok(ExitCode::SUCCESS)
}

fn milliseconds_since_1970() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
