//! Carrying a decision out: claims, plans, releases, rests, and the ordered end of the daemon.

use std::time::Duration;

use super::handshake::Reserve;
use super::plan::Plan;
use super::{Command, Ending, Note, Rest, Supervisor};
use crate::decide::{Action, Decision, Doing, OfflineRequest, PeerState, View};
use crate::handover::GaveUp;
use crate::node::Term;
use crate::reason::Reason;
use crate::report::{PeerReport, ResourceState};
use crate::resource::{Call, Outcome, Resource};
use crate::word::{Direction, LeaveCause, Role, Word};

impl Supervisor {
    pub(super) fn note_decision(&mut self, decision: Decision) {
        if decision.reason == Reason::ClaimTurn {
            self.turn_since = self.turn_since.or(Some(self.now));
        } else if decision.action != Action::BeActive {
            self.turn_since = None;
        }
        let honoured = matches!(decision.reason, Reason::Operator | Reason::Maintenance);
        if self.offline_request() == OfflineRequest::Wanted && !honoured {
            self.give_up_leaving(GaveUp::NobodyAble);
        }
        if decision != self.decision {
            if decision.reason != self.decision.reason {
                self.decision_since = self.now;
                self.commands.push(Command::Note(Note::Reason(decision.reason)));
            }
            self.decision = decision;
        }
    }

    pub(super) fn act(&mut self, decision: Decision) {
        if decision.action != Action::ReleaseAndRest {
            self.rest = None;
            self.rest_due = false;
        }
        match decision.action {
            Action::Keep if self.owes_release && decision.reason != Reason::Maintenance => self.stop_what_is_up(),
            Action::Keep | Action::Pause => {}
            Action::BeActive => self.be_active(decision.reason),
            Action::Release => self.release(decision.reason),
            Action::ReleaseAndRest => {
                self.release(decision.reason);
                self.rest_if_released(decision.reason);
            }
        }
    }

    fn be_active(&mut self, reason: Reason) {
        if self.plan.is_some() || self.claiming {
            return;
        }
        if self.role == Role::Standby {
            if self.now >= self.fitness.retry_at().max(self.claims_from) {
                self.claim(reason);
            }
            return;
        }
        if self.resources.iter().any(|resource| resource.held && resource.state != ResourceState::Down) {
            if self.now >= self.stop_again_at {
                self.cause = Reason::Operator;
                self.plan = Some(Plan::down(&self.resources, |resource| resource.held, self.now));
            }
        } else if !self.all_up() && self.now >= self.fitness.retry_at() {
            let failed = !self.fitness.is_fit() || self.resources.iter().any(|resource| !resource.failures.is_empty());
            self.cause = if failed { Reason::ResourceFailed } else { Reason::Operator };
            self.plan = Some(Plan::up(&self.resources, true, self.now));
        }
    }

    /// Takes a new term; resources start once it is on disk. A term that was stored beforehand is there already.
    fn claim(&mut self, reason: Reason) {
        let reserved = self.reserved_term();
        self.reserve = if reserved.is_some() { Reserve::Used } else { Reserve::No(self.now) };
        self.cause = reason;
        self.own_term = reserved.unwrap_or_else(|| Term::next(self.highest_term, self.settings.me));
        self.highest_term = self.own_term;
        self.role = Role::Active;
        self.online_since = None;
        self.preparation = None;
        self.plan = Some(Plan::up(&self.resources, false, self.now));
        self.note_takeover(reason);
        self.claiming = true;
        self.commands.push(if reserved.is_some() { Command::PublishTerm } else { Command::StoreTerm });
    }

    pub(super) fn term_stored(&mut self, stored: bool) {
        if !std::mem::take(&mut self.claiming) {
            return;
        }
        if stored {
            if self.reserve != Reserve::Used {
                self.note_stored();
            }
            // Only now: before, a claim may come to nothing, and what a release left up would be forgotten.
            self.owes_release = false;
            return;
        }
        self.commands.push(Command::Note(Note::TermNotStored));
        self.plan = None;
        self.role = Role::Standby;
        self.fitness.failed(true, self.now);
    }

    fn release(&mut self, reason: Reason) {
        if self.role == Role::Active {
            self.role = Role::Standby;
            self.online_since = None;
            self.announcements.clear();
            self.cause = reason;
            self.note_release(reason);
            self.stop_again_at = self.now;
            // A standby that loses its gateway goes on saying so: its silence would hide that both have lost it.
            self.rest_due = reason == Reason::GatewayLost;
        }
        self.rest_due |= reason == Reason::Operator;
        self.claiming = false;
        self.owes_release = true;
        self.stop_what_is_up();
    }

    fn stop_what_is_up(&mut self) {
        match self.doing() {
            Doing::Stopping => {}
            _ if self.clean() => {
                self.plan = None;
                self.owes_release = false;
            }
            Doing::Idle if self.now < self.stop_again_at => {}
            Doing::Idle | Doing::Starting => self.plan = Some(Plan::down(&self.resources, |_| true, self.now)),
        }
    }

