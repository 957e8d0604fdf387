//! Which agent is called when, apart from the steps of a plan: checks, probes, announcements; and what their end means.

use std::time::Duration;

use super::{Command, Ending, Note, Supervisor};
use crate::decide::{Action, View, Witness, decide};
use crate::heartbeat::Saying;
use crate::reason::Reason;
use crate::report::{Liveness, PeerReport, ResourceState};
use crate::resource::{Call, Outcome, Watched};
use crate::time::BootTime;
use crate::word::{Role, Word};

/// After a takeover an address is announced again at these moments: a switch that was just coming up may have missed it.
const ANNOUNCE_AGAIN: [Duration; 4] =
    [Duration::from_millis(100), Duration::from_millis(500), Duration::from_secs(2), Duration::from_secs(5)];
/// And from then on this often.
const ANNOUNCE_INTERVAL: Duration = Duration::from_secs(60);

/// This far into a second of the kernel's clock it is quiet.
const QUIET: Duration = Duration::from_millis(450);
const SECOND: Duration = Duration::from_secs(1);

impl Supervisor {
    pub(super) fn run(&mut self, index: usize, call: Call) {
        let next_check = self.next_check(index);
        let resource = &mut self.resources[index];
        debug_assert!(resource.running.is_none(), "one call of a resource at a time");
        resource.running = Some(call);
        let limit = resource.limit(call);
        if matches!(call, Call::Check | Call::Watch) {
            resource.next_check = next_check;
        }
        self.commands.push(Command::Run {
            resource: index,
            call,
            limit,
            reason: self.cause,
            term: self.own_term,
            lease: self.renews(index, call),
            sole: call == Call::Start && self.nobody_else_can_hold(),
        });
    }

    /// A node that is releasing lets its leases run out, even if a stop fails. Before the first checks have ended nothing is
    /// known: a restarted supervise keeps what it finds.
    fn renews(&self, index: usize, call: Call) -> bool {
        let keeps = self.role == Role::Active || !self.settled;
        self.resources[index].settings.leased && keeps && matches!(call, Call::Start | Call::Restore | Call::Check)
    }

    /// The wire was asked and stayed silent, or the holder said that it let go.
    fn nobody_else_can_hold(&self) -> bool {
        // A silent peer that stood by may be taking over in this very moment, for the same silence.
        let may_claim = |peer: &PeerReport| {
            let gone = matches!(peer.liveness, Liveness::Dead | Liveness::Absent);
            let held = |saying: Saying| matches!(saying.word, Word::Online | Word::Left { .. } | Word::Kept);
            !gone || !peer.saying.is_some_and(held)
        };
        matches!(self.cause, Reason::PeerDead | Reason::PeerLeft)
            && self.away_since.is_none()
            && !self.outside.peers.iter().any(may_claim)
    }

    fn next_check(&self, index: usize) -> BootTime {
        let interval = self.check_interval(index);
        let latest = self.now + interval;
        if self.resources[index].settings.leased {
            quiet_moment(latest, self.now)
        } else {
            // What costs no process is looked at together, so that supervise wakes once for all.
            let place = if self.is_watched(index) { 0 } else { index };
            own_moment(latest, interval, place, self.resources.len())
        }
    }

    fn check_interval(&self, index: usize) -> Duration {
        let interval = self.settings.supervise_interval;
        if self.resources[index].settings.leased { interval.min(self.settings.lease / 3) } else { interval }
    }

    pub(super) fn call_finished(
        &mut self,
        index: usize,
        call: Call,
        outcome: Outcome,
        message: String,
        duration: Duration,
    ) {
        let Some(resource) = self.resources.get_mut(index) else { return };
        resource.running = None;
        resource.duration = duration;
        let failed = match (call, outcome) {
            (_, Outcome::Succeeded | Outcome::Cancelled) | (Call::Check | Call::Probe, Outcome::Failed) => false,
            (Call::Watch, Outcome::Failed | Outcome::TimedOut) => resource.watch_counts(self.now),
            (_, Outcome::Failed | Outcome::TimedOut | Outcome::NotRun) => true,
        };
        if failed {
            resource.last_error = Some(message.clone());
            self.commands.push(Command::Note(Note::CallFailed { resource: index, call, outcome, message }));
        }
        if matches!(call, Call::Start | Call::Stop) {
            self.note_call(index, duration);
        }
        match call {
            Call::Check | Call::Watch => {
                if duration > self.check_interval(index) && outcome != Outcome::Cancelled {
                    self.commands.push(Command::Note(Note::Overrun { resource: index, took: duration }));
                }
                self.check_finished(index, call, outcome);
            }
            Call::Start | Call::Stop => self.step_finished(index, call, outcome),
            Call::Probe => self.probe_finished(index, outcome),
            Call::Restore => self.restore_finished(index, outcome),
            Call::Announce | Call::Keep => {}
        }
    }

