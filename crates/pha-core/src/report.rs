//! What the machines of the core publish: the records that stand in the status database and on the screen.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::handover::Handover;
use crate::heartbeat::{Saying, Serial};
use crate::node::{NodeId, Term};
use crate::reason::Reason;
use crate::stages::Stages;
use crate::time::BootTime;
use crate::word::{Gateway, Role, Word};

/// The failure detector's verdict on a peer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Liveness {
    /// No heartbeat since this receiver started.
    #[default]
    Unheard,
    /// Heard within 1.5 intervals.
    Alive,
    /// Missed; quick heartbeats ask for an answer.
    Suspect,
    /// Silent for the dead time.
    Dead,
    /// Said that it goes (LEFT or KEPT).
    Absent,
}

/// One heartbeat path to a peer.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LinkReport {
    /// The peer's address on this path, without port.
    pub address: String,
    /// When a heartbeat last arrived on it.
    pub heard_at: Option<BootTime>,
    /// The longest silence between two heartbeats of one incarnation since the receiver started.
    pub longest_gap: Duration,
    /// Heartbeats that arrived on it.
    pub received: u64,
    /// Heartbeats missed on it by sequence number.
    pub lost: u64,
}

/// A peer as this node's receiver sees it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PeerReport {
    /// Who.
    pub node: NodeId,
    /// The detector's verdict.
    pub liveness: Liveness,
    /// Since when the verdict stands.
    pub liveness_since: BootTime,
    /// What it said last; kept while it is dead or absent.
    pub saying: Option<Saying>,
    /// Since when it has said this word (its remaining time apart; a release that is tried again is one word).
    pub word_since: BootTime,
    /// When its announced PROGRESS ends at the latest, on this machine's clock.
    pub progress_until: Option<BootTime>,
    /// The newest heartbeat heard.
    pub serial: Serial,
    /// When it arrived.
    pub heard_at: Option<BootTime>,
    /// The newest of our heartbeats it has heard; behind ours for long means a one-way link.
    pub hears_us: Serial,
    /// When that last grew; the peer tells it about once a second.
    pub hears_us_at: BootTime,
    /// Its newest heartbeat that asked for an answer.
    pub reply_wanted: Serial,
    /// Age of its supervise tick when it last spoke.
    pub supervise_age: Duration,
    /// Its configuration differs from ours.
    pub config_differs: bool,
    /// Every path to it, in the order of its addresses.
    pub links: Vec<LinkReport>,
}

impl PeerReport {
    /// Whether it has heard one of the `newest` heartbeats up to `ours`.
    #[must_use]
    pub const fn has_heard(&self, ours: Serial, newest: u64) -> bool {
        let behind = ours.sequence.saturating_sub(self.hears_us.sequence);
        self.hears_us.incarnation == ours.incarnation && behind < newest
    }
}

/// What a check found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ResourceState {
    /// `check` exited 0.
    Up,
    /// `check` exited otherwise.
    Down,
    /// Not checked yet, timed out or could not run: not up for announcing, maybe up for stopping.
    #[default]
    Unknown,
}

/// One resource as supervise sees it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ResourceReport {
    /// Its name: `ipaddr` or `service.web`.
    pub name: String,
    /// What the last check found.
    pub state: ResourceState,
    /// Since when.
    pub since: BootTime,
    /// Failures within the restart window.
    pub failures: u32,
    /// How often it was put back in place after somebody else had removed it, since supervise started.
    pub restored: u32,
    /// `res stop` keeps it from being started.
    pub held: bool,
    /// The last line a failing call printed, or why it could not run.
    pub last_error: Option<String>,
    /// How long the last call took.
    pub duration: Duration,
}

impl ResourceReport {
    /// Everything but the duration.
    fn timeless(&self) -> impl PartialEq + '_ {
        let Self { name, state, since, failures, restored, held, last_error, duration: _ } = self;
        (name, state, since, failures, restored, held, last_error)
    }
}

