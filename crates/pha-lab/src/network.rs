//! The wire of the lab: one bridge, the client and the gateway on it, one namespace per node.
//!
//! ```text
//!   client 10.77.0.1, gateway 10.77.0.254 ── br0 ──┬── p1 ══ eth0 10.77.0.11 (namespace lb1)
//!                                                  └── p2 ══ eth0 10.77.0.12 (namespace lb2)
//! ```
//!
//! The faults here are those of a wire: a port that is off, ports that cannot talk to each other, packets dropped.

use std::net::UdpSocket;

use anyhow::{Context, Result, bail};

use crate::command::{self, ip};

/// The client's address.
pub const CLIENT: &str = "10.77.0.1";
/// The gateway's address.
pub const GATEWAY: &str = "10.77.0.254";
/// The address that pha keeps.
pub const VIP: &str = "10.77.0.100";
/// Its network's prefix length.
pub const PREFIX: u8 = 24;

/// Whether something is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// It works.
    Up,
    /// It is cut.
    Down,
}

/// Which of a node's heartbeats are dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Those that arrive.
    In,
    /// Those that leave.
    Out,
}

/// What a heartbeat looks like on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beat {
    /// pha's: a datagram to this port.
    Udp(u16),
    /// keepalived's: a protocol of its own, RFC 5798.
    Vrrp,
}

impl std::fmt::Display for Beat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Udp(port) => write!(f, "udp dport {port}"),
            Self::Vrrp => f.write_str("ip protocol 112"),
        }
    }
}

/// The address of node number `id`.
#[must_use]
pub fn node_address(id: usize) -> String {
    format!("10.77.0.{}", 10 + id)
}

/// Of client and gateway.
const BRIDGE_MAC: &str = "02:00:00:77:00:01";

/// Builds the bridge with client and gateway. The bridge has a fixed MAC, as ports that join would change it.
pub fn build_bridge() -> Result<()> {
    ip(&format!("link add br0 address {BRIDGE_MAC} type bridge mcast_snooping 0"))?;
    ip("link set br0 up")?;
    ip(&format!("addr add {CLIENT}/{PREFIX} dev br0"))?;
    gateway(Link::Up)
}

fn mac(id: usize) -> String {
    format!("02:00:00:77:00:{:02x}", 0x10 + id)
}

/// Builds the namespace of node `id` and plugs it into the bridge.
pub fn build_node(id: usize, name: &str) -> Result<()> {
    ip(&format!("netns add {name}"))?;
    ip(&format!("link add p{id} type veth peer name eth0 address {} netns {name}", mac(id)))?;
    ip(&format!("link set p{id} master br0 up"))?;
    ip(&format!("-n {name} link set lo up"))?;
    address_node(id, name)
}

/// Gives node `id` its own address and only that, as a boot does.
pub fn address_node(id: usize, name: &str) -> Result<()> {
    ip(&format!("-n {name} addr flush dev eth0"))?;
    ip(&format!("-n {name} addr add {}/{PREFIX} dev eth0", node_address(id)))?;
    ip(&format!("-n {name} link set eth0 up"))?;
    ip(&format!("-n {name} route replace default via {GATEWAY}")).map(drop)
}

/// Removes what [`build_bridge`] and [`build_node`] made; what is gone already does not matter.
pub fn remove(names: &[String]) {
    for (index, name) in names.iter().enumerate() {
        // The kernel takes its time to remove what is in a namespace; the next lab may need the name before.
        let _ = ip(&format!("link del p{}", index + 1));
        let _ = ip(&format!("netns del {name}"));
    }
    let _ = ip("link del br0");
}

/// The gateway's address exists or not: lost or restored for every node.
pub fn gateway(link: Link) -> Result<()> {
    let verb = if link == Link::Up { "replace" } else { "del" };
    ip(&format!("addr {verb} {GATEWAY}/{PREFIX} dev br0")).map(drop)
}

/// The gateway is lost, or back, for one node only: a wrong permanent neighbour entry there.
pub fn gateway_of(name: &str, link: Link) -> Result<()> {
    match link {
        Link::Down => ip(&format!("-n {name} neigh replace {GATEWAY} lladdr 02:00:00:77:ff:ff dev eth0 nud permanent")),
        Link::Up => ip(&format!("-n {name} neigh del {GATEWAY} dev eth0")),
    }
    .map(drop)
}

/// A node's kernel doubts where its gateway and node `id` are, and asks for nobody: it soon drops what is for one that it doubts.
pub fn doubt_neighbours(name: &str, id: usize) -> Result<()> {
    let never_asks = "ucast_probes 0 mcast_probes 0 app_probes 0";
    ip(&format!("-n {name} ntable change name arp_cache dev eth0 base_reachable 2000 delay_probe 3000 {never_asks}"))?;
    for (address, mac) in [(GATEWAY, BRIDGE_MAC), (&*node_address(id).to_string(), &*mac(id))] {
        ip(&format!("-n {name} neigh replace {address} lladdr {mac} dev eth0 nud stale"))?;
    }
    Ok(())
}

/// The cable of node `id`: without it the node sees that it has no carrier.
pub fn cable(id: usize, link: Link) -> Result<()> {
    let state = if link == Link::Up { "up" } else { "down" };
    ip(&format!("link set p{id} {state}")).map(drop)
}

