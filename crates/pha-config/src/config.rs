//! The checked configuration: what the other crates ask for.
//!
//! Every value is within its bounds and every rule between values holds; who has a [`Config`] need not check again.
//! Units and defaults of the keys stand in `docs/configuration.md`.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use pha_core::NodeId;
use pha_core::supervisor::KILL_GRACE;

use crate::home::Home;
use crate::problem::{Problem, Wrong};
use crate::times::longest_check;

/// What pha itself needs for a takeover, beside dead time and scripts.
const OWN_TIME: Duration = Duration::from_millis(20);

/// How long the wire is asked for another holder, forks included; it begins when a peer is suspect.
const PROBE: Duration = Duration::from_millis(150);

/// A shorter interval is only kept by a program that the kernel prefers to others.
const SHORTEST_HEARTBEAT: Duration = Duration::from_millis(50);

/// `etc/config`, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The file it was read from.
    pub file: PathBuf,
    /// `DEBUG`: log more. Default off.
    pub debug: bool,
    /// `INSTALLDIR` as written; see [`Config::home_in_use`].
    pub install_dir: Option<PathBuf>,
    /// `LOGPATH` as written; see [`Config::log_file`].
    pub log_path: Option<PathBuf>,
    /// `DAEMON`: detach. Default on.
    pub daemon: bool,
    /// `PINGTIMEOUT`: how long an echo of the gateway may take. Default 2.1 s.
    pub ping_timeout: Duration,
    /// `PORT`: UDP port of heartbeats. Default 4711.
    pub port: u16,
    /// `SUPERVISE_INT`: period of checks. Default 2000 ms.
    pub supervise_interval: Duration,
    /// `NODES`, 2 to 16; a node's id is its position, counted from 1.
    pub nodes: Vec<Node>,
    /// `GW`; empty switches the gateway test off.
    pub gateways: Vec<IpAddr>,
    /// `PROFILE`: what the times follow. Default `usual`.
    pub profile: Profile,
    /// `REALTIME`: real-time scheduling and locked memory where permitted. Default `auto`, which is true.
    pub realtime: bool,
    /// `DAEMON_USER`: who sender and receiver become when they are started as root. Default `pha`.
    pub daemon_user: String,
    /// `HEARTBEAT_INT`: period of heartbeats. Default 200 ms, with `PROFILE=lan` 10.
    pub heartbeat_interval: Duration,
    /// `DEADTIME`: silence after which a peer is dead; at least two heartbeat intervals. Default 2 of them
    /// where an address can be asked before anybody takes over, else 3 (ADR 0017).
    pub dead_time: Duration,
    /// `INITDEAD`: how long a starting node waits for a first heartbeat; at least the dead time.
    pub init_dead: Duration,
    /// `OFFLINE_TIME`: how long `offline` lasts. Default 30 s.
    pub offline_time: Duration,
    /// `CLUSTER`: tells apart clusters that share a network. Default `pha`.
    pub cluster: String,
    /// `AUTH`: whether heartbeats must be authentic.
    pub auth: Auth,
    /// `LEASE`: lifetime of a leased address in whole seconds, as the kernel counts it; at least the dead time and 1.5 s.
    /// Default 3 s, or as much more as that takes.
    pub lease: Duration,
    /// `START_TIMEOUT`, for resources without one of their own. Default 60 s.
    pub start_timeout: Duration,
    /// `STOP_TIMEOUT`, for resources without one of their own. Default 60 s.
    pub stop_timeout: Duration,
    /// `CHECK_TIMEOUT`, for resources without one of their own. Default 10 s.
    pub check_timeout: Duration,
    /// `RESTARTS` in place within the restart window before a node gives a resource up. Default 1.
    pub restarts: u32,
    /// `RESTART_WINDOW`. Default 60 s.
    pub restart_window: Duration,
    /// `UNFIT_TIME`: how long a node that gave up takes nothing over. Default 60 s.
    pub unfit_time: Duration,
    /// `FAILBACK_AFTER` if `FAILBACK=on`: how long the preferred node is healthy before it takes back.
    pub failback: Option<Duration>,
    /// `FAILBACK_AFTER`, whether or not failback is on. Default 60 s.
    pub failback_after: Duration,
    /// `VARDIR` as written; see [`Config::var_dir`].
    pub var_dir: Option<PathBuf>,
    /// `TRACE_SIZE`: bytes of one of the two files that a program's trace has; 0 switches traces off. Default 2 MiB.
    pub trace_size: u64,
    /// `WITNESS`: an address that still answers holds a takeover up. Default on.
    pub witness: bool,
    /// `SPLIT`: what to prefer when only the link between two nodes is cut.
    pub split: Split,
    /// `RES_…`, in the order of the file: started in this order, stopped in the reverse one.
    pub resources: Vec<ResourceConfig>,
    /// The line of every key in the file.
    pub(crate) lines: BTreeMap<String, usize>,
    /// What [`Config::load`] found that is no error.
    pub(crate) found: Vec<Problem>,
    /// The home in use, as [`Config::load`] settled it; `None` after [`Config::parse`] alone.
    pub(crate) place: Option<Home>,
}

