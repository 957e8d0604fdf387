//! The whole lab: nodes, wire, client, and waiting for things to happen.
//!
//! A lab stands in a [`world`] of its own, or, without one, plainly on this machine: nodes on loopback addresses that
//! keep a file instead of an address. Dropping it ends every process and removes every file it made.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::client::{Client, Probe};
use crate::holders::{HolderWatch, Holding};
use crate::home::ConfigText;
use crate::network::{self, Beat, Link, Way};
use crate::node::Node;
use crate::scripts::ScriptTimes;
use crate::world;

/// The port of the web service.
pub(crate) const WEB_PORT: u16 = 8080;

/// The heartbeat port in a world.
const PORT: u16 = 4711;

/// What kind of lab.
#[derive(Debug, Clone)]
pub struct LabOptions {
    nodes: usize,
    lines: Vec<String>,
    resources: Option<Vec<String>>,
    pub(crate) key: bool,
    pub(crate) plain: bool,
    pub(crate) volatile: bool,
    root: Option<PathBuf>,
}

impl Default for LabOptions {
    fn default() -> Self {
        Self { nodes: 2, lines: Vec::new(), resources: None, key: true, plain: false, volatile: false, root: None }
    }
}

impl LabOptions {
    /// So many nodes, 1 to 9; two if nothing is said.
    #[must_use]
    pub const fn nodes(mut self, nodes: usize) -> Self {
        self.nodes = nodes;
        self
    }

    /// Sets lines `KEY=VALUE` of the configuration; they replace the lab's own lines for the same keys.
    #[must_use]
    pub fn config<S: Into<String>>(mut self, lines: impl IntoIterator<Item = S>) -> Self {
        self.lines.extend(lines.into_iter().map(Into::into));
        self
    }

    /// Sets the `RES_` lines, in order, instead of the web service and the address.
    #[must_use]
    pub fn resources<S: Into<String>>(mut self, lines: impl IntoIterator<Item = S>) -> Self {
        self.resources = Some(lines.into_iter().map(Into::into).collect());
        self
    }

    /// No `etc/authkey`.
    #[must_use]
    pub const fn without_key(mut self) -> Self {
        self.key = false;
        self
    }

    /// No world: loopback addresses and a resource file.
    #[must_use]
    pub const fn plain(mut self) -> Self {
        self.plain = true;
        self
    }

    /// Each node's `VARDIR` is a folder of its own on a tmpfs, which a crash empties.
    #[must_use]
    pub const fn volatile(mut self) -> Self {
        self.volatile = true;
        self
    }

    /// Where the nodes' trees lie, instead of in the memory of the world. Nobody removes them if the lab is killed.
    #[must_use]
    pub fn in_directory(mut self, root: &Path) -> Self {
        self.root = Some(root.to_owned());
        self
    }

    /// The configuration all nodes share. In a plain lab `port` keeps it apart from any other.
    fn text(&self, port: u16) -> ConfigText {
        let names: Vec<String> = (1..=self.nodes).map(|id| format!("lb{id}")).collect();
        let address = |id| if self.plain { format!("127.0.77.{id}") } else { network::node_address(id) };
        let common = ["DEBUG=0", "DAEMON=1", "PINGTIMEOUT=0.5", "SUPERVISE_INT=2000", "CLUSTER=lab"];
        // Whoever is a user of this machine.
        let common = common.into_iter().chain(["DAEMON_USER=root"]);
        let mut config = ConfigText::default().with_all(common).with(&format!("PORT={port}"));
        config = config.with(&format!("NODES={}", names.join(" ")));
        for (name, id) in names.iter().zip(1..) {
            config = config.with(&format!("ADDR_{name}={}", address(id)));
        }
        if !self.plain {
            config = config.with(&format!("GW={}", network::GATEWAY));
        }
        config.with_all(&self.lines).with_all(self.resource_lines())
    }

    fn resource_lines(&self) -> Vec<String> {
        let usual = || if self.plain { vec!["RES_fault=demo".to_owned()] } else { vec![web(), kept_address()] };
        self.resources.clone().unwrap_or_else(usual)
    }
}

/// The line for the web service.
#[must_use]
pub fn web() -> String {
    format!("RES_web=0.0.0.0:{WEB_PORT}")
}

/// The line for the kept address.
#[must_use]
pub fn kept_address() -> String {
    format!("RES_ipaddr={}/{} eth0", network::VIP, network::PREFIX)
}

