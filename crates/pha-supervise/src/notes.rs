//! The core's notes as lines of the log. A transition is one line, at this one place.

use std::time::Duration;

use pha_core::detector::same_word;
use pha_core::resource::Outcome;
use pha_core::supervisor::Note;
use pha_core::{Direction, Gateway, LeaveCause, Reason, Word};

/// Logs `note`; `name` gives a resource's name.
pub fn log(note: &Note, name: impl Fn(usize) -> String) {
    match note {
        Note::Transition(change) if same_word(change.from, change.to) => {
            log::info!("{}, role {}: {}, term {}", word(change.to), change.role, change.reason, change.term);
        }
        Note::Transition(change) => log::info!(
            "{} -> {}, role {}: {}, term {}",
            word(change.from),
            word(change.to),
            change.role,
            change.reason,
            change.term
        ),
        Note::Reason(reason @ (Reason::AddressHeld | Reason::Deaf | Reason::WasAway | Reason::NotEligible)) => {
            log::warn!("{reason}");
        }
        Note::Reason(reason) => log::info!("{reason}"),
        Note::CallFailed { resource, call, outcome, message } => match outcome {
            Outcome::TimedOut => log::error!("{} {} timed out: {message}", name(*resource), call.verb()),
            Outcome::NotRun => log::error!("{} {} cannot be run: {message}", name(*resource), call.verb()),
            Outcome::Failed | Outcome::Cancelled | Outcome::Succeeded => {
                log::error!("{} {} failed: {message}", name(*resource), call.verb());
            }
        },
        Note::ResourceLost { resource } => log::warn!("{} is not up any more", name(*resource)),
        Note::Overrun { resource, took } => log::warn!(
            "the check of {} took {} ms, longer than its interval: make it quicker or write SUPERVISE_INT={}",
            name(*resource),
            took.as_millis(),
            roomy_interval(*took)
        ),
        Note::Fitness { fit: true } => log::info!("this node is fit again"),
        Note::Fitness { fit: false } => log::warn!("a resource failed too often: this node is unfit"),
        Note::Gateway(Gateway::Lost) => log::warn!("no gateway answers"),
        Note::Gateway(Gateway::Off | Gateway::Testing | Gateway::Reachable) => log::info!("the gateway answers again"),
        Note::OfflineGivenUp => log::warn!("offline is not honoured: no peer takes over"),
        Note::TermNotStored => log::error!("the term cannot be stored in the status database: nothing is started"),
        Note::ConflictEnded(lasted) => {
            log::warn!("two nodes may have been active for {} ms; this is over", lasted.as_millis());
        }
        Note::WasAway(away) => log::warn!("this program did not run for {} ms", away.as_millis()),
    }
}

fn word(word: Word) -> &'static str {
    match word {
        Word::Online => "ONLINE",
        Word::Offline { clean: true } => "OFFLINE",
        Word::Offline { clean: false } => "OFFLINE (not confirmed down)",
        Word::Progress { direction: Direction::Starting, .. } => "PROGRESS (starting)",
        Word::Progress { direction: Direction::Stopping, .. } => "PROGRESS (stopping)",
        Word::Left { cause: LeaveCause::Operator } => "LEFT (operator)",
        Word::Left { cause: LeaveCause::Gateway } => "LEFT (gateway)",
        Word::Left { cause: LeaveCause::Stopped } => "LEFT (stopped)",
        Word::Kept => "KEPT (stopped, resources left running)",
    }
}

/// An interval, in milliseconds, in which a check that took so long has a quarter to spare.
fn roomy_interval(took: Duration) -> u128 {
    (took * 5 / 4).as_millis().div_ceil(500) * 500
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recommended_interval_holds_the_check_with_room() {
        // P27
        assert_eq!(roomy_interval(Duration::from_millis(4001)), 5500);
        assert_eq!(roomy_interval(Duration::from_millis(1600)), 2000);
    }
}