/// One of `NODES`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its position, counted from 1; the lowest wins ties.
    pub id: NodeId,
    /// Its host name as in `NODES`.
    pub name: String,
    /// `ADDR_<node>`: addresses or names, one for each heartbeat path. Empty: resolve [`Node::name`].
    pub addresses: Vec<String>,
}

/// One `RES_` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceConfig {
    /// What follows `RES_`: `ipaddr` or `service.web`.
    pub name: String,
    /// The file in `res/`: the name up to its first dot.
    pub agent: String,
    /// The words of the value.
    pub arguments: Vec<String>,
    /// Limit of a `start`.
    pub start_timeout: Duration,
    /// Limit of a `stop`.
    pub stop_timeout: Duration,
    /// Limit of a `check`.
    pub check_timeout: Duration,
    /// `CHECK_<resource>`: what tells, without its agent, whether it is still up.
    pub built_in_check: Option<BuiltInCheck>,
    /// `RES_PARALLEL`: it may start and stop together with the resource before it.
    pub beside_previous: bool,
    /// Its line in the file.
    pub line: usize,
}

/// `CHECK_<resource>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BuiltInCheck {
    /// `process FILE`: the process whose id stands in the file lives.
    Process(PathBuf),
    /// `tcp ADDRESS:PORT`: the port takes a connection.
    Tcp(SocketAddr),
    /// `link DEVICE`: the device is up and has a carrier.
    Link(String),
}

impl fmt::Display for BuiltInCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process(file) => write!(f, "process {}", file.display()),
            Self::Tcp(address) => write!(f, "tcp {address}"),
            Self::Link(device) => write!(f, "link {device}"),
        }
    }
}

/// `AUTH`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    /// With `etc/authkey` every heartbeat must be authentic; without one, none is. The default.
    Auto,
    /// Heartbeats are signed, and those without a tag are taken too: while keys are brought to the nodes, or taken away.
    Rollout,
    /// No start without a key.
    Required,
    /// The key is not used, even if it is there.
    Off,
}

/// `PROFILE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// A heartbeat every 200 ms: any machine and any network. The default.
    Usual,
    /// A heartbeat every 10 ms: nodes on one switch, with real-time scheduling.
    Lan,
}

impl Profile {
    pub(crate) const fn heartbeat_interval(self) -> Duration {
        match self {
            Self::Usual => Duration::from_millis(200),
            Self::Lan => Duration::from_millis(10),
        }
    }
}

/// `SPLIT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// The service stays up, possibly on both nodes. The default.
    Service,
    /// Whoever has no quorum stops. Refused while there is no quorum to ask, so no configuration has it yet.
    Safe,
}