/// A lab. Fields are dropped in their order: nodes first, then the files.
#[derive(Debug)]
pub struct Lab {
    nodes: Vec<Node>,
    resources: Vec<String>,
    port: u16,
    plain: bool,
    broom: Option<Child>,
    dir: PathBuf,
}

impl Lab {
    /// Builds the lab; nothing of pha runs yet. Unless it is plain, the process must be in a furnished world.
    pub fn new(options: LabOptions) -> Result<Self> {
        let plain = options.plain;
        if !plain && !world::inside() {
            bail!("a lab with namespaces needs a world of its own");
        }
        let port = if plain { free_port()? } else { PORT };
        let usual = || if plain { std::env::temp_dir() } else { world::ROOT.into() };
        let root = options.root.clone().unwrap_or_else(usual);
        // Not root's alone: a node's programs may become another user.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        let dir = tempfile::Builder::new()
            .prefix("pha-lab-")
            .permissions(open)
            .tempdir_in(root)
            .context("lab directory")?
            .keep();
        let broom = if plain { Some(broom(&dir)?) } else { None };
        let mut lab = Self { nodes: Vec::new(), resources: options.resource_lines(), port, plain, broom, dir };
        if !plain {
            network::build_bridge()?;
        }
        let config = options.text(port);
        for id in 1..=options.nodes {
            lab.nodes.push(Node::build(id, &lab.dir, &config, &options)?);
        }
        Ok(lab)
    }

