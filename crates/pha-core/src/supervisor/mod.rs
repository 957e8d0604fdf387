//! The supervisor: everything `pha-supervise` decides, without doing any of it.
//!
//! Fed with events and time, it asks the decision table, keeps the plan that carries a decision out, schedules checks,
//! probes and announcements, and returns [`Command`]s. Commands come in the order in which they must be carried out; a
//! [`Command::Publish`] before a run makes the database true before an agent acts on it.
//!
//! ```text
//!   Standby ──claim, term stored──▶ Active: PROGRESS starting ──all checked up──▶ ONLINE
//!      ▲                                 │ a start fails                           │ release, unfit
//!      └──────all confirmed down──────── PROGRESS stopping ◀──────────────────────┘
//! ```

mod acting;
mod calls;
mod fitness;
mod handshake;
mod messages;
mod plan;
mod progress;
mod publication;
mod restore;
mod view;
mod witness;
mod wording;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use fitness::MAX_ROUNDS;
pub use messages::{Command, Event, Note, Outside, Restored, Settings};
pub use plan::KILL_GRACE;
pub use wording::Weight;

use crate::decide::{Decision, decide};
use crate::gateway::GatewayMonitor;
use crate::handover::Handover;
use crate::node::Term;
use crate::reason::Reason;
use crate::report::{Liveness, PeerReport, ResourceState, SuperviseReport, Transition};
use crate::resource::Resource;
use crate::stages::Stages;
use crate::time::BootTime;
use crate::word::{LeaveCause, Role, Word};
use fitness::Fitness;
use handshake::{Preparation, Reserve};
use plan::Plan;
use witness::Probed;

/// Supervise publishes at least this often; the age of its last publication tells whether it is alive.
pub const TICK: Duration = Duration::from_secs(1);

/// A rest after a release: first LEFT is announced, then the heartbeat rests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Rest {
    cause: LeaveCause,
    since: BootTime,
}

/// How far an ordered end of the daemon has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
enum Ending {
    /// Not asked for.
    No,
    /// Waiting for calls to end.
    Asked,
    /// Whatever was interrupted is being looked at once more.
    Looking,
    /// Leased resources are being made to stay.
    Keeping,
    /// The last word is said.
    Gone,
}

/// The machine.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Supervisor {
    settings: Settings,
    now: BootTime,
    wake_by: Option<BootTime>,
    away_since: Option<BootTime>,
    outside: Outside,
    resources: Vec<Resource>,
    probed: Vec<Probed>,
    doubt_since: Option<BootTime>,
    gateway: GatewayMonitor,
    /// Since when the gateway is lost here and at no peer.
    alone_since: Option<BootTime>,
    fitness: Fitness,
    role: Role,
    own_term: Term,
    highest_term: Term,
    settled: bool,
    /// A node that has just started looks around for an interval before it claims: of two that start at once each knows then
    /// that the other is there, and whose turn it is.
    claims_from: BootTime,
    claiming: bool,
    /// The first time that this node, since it became active, had everything up.
    online_since: Option<BootTime>,
    /// Something may be up that a release wants down; no matter what is decided meanwhile, it is stopped.
    owes_release: bool,
    /// The release under way ends with a rest.
    rest_due: bool,
    plan: Option<Plan>,
    stop_again_at: BootTime,
    rest: Option<Rest>,
    given_up: Option<BootTime>,
    handover: Option<Handover>,
    preparation: Option<Preparation>,
    reserve: Reserve,
    forgiven: BootTime,
    turn_since: Option<BootTime>,
    preferred_since: Option<BootTime>,
    announcements: Vec<BootTime>,
    conflict_since: Option<BootTime>,
    last_conflict: Option<Duration>,
    decision: Decision,
    decision_since: BootTime,
    /// The reason of the last decision that began to change something.
    cause: Reason,
    word: Word,
    history: Vec<Transition>,
    moves: Vec<Stages>,
    /// When a peer was last suspected.
    suspected: Option<BootTime>,
    /// When a peer last said that it was stopping its resources.
    peer_releasing: Option<BootTime>,
    ending: Ending,
    published: Option<SuperviseReport>,
    /// When the database was last written, and when it was the time before: the last may have failed.
    written: [BootTime; 2],
    /// When it was last written, if it cannot be now.
    unpublished_since: Option<BootTime>,
    next_tick: BootTime,
    /// Empty between two events.
    #[serde(skip)]
    commands: Vec<Command>,
}