    fn check_finished(&mut self, index: usize, call: Call, outcome: Outcome) {
        // A call of the plan waits for this resource: the check was cancelled, or came too late to mean anything. Nor does one
        // mean anything that went on while somebody removed what it looked at.
        let planned = self.resources[index].removed
            || self.plan.as_ref().is_some_and(|plan| plan.current.iter().any(|(i, _)| *i == index));
        if call == Call::Check && outcome != Outcome::Cancelled {
            self.note_checked(index);
        }
        let verifying = self.plan.as_ref().is_some_and(|plan| plan.verifying && plan.touched.contains(&index));
        let before = self.resources[index].state;
        if call == Call::Check && !planned {
            self.resources[index].check_finished(outcome, self.now);
        } else if call == Call::Watch && !planned && !verifying {
            self.watch_finished(index, outcome);
        }
        if verifying {
            if call == Call::Check && outcome != Outcome::Cancelled {
                self.verified(index);
            }
            return;
        }
        let resource = &self.resources[index];
        let lost = before == ResourceState::Up && resource.state != ResourceState::Up && !resource.held;
        if lost && self.role == Role::Active {
            self.commands.push(Command::Note(Note::ResourceLost { resource: index }));
            self.resource_failed(index);
        }
    }

    /// A built-in check that says nothing leaves the word to the agent.
    fn watch_finished(&mut self, index: usize, outcome: Outcome) {
        if self.resources[index].watch_finished(outcome, self.now) == Watched::Doubtful && self.ending == Ending::No {
            self.run(index, Call::Check);
        }
    }

    /// Its next check is due now, unless it is being looked at or changed anyway.
    pub(super) fn watch_tripped(&mut self, index: usize) {
        if index < self.resources.len() && self.is_watched(index) {
            self.resources[index].next_check = self.now;
        }
    }

    /// The built-in check of what is up on the active node stands for the agent's; anywhere else the agent is asked.
    pub(super) fn is_watched(&self, index: usize) -> bool {
        let resource = &self.resources[index];
        let up = resource.settings.watched && resource.state == ResourceState::Up && !resource.held;
        up && self.settled && self.role == Role::Active
    }

    fn probe_finished(&mut self, index: usize, outcome: Outcome) {
        match outcome {
            Outcome::Succeeded => self.probed[index].finished(true, self.doubt_since, self.now),
            // A wire that cannot be asked is no witness: better a takeover than none for want of a tool.
            Outcome::Failed | Outcome::TimedOut | Outcome::NotRun => {
                self.probed[index].finished(false, self.doubt_since, self.now);
            }
            Outcome::Cancelled => {}
        }
    }

    /// Starts what is due on resources that are free.
    pub(super) fn schedule_calls(&mut self) {
        if self.ending != Ending::No || self.decision.action == Action::Pause {
            return;
        }
        for index in 0..self.resources.len() {
            self.schedule_check(index);
        }
        self.schedule_probes();
        self.run_announcements();
    }

    fn schedule_check(&mut self, index: usize) {
        if self.now < self.resources[index].next_check || self.is_in_plan(index) {
            return;
        }
        match self.resources[index].running {
            None if self.is_watched(index) => self.run(index, Call::Watch),
            None => self.run(index, Call::Check),
            Some(Call::Check | Call::Watch) => self.resources[index].next_check = self.next_check(index),
            Some(Call::Start | Call::Stop | Call::Probe | Call::Announce | Call::Keep | Call::Restore) => {}
        }
    }

