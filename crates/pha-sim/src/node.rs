//! One virtual machine: its clock, its three programs, its status database, its agents.

use std::collections::VecDeque;
use std::time::Duration;

use pha_core::beat::Beat;
use pha_core::detector::{DetectorSettings, PeerDetector};
use pha_core::report::{PeerReport, SuperviseReport};
use pha_core::resource::ResourceSettings;
use pha_core::supervisor::{Event, Outside, Settings, Supervisor};
use pha_core::{BootTime, NodeId, Reason, Role, Serial, Status, Term, Word};
use pha_status::{OperatorSection, Record, SuperviseSection};
use pha_wire::ReplayGuard;

use crate::agents::Agent;
use crate::clock::{Clock, Micros};
use crate::fault::Program;
use crate::network::Datagram;

/// A socket's buffer holds so many heartbeats.
const BUFFER: usize = 256;

/// When a program runs, apart from what it does.
#[derive(Debug, Clone, Default)]
pub struct Process<T> {
    /// `None` while it does not run.
    pub core: Option<T>,
    /// When it wakes next.
    pub(crate) wakes: Micros,
    /// The status database was replaced since it last looked.
    pub(crate) notified: bool,
    /// It stands still until then.
    pub(crate) stalled_until: Micros,
}

impl<T> Process<T> {
    /// When it runs next; it does not while it or its machine stands still.
    pub(crate) fn next(&self, asleep_until: Micros) -> Option<Micros> {
        self.core.as_ref().map(|_| self.wakes.max(self.stalled_until).max(asleep_until))
    }

    pub(crate) fn wake_by(&mut self, at: Micros) {
        self.wakes = self.wakes.min(at);
    }

    /// The status database was replaced: it looks when it wakes anyway, or at once if there is news.
    pub(crate) fn notify(&mut self, at: Micros, news: bool) {
        self.notified = true;
        if news {
            self.wake_by(at);
        }
    }

    pub(crate) fn kill(&mut self) {
        self.core = None;
        self.stalled_until = 0;
    }
}

/// pha-supervise with what its shell remembers.
#[derive(Debug, Clone)]
pub struct Supervise {
    /// The core.
    pub core: Supervisor,
    pub(crate) section: SuperviseSection,
    pub(crate) outside: Outside,
    pub(crate) known_operator: OperatorSection,
    pub(crate) next_look: BootTime,
    pub(crate) waiting: Vec<Event>,
    pub(crate) could_publish: bool,
}

/// One peer as pha-receiver keeps it.
#[derive(Debug, Clone)]
pub struct Hearing {
    /// The core.
    pub core: PeerDetector,
    pub(crate) guard: ReplayGuard,
}

/// pha-receiver with what its shell remembers.
#[derive(Debug, Clone)]
pub struct Receiver {
    /// Every other node.
    pub peers: Vec<Hearing>,
    pub(crate) published: Vec<PeerReport>,
    pub(crate) next_tick: BootTime,
}

/// pha-sender with what its shell remembers.
#[derive(Debug, Clone)]
pub struct Sender {
    /// The core.
    pub core: Beat,
    pub(crate) serial: Serial,
    pub(crate) next_tick: BootTime,
}

