//! The one who floods: a program in a node's namespace that sends hostile datagrams as fast as it is told.
//!
//! It has one heartbeat that it overheard, and no key. All of what it sends is made before it begins.

use std::io::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use pha_sys::Way;
use pha_sys::udp::UdpSocket;

/// The longest it waits for a heartbeat to overhear.
const PATIENCE: Duration = Duration::from_secs(20);
/// Bursts of each kind.
const VARIETY: usize = 64;
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
    /// Datagrams that are sent with one call; they have one length.
    #[arg(long)]
    pub burst: u16,
    /// Only these kinds.
    #[arg(long)]
    pub kind: Vec<Kind>,
}

/// Waits for one datagram at `at` and prints it in hexadecimal digits.
///
/// # Errors
/// Nothing came.
pub fn overhear(at: SocketAddr) -> Result<()> {
    let ear = std::net::UdpSocket::bind(at).with_context(|| at.to_string())?;
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
    let in_one = usize::from(options.burst);
    ensure!(options.from.len() == 2, "two addresses to send from");
    let sockets = options.from.iter().map(|from| UdpSocket::bind(*from)).collect::<Result<Vec<_>, _>>()?;
    let mut chance = fastrand::Rng::with_seed(77);
    let mut pool: Vec<Burst> = (0..VARIETY)
        .flat_map(|_| {
            options.kind.iter().map(|kind| Burst::of(*kind, &heartbeat, in_one, &mut chance)).collect::<Vec<_>>()
        })
        .collect();
    chance.shuffle(&mut pool);
    let (began, time) = (Instant::now(), Duration::from_secs(options.seconds));
    let mut bursts: u64 = 0;
    while began.elapsed() < time {
        let due = (began.elapsed().as_secs_f64() * f64::from(options.rate)) as u64 / in_one as u64;
        // Whoever is late catches up, but not with more than a hundredth of a second's worth at once.
        let most = u64::from(options.rate) / (100 * in_one as u64) + 1;
        for _ in 0..due.saturating_sub(bursts).min(most) {
            let burst = &pool[bursts as usize % pool.len()];
            let socket = &sockets[usize::from(burst.kind == Kind::Stranger)];
            socket.cut_into(burst.length)?;
            // A full queue on the way loses it, as a real flood would.
            let _ = socket.send(&burst.bytes, options.to, Way::Unproven);
            bursts += 1;
        }
        std::thread::sleep(TICK);
    }
    Ok(writeln!(std::io::stdout(), "{}", bursts * in_one as u64)?)
}

/// Datagrams of one kind and one length.
struct Burst {
    kind: Kind,
    length: u16,
    bytes: Vec<u8>,
}

impl Burst {
    fn of(kind: Kind, heartbeat: &[u8], number: usize, chance: &mut fastrand::Rng) -> Self {
        let length = match kind {
            Kind::Truncated => chance.usize(1..LENGTH),
            Kind::Oversized => chance.usize(LENGTH + 1..1400),
            Kind::Random | Kind::Replayed | Kind::OtherCluster => LENGTH,
            Kind::SpoofedNode | Kind::WrongTag | Kind::ValidHeader | Kind::Stranger => LENGTH,
        };
        let bytes = (0..number).flat_map(|_| made(kind, heartbeat, length, chance)).collect();
        Self { kind, length: length as u16, bytes }
    }
}

fn made(kind: Kind, heartbeat: &[u8], length: usize, chance: &mut fastrand::Rng) -> Vec<u8> {
    let mut datagram = heartbeat.to_vec();
    let mut scramble = |bytes: &mut [u8]| bytes.iter_mut().for_each(|byte| *byte = chance.u8(..));
    match kind {
        Kind::Random => scramble(&mut datagram),
        Kind::OtherCluster => scramble(&mut datagram[CLUSTER..NODE]),
        Kind::WrongTag => scramble(&mut datagram[LENGTH - TAG..]),
        Kind::ValidHeader => scramble(&mut datagram[FIELDS..]),
        Kind::SpoofedNode => datagram[NODE] = datagram[NODE] % 16 + 1,
        Kind::Truncated | Kind::Oversized | Kind::Replayed | Kind::Stranger => {}
    }
    datagram.resize(length, 0x5a);
    datagram
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
            let burst = Burst::of(*kind, &heartbeat, 3, &mut chance);
            assert_eq!(burst.bytes.len(), 3 * usize::from(burst.length));
            let first = &burst.bytes[..usize::from(burst.length)];
            assert_eq!(first == heartbeat, matches!(kind, Kind::Replayed | Kind::Stranger), "{kind:?}");
        }
    }

    #[test]
    fn digits_are_read_as_they_are_written() {
        assert_eq!(bytes("0aff").as_deref(), Some(&[10, 255][..]));
        assert!(bytes("0af").is_none() && bytes("zz").is_none());
    }
}
