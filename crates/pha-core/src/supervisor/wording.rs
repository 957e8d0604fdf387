//! What a [`Note`] says, in words for the log and for whoever plays a trace, and how much it matters.

use std::time::Duration;

use super::Note;
use crate::detector::same_word;
use crate::reason::Reason;
use crate::resource::Outcome;
use crate::word::Gateway;

/// Who should read a note.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// Whoever wants to know.
    News,
    /// Somebody should look.
    Warning,
    /// pha could not do something.
    Fault,
}

impl Note {
    /// How much it matters.
    #[must_use]
    pub const fn weight(&self) -> Weight {
        match self {
            Self::Reason(Reason::AddressHeld | Reason::Deaf | Reason::Mute | Reason::WasAway | Reason::NotEligible)
            | Self::ResourceLost { .. }
            | Self::Restored { .. }
            | Self::Overrun { .. }
            | Self::Fitness { fit: false }
            | Self::Gateway(Gateway::Lost)
            | Self::OfflineGivenUp(_)
            | Self::ConflictEnded(_)
            | Self::WasAway(_) => Weight::Warning,
            Self::CallFailed { .. } | Self::TermNotStored => Weight::Fault,
            Self::Transition(_)
            | Self::Reason(_)
            | Self::Fitness { fit: true }
            | Self::Gateway(Gateway::Off | Gateway::Testing | Gateway::Reachable) => Weight::News,
        }
    }

    /// One line; `name` gives a resource's name.
    pub fn text(&self, name: impl Fn(usize) -> String) -> String {
        match self {
            Self::Transition(change) => {
                let to = format!("{}, role {}: {}, term {}", change.to, change.role, change.reason, change.term);
                if same_word(change.from, change.to) { to } else { format!("{} -> {to}", change.from) }
            }
            Self::Reason(reason) => reason.to_string(),
            Self::CallFailed { resource, call, outcome, message } => {
                let how = match outcome {
                    Outcome::TimedOut => "timed out",
                    Outcome::NotRun => "cannot be run",
                    Outcome::Failed | Outcome::Cancelled | Outcome::Succeeded => "failed",
                };
                format!("{} {} {how}: {message}", name(*resource), call.verb())
            }
            Self::ResourceLost { resource } => format!("{} is not up any more", name(*resource)),
            Self::Restored { resource, times: 1 } => {
                format!("{} was removed by somebody else; restored", name(*resource))
            }
            Self::Restored { resource, times } => {
                format!("{} was removed by somebody else; restored, for the {times}. time", name(*resource))
            }
            Self::Overrun { resource, took } => format!(
                "the check of {} took {} ms, longer than its interval: make it quicker or write SUPERVISE_INT={}",
                name(*resource),
                took.as_millis(),
                roomy_interval(*took)
            ),
            Self::Fitness { fit: true } => "this node is fit again".to_owned(),
            Self::Fitness { fit: false } => "a resource failed too often: this node is unfit".to_owned(),
            Self::Gateway(Gateway::Lost) => "no gateway answers".to_owned(),
            Self::Gateway(Gateway::Off | Gateway::Testing | Gateway::Reachable) => {
                "the gateway answers again".to_owned()
            }
            Self::OfflineGivenUp(why) => format!("this node does not hand over: {why}"),
            Self::TermNotStored => "the term cannot be stored in the status database: nothing is started".to_owned(),
            Self::ConflictEnded(lasted) => {
                format!("two nodes may have been active for {} ms; this is over", lasted.as_millis())
            }
            Self::WasAway(away) => format!("this program did not run for {} ms", away.as_millis()),
        }
    }
}

/// An interval, in milliseconds, in which a check that took so long has a quarter to spare.
fn roomy_interval(took: Duration) -> u128 {
    (took * 5 / 4).as_millis().div_ceil(500) * 500
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::Term;
    use crate::report::Transition;
    use crate::time::BootTime;
    use crate::word::{Role, Word};

    fn transition(from: Word) -> String {
        let at = BootTime::ZERO;
        let change =
            Transition { at, from, to: Word::Online, role: Role::Active, reason: Reason::Claim, term: Term::NONE };
        Note::Transition(change).text(|_| String::new())
    }

    #[test]
    fn the_recommended_interval_holds_the_check_with_room() {
        // P27
        assert_eq!(roomy_interval(Duration::from_millis(4001)), 5500);
        assert_eq!(roomy_interval(Duration::from_millis(1600)), 2000);
    }

    #[test]
    fn a_transition_is_one_line_and_names_no_word_twice() {
        assert_eq!(transition(Word::Offline { clean: true }), "OFFLINE -> ONLINE, role Active: claim, term 0");
        assert_eq!(transition(Word::Online), "ONLINE, role Active: claim, term 0");
    }

    #[test]
    fn what_pha_could_not_do_is_a_fault_and_what_somebody_should_see_to_a_warning() {
        assert_eq!(Note::TermNotStored.weight(), Weight::Fault);
        assert_eq!(Note::Reason(Reason::Deaf).weight(), Weight::Warning);
        assert_eq!(Note::Reason(Reason::Active).weight(), Weight::News);
        assert_eq!(Note::Fitness { fit: true }.weight(), Weight::News);
    }
}
