//! The wire as witness: does one of our addresses answer although its keeper is silent?

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::decide::Witness;
use crate::time::BootTime;

/// From the beginning of one probe to the next, while the answer matters: a silent one has then ended long since and is
/// followed by the next at once, one that was answered ends at once.
const PROBE_INTERVAL: Duration = Duration::from_millis(20);
/// How long an address that stayed silent counts as silent: long enough for the next probe to end.
const VALID: Duration = Duration::from_millis(250);

/// What the probes of one resource have said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Probed {
    began: Option<BootTime>,
    answer: Option<(BootTime, bool)>,
}

impl Probed {
    /// A probe was asked for.
    pub const fn began(&mut self, now: BootTime) {
        self.began = Some(now);
    }

    /// A probe ended; `answers` if another machine holds the address. A probe that began before `doubt_since`, when the
    /// peer was still heard, tells nothing about now.
    pub fn finished(&mut self, answers: bool, doubt_since: Option<BootTime>, now: BootTime) {
        let fresh = doubt_since.is_some_and(|doubt| self.began.is_some_and(|began| began >= doubt));
        self.answer = fresh.then_some((now, answers));
    }

    /// What it is worth now.
    #[must_use]
    pub fn witness(&self, now: BootTime) -> Witness {
        match self.answer {
            Some((_, true)) => Witness::Answers,
            Some((at, false)) if now.since(at) <= VALID => Witness::Silent,
            Some((_, false)) | None => Witness::Unknown,
        }
    }

    /// When to probe next.
    #[must_use]
    pub fn next_probe(&self, now: BootTime) -> BootTime {
        self.began.map_or(now, |began| began + PROBE_INTERVAL)
    }
}

/// The word of several resources: one that answers decides, one that is not known holds up.
#[must_use]
pub fn combine(words: impl Iterator<Item = Witness>) -> Witness {
    words.fold(Witness::Off, |sum, word| match (sum, word) {
        (Witness::Answers, _) | (_, Witness::Answers) => Witness::Answers,
        (Witness::Unknown, _) | (_, Witness::Unknown) => Witness::Unknown,
        (Witness::Silent, _) | (_, Witness::Silent) => Witness::Silent,
        (Witness::Off, Witness::Off) => Witness::Off,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wire_is_asked_at_once_and_then_once_an_interval() {
        let at = |ms| BootTime::ZERO + Duration::from_millis(ms);
        let mut probed = Probed::default();
        assert_eq!(probed.next_probe(at(7)), at(7));
        probed.began(at(7));
        assert_eq!(probed.next_probe(at(9)), at(7) + PROBE_INTERVAL);
    }
}