impl Supervisor {
    /// Knows nothing of its resources yet; the first checks run with the first event.
    #[must_use]
    pub fn new(settings: Settings, restored: Restored, now: BootTime) -> Self {
        let resources: Vec<Resource> = settings.resources.iter().cloned().map(|s| Resource::new(s, now)).collect();
        Self {
            now,
            wake_by: None,
            away_since: None,
            outside: Outside { deaf: true, ..Outside::default() },
            probed: vec![Probed::default(); resources.len()],
            resources,
            doubt_since: None,
            gateway: GatewayMonitor::new(settings.gateway, settings.supervise_interval, settings.ping_timeout, now),
            alone_since: None,
            fitness: Fitness::new(settings.unfit_time),
            role: Role::Standby,
            own_term: restored.own_term,
            highest_term: restored.highest_term.max(restored.own_term),
            settled: false,
            claims_from: now,
            claiming: false,
            online_since: None,
            owes_release: false,
            rest_due: false,
            plan: None,
            stop_again_at: now,
            rest: None,
            given_up: None,
            handover: None,
            preparation: None,
            reserve: Reserve::No(now),
            forgiven: BootTime::ZERO,
            turn_since: None,
            preferred_since: None,
            announcements: Vec::new(),
            conflict_since: None,
            last_conflict: None,
            decision: Decision { action: crate::decide::Action::Keep, reason: Reason::Starting },
            decision_since: now,
            cause: Reason::Starting,
            word: restored.history.last().map_or(Word::Offline { clean: false }, |last| last.to),
            history: restored.history,
            moves: restored.moves,
            suspected: None,
            peer_releasing: None,
            ending: Ending::No,
            published: None,
            written: [now; 2],
            unpublished_since: None,
            next_tick: now,
            commands: Vec::new(),
            settings,
        }
    }

    /// Takes one event and returns what is to be done about it.
    pub fn handle(&mut self, event: Event, now: BootTime) -> Vec<Command> {
        self.notice_absence(now);
        self.forget_failures(now);
        self.now = now;
        match event {
            Event::OutsideChanged(outside) => self.outside_changed(*outside),
            Event::CallFinished { resource, call, outcome, message, duration } => {
                self.call_finished(resource, call, outcome, message, duration);
            }
            Event::WatchTripped { resource } => self.watch_tripped(resource),
            Event::GatewayAnswered => self.gateway_answered(),
            Event::CarrierChanged => self.gateway.retest(now),
            Event::ResourceRemoved { resource } => self.resource_removed(resource),
            Event::TermStored(stored) => {
                self.note_published(stored);
                self.term_stored(stored);
            }
            Event::TermReserved(stored) => self.term_reserved(stored),
            Event::Published(published) => self.note_published(published),
            Event::StopRequested if self.ending == Ending::No => self.ending = Ending::Asked,
            Event::StopRequested | Event::DeadlinePassed => {}
        }
        self.step();
        self.take_commands()
    }

    /// When [`Event::DeadlinePassed`] is due at the latest; never more than [`TICK`] away.
    #[must_use]
    pub fn next_deadline(&self) -> BootTime {
        self.timers().filter(|at| *at > self.now).fold(self.now + TICK, BootTime::min)
    }

