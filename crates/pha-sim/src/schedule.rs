//! What one seed stands for: a cluster, and faults with their times. Drawn at random, kept as data.

use std::fmt;
use std::time::Duration;

use fastrand::Rng;
use pha_core::resource::Call;
use serde::{Deserialize, Serialize};

use crate::cluster::Making;
use crate::fault::{Behaviour, Fault, Program};
use crate::node::settings;

/// Which faults a schedule may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, clap::ValueEnum)]
pub enum Class {
    /// Machines lose their power and come back.
    Crash,
    /// Single programs, or all of a node, are killed and started again; the operator's `stop`.
    Process,
    /// Programs and machines that stand still or starve.
    Pause,
    /// Heartbeat links are cut, one way or both; the network of the addresses is whole.
    Link,
    /// Nodes are cut off altogether.
    Partition,
    /// Loss, repetition, delay.
    Weather,
    /// Gateways are lost here, there, everywhere.
    Gateway,
    /// Agents that fail, hang, are slow or lie; resources that die.
    Agent,
    /// The operator's commands.
    Operator,
    /// The status database is lost or cannot be written.
    Database,
    /// Nodes that speak another protocol version.
    Protocol,
    /// A resource that is broken everywhere, for an hour.
    Broken,
    /// All of them.
    Everything,
}

impl Class {
    /// All classes, simple ones first.
    pub const ALL: [Self; 13] = [
        Self::Crash,
        Self::Process,
        Self::Pause,
        Self::Link,
        Self::Partition,
        Self::Weather,
        Self::Gateway,
        Self::Agent,
        Self::Operator,
        Self::Database,
        Self::Protocol,
        Self::Broken,
        Self::Everything,
    ];

    /// Those that [`Self::Everything`] mixes: all but the last two.
    const MIXED: &'static [Self] = Self::ALL.split_at(Self::ALL.len() - 2).0;
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", format!("{self:?}").to_lowercase())
    }
}

/// One fault, so long after the one before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Milliseconds that pass before it.
    pub after_ms: u64,
    /// What happens then.
    pub fault: Fault,
}

/// Everything that makes a story, apart from what chance does inside the cluster, which the seed decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// For chance.
    pub seed: u64,
    /// Where its faults were drawn from.
    pub class: Class,
    /// Nodes, two to five.
    pub nodes: usize,
    /// Heartbeat links between each pair.
    pub links: usize,
    /// How wrong each clock goes, in parts in a million: up to 1 %.
    pub clocks: Vec<i32>,
    /// `WITNESS`.
    pub witness: bool,
    /// `FAILBACK_AFTER` in seconds, if `FAILBACK=on`.
    pub failback: Option<u64>,
    /// The service has a built-in check (`CHECK_service`).
    #[serde(default)]
    pub watched: bool,
    /// Both resources start and stop at the same time (`RES_PARALLEL`).
    #[serde(default)]
    pub parallel: bool,
    /// The faults.
    pub steps: Vec<Step>,
}

impl Schedule {
    /// The schedule of a seed; most seeds mix everything unless a class is asked for.
    #[must_use]
    pub fn drawn(seed: u64, class: Option<Class>) -> Self {
        let mut rng = Rng::with_seed(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let class = class.unwrap_or_else(|| match rng.u8(0..100) {
            0..50 => Class::Everything,
            50 => Class::Broken,
            _ => Class::MIXED[rng.usize(0..Class::MIXED.len())],
        });
        let nodes = [2, 2, 2, 2, 2, 3, 3, 4, 5][rng.usize(0..9)];
        let links = rng.usize(1..=2);
        let mut draw = Draw { nodes, links, rng };
        let steps = if class == Class::Broken { draw.broken() } else { draw.steps(class) };
        let mut rng = draw.rng;
        let witness = class != Class::Partition || rng.bool();
        Self {
            seed,
            class,
            nodes,
            links,
            clocks: (0..nodes).map(|_| rng.i32(-10_000..=10_000)).collect(),
            witness,
            failback: (rng.u8(0..10) == 0).then(|| rng.u64(5..30)),
            watched: rng.u8(0..3) == 0,
            parallel: rng.u8(0..3) == 0,
            steps,
        }
    }

    /// The cluster it happens to.
    #[must_use]
    pub fn making(&self) -> Making {
        let each = |n: usize| {
            let mut settings = settings(n);
            settings.witness = self.witness;
            settings.failback = self.failback.map(Duration::from_secs);
            settings.resources[0].watched = self.watched;
            settings.resources[1].beside_previous = self.parallel;
            settings
        };
        Making {
            settings: (1..=self.nodes).map(each).collect(),
            links: self.links,
            clocks: self.clocks.clone(),
            seed: self.seed,
        }
    }
}

/// Draws faults.
struct Draw {
    nodes: usize,
    links: usize,
    rng: Rng,
}

impl Draw {
    fn steps(&mut self, class: Class) -> Vec<Step> {
        let count = self.rng.usize(4..=20);
        let mut steps = Vec::new();
        // Not mixed with what makes peers doubt: an address that is away longer than they ask for it is theirs to take.
        let removes = |draw: &mut Self| class == Class::Agent && draw.rng.u8(0..4) == 0;
        let removed = |node| Fault::Removed { node, resource: 1 };
        for _ in 0..count {
            let class = if class == Class::Everything { self.one_of(Class::MIXED) } else { class };
            let longest = self.one_of(&[20, 400, 3000, 3000, 12_000]);
            let after_ms = self.rng.u64(0..longest);
            steps.push(Step { after_ms, fault: if removes(self) { removed(self.node()) } else { self.fault(class) } });
        }
        steps
    }

