//! What somebody else removed is put back in place: an address that a network manager or an operator took off its device.
//!
//! Only where this node is active without a doubt: not while it stands still, not if it does not know what happened while
//! it was away, not if the operator or a plan wants it otherwise. Then the next check says what is true, as ever. The agent
//! asks the wire before it puts the address back, so that one whose peer has taken it meanwhile does not make a second.
//!
//! Whoever removes an address again and again is given in to after [`MOST`] times: from then on each is a failure of the
//! resource like any other (ADR 0016).

use super::{Command, Ending, Note, Supervisor};
use crate::decide::Action;
use crate::report::ResourceState;
use crate::resource::{Call, Outcome};
use crate::word::Role;

/// So often within `RESTART_WINDOW`.
pub const MOST: usize = 10;

impl Supervisor {
    pub(super) fn resource_removed(&mut self, index: usize) {
        if let Some(resource) = self.resources.get_mut(index) {
            resource.removed = true;
        }
    }

    /// Puts back what was removed, or has it checked; as soon as nothing else runs on it.
    pub(super) fn restore_removed(&mut self) {
        for index in 0..self.resources.len() {
            let resource = &self.resources[index];
            if !resource.removed || resource.running.is_some() {
                continue;
            }
            let restore = self.may_restore(index);
            self.resources[index].removed = false;
            if restore {
                self.run(index, Call::Restore);
            } else {
                self.resources[index].next_check = self.now;
            }
        }
    }

    fn may_restore(&self, index: usize) -> bool {
        let resource = &self.resources[index];
        self.role == Role::Active
            && self.decision.action == Action::BeActive
            && self.ending == Ending::No
            && resource.state == ResourceState::Up
            && !resource.held
            && !self.is_in_plan(index)
            && resource.restorations.len() < MOST
    }

    pub(super) fn restore_finished(&mut self, index: usize, outcome: Outcome) {
        let now = self.now;
        let resource = &mut self.resources[index];
        match outcome {
            Outcome::Succeeded => {
                resource.restorations.push(now);
                resource.restored += 1;
                let times = resource.restored;
                self.commands.push(Command::Note(Note::Restored { resource: index, times }));
                self.schedule_announcements();
            }
            // The check finds it down, and that is a failure.
            Outcome::Failed | Outcome::TimedOut | Outcome::NotRun => resource.next_check = now,
            Outcome::Cancelled => {}
        }
    }
}