    fn rest_if_released(&mut self, reason: Reason) {
        if self.rest_due && self.rest.is_none() && self.plan.is_none() && self.clean() {
            let cause = if reason == Reason::GatewayLost { LeaveCause::Gateway } else { LeaveCause::Operator };
            self.rest = Some(Rest { cause, since: self.now });
            if let Some(handover) = self.handover.as_mut().filter(|handover| !handover.is_over()) {
                handover.left = handover.left.or(Some(self.now));
            }
        }
    }

    /// The peer must have begun to take over within this time after LEFT was said.
    pub(super) fn handover_time(&self) -> Duration {
        self.settings.dead_time * 2
    }

    /// LEFT is said for this long before the heartbeat rests.
    pub(super) fn farewell_time(&self) -> Duration {
        self.settings.heartbeat_interval * 3
    }

    /// After an `offline` that nobody answers by taking over, this node takes back.
    pub(super) fn give_up_handover(&mut self) {
        let Some(rest) = self.rest else { return };
        let took_over = |state: PeerState| {
            matches!(state, PeerState::Online | PeerState::Starting | PeerState::Stopping | PeerState::Unclean)
        };
        let waited = self.now >= rest.since + self.handover_time();
        if waited && self.offline_request() == OfflineRequest::Wanted && !self.any_peer(took_over) {
            self.give_up_leaving(GaveUp::NotTakenOver);
        }
    }

    pub(super) fn drive_plan(&mut self) {
        if self.claiming {
            return;
        }
        let Some(plan) = &mut self.plan else { return };
        // Whoever was away may have been relieved: nothing is begun, or renewed, before it is known how things stand.
        if plan.direction == Direction::Starting && self.decision.action == Action::Pause {
            return;
        }
        if plan.verifying {
            self.check_touched();
            return;
        }
        if plan.current.is_empty() {
            // What `res stop` has held since the plan was made is not started any more.
            let resources = &self.resources;
            let wanted = |(index, call): &(usize, Call)| *call != Call::Start || !resources[*index].held;
            plan.steps.iter_mut().for_each(|calls| calls.retain(wanted));
            plan.steps.retain(|calls| !calls.is_empty());
            plan.starts.retain(|index| !resources[*index].held);
            plan.current = plan.steps.pop_front().unwrap_or_default();
        }
        let current = plan.current.clone();
        if current.is_empty() {
            self.begin_verifying();
        }
        current.into_iter().for_each(|(index, call)| self.drive_step(index, call));
    }

    fn drive_step(&mut self, index: usize, call: Call) {
        match self.resources[index].running {
            None => {
                self.run(index, call);
                let resource = &mut self.resources[index];
                // Whatever a check said before is not true any more.
                resource.state = ResourceState::Unknown;
                resource.since = self.now;
            }
            Some(running) if running == call => {}
            Some(_) => self.commands.push(Command::Cancel { resource: index }),
        }
    }

    fn begin_verifying(&mut self) {
        if let Some(plan) = &mut self.plan {
            plan.verifying = true;
        }
        self.check_touched();
    }

    /// Checks what is not verified yet, as soon as nothing else runs on it.
    fn check_touched(&mut self) {
        let Some(plan) = &self.plan else { return };
        let touched = plan.touched.clone();
        if touched.is_empty() {
            self.finish_plan();
        }
        for index in touched {
            if self.resources[index].running.is_none() {
                self.run(index, Call::Check);
            }
        }
    }

    /// The step's call ended.
    pub(super) fn step_finished(&mut self, index: usize, call: Call, outcome: Outcome) {
        let Some(plan) = &mut self.plan else { return };
        let Some(place) = plan.current.iter().position(|current| *current == (index, call)) else { return };
        plan.current.swap_remove(place);
        if call == Call::Start && outcome != Outcome::Succeeded {
            // What starts beside it comes to nothing, too: the next plan begins when it has ended.
            let others = plan.current.iter().filter(|(other, _)| self.resources[*other].running == Some(Call::Start));
            self.commands.extend(others.map(|(other, _)| Command::Cancel { resource: *other }));
            self.resource_failed(index);
            self.abandon_start();
        }
    }

    /// A final check of the plan ended.
    pub(super) fn verified(&mut self, index: usize) {
        let Some(plan) = &mut self.plan else { return };
        if !plan.verifying {
            return;
        }
        plan.touched.retain(|touched| *touched != index);
        if plan.touched.is_empty() {
            self.finish_plan();
        }
    }

    fn finish_plan(&mut self) {
        let Some(plan) = self.plan.take() else { return };
        match plan.direction {
            Direction::Stopping => {
                self.stop_again_at = self.now + self.settings.supervise_interval;
                if self.clean() {
                    self.note_done(Direction::Stopping);
                    self.fitness.released(self.now + self.handover_time());
                }
            }
            Direction::Starting if self.all_up() => {
                self.note_done(Direction::Starting);
                if self.online_since.is_none() {
                    self.online_since = Some(self.now);
                }
                self.schedule_announcements();
            }
            Direction::Starting => {
                // What was let go by `res start` meanwhile was not this plan's to start: the next one does.
                let mut down = plan.starts;
                down.retain(|i| !self.resources[*i].held && self.resources[*i].state != ResourceState::Up);
                if !down.is_empty() {
                    down.into_iter().for_each(|index| self.resource_failed(index));
                    self.abandon_start();
                }
            }
        }
    }

