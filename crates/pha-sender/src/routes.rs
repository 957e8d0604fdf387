//! The heartbeat paths: from which own address to which of the peers'.
//!
//! The n-th address of this node speaks to the n-th address of each peer. Where families or numbers do not match, the
//! kernel chooses the source. Names that do not resolve yet get their paths when they do.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use pha_config::{Config, Node};
use pha_core::{BootTime, NodeId};
use pha_daemon::peers::{Addresses, Resolver};
use pha_status::SendError;
use pha_sys::Way;
use pha_sys::udp::UdpSocket;

/// A path that could not be opened is tried again after this time.
const AGAIN: Duration = Duration::from_secs(10);

/// One path to a peer.
#[derive(Debug)]
struct Route {
    peer: NodeId,
    socket: usize,
    to: SocketAddr,
    errors: u64,
    last_error: String,
}

/// All paths to all peers.
#[derive(Debug)]
pub struct Routes {
    me: Node,
    port: u16,
    resolver: Resolver,
    known: Addresses,
    sockets: Vec<(IpAddr, UdpSocket)>,
    routes: Vec<Route>,
    again_at: Option<BootTime>,
}

impl Routes {
    /// Paths to those whose addresses are known soon.
    pub fn new(config: &Config, me: &Node, now: BootTime) -> Self {
        let (resolver, known) = Resolver::start(&config.nodes);
        let (sockets, routes) = (Vec::new(), Vec::new());
        let mut this = Self { me: me.clone(), port: config.port, resolver, known, sockets, routes, again_at: None };
        this.open(now);
        this
    }

    /// When paths are tried again.
    pub const fn next_deadline(&self) -> Option<BootTime> {
        self.again_at
    }

    /// Opens the paths to those whose names resolved meanwhile, and tries again those that could not be opened.
    pub fn deadline_passed(&mut self, now: BootTime) {
        let found = self.resolver.answers();
        if !found.is_empty() || self.again_at.is_some_and(|at| now >= at) {
            self.known.extend(found);
            self.open(now);
        }
    }

    /// Sends to every peer what `datagram` makes for it, if anything, with whether the peer has heard us lately, on every path.
    /// Allocates nothing.
    pub fn send<const N: usize>(&mut self, mut datagram: impl FnMut(NodeId) -> Option<([u8; N], bool)>) {
        // Paths to one peer stand beside each other.
        for routes in self.routes.chunk_by_mut(|one, next| one.peer == next.peer) {
            let Some((bytes, hears_us)) = datagram(routes[0].peer) else { continue };
            // On which of several paths it has heard us it does not say.
            let way = if hears_us && routes.len() == 1 { Way::Proven } else { Way::Unproven };
            for route in routes {
                route.note(self.sockets[route.socket].1.send(&bytes, route.to, way));
            }
        }
    }

    /// Addresses that cannot be sent to, for the status database.
    pub fn errors(&self) -> Vec<SendError> {
        let failing = self.routes.iter().filter(|route| route.errors > 0);
        failing
            .map(|route| SendError {
                address: route.to.ip().to_string(),
                count: route.errors,
                last: route.last_error.clone(),
            })
            .collect()
    }

    /// All paths anew: the own addresses decide where each begins.
    fn open(&mut self, now: BootTime) {
        self.again_at = None;
        self.sockets.clear();
        self.routes.clear();
        if !self.known.contains_key(&self.me.id) {
            log::warn!("the addresses of {} are not known; the kernel chooses the source of heartbeats", self.me.name);
        }
        let mut peers = self.known.clone();
        peers.remove(&self.me.id);
        for (peer, addresses) in peers {
            for (index, to) in addresses.into_iter().enumerate() {
                if let Err(error) = self.add(peer, index, to) {
                    log::warn!("no heartbeats to {to}: {error}; trying again");
                    self.again_at = Some(now + AGAIN);
                }
            }
        }
    }

    fn add(&mut self, peer: NodeId, index: usize, to: IpAddr) -> io::Result<()> {
        let source = self.source(index, to);
        let known = self.sockets.iter().position(|(address, _)| *address == source);
        let socket = match known {
            Some(socket) => socket,
            None => {
                self.sockets.push((source, UdpSocket::bind(SocketAddr::new(source, 0))?));
                self.sockets.len() - 1
            }
        };
        let to = SocketAddr::new(to, self.port);
        log::info!("heartbeats go to node {peer} from {} at {to} from {source}", self.me.name);
        self.routes.push(Route { peer, socket, to, errors: 0, last_error: String::new() });
        Ok(())
    }

    fn source(&self, index: usize, to: IpAddr) -> IpAddr {
        let fits = |own: &&IpAddr| own.is_ipv4() == to.is_ipv4() && own.is_loopback() == to.is_loopback();
        let unspecified =
            if to.is_ipv4() { IpAddr::from(Ipv4Addr::UNSPECIFIED) } else { IpAddr::from(Ipv6Addr::UNSPECIFIED) };
        let own = self.known.get(&self.me.id).map_or(&[][..], Vec::as_slice);
        let same = own.get(index).filter(fits);
        same.or_else(|| own.iter().find(fits)).copied().unwrap_or(unspecified)
    }
}

impl Route {
    fn note(&mut self, sent: io::Result<()>) {
        let Err(error) = sent else {
            if !self.last_error.is_empty() {
                log::info!("{} can be reached again", self.to.ip());
                self.last_error.clear();
            }
            return;
        };
        self.errors += 1;
        let text = error.to_string();
        if self.last_error != text {
            log::warn!("{} cannot be reached: {text}", self.to.ip());
            self.last_error = text;
        }
    }
}