/// A machine.
#[derive(Debug, Clone)]
pub struct Node {
    /// Its id.
    pub id: NodeId,
    /// What its configuration says.
    pub settings: Settings,
    /// `INITDEAD`.
    pub init_dead: Duration,
    /// Its clock.
    pub clock: Clock,
    /// It has power.
    pub powered: bool,
    /// pha-supervise.
    pub supervise: Process<Supervise>,
    /// pha-receiver.
    pub receiver: Process<Receiver>,
    /// pha-sender.
    pub sender: Process<Sender>,
    /// Its status database.
    pub record: Record,
    /// Whether it can be written.
    pub writable: bool,
    /// The highest term in it that the loss of power leaves.
    pub lasting: Term,
    /// Its resources, in the order of the configuration.
    pub agents: Vec<Agent>,
    /// Every call takes up to so much longer.
    pub slowness: Micros,
    /// Whether its gateway answers.
    pub gateway_answers: bool,
    /// It speaks another protocol version.
    pub other_protocol: bool,
    /// Its programs run up to so much too late.
    pub starved: Micros,
    pub(crate) asleep_until: Micros,
    pub(crate) echoes: Vec<Micros>,
    pub(crate) inbox: VecDeque<Datagram>,
    /// When a new heartbeat of each node last came to this machine, whether or not it was read, and which.
    pub(crate) came: Vec<Option<(Micros, Serial)>>,
    /// The operator's `stop` is under way.
    pub(crate) stopping: bool,
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
        watched: false,
        beside_previous: false,
    };
    Settings {
        me: NodeId::new(id).expect("a cluster has at most 16 nodes"),
        heartbeat_interval: Duration::from_millis(200),
        dead_time: Duration::from_millis(400),
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
    pub(crate) fn new(settings: Settings, nodes: usize, clock: Clock) -> Self {
        Self {
            id: settings.me,
            init_dead: (settings.dead_time * 2).max(Duration::from_secs(1)),
            clock,
            powered: true,
            supervise: Process { core: None, wakes: 0, notified: false, stalled_until: 0 },
            receiver: Process { core: None, wakes: 0, notified: false, stalled_until: 0 },
            sender: Process { core: None, wakes: 0, notified: false, stalled_until: 0 },
            record: Record::default(),
            writable: true,
            lasting: Term::NONE,
            agents: vec![Agent::default(); settings.resources.len()],
            slowness: 0,
            gateway_answers: true,
            other_protocol: false,
            starved: 0,
            asleep_until: 0,
            echoes: Vec::new(),
            inbox: VecDeque::new(),
            came: vec![None; nodes],
            stopping: false,
            settings,
        }
    }

    /// What supervise has published; `None` before it ever did.
    #[must_use]
    pub const fn report(&self) -> Option<&SuperviseReport> {
        self.record.supervise.report.as_ref()
    }

    /// What its heartbeat says, if supervise runs.
    #[must_use]
    pub fn word(&self) -> Option<Word> {
        self.supervise.core.as_ref().and(self.report()).map(|report| report.saying.word)
    }

    /// ONLINE, OFFLINE or PROGRESS; `None` if supervise does not run or has left.
    #[must_use]
    pub fn status(&self) -> Option<Status> {
        self.word().and_then(Word::status)
    }

    /// Its role; Standby if supervise does not run.
    #[must_use]
    pub fn role(&self) -> Role {
        self.supervise.core.as_ref().map_or(Role::Standby, |supervise| supervise.core.role())
    }

    /// What the decision table says.
    #[must_use]
    pub fn reason(&self) -> Option<Reason> {
        self.report().map(|report| report.reason)
    }

    /// The term it last acted under.
    #[must_use]
    pub fn term(&self) -> Term {
        self.report().map_or(Term::NONE, |report| report.saying.term)
    }

    /// Changes of role and word that its history holds.
    #[must_use]
    pub fn transitions(&self) -> usize {
        self.report().map_or(0, |report| report.history.len())
    }

    /// Whether every resource is up.
    #[must_use]
    pub fn served(&self) -> bool {
        self.is_awake() && self.agents.iter().all(|agent| agent.up)
    }

    /// Whether any resource is up.
    #[must_use]
    pub fn anything_up(&self) -> bool {
        self.agents.iter().any(|agent| agent.up)
    }

    /// Whether a resource that the wire can be asked about is up and answers.
    #[must_use]
    pub fn holds_address(&self) -> bool {
        self.is_awake() && self.addresses().any(|index| self.agents[index].up)
    }

    /// Resources that are addresses.
    pub fn addresses(&self) -> impl Iterator<Item = usize> {
        (0..self.agents.len()).filter(|index| self.settings.resources[*index].leased)
    }

    /// It has power and does not stand still.
    #[must_use]
    pub const fn is_awake(&self) -> bool {
        self.powered && self.asleep_until == 0
    }

    /// Whether a program runs, be it stalled.
    #[must_use]
    pub const fn runs(&self, program: Program) -> bool {
        match program {
            Program::Receiver => self.receiver.core.is_some(),
            Program::Sender => self.sender.core.is_some(),
            Program::Supervise => self.supervise.core.is_some(),
        }
    }

    /// It has said that it is fit.
    #[must_use]
    pub fn is_fit(&self) -> bool {
        self.report().is_some_and(|report| report.saying.fit)
    }

    /// Nothing is wrong with it that a fault did and has not undone, and the operator has asked for nothing.
    #[must_use]
    pub fn is_well(&self, now: Micros) -> bool {
        let stalled = [self.supervise.stalled_until, self.receiver.stalled_until, self.sender.stalled_until];
        let wishes = &self.record.operator.wishes;
        self.is_awake()
            && Program::ALL.into_iter().all(|program| self.runs(program))
            && stalled == [0; 3]
            && self.starved == 0
            && self.writable
            && !self.stopping
            && !self.other_protocol
            && self.gateway_answers
            && self.agents.iter().all(Agent::is_sound)
            && !wishes.maintenance
            && wishes.held.is_empty()
            && wishes.offline.is_none_or(|wish| wish.until <= self.local(now))
    }

    /// This machine's time.
    #[must_use]
    pub fn local(&self, now: Micros) -> BootTime {
        self.clock.shows(now)
    }

    pub(crate) const fn detector_settings(&self) -> DetectorSettings {
        DetectorSettings {
            interval: self.settings.heartbeat_interval,
            dead_time: self.settings.dead_time,
            init_dead: self.init_dead,
        }
    }

    pub(crate) fn detector(&self, peer: NodeId, links: usize, now: BootTime) -> PeerDetector {
        let settings = self.detector_settings();
        let addresses = (1..=links).map(|link| format!("10.0.{link}.{peer}")).collect();
        PeerDetector::new(peer, addresses, self.settings.config_hash, settings, now)
    }

    pub(crate) fn receive(&mut self, datagram: Datagram, now: Micros) {
        if !self.powered || self.receiver.core.is_none() || self.other_protocol {
            return;
        }
        let came = &mut self.came[datagram.from];
        if came.is_none_or(|(_, newest)| datagram.serial > newest) {
            *came = Some((now, datagram.serial));
        }
        if self.inbox.len() < BUFFER {
            self.inbox.push_back(datagram);
        }
    }
}
