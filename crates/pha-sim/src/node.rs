//! One virtual node: its programs, its database, its agents and what its kernel would do.

use std::collections::VecDeque;
use std::time::Duration;

use pha_core::beat::Beat;
use pha_core::detector::PeerDetector;
use pha_core::report::{SuperviseReport, Wishes};
use pha_core::resource::{Call, Outcome, ResourceSettings};
use pha_core::supervisor::{Outside, Settings, Supervisor};
use pha_core::{BootTime, Heartbeat, NodeId, Reason, Role, Serial, Status, Term, Word};

/// A call under way.
#[derive(Debug, Clone)]
pub(crate) struct Running {
    pub(crate) ends: u64,
    pub(crate) resource: usize,
    pub(crate) call: Call,
    /// How it ends whatever the agent does.
    pub(crate) forced: Option<Outcome>,
    /// It gives or renews a lease.
    pub(crate) lease: bool,
    /// It need not look for a duplicate.
    pub(crate) sole: bool,
}

/// How the agents of one node behave, and what they did.
#[derive(Debug, Clone)]
pub struct Agents {
    /// What is up, by index of the resource.
    pub up: Vec<bool>,
    /// Whose `start` fails.
    pub start_fails: Vec<bool>,
    /// Whose `stop` fails.
    pub stop_fails: Vec<bool>,
    /// Whose `start` hangs until its limit.
    pub start_hangs: Vec<bool>,
    /// Every call begun: when (ms), on which resource, which.
    pub took: Vec<(u64, usize, Call)>,
    pub(crate) running: Vec<Running>,
}

/// A node. A program that is `None` does not run.
#[derive(Debug)]
pub struct Node {
    /// Its id.
    pub id: NodeId,
    /// pha-supervise.
    pub supervise: Option<Supervisor>,
    /// pha-receiver.
    pub receiver: Option<PeerDetector>,
    /// pha-sender.
    pub sender: Option<Beat>,
    /// The supervise section of its database: report and tick.
    pub report: Option<(SuperviseReport, BootTime)>,
    /// The operator section of its database.
    pub wishes: Wishes,
    /// Its agents.
    pub agents: Agents,
    /// Whether the gateway answers its echoes.
    pub gateway_answers: bool,
    /// Whether its database can be written.
    pub database_writable: bool,
    /// Whether supervise has said its last word.
    pub exited: bool,
    pub(crate) settings: Settings,
    pub(crate) sequence: u64,
    pub(crate) incarnation: u64,
    pub(crate) inbox: VecDeque<(u64, Heartbeat)>,
    pub(crate) highest: Serial,
    pub(crate) echoes: Vec<u64>,
    /// When the kernel takes the leased address away; `None` is never.
    pub(crate) lease_until: Option<u64>,
}

/// The documented defaults, with a service and a leased address as resources 0 and 1.
#[must_use]
pub fn settings(id: usize) -> Settings {
    let resource = |name: &str, leased| ResourceSettings {
        name: name.into(),
        start_timeout: Duration::from_secs(5),
        stop_timeout: Duration::from_secs(5),
        check_timeout: Duration::from_secs(2),
        leased,
        probes: leased,
        announces: leased,
    };
    Settings {
        me: NodeId::new(id).unwrap(),
        heartbeat_interval: Duration::from_millis(200),
        dead_time: Duration::from_millis(600),
        supervise_interval: Duration::from_millis(2000),
        ping_timeout: Duration::from_millis(2100),
        gateway: true,
        lease: Duration::from_secs(3),
        restarts: 1,
        restart_window: Duration::from_secs(60),
        unfit_time: Duration::from_secs(60),
        failback: None,
        witness: true,
        config_hash: 1,
        resources: vec![resource("service", false), resource("ipaddr", true)],
    }
}

impl Node {
    pub(crate) fn new(settings: Settings) -> Self {
        let n = settings.resources.len();
        Self {
            id: settings.me,
            settings,
            supervise: None,
            receiver: None,
            sender: None,
            sequence: 0,
            incarnation: 0,
            report: None,
            wishes: Wishes::default(),
            agents: Agents {
                up: vec![false; n],
                start_fails: vec![false; n],
                stop_fails: vec![false; n],
                start_hangs: vec![false; n],
                took: Vec::new(),
                running: Vec::new(),
            },
            gateway_answers: true,
            database_writable: true,
            inbox: VecDeque::new(),
            highest: Serial::default(),
            echoes: Vec::new(),
            exited: false,
            lease_until: None,
        }
    }

    /// What its heartbeat says, if supervise runs.
    #[must_use]
    pub fn word(&self) -> Option<Word> {
        self.supervise.as_ref().and(self.report.as_ref()).map(|(report, _)| report.saying.word)
    }

    /// ONLINE, OFFLINE or PROGRESS; `None` if supervise does not run or has left.
    #[must_use]
    pub fn status(&self) -> Option<Status> {
        self.word().and_then(Word::status)
    }

    /// Its role.
    #[must_use]
    pub fn role(&self) -> Role {
        self.report.as_ref().map_or(Role::Standby, |(report, _)| report.role)
    }

    /// What the decision table says.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.report.as_ref().unwrap().0.reason
    }

    /// The term it last acted under.
    #[must_use]
    pub fn term(&self) -> Term {
        self.report.as_ref().unwrap().0.saying.term
    }

    /// Whether every resource is up.
    #[must_use]
    pub fn served(&self) -> bool {
        self.agents.up.iter().all(|up| *up)
    }

    /// Whether any resource is up.
    #[must_use]
    pub fn anything_up(&self) -> bool {
        self.agents.up.iter().any(|up| *up)
    }

    /// How many changes its history holds.
    #[must_use]
    pub fn transitions(&self) -> usize {
        self.report.as_ref().map_or(0, |(report, _)| report.history.len())
    }

    pub(crate) fn outside(&self) -> Outside {
        Outside {
            peers: self.receiver.iter().map(|receiver| receiver.report().clone()).collect(),
            deaf: self.receiver.is_none(),
            wishes: self.wishes.clone(),
            quorum: None,
        }
    }
}