    /// A resource that cannot be started anywhere, and an hour to see what becomes of it.
    fn broken(&mut self) -> Vec<Step> {
        let resource = self.rng.usize(0..2);
        let behaviour = self.one_of(&[Behaviour::Fails, Behaviour::Hangs]);
        let broken = |node| Fault::Agent { node, resource, call: Call::Start, behaviour };
        let mut steps: Vec<Step> = (0..self.nodes).map(|node| Step { after_ms: 0, fault: broken(node) }).collect();
        steps.push(Step { after_ms: 0, fault: Fault::ResourceDies { node: 0, resource } });
        // Nothing, after an hour.
        steps.push(Step { after_ms: 3_600_000, fault: Fault::SlowAgents { node: 0, ms: 0 } });
        steps
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.rng.usize(0..choices.len())]
    }

    fn node(&mut self) -> usize {
        self.rng.usize(0..self.nodes)
    }

    fn program(&mut self) -> Program {
        self.one_of(&Program::ALL)
    }

    fn fault(&mut self, class: Class) -> Fault {
        let node = self.node();
        match class {
            Class::Crash => self.one_in(2, Fault::Crash { node }, Fault::Start { node }),
            Class::Process => self.process(node),
            Class::Pause => self.pause(node),
            Class::Link => self.link(node),
            Class::Partition => Fault::Isolate { node, cut: self.rng.bool() },
            Class::Weather => Fault::Weather {
                loss_percent: self.one_of(&[0, 0, 5, 10, 30]),
                repeat_percent: self.one_of(&[0, 0, 20]),
                jitter_ms: self.one_of(&[0, 0, 2, 30, 250]),
            },
            Class::Gateway => Fault::Gateway { node, answers: self.rng.bool() },
            Class::Agent => self.agent(node),
            Class::Operator => self.command(node),
            Class::Database => match self.rng.u8(0..3) {
                0 => Fault::LoseDatabase { node },
                _ => Fault::Writable { node, writable: self.rng.bool() },
            },
            Class::Protocol => Fault::OtherProtocol { node, other: self.rng.bool() },
            Class::Broken | Class::Everything => self.one_in(2, Fault::KillAll { node }, Fault::Start { node }),
        }
    }

    fn one_in(&mut self, of: u8, rare: Fault, usual: Fault) -> Fault {
        if self.rng.u8(0..of) == 0 { rare } else { usual }
    }

    fn process(&mut self, node: usize) -> Fault {
        let program = self.program();
        match self.rng.u8(0..10) {
            0..3 => Fault::Kill { node, program },
            3..5 => Fault::StartProgram { node, program },
            5 => Fault::KillAll { node },
            6 => Fault::Stop { node },
            // What runs when its program is killed goes on for a while.
            7 => self.agent(node),
            _ => Fault::Start { node },
        }
    }

    fn pause(&mut self, node: usize) -> Fault {
        let ms = self.one_of(&[100, 300, 700, 2000, 5000]) + self.rng.u64(0..500);
        match self.rng.u8(0..4) {
            0 => Fault::Suspend { node, ms },
            1 => Fault::Starve { node, ms: self.one_of(&[0, 0, 20, 100, 400]) },
            _ => Fault::Stall { node, program: self.program(), ms },
        }
    }

    fn link(&mut self, from: usize) -> Fault {
        let to = (from + self.rng.usize(1..self.nodes)) % self.nodes;
        let link = self.rng.bool().then(|| self.rng.usize(0..self.links));
        Fault::Cut { from, to, link, cut: self.rng.bool() }
    }

    fn agent(&mut self, node: usize) -> Fault {
        let resource = self.rng.usize(0..2);
        match self.rng.u8(0..6) {
            // An address that somebody removes by hand while heartbeats are lost is its keeper's end for its peers, and
            // they are right to take it: only the service dies.
            0 => Fault::ResourceDies { node, resource: 0 },
            1 => Fault::SlowAgents { node, ms: self.one_of(&[0, 0, 20, 150, 1000]) },
            _ => {
                let call = self.one_of(&[Call::Start, Call::Stop, Call::Check]);
                let behaviour = self.one_of(&[
                    Behaviour::Works,
                    Behaviour::Works,
                    Behaviour::Works,
                    Behaviour::Fails,
                    Behaviour::Hangs,
                    Behaviour::WorksAndHangs,
                    Behaviour::Lies,
                ]);
                Fault::Agent { node, resource, call, behaviour }
            }
        }
    }

    fn command(&mut self, node: usize) -> Fault {
        let resource = self.rng.usize(0..2);
        match self.rng.u8(0..12) {
            10.. => Fault::Switchover { node, to: self.rng.bool().then(|| self.node()) },
            0..4 => Fault::Offline { node, seconds: self.rng.u64(1..20), force: self.rng.u8(0..4) == 0 },
            4..6 => Fault::Online { node },
            6 => Fault::Maintenance { node, on: true },
            7 => Fault::Maintenance { node, on: false },
            8 => Fault::Hold { node, resource, on: true },
            _ => Fault::Hold { node, resource, on: false },
        }
    }
}
