//! Where the nodes are: names and addresses of the configuration, resolved.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use pha_config::Node;
use pha_core::NodeId;
use pha_sys::resolve;

/// Names that do not resolve are tried again this often.
const AGAIN: Duration = Duration::from_secs(10);

/// How long a daemon that starts waits for names: long for a hosts file, short for whoever waits for the daemon.
const PATIENCE: Duration = Duration::from_millis(500);

/// The addresses of nodes, as far as they are known.
pub type Addresses = BTreeMap<NodeId, Vec<IpAddr>>;

/// Names on their way to addresses. Each is asked for in a thread of its own, because a resolver may take many seconds
/// and a beat may not; it is asked for again until it resolves.
#[derive(Debug)]
pub struct Resolver {
    answers: Receiver<(NodeId, Vec<IpAddr>)>,
    waiting: usize,
}

impl Resolver {
    /// Starts to resolve `nodes` and waits half a second for the answers; those that came are returned.
    #[must_use]
    pub fn start(nodes: &[Node]) -> (Self, Addresses) {
        let (sender, answers) = mpsc::channel();
        for node in nodes {
            resolve_in_thread(node.clone(), sender.clone());
        }
        let mut this = Self { answers, waiting: nodes.len() };
        let mut known = Addresses::new();
        let until = Instant::now() + PATIENCE;
        while this.waiting > 0
            && let Ok((node, found)) = this.answers.recv_timeout(until.saturating_duration_since(Instant::now()))
        {
            known.insert(node, found);
            this.waiting -= 1;
        }
        (this, known)
    }

    /// What was resolved since the last call. Never waits.
    pub fn answers(&mut self) -> Addresses {
        let found: Addresses = self.answers.try_iter().collect();
        self.waiting = self.waiting.saturating_sub(found.len());
        found
    }
}

/// Literal addresses need no thread.
fn resolve_in_thread(node: Node, answers: Sender<(NodeId, Vec<IpAddr>)>) {
    let name = node.name.clone();
    let literal = !node.addresses.is_empty() && node.addresses.iter().all(|address| address.parse::<IpAddr>().is_ok());
    let job = move || resolve_until_done(&node, &answers);
    if literal {
        job();
    } else if let Err(error) = thread::Builder::new().name("resolver".to_owned()).spawn(job) {
        log::error!("{name} cannot be resolved: no thread: {error}; start again");
    }
}

/// The first failure is told, then every second, fourth, eighth…
fn resolve_until_done(node: &Node, answers: &Sender<(NodeId, Vec<IpAddr>)>) {
    for tries in 1_u64.. {
        match addresses(node) {
            Ok(found) => {
                if tries > 1 {
                    log::info!("{} is resolved now", node.name);
                }
                // Nobody listens any more when the daemon ends.
                let _ = answers.send((node.id, found));
                return;
            }
            Err(error) if tries.is_power_of_two() => log::warn!("{}: {error}; trying again", node.name),
            Err(_) => {}
        }
        thread::sleep(AGAIN);
    }
}

/// A node's addresses in the order of its `ADDR_` line, or what its name resolves to. May wait for the resolver.
///
/// # Errors
/// The first name that cannot be resolved, with the name in the message.
pub fn addresses(node: &Node) -> io::Result<Vec<IpAddr>> {
    let own_name = std::slice::from_ref(&node.name);
    let names = if node.addresses.is_empty() { own_name } else { &node.addresses };
    let mut found = Vec::new();
    for name in names {
        let resolved = resolve::addresses(name)
            .map_err(|error| io::Error::new(error.kind(), format!("{name} cannot be resolved: {error}")))?;
        found.extend(resolved.into_iter().filter(|address| !found.contains(address)).collect::<Vec<_>>());
    }
    Ok(found)
}

/// A host whose name stands for 127.0.1.1 in its own hosts file cannot be reached at that address.
#[must_use]
pub fn is_unreachable_loopback(own: &[IpAddr], peer: &[IpAddr]) -> bool {
    own.iter().any(IpAddr::is_loopback) && peer.iter().any(|address| !address.is_loopback())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    fn node(number: usize, address: &str) -> Node {
        Node { id: NodeId::new(number).unwrap(), name: format!("n{number}"), addresses: vec![address.to_owned()] }
    }

    // P26
    #[test]
    fn what_does_not_resolve_holds_up_nothing_that_does() {
        let nodes = [node(1, "no-such-host.invalid"), node(2, "127.0.0.2"), node(3, "localhost")];
        let (mut resolver, known) = Resolver::start(&nodes);
        assert_eq!(known[&nodes[1].id], ["127.0.0.2".parse::<IpAddr>().unwrap()]);
        assert!(!known.contains_key(&nodes[0].id));
        assert!(resolver.answers().keys().all(|id| *id == nodes[2].id));
    }
}