/// The switch port of node `id`: while it is off nothing passes, but the node still sees a carrier.
pub fn port(id: usize, link: Link) -> Result<()> {
    let action = if link == Link::Up { "master br0" } else { "nomaster" };
    ip(&format!("link set p{id} {action}")).map(drop)
}

/// Cuts the nodes off from each other while each still reaches client and gateway.
pub fn between_nodes(ids: impl IntoIterator<Item = usize>, link: Link) -> Result<()> {
    let isolated = if link == Link::Up { "off" } else { "on" };
    ids.into_iter().try_for_each(|id| ip(&format!("link set p{id} type bridge_slave isolated {isolated}")).map(drop))
}

/// Drops heartbeats of one node, `percent` of them at random, until [`restore_heartbeats`]. Needs `nft`.
pub fn drop_heartbeats(name: &str, way: Way, beat: Beat, percent: u32) -> Result<()> {
    let rules = drop_rules("pha_lab", way, beat, percent);
    command::run("ip", ["netns", "exec", name, "nft", &rules]).map(drop)
}

fn drop_rules(table: &str, way: Way, beat: Beat, percent: u32) -> String {
    let hook = if way == Way::In { "input" } else { "output" };
    // nft wants a number below the modulus.
    let chance = if percent >= 100 { String::new() } else { format!("numgen random mod 100 < {percent} ") };
    let rule = format!("{beat} {chance}drop");
    format!("table inet {table} {{\nchain {hook} {{\ntype filter hook {hook} priority 0\n{rule}\n}}\n}}")
}

/// Takes the service's address off a node's device, as somebody who knows nothing of its keeper would.
pub fn remove_address(name: &str) -> Result<()> {
    ip(&format!("-n {name} addr del {VIP}/{PREFIX} dev eth0")).map(drop)
}

/// Ends every [`drop_heartbeats`] of this node.
pub fn restore_heartbeats(name: &str) -> Result<()> {
    command::run("ip", ["netns", "exec", name, "nft", "delete table inet pha_lab"]).map(drop)
}

/// Loses `percent` of the heartbeats and of the ARP packets that leave a node, its probes included. Needs `nft`.
pub fn lose(name: &str, udp_port: u16, percent: u32) -> Result<()> {
    let rule = |what: &str| format!("{what} numgen random mod 100 < {percent} drop\n");
    let (heartbeats, arp) = (rule(&Beat::Udp(udp_port).to_string()), rule("ether type arp"));
    let hook = "type filter hook egress device \"eth0\" priority 0";
    let rules = format!("table netdev pha_lose {{\nchain out {{\n{hook}\n{heartbeats}{arp}}}\n}}");
    command::run("ip", ["netns", "exec", name, "nft", &rules]).map(drop)
}

/// Ends [`lose`].
pub fn lose_nothing(name: &str) -> Result<()> {
    command::run("ip", ["netns", "exec", name, "nft", "delete table netdev pha_lose"]).map(drop)
}

/// Sends to `port` of every node from 1 to `nodes` datagrams that are no heartbeats, from the client: empty ones, random
/// ones, long ones, and half of them with the right beginning. The same `seed` makes the same ones.
pub fn send_garbage(nodes: usize, port: u16, seed: u64) -> Result<()> {
    let socket = UdpSocket::bind((CLIENT, 0)).context("the client's socket")?;
    let mut random = fastrand::Rng::with_seed(seed);
    for round in 0..1000 {
        let mut bytes: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(round % 400).collect();
        if round % 2 == 0 && bytes.len() > 4 {
            bytes[..4].copy_from_slice(b"PHA\x01");
        }
        (1..=nodes).try_for_each(|id| socket.send_to(&bytes, (node_address(id), port)).map(drop))?;
    }
    Ok(())
}

/// Why packets cannot be dropped here, if so: `nft` missing, or a kernel without it.
pub fn can_drop() -> Result<()> {
    if !command::exists("nft") {
        bail!("`nft` is not installed (package nftables)");
    }
    let rules = drop_rules("pha_try", Way::Out, Beat::Udp(9), 0);
    command::run("nft", [&rules]).context("this kernel has no nftables for us")?;
    command::run("nft", ["delete table inet pha_try"]).map(drop)
}

/// Whether the routing table text `fib_trie` (`/proc/PID/net/fib_trie`) has `address` as the machine's own.
#[must_use]
pub fn owns(fib_trie: &str, address: &str) -> bool {
    let mut lines = fib_trie.lines().map(str::trim);
    while let Some(line) = lines.next() {
        if line.strip_prefix("|-- ") == Some(address) {
            return lines.take_while(|line| line.starts_with('/')).any(|line| line == "/32 host LOCAL");
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRIE: &str = "Local:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 10.77.0.0\n        /24 link UNICAST\n     |-- 10.77.0.11\n        \
                        /32 host LOCAL\n     |-- 10.77.0.255\n        /32 link BROADCAST\n";

    #[test]
    fn only_local_addresses_are_owned() {
        assert!(owns(TRIE, "10.77.0.11"));
        assert!(!owns(TRIE, "10.77.0.255"));
        assert!(!owns(TRIE, "10.77.0.1"));
        assert!(!owns("", "10.77.0.11"));
    }
}
