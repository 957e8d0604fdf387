//! Where heartbeats come in: one socket for each of this node's addresses.
//!
//! An address need not exist yet when it is bound. A node whose own name means loopback, as some installers write it into
//! the hosts file, listens everywhere, since its peers cannot mean that address.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd as _, BorrowedFd};

use pha_config::{Config, Node};
use pha_daemon::peers::{Addresses, is_unreachable_loopback};
use pha_sys::udp::UdpSocket;

/// Datagrams read in one go, so that a flood cannot keep the loop from its deadlines.
const BATCH: usize = 64;

/// The sockets.
#[derive(Debug)]
pub struct Ears {
    sockets: Vec<UdpSocket>,
}

impl Ears {
    /// Listens on `PORT` at this node's addresses.
    ///
    /// # Errors
    /// If the port is taken.
    pub fn open(config: &Config, me: &Node, known: &Addresses) -> anyhow::Result<Self> {
        let addresses = own_addresses(config, me, known);
        let sockets = addresses.into_iter().map(|address| listen(SocketAddr::new(address, config.port)));
        Ok(Self { sockets: sockets.collect::<anyhow::Result<_>>()? })
    }

    /// What to poll.
    pub fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.sockets.iter().map(|socket| socket.as_fd())
    }

    /// Hands every datagram that waits to `heard`, at most 64 a socket; true if some may still be waiting. `usize` is
    /// the datagram's true length, which may be more than the slice's.
    pub fn drain(&self, mut heard: impl FnMut(&[u8], usize, IpAddr)) -> bool {
        let mut buffer = [0; 512];
        let mut more = false;
        for socket in &self.sockets {
            let mut read = 0;
            while read < BATCH {
                match socket.receive(&mut buffer) {
                    Ok(Some((length, from))) => heard(&buffer[..length.min(buffer.len())], length, from.ip()),
                    Ok(None) => break,
                    Err(error) => {
                        log::warn!("heartbeats cannot be read: {error}");
                        break;
                    }
                }
                read += 1;
            }
            more |= read == BATCH;
        }
        more
    }
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
