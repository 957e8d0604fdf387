//! The three machines that have a trace, and what they are fed with.
//!
//! The daemons feed their machine through [`Machine::feed`] and so does a replay: there is no second way in, and so no
//! input that a trace does not know.

use std::fmt::Debug;
use std::time::Duration;

use pha_core::beat::{Beat, Round, Said};
use pha_core::detector::{Arrival, PeerDetector};
use pha_core::report::PeerReport;
use pha_core::supervisor::{Command, Event, Settings, Supervisor};
use pha_core::{BootTime, Heartbeat};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A machine whose inputs can be recorded: its outputs follow from its state and its inputs alone.
pub trait Machine: Clone + Debug + Eq + Serialize + DeserializeOwned {
    /// The program that has it: `supervise`.
    const PROGRAM: &'static str;
    /// What it is fed with.
    type Input: Clone + Debug + Eq + Serialize + DeserializeOwned;
    /// What it answers.
    type Output;

    /// Takes one input.
    fn feed(&mut self, input: Self::Input, at: BootTime) -> Self::Output;

    /// Whether feeding `input` would leave no mark at all, so that a trace need not have it.
    fn ignores(&self, input: &Self::Input, at: BootTime) -> bool;
}

/// What pha-supervise feeds its [`Supervisor`] with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SuperviseInput {
    /// Something happened.
    Happened(Event),
    /// The configuration was read again.
    Reconfigured(Box<Settings>),
}

impl Machine for Supervisor {
    const PROGRAM: &'static str = "supervise";
    type Input = SuperviseInput;
    type Output = Vec<Command>;

    fn feed(&mut self, input: SuperviseInput, at: BootTime) -> Vec<Command> {
        match input {
            SuperviseInput::Happened(event) => self.handle(event, at),
            SuperviseInput::Reconfigured(settings) => {
                self.reconfigure(*settings, at);
                Vec::new()
            }
        }
    }

    fn ignores(&self, _: &SuperviseInput, _: BootTime) -> bool {
        // Each event moves at least its clock.
        false
    }
}

/// The failure detectors of all peers, in the order of the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detectors {
    peers: Vec<PeerDetector>,
}

/// What pha-receiver feeds its [`Detectors`] with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum DetectorInput {
    /// A heartbeat was accepted. What was dropped never comes so far, and so cannot crowd a trace either.
    Heard {
        /// Index of the peer.
        peer: usize,
        /// The heartbeat.
        heartbeat: Heartbeat,
        /// Over which of its addresses.
        link: usize,
        /// News, or a copy over another link.
        arrival: Arrival,
    },
    /// The program woke too late by this time.
    Late(Duration),
    /// Time passed.
    DeadlinePassed,
    /// The peer's addresses became known: it is watched anew.
    Found {
        /// Index of the peer.
        peer: usize,
        /// Its new detector.
        detector: Box<PeerDetector>,
    },
}

impl Detectors {
    /// Watches `peers`. One without addresses cannot be heard, and its silence says nothing.
    #[must_use]
    pub const fn new(peers: Vec<PeerDetector>) -> Self {
        Self { peers }
    }

    /// Every peer, in the order of the configuration.
    #[must_use]
    pub fn all(&self) -> &[PeerDetector] {
        &self.peers
    }

    /// When silence next means something.
    #[must_use]
    pub fn next_deadline(&self) -> Option<BootTime> {
        self.peers.iter().filter(|peer| can_be_heard(peer)).filter_map(PeerDetector::next_deadline).min()
    }
}

fn can_be_heard(peer: &PeerDetector) -> bool {
    !peer.report().links.is_empty()
}

impl Machine for Detectors {
    const PROGRAM: &'static str = "receiver";
    type Input = DetectorInput;
    type Output = ();

    fn feed(&mut self, input: DetectorInput, at: BootTime) {
        match input {
            DetectorInput::Heard { peer, heartbeat, link, arrival } => {
                if let Some(detector) = self.peers.get_mut(peer) {
                    detector.heartbeat_received(&heartbeat, link, arrival, at);
                }
            }
            DetectorInput::Late(lateness) => self.peers.iter_mut().for_each(|peer| peer.was_late(lateness, at)),
            DetectorInput::DeadlinePassed => {
                self.peers.iter_mut().filter(|peer| can_be_heard(peer)).for_each(|peer| peer.deadline_passed(at));
            }
            DetectorInput::Found { peer, detector } => {
                if let Some(slot) = self.peers.get_mut(peer) {
                    *slot = *detector;
                }
            }
        }
    }

    fn ignores(&self, input: &DetectorInput, at: BootTime) -> bool {
        *input == DetectorInput::DeadlinePassed && self.next_deadline().is_none_or(|due| at < due)
    }
}

/// What pha-sender feeds its [`Beat`] with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum BeatInput {
    /// The status database changed.
    RecordChanged {
        /// What supervise wants said.
        said: Option<Said>,
        /// The receiver's section.
        peers: Vec<PeerReport>,
    },
    /// Time passed.
    DeadlinePassed,
    /// The program is to end.
    Farewell,
}

impl Machine for Beat {
    const PROGRAM: &'static str = "sender";
    type Input = BeatInput;
    type Output = Option<Round>;

    fn feed(&mut self, input: BeatInput, at: BootTime) -> Option<Round> {
        match input {
            BeatInput::RecordChanged { said, peers } => {
                self.record_changed(said, &peers, at);
                None
            }
            BeatInput::DeadlinePassed => self.deadline_passed(at),
            BeatInput::Farewell => self.farewell(at),
        }
    }

    /// Most changes of the database are no news to the sender; its machine is small enough to be asked.
    fn ignores(&self, input: &BeatInput, at: BootTime) -> bool {
        let mut after = self.clone();
        after.feed(input.clone(), at).is_none() && after == *self
    }
}