impl Config {
    /// The node of this name, in any case of letters.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.name.eq_ignore_ascii_case(name))
    }

    /// Who this machine is: `given` (`--node`, `PHA_NODE`; empty counts as not given), else `host_name`. A name with a
    /// domain also fits the only node with the same short name, and the other way round.
    ///
    /// # Errors
    /// If no node, or more than one, fits.
    pub fn local_node(&self, given: Option<&str>, host_name: &str) -> Result<&Node, Problem> {
        let name = given.filter(|name| !name.is_empty()).unwrap_or(host_name);
        if let Some(node) = self.node(name) {
            return Ok(node);
        }
        let fitting: Vec<_> = self.nodes.iter().filter(|node| same_host(&node.name, name)).collect();
        if let [node] = fitting[..] {
            return Ok(node);
        }
        let names: Vec<_> = self.nodes.iter().map(|node| node.name.as_str()).collect();
        let names = names.join(" ");
        let how = if fitting.is_empty() { "is not one" } else { "may be more than one" };
        let wrong = Wrong::new(
            format!("this host is named '{name}', which {how} of these nodes"),
            "correct NODES, or say which node this is with --node or PHA_NODE",
        );
        Err(Problem::new(&self.file, self.lines.get("NODES").copied(), format!("NODES={names}"), wrong))
    }

    /// Where `res/` and `var/` are: `home` if it was named by `--home` or `PHA_HOME`; else `INSTALLDIR` if
    /// [`Config::load`] found such a folder; else `home`, where the program itself lies.
    #[must_use]
    pub fn home_in_use(&self, home: &Home) -> Home {
        self.place.as_ref().unwrap_or(home).clone()
    }

    /// The folder of the status database, pid files and default logs: `VARDIR`, else `var` of the home in use.
    #[must_use]
    pub fn var_dir(&self, home: &Home) -> PathBuf {
        let home = self.home_in_use(home);
        self.var_dir.as_ref().map_or_else(|| home.root().join("var"), |dir| self.moved(dir, &home))
    }

    /// Where what has to outlive the machine is kept, if `VARDIR` is on a tmpfs: `var` of the home in use.
    #[must_use]
    pub fn memory_dir(&self, home: &Home) -> PathBuf {
        self.home_in_use(home).root().join("var")
    }

    /// The log file of `program` (`sender` or `pha-sender`): in `LOGPATH` if that is a folder, ends with `/` or is
    /// the home's `var/log`; else `LOGPATH` is the beginning of the name, as in old files (`…/log` → `…/log.sender`).
    #[must_use]
    pub fn log_file(&self, home: &Home, program: &str) -> PathBuf {
        let home = self.home_in_use(home);
        let program = program.strip_prefix("pha-").unwrap_or(program);
        let usual = home.root().join("var/log");
        let Some(written) = &self.log_path else { return usual.join(format!("{program}.log")) };
        let path = self.moved(written, &home);
        if written.as_os_str().as_encoded_bytes().ends_with(b"/") || path == usual || path.is_dir() {
            return path.join(format!("{program}.log"));
        }
        let mut name = path.into_os_string();
        name.push(format!(".{program}"));
        name.into()
    }

    /// The newer of the two files with `program`'s trace: beside its log, `sender.trace` or `….sender.trace`.
    #[must_use]
    pub fn trace_file(&self, home: &Home, program: &str) -> PathBuf {
        let log = self.log_file(home, program);
        let mut name = if log.extension().is_some_and(|end| end == "log") { log.with_extension("") } else { log };
        name.as_mut_os_string().push(".trace");
        name
    }

    /// The file of a resource agent.
    #[must_use]
    pub fn agent_path(&self, home: &Home, agent: &str) -> PathBuf {
        self.home_in_use(home).res().join(agent)
    }

    /// Whether the heartbeat is so short that only real-time scheduling keeps it.
    #[must_use]
    pub fn needs_realtime(&self) -> bool {
        self.heartbeat_interval < SHORTEST_HEARTBEAT
    }

    /// How long an unplanned takeover takes at most: dead time (or until the wire has answered, if a heartbeat is so short
    /// that this is later), every start script at its limit, and 20 ms.
    #[must_use]
    pub fn takeover_bound(&self) -> Duration {
        let asked = if self.witness { self.heartbeat_interval * 3 / 2 + PROBE } else { Duration::ZERO };
        self.dead_time.max(asked) + self.start_limits() + OWN_TIME
    }

    /// How long all start scripts take at most: a group as long as the longest of its members.
    #[must_use]
    pub fn start_limits(&self) -> Duration {
        let longest = |group: &[ResourceConfig]| group.iter().map(|resource| resource.start_timeout).max();
        self.groups().filter_map(longest).sum()
    }

    /// The resources in the order of the file, those that start and stop together in one group.
    pub fn groups(&self) -> impl Iterator<Item = &[ResourceConfig]> {
        self.resources.chunk_by(|_, next| next.beside_previous)
    }

    /// How long a dead resource is noticed late at most: a period of checks, and one check that hangs until it is killed.
    #[must_use]
    pub fn failure_bound(&self) -> Duration {
        self.supervise_interval + longest_check(self) + KILL_GRACE
    }

    /// A path under `INSTALLDIR` moves along when the tree lies somewhere else.
    fn moved(&self, path: &Path, home: &Home) -> PathBuf {
        let below = self.install_dir.as_ref().and_then(|dir| path.strip_prefix(dir).ok());
        below.map_or_else(|| path.to_owned(), |below| home.root().join(below))
    }
}

