//! What can befall a cluster: faults, their ends, and what the operator types. Plain data, so that a story can be kept,
//! shortened and told again.

use std::fmt;

use pha_core::resource::Call;
use serde::{Deserialize, Serialize};

/// One of the three.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Program {
    /// pha-receiver.
    Receiver,
    /// pha-sender.
    Sender,
    /// pha-supervise.
    Supervise,
}

impl Program {
    /// In the order in which they are started.
    pub const ALL: [Self; 3] = [Self::Receiver, Self::Sender, Self::Supervise];
}

/// How an agent answers one of its verbs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Behaviour {
    /// Does it and says so.
    #[default]
    Works,
    /// Does nothing and says that it failed.
    Fails,
    /// Does nothing until it is killed.
    Hangs,
    /// Does it, then hangs until it is killed.
    WorksAndHangs,
    /// Does nothing and says that it worked; a `check` says UP whatever is true.
    Lies,
}

/// Something that happens to a cluster from outside. Nodes and resources are counted from 0; lb1 is node 0.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each variant says what its fields are")]
pub enum Fault {
    /// The machine loses its power.
    Crash { node: usize },
    /// Whatever does not run is started, after a boot if need be.
    Start { node: usize },
    /// One program is killed.
    Kill { node: usize, program: Program },
    /// One program is started.
    StartProgram { node: usize, program: Program },
    /// All three are killed; resources stay up.
    KillAll { node: usize },
    /// The operator's `stop`.
    Stop { node: usize },
    /// One program does not run for so long (SIGSTOP, then SIGCONT).
    Stall { node: usize, program: Program, ms: u64 },
    /// The machine stands still for so long; its clock runs on.
    Suspend { node: usize, ms: u64 },
    /// All programs run up to so much too late; 0 ends it.
    Starve { node: usize, ms: u64 },
    /// Heartbeats from one node to another are lost on one link, or on every link.
    Cut { from: usize, to: usize, link: Option<usize>, cut: bool },
    /// One node is cut off from all others: heartbeats and the network of the addresses.
    Isolate { node: usize, cut: bool },
    /// The share of datagrams lost, repeated, and up to how much later they come, everywhere.
    Weather { loss_percent: u8, repeat_percent: u8, jitter_ms: u64 },
    /// The node speaks another version of the protocol, which no other node reads, and reads no other.
    OtherProtocol { node: usize, other: bool },
    /// Whether the node's gateway answers.
    Gateway { node: usize, answers: bool },
    /// A resource goes down by itself.
    ResourceDies { node: usize, resource: usize },
    /// Somebody else removes an address, and its keeper's kernel says so.
    Removed { node: usize, resource: usize },
    /// How an agent answers one of its verbs from now on.
    Agent { node: usize, resource: usize, call: Call, behaviour: Behaviour },
    /// Every call takes up to so much longer.
    SlowAgents { node: usize, ms: u64 },
    /// Whether the status database can be written.
    Writable { node: usize, writable: bool },
    /// The status database is deleted.
    LoseDatabase { node: usize },
    /// `offline`, with or without `--force`.
    Offline { node: usize, seconds: u64, force: bool },
    /// `switchover`, or `switchover to` a node.
    Switchover { node: usize, to: Option<usize> },
    /// `online`.
    Online { node: usize },
    /// `maintenance on|off`.
    Maintenance { node: usize, on: bool },
    /// `res stop` and `res start`.
    Hold { node: usize, resource: usize, on: bool },
}

/// A node's name.
#[must_use]
pub fn name(node: usize) -> String {
    format!("lb{}", node + 1)
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Crash { node } => write!(f, "{} loses its power", name(*node)),
            Self::Start { node } => write!(f, "{} is started", name(*node)),
            Self::Kill { node, program } => write!(f, "{} {program:?} is killed", name(*node)),
            Self::StartProgram { node, program } => write!(f, "{} {program:?} is started", name(*node)),
            Self::KillAll { node } => write!(f, "{} all daemons are killed", name(*node)),
            Self::Stop { node } => write!(f, "{} stop", name(*node)),
            Self::Stall { node, program, ms } => write!(f, "{} {program:?} stands still for {ms} ms", name(*node)),
            Self::Suspend { node, ms } => write!(f, "{} is suspended for {ms} ms", name(*node)),
            Self::Starve { node, ms: 0 } => write!(f, "{} has its processor back", name(*node)),
            Self::Starve { node, ms } => write!(f, "{} starves, up to {ms} ms late", name(*node)),
            Self::Cut { from, to, link, cut } => {
                let verb = if *cut { "are lost" } else { "arrive again" };
                let link = link.map_or_else(String::new, |link| format!(" on link {}", link + 1));
                write!(f, "heartbeats from {} to {}{link} {verb}", name(*from), name(*to))
            }
            Self::Isolate { node, cut: true } => write!(f, "{} is cut off", name(*node)),
            Self::Isolate { node, cut: false } => write!(f, "{} is connected again", name(*node)),
            Self::Weather { loss_percent, repeat_percent, jitter_ms } => {
                write!(f, "network: {loss_percent} % lost, {repeat_percent} % twice, up to {jitter_ms} ms late")
            }
            Self::OtherProtocol { node, other: true } => write!(f, "{} speaks another protocol version", name(*node)),
            Self::OtherProtocol { node, other: false } => write!(f, "{} speaks the common protocol again", name(*node)),
            Self::Gateway { node, answers: true } => write!(f, "{} gateway answers", name(*node)),
            Self::Gateway { node, answers: false } => write!(f, "{} gateway is lost", name(*node)),
            Self::ResourceDies { node, resource } => write!(f, "{} resource {resource} dies", name(*node)),
            Self::Removed { node, resource } => {
                write!(f, "{} resource {resource} is removed by somebody else", name(*node))
            }
            Self::Agent { node, resource, call, behaviour } => {
                write!(f, "{} {} of resource {resource}: {behaviour:?}", name(*node), call.verb())
            }
            Self::SlowAgents { node, ms } => write!(f, "{} agents take up to {ms} ms longer", name(*node)),
            Self::Writable { node, writable: true } => write!(f, "{} database can be written", name(*node)),
            Self::Writable { node, writable: false } => write!(f, "{} database cannot be written", name(*node)),
            Self::LoseDatabase { node } => write!(f, "{} database is deleted", name(*node)),
            Self::Offline { node, seconds, force } => {
                write!(f, "{} offline {seconds}{}", name(*node), if *force { " --force" } else { "" })
            }
            Self::Switchover { node, to: None } => write!(f, "{} switchover", name(*node)),
            Self::Switchover { node, to: Some(to) } => write!(f, "{} switchover to {}", name(*node), name(*to)),
            Self::Online { node } => write!(f, "{} online", name(*node)),
            Self::Maintenance { node, on } => {
                write!(f, "{} maintenance {}", name(*node), if *on { "on" } else { "off" })
            }
            Self::Hold { node, resource, on } => {
                write!(f, "{} res {} {resource}", name(*node), if *on { "stop" } else { "start" })
            }
        }
    }
}