    /// A takeover that fails stops what was started; a restart in place that fails leaves the rest to the next decision.
    fn abandon_start(&mut self) {
        self.plan = None;
        if self.online_since.is_none() {
            self.role = Role::Standby;
            self.cause = Reason::ResourceFailed;
            self.owes_release = true;
            self.plan = Some(Plan::down(&self.resources, |_| true, self.now));
        }
    }

    pub(super) fn resource_failed(&mut self, index: usize) {
        let now = self.now;
        let resource = &mut self.resources[index];
        resource.failures.push(now);
        let too_often = resource.failures.len() > usize::try_from(self.settings.restarts).unwrap_or(usize::MAX);
        let was_fit = self.fitness.is_fit();
        self.fitness.failed(too_often, now);
        if was_fit && !self.fitness.is_fit() {
            self.commands.push(Command::Note(Note::Fitness { fit: false }));
        }
    }

    /// Two nodes that may hold resources at once are recorded, and the one that stays announces its addresses again when it is over.
    pub(super) fn note_conflict(&mut self, view: &View) {
        let peer_may_hold =
            self.any_peer(|state| matches!(state, PeerState::Online | PeerState::Starting | PeerState::Stopping));
        // A peer that tries again and again to stop leftovers is no second one each time.
        let second = |peer: &PeerReport| match self.peer_view(peer).state {
            PeerState::Online | PeerState::Starting => true,
            PeerState::Stopping => self.now.since(peer.word_since) < self.settings.heartbeat_interval,
            PeerState::Unheard
            | PeerState::Offline
            | PeerState::Unclean
            | PeerState::Unconfirmed
            | PeerState::Dead
            | PeerState::Left(_)
            | PeerState::Kept => false,
        };
        let began = self.conflict_since.is_some() || (view.is_online() && self.outside.peers.iter().any(second));
        let conflict = peer_may_hold && !view.clean && began;
        match (conflict, self.conflict_since) {
            (true, None) => self.conflict_since = Some(self.now),
            (false, Some(since)) => {
                self.conflict_since = None;
                let lasted = self.now.since(since);
                self.last_conflict = Some(lasted);
                self.commands.push(Command::Note(Note::ConflictEnded(lasted)));
                if view.is_online() {
                    self.announcements = vec![self.now];
                    self.schedule_announcements();
                }
            }
            (true, Some(_)) | (false, None) => {}
        }
    }

    /// The daemon is to end: calls under way end first, what they left unknown is looked at, leased resources are made to
    /// stay, then the last word is said.
    pub(super) fn end(&mut self) {
        if self.doing() == Doing::Starting {
            self.plan = None;
            self.claiming = false;
        }
        if self.plan.is_some() {
            return;
        }
        let which = |test: fn(&Resource) -> bool| -> Vec<usize> {
            (0..self.resources.len()).filter(|index| test(&self.resources[*index])).collect()
        };
        let running = which(|resource| resource.running.is_some());
        if !running.is_empty() {
            if self.ending == Ending::Asked {
                self.commands.extend(running.into_iter().map(|resource| Command::Cancel { resource }));
            }
            return;
        }
        let (next, calls, call) = match self.ending {
            Ending::Asked => (Ending::Looking, which(|resource| resource.state == ResourceState::Unknown), Call::Check),
            Ending::Looking => {
                let stays = |resource: &Resource| resource.settings.leased && resource.state == ResourceState::Up;
                (Ending::Keeping, which(stays), Call::Keep)
            }
            Ending::Keeping => return self.say_farewell(),
            Ending::Gone | Ending::No => return,
        };
        self.ending = next;
        let nothing_to_do = calls.is_empty();
        calls.into_iter().for_each(|index| self.run(index, call));
        if nothing_to_do {
            self.end();
        }
    }

    fn say_farewell(&mut self) {
        self.ending = Ending::Gone;
        self.cause = Reason::Stopped;
        self.decision.reason = Reason::Stopped;
        self.role = Role::Standby;
        self.rest = None;
        self.commands.push(Command::Publish);
        self.commands.push(Command::Exit);
    }

    pub(super) fn current_word(&self) -> Word {
        if self.ending == Ending::Gone {
            return if self.clean() { Word::Left { cause: LeaveCause::Stopped } } else { Word::Kept };
        }
        if let Some(rest) = self.rest {
            return Word::Left { cause: rest.cause };
        }
        match self.doing() {
            Doing::Starting => Word::Progress { direction: Direction::Starting, remaining: Duration::ZERO },
            Doing::Stopping => Word::Progress { direction: Direction::Stopping, remaining: Duration::ZERO },
            Doing::Idle if self.role == Role::Active && self.all_up() => Word::Online,
            Doing::Idle => Word::Offline { clean: self.clean() },
        }
    }
}
