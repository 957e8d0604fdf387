//! Where heartbeats come in: one socket for each of this node's addresses.
//!
//! What cannot be a heartbeat of this cluster is counted by reason like everything else that is dropped; but in a flood of it the
//! kernel drops it for a while ([`crate::flood`]).
//!
//! An address need not exist yet when it is bound. A node whose own name means loopback, as some installers write it into
//! the hosts file, listens everywhere, since its peers cannot mean that address.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd as _, BorrowedFd};

use pha_config::{Config, Node};
use pha_core::BootTime;
use pha_daemon::now;
use pha_daemon::peers::{Addresses, is_unreachable_loopback};
use pha_sys::sieve::{Sieve, Word};
use pha_sys::udp::{MOST_WAITING, UdpSocket};
use pha_wire::{LENGTH, name_hash};

use crate::flood::{Flood, Turn};

/// Datagrams read in one go, so that a flood cannot keep the loop from its deadlines.
const BATCH: usize = 64;

/// The sockets.
#[derive(Debug)]
pub struct Ears {
    ears: Vec<Ear>,
    flood: Flood,
    /// Batches that were read from each since the loop woke.
    rounds: usize,
}

#[derive(Debug)]
struct Ear {
    socket: UdpSocket,
    /// What a heartbeat of this cluster looks like here.
    sieve: Sieve,
}

impl Ears {
    /// Listens on `PORT` at this node's addresses.
    ///
    /// # Errors
    /// If the port is taken.
    pub fn open(config: &Config, me: &Node, known: &Addresses) -> anyhow::Result<Self> {
        let addresses = own_addresses(config, me, known);
        let listen = |address| {
            let (socket, sieve) = (listen(SocketAddr::new(address, config.port))?, sieve(config, me, known, address));
            Ok(Ear { socket, sieve })
        };
        let ears = addresses.into_iter().map(listen).collect::<anyhow::Result<_>>()?;
        Ok(Self { ears, flood: Flood::default(), rounds: 0 })
    }

    /// What to poll.
    pub fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.ears.iter().map(|ear| ear.socket.as_fd())
    }

    /// Hands every datagram that waits to `heard`, at most 64 a socket; true if some that waited may still do so. `usize` is
    /// the datagram's true length, which may be more than the slice's.
    pub fn drain(&mut self, heard: impl FnMut(&[u8], usize, IpAddr)) -> bool {
        self.drain_at(now(), heard)
    }

    fn drain_at(&mut self, now: BootTime, mut heard: impl FnMut(&[u8], usize, IpAddr)) -> bool {
        let mut more = false;
        for ear in &mut self.ears {
            let read = ear.drain(|bytes, length, from, admitted| {
                self.flood.count(admitted);
                heard(bytes, length, from);
            });
            more |= read == BATCH;
        }
        match self.flood.turn(now) {
            Turn::Rises => self.hold_back(true),
            Turn::Falls => self.hold_back(false),
            Turn::Stays => {}
        }
        self.comes_first(more)
    }

    /// What waited when the loop woke comes before its deadlines, for nobody is accused whose heartbeat waits here. What came
    /// meanwhile does not: a flood would keep the dead alive.
    const fn comes_first(&mut self, more: bool) -> bool {
        self.rounds += 1;
        let more = more && self.rounds < MOST_WAITING / BATCH;
        if !more {
            self.rounds = 0;
        }
        more
    }

    /// Where the kernel cannot, all goes on as before.
    fn hold_back(&self, foreign: bool) {
        for ear in &self.ears {
            if let Err(error) = ear.socket.hold_back(foreign.then_some(&ear.sieve)) {
                log::warn!("a flood of foreign datagrams cannot be held back: {error}");
            }
        }
    }
}

impl Ear {
    /// At most one batch; how many it had.
    fn drain(&self, mut heard: impl FnMut(&[u8], usize, IpAddr, bool)) -> usize {
        let mut buffer = [0; 512];
        for read in 0..BATCH {
            match self.socket.receive(&mut buffer) {
                Ok(Some((length, from))) => {
                    let bytes = &buffer[..length.min(buffer.len())];
                    heard(bytes, length, from.ip(), self.sieve.admits(bytes, length, from.ip()));
                }
                Ok(None) => return read,
                Err(error) => {
                    log::warn!("heartbeats cannot be read: {error}");
                    return read;
                }
            }
        }
        BATCH
    }
}

/// As `crates/pha-wire/src/codec.rs` lays it out: magic, any version, cluster. As long as some peer's address is not known, it
/// may come from anywhere.
fn sieve(config: &Config, me: &Node, known: &Addresses, here: IpAddr) -> Sieve {
    let cluster = name_hash(&config.cluster);
    let word = |at: usize| u32::from_be_bytes([cluster[at], cluster[at + 1], cluster[at + 2], cluster[at + 3]]);
    let others: Option<Vec<_>> =
        config.nodes.iter().filter(|node| node.id != me.id).map(|node| known.get(&node.id)).collect();
    let of_family = |address: &IpAddr| address.is_ipv4() == here.is_ipv4();
    let senders = others.unwrap_or_default().into_iter().flatten().copied().filter(of_family).collect();
    let words = vec![
        Word { at: 0, mask: !0xff, is: u32::from_be_bytes(*b"PHA\0") },
        Word { at: 4, mask: !0, is: word(0) },
        Word { at: 8, mask: !0, is: word(4) },
    ];
    Sieve { length: LENGTH as u32, words, senders }
}