    /// The role, as the next publication will show it.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.role
    }

    /// What the decision table says now.
    #[must_use]
    pub const fn decision(&self) -> Decision {
        self.decision
    }

    /// What stood in the status database when that last changed.
    #[must_use]
    pub const fn outside(&self) -> &Outside {
        &self.outside
    }

    /// Whether the first checks have ended: before, what stood in the database is truer than what this machine knows.
    #[must_use]
    pub const fn is_settled(&self) -> bool {
        self.settled
    }

    /// Whether the last word is said ([`Command::Exit`]).
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.ending == Ending::Gone
    }

    /// Takes new settings over without moving anything. Nodes and resources must be the same, in the same order.
    pub fn reconfigure(&mut self, settings: Settings, now: BootTime) {
        let (timeout, interval) = (settings.ping_timeout, settings.supervise_interval);
        let old = &self.settings;
        if (old.gateway, old.ping_timeout, old.supervise_interval) != (settings.gateway, timeout, interval) {
            self.gateway = GatewayMonitor::new(settings.gateway, interval, timeout, now);
        }
        self.fitness.reconfigure(settings.unfit_time);
        for (resource, new) in self.resources.iter_mut().zip(&settings.resources) {
            debug_assert_eq!(resource.settings.name, new.name, "the same resources");
            resource.settings = new.clone();
        }
        self.settings = settings;
    }

    /// Goes on where the reports of another supervisor end: unfit until then (`Some(None)`: until the operator forgives), and
    /// so many failures of each resource, which count as if they had happened now. For predictions; a daemon begins anew.
    pub fn resume(&mut self, unfit: Option<Option<BootTime>>, failures: &[u32]) {
        if let Some(until) = unfit {
            self.fitness.resume(until);
        }
        for (resource, count) in self.resources.iter_mut().zip(failures) {
            resource.failures = (0..*count).map(|_| self.now).collect();
        }
    }

    /// Goes on as one that was active and has handed over: as long as it is decided to rest, it rests. For predictions.
    pub const fn resume_rest(&mut self) {
        self.rest_due = true;
    }

    /// The resources, by the index used in commands and events.
    #[must_use]
    pub fn resources(&self) -> &[Resource] {
        &self.resources
    }

    fn step(&mut self) {
        self.expire();
        self.note_gateway_alone();
        self.tick_gateway();
        self.note_gateway_alone();
        self.settle();
        self.note_request();
        if self.ending == Ending::No {
            self.drive_handover();
        }
        match self.ending {
            Ending::No if self.settled => self.decide_and_act(),
            Ending::No => {}
            Ending::Asked | Ending::Looking | Ending::Keeping | Ending::Gone => self.end(),
        }
        self.restore_removed();
        self.drive_plan();
        self.schedule_calls();
        self.drive_reserve();
        self.note_word();
        self.wake_by = Some(self.next_deadline());
    }

    /// Decides until nothing changes any more; three passes are enough for every path, more would be a circle.
    fn decide_and_act(&mut self) {
        for _ in 0..3 {
            let before = (self.plan.is_some(), self.role, self.rest, self.given_up);
            let view = self.view();
            self.note_conflict(&view);
            let decision = decide(&view);
            self.note_decision(decision);
            self.act(decision);
            if before == (self.plan.is_some(), self.role, self.rest, self.given_up) {
                break;
            }
        }
    }

    fn settle(&mut self) {
        if self.settled || self.ending != Ending::No || !self.resources.iter().all(|resource| resource.checked) {
            return;
        }
        self.settled = true;
        self.claims_from = self.now + self.settings.heartbeat_interval;
        let any_up = self.resources.iter().any(|resource| resource.state == ResourceState::Up);
        if any_up && self.all_up() {
            // A restart of supervise on the active node moves nothing.
            self.role = Role::Active;
            self.cause = Reason::Adopted;
            self.online_since = Some(self.now);
        }
    }

    fn notice_absence(&mut self, now: BootTime) {
        if let Some(due) = self.wake_by
            && now.since(due) > self.settings.dead_time
        {
            self.away_since = Some(now);
            // Nor could it hear the gateway: a round that it slept through says nothing.
            self.gateway.retest(now);
            self.commands.push(Command::Note(Note::WasAway(now.since(due))));
        }
    }

    /// Failures are forgotten after the restart window. The time of a plan does not count: however long scripts take,
    /// nothing proves itself meanwhile. Nor does the time until a built-in check counts.
    fn forget_failures(&mut self, now: BootTime) {
        let passed = now.since(self.now);
        let window = self.settings.restart_window;
        for index in 0..self.resources.len() {
            let coming_up = self.is_watched(index) && !self.resources[index].watch_counts(self.now);
            let excused = if self.plan.is_some() || coming_up { passed } else { Duration::ZERO };
            let resource = &mut self.resources[index];
            resource.failures.iter_mut().for_each(|at| *at = *at + excused);
            resource.failures.retain(|at| now < *at + window);
            resource.restorations.retain(|at| now < *at + window);
        }
    }

    fn expire(&mut self) {
        let now = self.now;
        // Scripts may take longer than the unfit time: it ends for a node that is done with them.
        if self.plan.is_none() && self.fitness.expire(now) {
            self.resources.iter_mut().for_each(|resource| resource.failures.clear());
            // A node that nobody could relieve has been up all the time, and has yet to prove itself.
            self.online_since = self.online_since.map(|_| now);
            self.commands.push(Command::Note(Note::Fitness { fit: true }));
        }
        let healthy = self.resources.iter().all(|resource| resource.failures.is_empty());
        if healthy && self.online_since.is_some_and(|since| now >= since + self.settings.restart_window) {
            self.fitness.proved_healthy();
        }
        if let Some(since) = self.away_since {
            let heard = self.outside.peers.iter().any(|peer| peer.heard_at.is_some_and(|at| at > since));
            if heard || now >= since + self.settings.dead_time {
                self.away_since = None;
            }
        }
        self.give_up_handover();
    }

    fn outside_changed(&mut self, outside: Outside) {
        let lost = |peers: &[PeerReport], node| {
            peers.iter().any(|p| p.node == node && p.saying.is_some_and(|s| s.gateway == crate::word::Gateway::Lost))
        };
        if outside.peers.iter().any(|p| lost(&outside.peers, p.node) && !lost(&self.outside.peers, p.node)) {
            self.gateway.retest(self.now);
        }
        let doubtful = |peer: &&PeerReport| matches!(peer.liveness, Liveness::Suspect | Liveness::Dead);
        let count = |peers: &[PeerReport]| peers.iter().filter(doubtful).count();
        if self.role == Role::Standby && count(&outside.peers) > count(&self.outside.peers) {
            // It may be this node that is cut off: only a gateway that answers now allows it to take over.
            self.gateway.retest(self.now);
        }
        for term in outside.peers.iter().filter_map(|peer| peer.saying.map(|saying| saying.term)) {
            self.highest_term = self.highest_term.max(term);
        }
        if outside.wishes.forgiven > self.forgiven {
            self.forgiven = outside.wishes.forgiven;
            self.fitness.forgive();
            self.resources.iter_mut().for_each(|resource| resource.failures.clear());
        }
        for resource in &mut self.resources {
            resource.held = outside.wishes.held.contains(&resource.settings.name);
        }
        self.note_suspicion(&outside);
        self.outside = outside;
        self.note_doubt();
    }

    fn gateway_answered(&mut self) {
        let before = self.gateway.state();
        self.gateway.answered(self.now);
        self.note_gateway(before);
    }

    fn tick_gateway(&mut self) {
        let before = self.gateway.state();
        if self.gateway.deadline_passed(self.now) {
            self.commands.push(Command::Ping);
        }
        self.note_gateway(before);
    }

    fn all_up(&self) -> bool {
        self.resources.iter().all(|resource| resource.held || resource.state == ResourceState::Up)
    }

    fn clean(&self) -> bool {
        self.resources.iter().all(|resource| resource.state == ResourceState::Down)
    }

    /// Every moment at which time alone may change a decision; those that have passed have been dealt with.
    fn timers(&self) -> impl Iterator<Item = BootTime> {
        let s = &self.settings;
        let own = [
            Some(self.next_tick),
            Some(self.fitness.retry_at()),
            Some(self.stop_again_at),
            self.gateway.next_deadline(),
            self.alone_since.map(|since| since + self.gateway_answer_time()),
            self.alone_since.map(|since| since + self.gateway_patience()),
            self.fitness.unfit_until(),
            self.away_since.map(|since| since + s.dead_time),
            self.unpublished_since.map(|since| since + self.mute_time()),
            self.turn_since.map(|since| since + s.dead_time * 2),
            self.rest.map(|rest| rest.since + self.handover_time()),
            self.rest.map(|rest| rest.since + self.farewell_time()),
            self.outside.wishes.offline.map(|wish| wish.until),
            self.outside.wishes.switchover.map(|wish| wish.until),
            self.answer_due(),
            Some(self.claims_from),
            self.reserve_again_at(),
            self.preferred_since.and_then(|since| s.failback.map(|after| since + after)),
            self.announcements.first().copied(),
            self.next_probe(),
        ];
        let checks = self.resources.iter().map(|resource| resource.next_check);
        let peers = self.outside.peers.iter();
        let peer_timers = peers.flat_map(|peer| {
            [
                peer.progress_until,
                Some(peer.word_since + s.lease),
                Some(peer.hears_us_at + self.deaf_time()),
                // Whether a peer that left is silent; of others the receiver tells.
                peer.heard_at.filter(|_| peer.liveness == Liveness::Absent).map(|at| at + s.dead_time),
            ]
        });
        own.into_iter().flatten().chain(checks).chain(peer_timers.flatten())
    }

    fn take_commands(&mut self) -> Vec<Command> {
        let commands = std::mem::take(&mut self.commands);
        self.publish_first(commands)
    }
}
