//! The heartbeat paths: from which own address to which of the peers'.
//!
//! The n-th address of this node speaks to the n-th address of each peer. Where families or numbers do not match, the
//! kernel chooses the source. Names that do not resolve are tried again.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use pha_config::{Config, Node};
use pha_core::{BootTime, NodeId};
use pha_daemon::peers;
use pha_status::SendError;
use pha_sys::udp::UdpSocket;

/// Names that do not resolve are tried again this often.
const RESOLVE_AGAIN: Duration = Duration::from_secs(10);

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
    unresolved: Vec<Node>,
    port: u16,
    own: Vec<IpAddr>,
    sockets: Vec<(IpAddr, UdpSocket)>,
    routes: Vec<Route>,
    resolve_at: BootTime,
}

impl Routes {
    /// Resolves what can be resolved now.
    pub fn new(config: &Config, me: &Node, now: BootTime) -> Self {
        let unresolved = config.nodes.iter().filter(|node| node.id != me.id).cloned().collect();
        let own = peers::addresses(me).unwrap_or_else(|error| {
            log::warn!("{error}; the kernel chooses the source of heartbeats");
            Vec::new()
        });
        let (sockets, routes) = (Vec::new(), Vec::new());
        let mut this = Self { me: me.clone(), unresolved, port: config.port, own, sockets, routes, resolve_at: now };
        this.resolve(now);
        this
    }

    /// When names are tried again.
    pub fn next_deadline(&self) -> Option<BootTime> {
        (!self.unresolved.is_empty()).then_some(self.resolve_at)
    }

    /// Tries again the names that did not resolve.
    pub fn deadline_passed(&mut self, now: BootTime) {
        if self.next_deadline().is_some_and(|at| now >= at) {
            self.resolve(now);
        }
    }

    /// Sends to every peer what `datagram` makes for it, on every path.
    pub fn send(&mut self, mut datagram: impl FnMut(NodeId) -> Vec<u8>) {
        let mut made: BTreeMap<NodeId, Vec<u8>> = BTreeMap::new();
        for route in &mut self.routes {
            let bytes = made.entry(route.peer).or_insert_with_key(|peer| datagram(*peer));
            match self.sockets[route.socket].1.send(bytes, route.to) {
                Ok(()) if route.last_error.is_empty() => {}
                Ok(()) => {
                    log::info!("{} can be reached again", route.to.ip());
                    route.last_error.clear();
                }
                Err(error) => route.failed(&error),
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

    fn resolve(&mut self, now: BootTime) {
        self.resolve_at = now + RESOLVE_AGAIN;
        for node in std::mem::take(&mut self.unresolved) {
            let added = peers::addresses(&node)
                .and_then(|found| found.iter().enumerate().try_for_each(|(i, to)| self.add(node.id, i, *to)));
            if let Err(error) = added {
                log::warn!("{}: {error}; trying again", node.name);
                self.routes.retain(|route| route.peer != node.id);
                self.unresolved.push(node);
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
        log::info!("heartbeats go to {} at {to} from {source}", self.me_and(peer));
        self.routes.push(Route { peer, socket, to, errors: 0, last_error: String::new() });
        Ok(())
    }

    fn source(&self, index: usize, to: IpAddr) -> IpAddr {
        let fits = |own: &&IpAddr| own.is_ipv4() == to.is_ipv4() && own.is_loopback() == to.is_loopback();
        let unspecified =
            if to.is_ipv4() { IpAddr::from(Ipv4Addr::UNSPECIFIED) } else { IpAddr::from(Ipv6Addr::UNSPECIFIED) };
        let same = self.own.get(index).filter(fits);
        same.or_else(|| self.own.iter().find(fits)).copied().unwrap_or(unspecified)
    }

    fn me_and(&self, peer: NodeId) -> String {
        format!("node {peer} from {}", self.me.name)
    }
}

impl Route {
    fn failed(&mut self, error: &io::Error) {
        self.errors += 1;
        let text = error.to_string();
        if self.last_error != text {
            log::warn!("{} cannot be reached: {text}", self.to.ip());
            self.last_error = text;
        }
    }
}