    /// All nodes, lb1 first.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Node number `id`, from 1.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn node(&self, id: usize) -> &Node {
        &self.nodes[id - 1]
    }

    /// In a lab of two, the other node.
    #[must_use]
    pub fn other(&self, id: usize) -> &Node {
        self.node(3 - id)
    }

    /// Whether this lab has no namespaces.
    #[must_use]
    pub const fn is_plain(&self) -> bool {
        self.plain
    }

    /// The service as the client asks for it.
    #[must_use]
    pub fn service(&self) -> SocketAddr {
        SocketAddr::from(([10, 77, 0, 100], WEB_PORT))
    }

    /// A client with the finest measure: datagrams every 2 ms; in a plain lab, files. A datagram is given up after 1 s,
    /// so that an answer that is only late, on a busy machine, does not count as lost.
    pub fn client(&self) -> Result<Client> {
        let patience = Duration::from_secs(1);
        Client::start(self.files().unwrap_or(Probe::Udp { service: self.service(), patience }))
    }

    /// A client like a browser: HTTP every 5 ms, 20 ms of patience; in a plain lab, files.
    pub fn web_client(&self) -> Result<Client> {
        let patience = Duration::from_millis(20);
        Client::start(self.files().unwrap_or(Probe::Http { service: self.service(), patience }))
    }

    fn files(&self) -> Option<Probe> {
        let file = |node: &Node| match node.holding() {
            Holding::File(path) => Some((node.name().to_owned(), path)),
            Holding::Kernel(..) => None,
        };
        self.nodes.iter().map(file).collect::<Option<Vec<_>>>().map(Probe::Files)
    }

    /// What the resources cost without pha; before any daemon runs.
    pub fn script_times(&self) -> Result<ScriptTimes> {
        ScriptTimes::measure(self.node(1), &self.resources)
    }

    /// Watches from now on who holds the address.
    #[must_use]
    pub fn watch_holders(&self) -> HolderWatch {
        HolderWatch::start(self.nodes.iter().map(Node::holding).collect())
    }

    /// Ids of the nodes whose kernel has the address.
    #[must_use]
    pub fn active_nodes(&self) -> Vec<usize> {
        self.nodes.iter().filter(|node| node.holds_address()).map(Node::id).collect()
    }

    /// Waits until `happened`, at most `bound`; returns how long it took.
    ///
    /// # Errors
    /// It did not happen in time; the message names `what`.
    pub fn wait(&self, bound: Duration, what: &str, mut happened: impl FnMut() -> bool) -> Result<Duration> {
        let started = Instant::now();
        loop {
            if happened() {
                return Ok(started.elapsed());
            }
            if started.elapsed() > bound {
                bail!("waited {bound:?} in vain: {what}");
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Checks for so long that `holds` stays true.
    ///
    /// # Errors
    /// It was false at some look; the message names `what`.
    pub fn stays(&self, time: Duration, what: &str, mut holds: impl FnMut() -> bool) -> Result<()> {
        let started = Instant::now();
        while started.elapsed() < time {
            if !holds() {
                bail!("after {:?} no longer true: {what}", started.elapsed());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Starts the daemons of every node and waits until one is active and the others stand by; returns its id.
    pub fn start_all(&self) -> Result<usize> {
        self.nodes.iter().try_for_each(Node::start)?;
        self.wait_settled(Duration::from_secs(20))
    }

    /// Waits until exactly one node is active and all others stand by; returns its id.
    pub fn wait_settled(&self, bound: Duration) -> Result<usize> {
        let settled = || {
            let active = self.nodes.iter().filter(|node| node.is_active()).count();
            active == 1 && self.nodes.iter().filter(|node| node.is_standby()).count() + 1 == self.nodes.len()
        };
        self.wait(bound, "one node is active and the others stand by", settled)?;
        self.active_nodes().first().copied().context("nobody is active any more")
    }

    /// The gateway is lost, or back, for all.
    pub fn gateway(&self, link: Link) -> Result<()> {
        network::gateway(link)
    }

    /// Cuts all nodes off from each other, while each still reaches the client and the gateway; or ends that.
    pub fn between_nodes(&self, link: Link) -> Result<()> {
        network::between_nodes(self.nodes.iter().map(Node::id), link)
    }

    /// Drops every heartbeat between the nodes, and nothing else; or ends that. Needs `nft`.
    pub fn heartbeats(&self, link: Link) -> Result<()> {
        self.nodes.iter().try_for_each(|node| match link {
            Link::Down => self.drop_heartbeats(node, Way::Out, 100),
            Link::Up => network::restore_heartbeats(node.name()),
        })
    }

    /// Drops `percent` of the heartbeats that `node` sends or gets, until [`Self::restore_heartbeats`]. Needs `nft`.
    pub fn drop_heartbeats(&self, node: &Node, way: Way, percent: u32) -> Result<()> {
        network::drop_heartbeats(node.name(), way, Beat::Udp(self.port), percent)
    }

    /// Ends every [`Self::drop_heartbeats`] of `node`.
    pub fn restore_heartbeats(&self, node: &Node) -> Result<()> {
        network::restore_heartbeats(node.name())
    }

    /// The UDP port of the heartbeats.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// What every node last thought and logged.
    #[must_use]
    pub fn story(&self) -> String {
        self.nodes.iter().map(Node::story).collect()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{}", self.story());
        }
        let names: Vec<String> = self.nodes.iter().map(|node| node.name().to_owned()).collect();
        self.nodes.clear();
        if !self.plain {
            network::remove(&names);
        }
        let _ = std::fs::remove_dir_all(&self.dir);
        if let Some(mut broom) = self.broom.take() {
            drop(broom.stdin.take());
            let _ = broom.wait();
        }
    }
}

/// Sweeps a plain lab when this process dies, even by `kill -9`: then its input ends. It kills what the pid files of
/// the lab name, if these processes were started for the lab, and removes the lab's directory.
fn broom(dir: &Path) -> Result<Child> {
    let script = r#"trap '' INT TERM HUP
cat >/dev/null
for file in "$1"/*/var/run/*; do
	read -r pid <"$file" || continue
	tr '\0' '\n' <"/proc/$pid/environ" | grep -q "^PHA_HOME=$1/" && kill -9 "$pid"
done 2>/dev/null
case $1 in */pha-lab-*) rm -rf "$1" ;; esac"#;
    let mut command = Command::new("sh");
    command.args(["-c", script, "broom"]).arg(dir).stdin(Stdio::piped());
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().context("broom")
}

/// A UDP port that is free on the addresses of a plain lab.
fn free_port() -> Result<u16> {
    let socket = std::net::UdpSocket::bind("127.0.77.1:0").context("no loopback address 127.0.77.1")?;
    Ok(socket.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_is_the_documented_one_with_the_labs_addresses() {
        let text = LabOptions::default().config(["SUPERVISE_INT=4000", "OFFLINE_TIME=3"]).text(PORT).text();
        for line in ["PORT=4711", "NODES=lb1 lb2", "ADDR_lb2=10.77.0.12", "GW=10.77.0.254", "SUPERVISE_INT=4000"] {
            assert!(text.lines().any(|found| found == line), "{line} missing in\n{text}");
        }
        assert!(text.ends_with("OFFLINE_TIME=3\nRES_web=0.0.0.0:8080\nRES_ipaddr=10.77.0.100/24 eth0\n"));
    }

    #[test]
    fn a_plain_lab_keeps_a_file_on_loopback_addresses() {
        let text = LabOptions::default().plain().text(9).text();
        assert!(text.contains("ADDR_lb1=127.0.77.1\n") && text.contains("RES_fault=demo\n"), "{text}");
        assert!(!text.contains("GW=") && !text.contains("RES_ipaddr"), "{text}");
    }
}
