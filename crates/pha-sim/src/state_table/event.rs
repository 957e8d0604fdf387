//! What can happen to a node or to its peer, as the table of states lists it.

use pha_core::resource::Call;

use crate::cluster::Cluster;
use crate::fault::{Behaviour, Fault, Program};

/// What happens to a node, or to its peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the table's words say what each is")]
pub enum Event {
    TimePasses,
    Offline,
    OfflineForced,
    Switchover,
    Online,
    MaintenanceOn,
    MaintenanceOff,
    ResStop,
    ResStart,
    Stop,
    GatewayLost,
    GatewayBack,
    ResourceDies,
    StartFails,
    StopFails,
    AgentsWork,
    ReceiverKilled,
    SuperviseKilled,
    Started,
    PowerLost,
    Suspended,
    PeerPowerLost,
    PeerStarted,
    PeerStop,
    PeerOffline,
    PeerSwitchover,
    PeerGatewayLost,
    CutOff,
    Connected,
}

impl Event {
    /// All of them, with their words in the table.
    pub const ALL: [(Self, &'static str); 29] = [
        (Self::TimePasses, "time passes"),
        (Self::Offline, "`offline`"),
        (Self::OfflineForced, "`offline --force`"),
        (Self::Switchover, "`switchover`"),
        (Self::Online, "`online`"),
        (Self::MaintenanceOn, "`maintenance on`"),
        (Self::MaintenanceOff, "`maintenance off`"),
        (Self::ResStop, "`res stop`"),
        (Self::ResStart, "`res start`"),
        (Self::Stop, "`stop`"),
        (Self::GatewayLost, "gateway lost"),
        (Self::GatewayBack, "gateway back"),
        (Self::ResourceDies, "a resource dies"),
        (Self::StartFails, "a resource dies and cannot be started"),
        (Self::StopFails, "stopping fails from now on"),
        (Self::AgentsWork, "agents work again"),
        (Self::ReceiverKilled, "pha-receiver killed"),
        (Self::SuperviseKilled, "pha-supervise killed"),
        (Self::Started, "started"),
        (Self::PowerLost, "power lost"),
        (Self::Suspended, "suspended for 2 s"),
        (Self::PeerPowerLost, "peer: power lost"),
        (Self::PeerStarted, "peer: started"),
        (Self::PeerStop, "peer: `stop`"),
        (Self::PeerOffline, "peer: `offline`"),
        (Self::PeerSwitchover, "peer: `switchover`"),
        (Self::PeerGatewayLost, "peer: gateway lost"),
        (Self::CutOff, "cut off from the peer"),
        (Self::Connected, "connected again"),
    ];

    /// What it does to node `n` of a pair.
    pub(super) fn faults(self, n: usize) -> Vec<Fault> {
        let (node, peer) = (n, 1 - n);
        let agent = |call, behaviour| Fault::Agent { node, resource: 0, call, behaviour };
        match self {
            Self::TimePasses => vec![],
            Self::Offline => vec![Fault::Offline { node, seconds: 30, force: false }],
            Self::OfflineForced => vec![Fault::Offline { node, seconds: 30, force: true }],
            Self::Switchover => vec![Fault::Switchover { node, to: None }],
            Self::Online => vec![Fault::Online { node }],
            Self::MaintenanceOn => vec![Fault::Maintenance { node, on: true }],
            Self::MaintenanceOff => vec![Fault::Maintenance { node, on: false }],
            Self::ResStop => vec![Fault::Hold { node, resource: 0, on: true }],
            Self::ResStart => vec![Fault::Hold { node, resource: 0, on: false }],
            Self::Stop => vec![Fault::Stop { node }],
            Self::GatewayLost => vec![Fault::Gateway { node, answers: false }],
            Self::GatewayBack => vec![Fault::Gateway { node, answers: true }],
            Self::ResourceDies => vec![Fault::ResourceDies { node, resource: 0 }],
            Self::StartFails => {
                vec![agent(Call::Start, Behaviour::Fails), Fault::ResourceDies { node, resource: 0 }]
            }
            Self::StopFails => vec![agent(Call::Stop, Behaviour::Fails)],
            Self::AgentsWork => vec![agent(Call::Start, Behaviour::Works), agent(Call::Stop, Behaviour::Works)],
            Self::ReceiverKilled => vec![Fault::Kill { node, program: Program::Receiver }],
            Self::SuperviseKilled => vec![Fault::Kill { node, program: Program::Supervise }],
            Self::Started => vec![Fault::Start { node }],
            Self::PowerLost => vec![Fault::Crash { node }],
            Self::Suspended => vec![Fault::Suspend { node, ms: 2000 }],
            Self::PeerPowerLost => vec![Fault::Crash { node: peer }],
            Self::PeerStarted => vec![Fault::Start { node: peer }],
            Self::PeerStop => vec![Fault::Stop { node: peer }],
            Self::PeerOffline => vec![Fault::Offline { node: peer, seconds: 30, force: false }],
            Self::PeerSwitchover => vec![Fault::Switchover { node: peer, to: None }],
            Self::PeerGatewayLost => vec![Fault::Gateway { node: peer, answers: false }],
            Self::CutOff => vec![Fault::Isolate { node, cut: true }],
            Self::Connected => vec![Fault::Isolate { node, cut: false }],
        }
    }

    /// Nobody types anything on a machine without power, and nothing suspends it.
    pub(super) fn can_happen(self, n: usize, c: &Cluster) -> bool {
        let peers = matches!(self, Self::PeerOffline | Self::PeerSwitchover | Self::PeerStop);
        let own = !peers && !matches!(self, Self::Started | Self::PeerStarted);
        (!own || c.nodes[n].powered) && (!peers || c.nodes[1 - n].powered)
    }

    /// How long to wait for what comes of it.
    pub(super) const fn patience_ms(self) -> u64 {
        if matches!(self, Self::TimePasses) { 70_000 } else { 6_000 }
    }
}