/// One change of role or word, as `history` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Transition {
    /// When.
    pub at: BootTime,
    /// The word before.
    pub from: Word,
    /// The word after.
    pub to: Word,
    /// The role after.
    pub role: Role,
    /// Why.
    pub reason: Reason,
    /// The term after.
    pub term: Term,
}

/// Transitions kept in the report.
pub const HISTORY: usize = 32;

/// This node as its supervise sees it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SuperviseReport {
    /// What the heartbeat says.
    pub saying: Saying,
    /// When an announced PROGRESS ends at the latest.
    pub progress_until: Option<BootTime>,
    /// The role.
    pub role: Role,
    /// The highest term ever seen; a takeover goes one count above it.
    pub highest_term: Term,
    /// What the decision table says now.
    pub reason: Reason,
    /// Since when it says so.
    pub since: BootTime,
    /// When a wait that the reason names ends by itself.
    pub until: Option<BootTime>,
    /// Whether heartbeats are to be sent.
    pub announce: bool,
    /// Until when this node counts as unfit.
    pub unfit_until: Option<BootTime>,
    /// Resources in the order of the configuration.
    pub resources: Vec<ResourceReport>,
    /// The newest [`HISTORY`] transitions, oldest first.
    pub history: Vec<Transition>,
    /// How long the last period with two active nodes lasted, once it has ended.
    pub last_conflict: Option<Duration>,
    /// The last handover that the operator asked for here.
    pub handover: Option<Handover>,
    /// The newest [`MOVES`](crate::stages::MOVES) takeovers and releases, oldest first.
    pub moves: Vec<Stages>,
}

impl SuperviseReport {
    /// This node's gateway.
    #[must_use]
    pub const fn gateway(&self) -> Gateway {
        self.saying.gateway
    }

    /// Apart from how long things take, which is not worth a write, and no news to anybody. Nor is how far a plan has come,
    /// resource by resource: its PROGRESS is said, and its end will be. This is asked after every check of every resource.
    #[must_use]
    pub fn shows_the_same(&self, before: &Self) -> bool {
        let under_way = self.progress_until.is_some() && self.progress_until == before.progress_until;
        let each = || self.resources.iter().zip(&before.resources).all(|(a, b)| a.timeless() == b.timeless());
        self.timeless() == before.timeless()
            && (under_way || (self.resources.len() == before.resources.len() && each()))
    }

    /// Everything but resources and stages.
    fn timeless(&self) -> impl PartialEq + '_ {
        let Self {
            saying,
            progress_until,
            role,
            highest_term,
            reason,
            since,
            until,
            announce,
            unfit_until,
            resources: _,
            history,
            last_conflict,
            handover,
            moves: _,
        } = self;
        let word = (saying, progress_until, role, highest_term, reason, since);
        (word, until, announce, unfit_until, history, last_conflict, handover)
    }
}

/// The operator's wishes, written by the CLI and kept over restarts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Wishes {
    /// `offline`: no resources here until then.
    pub offline: Option<OfflineWish>,
    /// `switchover`: a peer is to take over; this node stays available.
    pub switchover: Option<SwitchoverWish>,
    /// Change nothing, keep announcing.
    pub maintenance: bool,
    /// Resources that `res stop` keeps down.
    pub held: Vec<String>,
    /// When `online` was last typed: failures before it are forgiven.
    pub forgiven: BootTime,
}

/// `offline` as it was typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OfflineWish {
    /// When it was typed; tells two wishes apart.
    pub since: BootTime,
    /// When it ends by itself.
    pub until: BootTime,
    /// Release even if nobody can take over.
    pub force: bool,
}

/// `switchover` as it was typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SwitchoverWish {
    /// When it was typed; tells two wishes apart, from an `offline` too.
    pub since: BootTime,
    /// It is void if the peer has not said by then that it is ready.
    pub until: BootTime,
    /// The peer that is to take over; `None` is whoever can, the lowest id first.
    pub to: Option<NodeId>,
}
