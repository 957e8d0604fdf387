//! One node as it is now, as far as this node's status database tells.

use std::time::Duration;

use pha_config::Config;
use pha_core::report::{Liveness, PeerReport, ResourceState, SuperviseReport, Wishes};
use pha_core::{Direction, Gateway, LeaveCause, NodeId, Reason, Term, Word};
use pha_sim::Program;

use crate::programs;
use crate::view::View;

/// What a node is beside what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition {
    /// It lives and speaks, or rests.
    Runs,
    /// Its daemons were stopped.
    Stopped,
    /// It was heard, and is silent.
    Dead,
    /// It is silent, but its address answers.
    CutOff,
    /// Nobody ever heard it.
    Off,
}

/// A rest after `offline`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Offline {
    /// It lasts so long yet.
    pub(super) left: Duration,
    /// With `--force`.
    pub(super) force: bool,
}

/// A node as it is now, as far as it is known here.
pub(super) struct Standing {
    /// Beside what it says.
    pub(super) condition: Condition,
    /// What it says; `None` if nobody knows.
    pub(super) word: Option<Word>,
    /// Each resource.
    pub(super) up: Vec<bool>,
    /// The term it acts under.
    pub(super) own_term: Term,
    /// The highest it knows of.
    pub(super) highest_term: Term,
    /// Its gateway.
    pub(super) gateway_answers: bool,
    /// But for `offline`.
    pub(super) wishes: Wishes,
    /// It rests because of `offline`.
    pub(super) offline: Option<Offline>,
    /// Unfit for so long; `Some(None)` until the operator forgives.
    pub(super) unfit: Option<Option<Duration>>,
    /// Of each resource.
    pub(super) failures: Vec<u32>,
    /// Programs that do not run although others do.
    pub(super) missing: Vec<Program>,
}

impl Standing {
    /// Node `id` as node `me` knows it from its database; just started, if pha does not run on `me`.
    pub(super) fn of(config: &Config, view: &View, me: NodeId, id: NodeId) -> Self {
        let fresh = Self {
            condition: Condition::Runs,
            word: None,
            up: vec![false; config.resources.len()],
            own_term: Term::NONE,
            highest_term: view.last_report().map_or(Term::NONE, |report| report.highest_term),
            gateway_answers: true,
            wishes: Wishes::default(),
            offline: None,
            unfit: None,
            failures: vec![0; config.resources.len()],
            missing: Vec::new(),
        };
        let Some(report) = view.report() else { return fresh };
        if id == me {
            return fresh.own(config, view, report);
        }
        match view.record.receiver.peers.iter().find(|peer| peer.node == id) {
            Some(peer) => fresh.peer(config, view, peer, report.reason == Reason::AddressHeld),
            None => Self { condition: Condition::Off, ..fresh },
        }
    }

    fn own(self, config: &Config, view: &View, report: &SuperviseReport) -> Self {
        let now = view.now;
        let seen = |name: &str| report.resources.iter().find(|resource| resource.name == name);
        let names = || config.resources.iter().map(|resource| resource.name.as_str());
        let missing = [(programs::Program::Receiver, Program::Receiver), (programs::Program::Sender, Program::Sender)];
        let wishes = &view.record.operator.wishes;
        Self {
            word: Some(report.saying.word),
            up: names().map(|name| seen(name).is_some_and(|r| r.state == ResourceState::Up)).collect(),
            own_term: report.saying.term,
            gateway_answers: report.gateway() != Gateway::Lost,
            wishes: Wishes { maintenance: wishes.maintenance, held: wishes.held.clone(), ..Wishes::default() },
            // A wish that was given up is still there, and does nothing.
            offline: wishes
                .offline
                .filter(|_| report.reason == Reason::Operator)
                .map(|wish| Offline { left: wish.until.since(now), force: wish.force }),
            unfit: (!report.saying.fit).then(|| report.unfit_until.map(|until| until.since(now))),
            failures: names().map(|name| seen(name).map_or(0, |resource| resource.failures)).collect(),
            missing: missing.into_iter().filter(|(own, _)| view.pid(*own) == 0).map(|(_, other)| other).collect(),
            ..self
        }
    }

    /// `answers`: an address of a silent peer answers.
    fn peer(self, config: &Config, view: &View, peer: &PeerReport, answers: bool) -> Self {
        let Some(saying) = peer.saying else { return Self { condition: Condition::Off, ..self } };
        let deaf = view.pid(programs::Program::Receiver) == 0;
        let condition = match (peer.liveness, saying.word) {
            (Liveness::Alive | Liveness::Suspect, _) => Condition::Runs,
            (Liveness::Unheard, _) if deaf => Condition::Runs,
            (Liveness::Unheard, _) => Condition::Off,
            (Liveness::Dead, Word::Online) if answers => Condition::CutOff,
            (Liveness::Dead, _) => Condition::Dead,
            (Liveness::Absent, Word::Kept | Word::Left { cause: LeaveCause::Stopped }) => Condition::Stopped,
            (Liveness::Absent, _) => Condition::Runs,
        };
        let holds =
            matches!(saying.word, Word::Online | Word::Kept | Word::Progress { direction: Direction::Starting, .. })
                && condition != Condition::Dead
                && condition != Condition::Off;
        let away = saying.word == Word::Left { cause: LeaveCause::Operator } && condition == Condition::Runs;
        let standby = matches!(saying.word, Word::Offline { .. });
        let unexplained = standby && !saying.willing && saying.fit && saying.gateway != Gateway::Lost;
        Self {
            condition,
            word: Some(saying.word),
            up: vec![holds; config.resources.len()],
            own_term: if holds { saying.term } else { Term::NONE },
            highest_term: saying.term,
            gateway_answers: saying.gateway != Gateway::Lost
                && saying.word != Word::Left { cause: LeaveCause::Gateway },
            wishes: Wishes { maintenance: unexplained, ..Wishes::default() },
            offline: away.then_some(Offline { left: config.offline_time, force: false }),
            unfit: (!saying.fit).then_some(Some(config.unfit_time)),
            ..self
        }
    }
}