fn listen(at: SocketAddr) -> anyhow::Result<UdpSocket> {
    let socket = UdpSocket::bind(at).map_err(|error| {
        let taken = error.kind() == io::ErrorKind::AddrInUse;
        let remedy = if taken { ": is another pha running on this host, or is the port (PORT) taken?" } else { "" };
        anyhow::Error::new(error).context(format!("{at} cannot be heard{remedy}"))
    })?;
    log::info!("heartbeats are heard at {at}");
    Ok(socket)
}

fn own_addresses(config: &Config, me: &Node, known: &Addresses) -> Vec<IpAddr> {
    let everywhere = || vec![IpAddr::from(Ipv4Addr::UNSPECIFIED), IpAddr::from(Ipv6Addr::UNSPECIFIED)];
    let Some(own) = known.get(&me.id) else {
        log::warn!("the addresses of {} are not known; listening at every address", me.name);
        return everywhere();
    };
    let mut others = config.nodes.iter().filter(|node| node.id != me.id);
    let is_elsewhere = |node: &Node| match known.get(&node.id) {
        Some(peer) => is_unreachable_loopback(own, peer),
        None => own.iter().any(IpAddr::is_loopback),
    };
    if others.any(is_elsewhere) {
        log::warn!("{} is a loopback address here; listening at every address (set ADDR_{})", own[0], me.name);
        return everywhere();
    }
    own.clone()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use std::path::Path;

    use pha_sys::Way;

    use super::*;

    /// Ears of `a`, and what `b` sends from.
    fn ears(port: u16) -> (Ears, UdpSocket, SocketAddr) {
        let text = format!("NODES=a b\nPORT={port}\nADDR_a=127.0.79.1 127.0.79.3\nADDR_b=127.0.79.2\n");
        let config = Config::parse(&text, Path::new("config")).unwrap();
        let known = config.nodes.iter().map(|node| {
            (node.id, node.addresses.iter().map(|address| address.parse().unwrap()).collect::<Vec<IpAddr>>())
        });
        let ears = Ears::open(&config, &config.nodes[0], &known.collect()).unwrap();
        let peer = UdpSocket::bind("127.0.79.2:0".parse().unwrap()).unwrap();
        (ears, peer, SocketAddr::from(([127, 0, 79, 1], port)))
    }

    fn send(from: &UdpSocket, to: SocketAddr, datagram: &[u8], times: usize) {
        (0..times).for_each(|_| from.send(datagram, to, Way::Unproven).unwrap());
    }

    /// Something that only its tag tells from a heartbeat.
    fn heartbeat() -> Vec<u8> {
        let cluster = name_hash(&Config::parse("NODES=a b\n", Path::new("config")).unwrap().cluster);
        let mut datagram = [&b"PHA\x02"[..], &cluster].concat();
        datagram.resize(LENGTH, 7);
        datagram
    }

    #[test]
    fn a_flood_gives_deadlines_their_turn() {
        let (mut ears, peer, to) = ears(47_901);
        let other = SocketAddr::from(([127, 0, 79, 3], to.port()));
        let mut rounds = 0;
        loop {
            send(&peer, to, &heartbeat(), BATCH);
            // It begins later at the other ear.
            send(&peer, other, &heartbeat(), if rounds > 10 { BATCH } else { 0 });
            rounds += 1;
            if !ears.drain(|_, _, _| {}) {
                break;
            }
            assert!(rounds < 2 * MOST_WAITING / BATCH, "the loop never comes to its deadlines");
        }
        assert!(rounds > 1, "what waits comes first");
    }

    #[test]
    fn in_a_flood_of_foreign_datagrams_only_what_may_be_a_heartbeat_comes_through_and_later_all_again() {
        let (mut ears, peer, to) = ears(47_902);
        let at = |seconds| BootTime::since_boot(std::time::Duration::from_secs(seconds));
        let mut heard = 0;
        for _ in 0..100 {
            send(&peer, to, b"junk", BATCH);
            ears.drain_at(at(100), |_, _, _| heard += 1);
        }
        assert!((1000..6000).contains(&heard), "{heard} of them came through");
        while ears.drain_at(at(100), |_, _, _| {}) {}
        let mut lengths = Vec::new();
        send(&peer, to, b"junk", 1);
        send(&peer, to, &heartbeat(), 1);
        ears.drain_at(at(101), |_, length, _| lengths.push(length));
        assert_eq!(lengths, [LENGTH]);
        ears.drain_at(at(200), |_, _, _| {});
        send(&peer, to, b"junk", 1);
        ears.drain_at(at(200), |_, length, _| lengths.push(length));
        assert_eq!(lengths, [LENGTH, 4]);
    }
}