/// One of two names is the other without its domain.
fn same_host(one: &str, other: &str) -> bool {
    let short = |name: &str| name.split('.').next().unwrap_or(name).to_ascii_lowercase();
    one.contains('.') != other.contains('.') && short(one) == short(other)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    fn config(text: &str) -> Config {
        Config::parse(text, Path::new("etc/config")).unwrap()
    }

    // P3
    #[test]
    fn this_host_is_found_by_its_full_and_its_short_name() {
        let config = config("NODES=lb1 lb2.example.com\n");
        let id = |given, host| config.local_node(given, host).map(|node| node.id.number()).ok();
        assert_eq!(id(None, "lb1"), Some(1));
        assert_eq!(id(None, "LB1.example.com"), Some(1));
        assert_eq!(id(None, "lb2"), Some(2));
        assert_eq!(id(None, "lb2.example.com"), Some(2));
        assert_eq!(id(None, "lb2.example.org"), None);
        assert_eq!(id(Some("lb2"), "lb1"), Some(2));
        assert_eq!(id(Some(""), "lb1"), Some(1));
        assert_eq!(id(Some("lb3"), "lb1"), None);
    }

    // P3
    #[test]
    fn a_host_that_is_no_node_is_told_how_to_name_itself() {
        let problem = config("\nNODES=lb1 lb2").local_node(None, "web").unwrap_err();
        assert_eq!(
            problem.to_string(),
            "etc/config:2: 'NODES=lb1 lb2': this host is named 'web', which is not one of these nodes: \
             correct NODES, or say which node this is with --node or PHA_NODE"
        );
    }

    // P3
    #[test]
    fn a_short_name_that_fits_two_nodes_is_nobody() {
        let problem = config("NODES=lb.east lb.west").local_node(None, "lb").unwrap_err();
        assert!(problem.what.contains("may be more than one"));
    }

    // P31, P42
    #[test]
    fn logs_go_to_a_folder_or_to_names_that_begin_alike() {
        let home = Home::at(Path::new("/srv/pha"));
        let log = |line: &str| config(&format!("NODES=a b\n{line}\n")).log_file(&home, "sender");
        assert_eq!(log(""), Path::new("/srv/pha/var/log/sender.log"));
        assert_eq!(log("LOGPATH=/srv/pha/var/log"), Path::new("/srv/pha/var/log/sender.log"));
        assert_eq!(log("LOGPATH=/var/log/pha/"), Path::new("/var/log/pha/sender.log"));
        assert_eq!(log("LOGPATH=/tmp"), Path::new("/tmp/sender.log"));
        assert_eq!(log("LOGPATH=/nowhere/log"), Path::new("/nowhere/log.sender"));
        assert_eq!(config("NODES=a b").log_file(&home, "pha-sender"), Path::new("/srv/pha/var/log/sender.log"));
    }

    #[test]
    fn a_trace_lies_beside_the_log_and_is_named_like_it() {
        let home = Home::at(Path::new("/srv/pha"));
        let trace = |line: &str| config(&format!("NODES=a b\n{line}\n")).trace_file(&home, "sender");
        assert_eq!(trace(""), Path::new("/srv/pha/var/log/sender.trace"));
        assert_eq!(trace("LOGPATH=/var/log/pha/"), Path::new("/var/log/pha/sender.trace"));
        assert_eq!(trace("LOGPATH=/nowhere/log"), Path::new("/nowhere/log.sender.trace"));
    }

    // P4, P30
    #[test]
    fn paths_under_installdir_move_along_with_a_copied_tree() {
        let home = Home::at(Path::new("/srv/copy"));
        let config = config("NODES=a b\nINSTALLDIR=/opt/pha/\nLOGPATH=/opt/pha/var/log\nVARDIR=/opt/pha/var\n");
        assert_eq!(config.log_file(&home, "receiver"), Path::new("/srv/copy/var/log/receiver.log"));
        assert_eq!(config.var_dir(&home), Path::new("/srv/copy/var"));
        assert_eq!(config.agent_path(&home, "ipaddr"), Path::new("/srv/copy/res/ipaddr"));
    }

    #[test]
    fn paths_beside_installdir_stay() {
        let home = Home::at(Path::new("/srv/copy"));
        let config = config("NODES=a b\nINSTALLDIR=/opt/pha\nVARDIR=/opt/pha2/var\n");
        assert_eq!(config.var_dir(&home), Path::new("/opt/pha2/var"));
    }

    // P74
    #[test]
    fn the_takeover_bound_is_dead_time_and_start_scripts() {
        let config = config("NODES=a b\nRES_x=\nRES_y=\nSTART_TIMEOUT=5\nSTART_TIMEOUT_y=7\n");
        assert_eq!(config.takeover_bound(), Duration::from_millis(600 + 12_000 + 20));
    }

    // P74
    #[test]
    fn a_takeover_waits_for_the_wire_where_the_dead_time_is_shorter_than_a_probe() {
        let bound = |text: &str| config(&format!("NODES=a b\nHEARTBEAT_INT=50\n{text}")).takeover_bound();
        assert_eq!(bound(""), Duration::from_millis(75 + 150 + 20));
        assert_eq!(bound("WITNESS=off\n"), Duration::from_millis(150 + 20));
    }
}