    pub(super) fn is_in_plan(&self, index: usize) -> bool {
        self.plan.as_ref().is_some_and(|plan| {
            let waits = plan.steps.iter().flatten().chain(&plan.current).any(|(i, _)| *i == index);
            waits || (plan.verifying && plan.touched.contains(&index))
        })
    }

    /// The wire is asked while a peer is suspect, and while only its word holds up a takeover.
    fn wants_probes(&self) -> bool {
        if self.role == Role::Active || self.doubt_since.is_none() || !self.settled {
            return false;
        }
        let doubtful = |peer: &PeerReport| matches!(peer.liveness, Liveness::Suspect | Liveness::Unheard);
        let view = View { witness: Witness::Silent, ..self.view() };
        self.outside.peers.iter().any(doubtful) || decide(&view).action == Action::BeActive
    }

    fn schedule_probes(&mut self) {
        if !self.wants_probes() {
            return;
        }
        let due: Vec<usize> = self
            .probing()
            .filter(|i| self.resources[*i].running.is_none() && !self.is_in_plan(*i))
            .filter(|i| self.now >= self.probed[*i].next_probe(self.now))
            .collect();
        for index in due {
            self.probed[index].began(self.now);
            self.run(index, Call::Probe);
        }
    }

    pub(super) fn next_probe(&self) -> Option<BootTime> {
        self.doubt_since?;
        self.probing().map(|index| self.probed[index].next_probe(self.now)).min()
    }

    pub(super) fn schedule_announcements(&mut self) {
        self.announcements.extend(ANNOUNCE_AGAIN.iter().map(|after| self.now + *after));
        self.announcements.push(self.now + ANNOUNCE_INTERVAL);
        self.announcements.sort_unstable();
        self.announcements.dedup();
    }

    fn run_announcements(&mut self) {
        let due = self.announcements.partition_point(|at| *at <= self.now);
        if due == 0 {
            return;
        }
        self.announcements.drain(..due);
        if self.announcements.is_empty() {
            self.announcements.push(self.now + ANNOUNCE_INTERVAL);
        }
        for index in 0..self.resources.len() {
            let resource = &self.resources[index];
            let free = resource.running.is_none() && !self.is_in_plan(index);
            if resource.settings.announces && resource.state == ResourceState::Up && free {
                self.run(index, Call::Announce);
            }
        }
    }
}

/// The last quiet moment up to `latest`, if one lies after `now`.
///
/// The kernel removes an address up to a quarter of a second late if its lifetime ends shortly before one of the kernel's
/// own seconds (`round_jiffies_up` in `check_lifetime`, net/ipv4/devinet.c). Those begin near the whole seconds since boot;
/// a lease renewed far from them ends on time.
fn quiet_moment(latest: BootTime, now: BootTime) -> BootTime {
    let into_second = Duration::from_nanos(latest.as_nanos() % 1_000_000_000);
    let since_quiet = if into_second >= QUIET { into_second - QUIET } else { into_second + SECOND - QUIET };
    let quiet = latest - since_quiet;
    if quiet > now { quiet } else { latest }
}

/// The last moment up to `latest` that is this resource's own: so the checks of many resources are spread evenly over an
/// interval, however they began, and none is later than due.
fn own_moment(latest: BootTime, interval: Duration, index: usize, count: usize) -> BootTime {
    let (index, count) = (index as u128, count.max(1) as u128);
    let share = interval.as_nanos() * index / count;
    let late = (u128::from(latest.as_nanos()) + interval.as_nanos() - share) % interval.as_nanos().max(1);
    latest - Duration::from_nanos(u64::try_from(late).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leases_are_renewed_far_from_the_kernels_whole_seconds_and_never_later_than_due() {
        let at = |ms| BootTime::ZERO + Duration::from_millis(ms);
        assert_eq!(quiet_moment(at(5000), at(4000)), at(4450));
        assert_eq!(quiet_moment(at(5450), at(4450)), at(5450));
        assert_eq!(quiet_moment(at(5333), at(4000)), at(4450));
        assert_eq!(quiet_moment(at(5400), at(4700)), at(5400), "no quiet moment in between");
    }
}
