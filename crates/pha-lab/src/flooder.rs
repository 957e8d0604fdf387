//! The one who floods: a program in a node's namespace that sends hostile datagrams as fast as it is told.
//!
//! It has one heartbeat that it overheard, and no key. All of what it sends is made before it begins.

use std::io::Write as _;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

/// The longest it waits for a heartbeat to overhear.
const PATIENCE: Duration = Duration::from_secs(20);
/// Datagrams of each kind that differ.
const VARIETY: usize = 512;
/// Between two bursts.
const TICK: Duration = Duration::from_millis(1);
/// Where the parts of a heartbeat begin (`crates/pha-wire/src/codec.rs`).
const CLUSTER: usize = 4;
const NODE: usize = 12;
const FIELDS: usize = 16;
const LENGTH: usize = 120;
const TAG: usize = 32;

/// What is wrong with a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// Of the right length, and nothing else.
    Random,
    /// A part of a heartbeat.
    Truncated,
    /// A heartbeat with something behind it.
    Oversized,
    /// A heartbeat that was heard already.
    Replayed,
    /// Of another cluster.
    OtherCluster,
    /// It says that another node sent it.
    SpoofedNode,
    /// A heartbeat with another tag.
    WrongTag,
    /// The right header, and random fields and tag.
    ValidHeader,
    /// Authentic, but from an address of nobody.
    Stranger,
}

/// What to send.
#[derive(Debug, Clone, clap::Args)]
pub struct FlooderOptions {
    /// Where to.
    pub to: SocketAddr,
    /// The heartbeat that was overheard, in hexadecimal digits.
    pub heartbeat: String,
    /// From which addresses: the peer's own, and one of nobody.
    pub from: Vec<SocketAddr>,
    /// Datagrams each second.
    #[arg(long)]
    pub rate: u32,
    /// For how long.
    #[arg(long)]
    pub seconds: u64,
    /// Only these kinds.
    #[arg(long)]
    pub kind: Vec<Kind>,
}

/// Waits for one datagram at `at` and prints it in hexadecimal digits.
///
/// # Errors
/// Nothing came.
pub fn overhear(at: SocketAddr) -> Result<()> {
    let ear = UdpSocket::bind(at).with_context(|| at.to_string())?;
    ear.set_read_timeout(Some(PATIENCE))?;
    let mut buffer = [0; 512];
    let length = ear.recv(&mut buffer).context("no heartbeat came")?;
    let digits: String = buffer[..length].iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(writeln!(std::io::stdout(), "{digits}")?)
}

/// Floods, and prints how many datagrams were sent.
///
/// # Errors
/// If it is told nonsense, or an address is not there.
pub fn flood(options: &FlooderOptions) -> Result<()> {
    let heartbeat = bytes(&options.heartbeat).filter(|bytes| bytes.len() == LENGTH).context("no heartbeat")?;
    ensure!(options.from.len() == 2, "two addresses to send from");
    let sockets = options.from.iter().map(UdpSocket::bind).collect::<Result<Vec<_>, _>>()?;
    let mut chance = fastrand::Rng::with_seed(77);
    let mut pool: Vec<(usize, Vec<u8>)> = (0..VARIETY)
        .flat_map(|_| options.kind.iter().map(|kind| made(*kind, &heartbeat, &mut chance)).collect::<Vec<_>>())
        .collect();
    chance.shuffle(&mut pool);
    let (began, time) = (Instant::now(), Duration::from_secs(options.seconds));
    let mut sent: u64 = 0;
    while began.elapsed() < time {
        let due = (began.elapsed().as_secs_f64() * f64::from(options.rate)) as u64;
        // Whoever is late catches up, but not with more than a tenth of a second's worth at once.
        for _ in 0..due.saturating_sub(sent).min(u64::from(options.rate / 10) + 1) {
            let (socket, datagram) = &pool[sent as usize % pool.len()];
            // A full queue on the way loses it, as a real flood would.
            let _ = sockets[*socket].send_to(datagram, options.to);
            sent += 1;
        }
        std::thread::sleep(TICK);
    }
    Ok(writeln!(std::io::stdout(), "{sent}")?)
}

/// A datagram, and which socket sends it: 0 has the peer's address, 1 nobody's.
fn made(kind: Kind, heartbeat: &[u8], chance: &mut fastrand::Rng) -> (usize, Vec<u8>) {
    let mut datagram = heartbeat.to_vec();
    let mut scramble = |bytes: &mut [u8]| bytes.iter_mut().for_each(|byte| *byte = chance.u8(..));
    match kind {
        Kind::Random => scramble(&mut datagram),
        Kind::OtherCluster => scramble(&mut datagram[CLUSTER..NODE]),
        Kind::WrongTag => scramble(&mut datagram[LENGTH - TAG..]),
        Kind::ValidHeader => scramble(&mut datagram[FIELDS..]),
        Kind::SpoofedNode => datagram[NODE] = 1 + chance.u8(..16),
        Kind::Truncated => datagram.truncate(chance.usize(..LENGTH)),
        Kind::Oversized => datagram.resize(chance.usize(LENGTH + 1..1400), 0x5a),
        Kind::Replayed | Kind::Stranger => {}
    }
    (usize::from(kind == Kind::Stranger), datagram)
}

fn bytes(digits: &str) -> Option<Vec<u8>> {
    let pair = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
    (0..digits.len()).step_by(2).map(pair).collect()
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    #[test]
    fn what_is_wrong_with_a_datagram_is_wrong_with_it() {
        let (heartbeat, mut chance) = ([7; LENGTH], fastrand::Rng::with_seed(1));
        for kind in Kind::value_variants() {
            let (from, datagram) = made(*kind, &heartbeat, &mut chance);
            let same = datagram == heartbeat;
            assert_eq!(same, matches!(kind, Kind::Replayed | Kind::Stranger), "{kind:?}");
            assert_eq!(from, usize::from(*kind == Kind::Stranger));
        }
    }

    #[test]
    fn digits_are_read_as_they_are_written() {
        assert_eq!(bytes("0aff").as_deref(), Some(&[10, 255][..]));
        assert!(bytes("0af").is_none() && bytes("zz").is_none());
    }
}
