//! What the supervisor shows: its report for the database, its history, its notes for the log.

use super::{Command, Ending, Note, Supervisor, TICK};
use crate::decide::Action;
use crate::detector::same_word;
use crate::heartbeat::Saying;
use crate::reason::Reason;
use crate::report::{HISTORY, SuperviseReport, Transition};
use crate::word::{Gateway, Role, Word};

impl Supervisor {
    /// What stands in the status database and, in part, in every heartbeat.
    #[must_use]
    pub fn report(&self) -> SuperviseReport {
        SuperviseReport {
            saying: Saying {
                word: self.word,
                term: self.own_term,
                gateway: self.gateway.state(),
                fit: self.fitness.is_fit(),
                willing: self.willing() && self.ending == Ending::No,
                config_hash: self.settings.config_hash,
                asks: self.asks(),
                answer: self.answer(),
            },
            progress_until: self.plan.as_ref().map(|plan| plan.until),
            role: self.role,
            highest_term: self.highest_term,
            reason: self.decision.reason,
            since: self.decision_since,
            until: self.waits_until(),
            announce: self.announces(),
            unfit_until: self.fitness.unfit_until(),
            resources: self.resources.iter().map(crate::resource::Resource::report).collect(),
            history: self.history.clone(),
            last_conflict: self.last_conflict,
            handover: self.handover,
            moves: self.moves.clone(),
        }
    }

    /// When the wait that the reason names ends by itself.
    fn waits_until(&self) -> Option<crate::time::BootTime> {
        let reason = self.decision.reason;
        if reason == Reason::Operator {
            self.outside.wishes.offline.map(|wish| wish.until)
        } else if reason == Reason::PeerBusy {
            self.outside.peers.iter().filter_map(|peer| peer.progress_until).max()
        } else if reason == Reason::ClaimTurn {
            self.turn_since.map(|since| since + self.settings.dead_time * 2)
        } else if matches!(reason, Reason::Unfit | Reason::NotEligible) {
            self.fitness.unfit_until()
        } else {
            None
        }
    }

    fn announces(&self) -> bool {
        let over = |rest: &super::Rest| self.now >= rest.since + self.farewell_time();
        let resting = self.rest.as_ref().is_some_and(over) && self.leaves_to_rest();
        // Of two nodes that were both away one must speak first; a standby's word can do no harm.
        let pausing = self.decision.action == Action::Pause && self.role == Role::Active;
        !resting && !pausing
    }

    pub(super) fn note_published(&mut self, published: bool) {
        self.unpublished_since = if published { None } else { self.unpublished_since.or(Some(self.written[1])) };
    }

    pub(super) fn note_gateway(&mut self, before: Gateway) {
        let state = self.gateway.state();
        let worth_saying = state == Gateway::Lost || (before == Gateway::Lost && state == Gateway::Reachable);
        if before != state && worth_saying {
            self.commands.push(Command::Note(Note::Gateway(state)));
        }
    }

    pub(super) fn note_word(&mut self) {
        self.note_doubt();
        let word = self.current_word();
        // Before the first checks have ended, what was said before the restart stays said.
        let unknown = !self.settled && self.ending != Ending::Gone;
        if unknown || (same_word(self.word, word) && !self.history.is_empty()) {
            return;
        }
        let transition = Transition {
            at: self.now,
            from: self.word,
            to: word,
            role: self.role,
            reason: self.cause_of(word),
            term: self.own_term,
        };
        self.word = word;
        if self.history.len() >= HISTORY {
            self.history.remove(0);
        }
        self.history.push(transition.clone());
        self.commands.push(Command::Note(Note::Transition(transition)));
    }

    /// What began the plan explains every step of it; anything else is explained by the decision in force, unless an active
    /// node has something up no more without having stopped it.
    fn cause_of(&self, word: Word) -> Reason {
        let planned = |word: Word| matches!(word, Word::Progress { .. } | Word::Online);
        if planned(word) {
            self.cause
        } else if self.word == Word::Online && self.role == Role::Active {
            let failed = self.resources.iter().any(|resource| !resource.failures.is_empty());
            if failed { Reason::ResourceFailed } else { self.decision.reason }
        } else if planned(self.word) && word.status().is_some() {
            self.cause
        } else {
            self.decision.reason
        }
    }

    /// Puts a publication before the runs: when something changed, once a [`TICK`], and before every renewal of a lease,
    /// so that the tick in the database is never older than the lease the kernel counts.
    pub(super) fn publish_first(&mut self, commands: Vec<Command>) -> Vec<Command> {
        let said = |command: &Command| matches!(command, Command::Publish | Command::StoreTerm | Command::PublishTerm);
        let renews = |command: &Command| matches!(command, Command::Run { lease: true, .. });
        let report = self.report();
        let due = self.now >= self.next_tick || commands.iter().any(renews);
        let changed = self.published.as_ref().is_none_or(|before| !report.shows_the_same(before));
        let already = commands.iter().any(said);
        if !(due || changed || already) {
            return commands;
        }
        self.published = Some(report);
        self.written = [self.now, self.written[0]];
        self.next_tick = self.now + TICK;
        self.wake_by = Some(self.next_deadline());
        if already {
            return commands;
        }
        // Nor does it wait behind a flush.
        let waits = |command: &Command| matches!(command, Command::Run { .. } | Command::ReserveTerm);
        let first = commands.iter().position(waits).unwrap_or(commands.len());
        let mut ordered = commands;
        ordered.insert(first, Command::Publish);
        ordered
    }
}
