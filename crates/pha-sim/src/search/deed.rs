//! What can befall a pair of nodes: the alphabet of the search.

use std::fmt;

use pha_core::Role;
use pha_core::resource::Call;

use super::watch::Watch;
use crate::clock::Micros;
use crate::cluster::Cluster;
use crate::fault::{Behaviour, Fault, Program, name};

/// How long the pair is left alone after a choice, in milliseconds: a handover is under way, a verdict has been reached.
const PAUSES: [u64; 2] = [20, 300];
/// The same if nothing befalls it: up to past a lease and a dead time.
const QUIET_PAUSES: [u64; 4] = [20, 300, 1000, 4000];
/// A datagram that is held up comes by so much later, after three newer ones.
const HELD_UP: Micros = 700_000;
/// A heartbeat is under way at least so often.
const NEXT_HEARTBEAT: Micros = 250_000;
/// An `offline` lasts so many seconds.
const OFFLINE: u64 = 30;

/// What befalls the pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Deed {
    Nothing,
    Fault(Fault),
    /// The next heartbeat from one node to another is lost, or comes late.
    Heartbeat {
        from: usize,
        to: usize,
        later: Option<Micros>,
    },
}

impl Deed {
    /// Everything that can befall a pair.
    pub(super) fn alphabet() -> Vec<Self> {
        let mut all = vec![Self::Nothing];
        for node in 0..2 {
            let to = 1 - node;
            all.extend(Program::ALL.map(|program| Self::Fault(Fault::Kill { node, program })));
            all.extend(Program::ALL.map(|program| Self::Fault(Fault::StartProgram { node, program })));
            let both = [true, false].into_iter().flat_map(|on| {
                let behaviour = if on { Behaviour::Fails } else { Behaviour::Works };
                [
                    Fault::Cut { from: node, to, link: None, cut: on },
                    Fault::Gateway { node, answers: !on },
                    Fault::Maintenance { node, on },
                    Fault::Hold { node, resource: 0, on },
                    Fault::Agent { node, resource: 0, call: Call::Start, behaviour },
                ]
            });
            all.extend(both.map(Self::Fault));
            all.extend((0..2).map(|resource| Self::Fault(Fault::ResourceDies { node, resource })));
            all.extend([
                Self::Fault(Fault::Crash { node }),
                Self::Fault(Fault::Start { node }),
                Self::Fault(Fault::Offline { node, seconds: OFFLINE, force: false }),
                Self::Fault(Fault::Switchover { node, to: None }),
                Self::Fault(Fault::Online { node }),
                Self::Heartbeat { from: node, to, later: None },
                Self::Heartbeat { from: node, to, later: Some(HELD_UP) },
            ]);
        }
        all.extend([true, false].map(|cut| Self::Fault(Fault::Isolate { node: 0, cut })));
        all
    }

    /// Whether it would change anything.
    pub(super) fn is_possible(&self, c: &Cluster) -> bool {
        let Self::Fault(fault) = self else {
            return match self {
                Self::Heartbeat { from, to, .. } => {
                    c.nodes[*from].runs(Program::Sender)
                        && c.nodes[*to].runs(Program::Receiver)
                        && c.network.carries(*from, *to)
                }
                Self::Nothing | Self::Fault(_) => true,
            };
        };
        let wishes = |node: usize| &c.nodes[node].record.operator.wishes;
        match *fault {
            Fault::Crash { node } => c.nodes[node].powered,
            Fault::Start { node } => Program::ALL.iter().filter(|program| !c.nodes[node].runs(**program)).count() > 1,
            Fault::StartProgram { node, program } => c.nodes[node].powered && !c.nodes[node].runs(program),
            Fault::Kill { node, program } => c.nodes[node].runs(program),
            Fault::Cut { from, to, cut, .. } => c.network.is_cut(from, to) != cut,
            Fault::Isolate { cut, .. } => c.network.same_wire(0, 1) == cut,
            Fault::Gateway { node, answers } => c.nodes[node].gateway_answers != answers,
            Fault::ResourceDies { node, resource } | Fault::Removed { node, resource } => {
                c.nodes[node].agents[resource].up
            }
            Fault::Agent { node, resource, behaviour, .. } => c.nodes[node].agents[resource].start != behaviour,
            Fault::Maintenance { node, on } => wishes(node).maintenance != on,
            Fault::Hold { node, on, .. } => wishes(node).held.is_empty() == on,
            Fault::Offline { node, .. } => c.nodes[node].powered && wishes(node).offline.is_none(),
            Fault::Switchover { node, .. } => c.nodes[node].role() == Role::Active,
            Fault::Online { node } => wishes(node).offline.is_some(),
            Fault::KillAll { .. }
            | Fault::Stop { .. }
            | Fault::Stall { .. }
            | Fault::Suspend { .. }
            | Fault::Starve { .. }
            | Fault::Weather { .. }
            | Fault::OtherProtocol { .. }
            | Fault::SlowAgents { .. }
            | Fault::Writable { .. }
            | Fault::LoseDatabase { .. } => false,
        }
    }

    pub(super) fn pauses(&self) -> &'static [u64] {
        if *self == Self::Nothing { &QUIET_PAUSES } else { &PAUSES }
    }

    pub(super) fn befall(&self, c: &mut Cluster, watch: &mut Watch) {
        match self {
            Self::Nothing => {}
            Self::Fault(fault) => c.apply(fault),
            Self::Heartbeat { from, to, later } => {
                let limit = c.now + NEXT_HEARTBEAT;
                while !c.network.intercept(*from, *to, *later) && c.step(limit) {
                    watch.look(c);
                }
            }
        }
    }
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("nothing"),
            Self::Fault(fault) => fault.fmt(f),
            Self::Heartbeat { from, to, later } => {
                let fate = if later.is_some() { "comes late" } else { "is lost" };
                write!(f, "the next heartbeat from {} to {} {fate}", name(*from), name(*to))
            }
        }
    }
}
