//! Whether this node may be active, and how patiently a broken resource is tried again.
//!
//! A resource that fails more often than `RESTARTS` within `RESTART_WINDOW` makes the node unfit for `UNFIT_TIME`. Every
//! further time in a row lasts twice as long, and after [`MAX_ROUNDS`] it stays unfit until the operator says `online`: so
//! two nodes never throw a broken resource at each other without end. A node that must try although it is unfit pauses
//! between its tries, longer each time.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::BootTime;

/// Times in a row that a node becomes fit again by itself.
pub const MAX_ROUNDS: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Fit, unfit for a time, or unfit until forgiven.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Fitness {
    unfit_time: Duration,
    unfit: Option<Option<BootTime>>,
    rounds: u32,
    tries: u32,
    retry_at: BootTime,
}

impl Fitness {
    /// Fit; `unfit_time` is `UNFIT_TIME`.
    #[must_use]
    pub const fn new(unfit_time: Duration) -> Self {
        Self { unfit_time, unfit: None, rounds: 0, tries: 0, retry_at: BootTime::ZERO }
    }

    /// Another `UNFIT_TIME`, from the next time on.
    pub const fn reconfigure(&mut self, unfit_time: Duration) {
        self.unfit_time = unfit_time;
    }

    /// May be active.
    #[must_use]
    pub const fn is_fit(&self) -> bool {
        self.unfit.is_none()
    }

    /// When an unfit node becomes fit by itself; `None` while it is fit or if it will not.
    #[must_use]
    pub fn unfit_until(&self) -> Option<BootTime> {
        self.unfit.flatten()
    }

    /// When resources may be started again.
    #[must_use]
    pub const fn retry_at(&self) -> BootTime {
        self.retry_at
    }

    /// A resource failed; `too_often` if that was more than the allowed restarts.
    pub fn failed(&mut self, too_often: bool, now: BootTime) {
        if too_often && self.is_fit() {
            let time = self.unfit_time * 2u32.pow(self.rounds);
            self.rounds += 1;
            self.unfit = Some((self.rounds < MAX_ROUNDS).then_some(now + time));
        }
        if !self.is_fit() {
            let pause = FIRST_PAUSE * 2u32.pow(self.tries.min(6));
            self.tries += 1;
            self.retry_at = now + pause.min(LONGEST_PAUSE);
        }
    }

    /// Goes on unfit until then; `None` is until the operator forgives.
    pub const fn resume(&mut self, until: Option<BootTime>) {
        self.unfit = Some(until);
        self.rounds = if until.is_some() { 1 } else { MAX_ROUNDS };
    }

    /// Ends an unfit time that is over; true if it did.
    pub fn expire(&mut self, now: BootTime) -> bool {
        let over = self.unfit_until().is_some_and(|until| now >= until);
        if over {
            self.unfit = None;
            self.tries = 0;
            self.retry_at = now;
        }
        over
    }

    /// Everything is down: peers get their turn, until `turn_over`, before the node may become fit again by itself.
    pub fn released(&mut self, turn_over: BootTime) {
        if let Some(Some(until)) = &mut self.unfit {
            *until = turn_over.max(*until);
        }
    }

    /// The node has been active without a failure for the restart window.
    pub fn proved_healthy(&mut self) {
        if self.is_fit() {
            self.rounds = 0;
        }
    }

    /// The operator says that the past is past.
    pub const fn forgive(&mut self) {
        self.unfit = None;
        self.rounds = 0;
        self.tries = 0;
        self.retry_at = BootTime::ZERO;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: u64) -> BootTime {
        BootTime::ZERO + Duration::from_secs(s)
    }

    #[test]
    fn what_is_resumed_goes_on_until_its_time_or_until_forgiven() {
        let mut f = Fitness::new(Duration::from_secs(60));
        f.resume(Some(at(40)));
        assert_eq!((f.is_fit(), f.unfit_until()), (false, Some(at(40))));
        assert!(!f.expire(at(39)) && f.expire(at(40)) && f.is_fit());
        f.failed(true, at(50));
        assert_eq!(f.unfit_until(), Some(at(50 + 120)), "the second time in a row");
        f.resume(None);
        assert!(!f.is_fit() && !f.expire(at(1_000_000)));
        f.forgive();
        assert!(f.is_fit());
    }

    #[test]
    fn each_unfit_time_is_twice_as_long_and_the_last_one_waits_for_the_operator() {
        let mut f = Fitness::new(Duration::from_secs(60));
        let mut now = 0;
        for expected in [60, 120, 240, 480] {
            f.failed(true, at(now));
            assert_eq!(f.unfit_until(), Some(at(now + expected)));
            now += expected;
            assert!(f.expire(at(now)));
        }
        f.failed(true, at(now));
        assert!(!f.is_fit());
        assert_eq!(f.unfit_until(), None);
        assert!(!f.expire(at(1_000_000)));
        f.forgive();
        assert!(f.is_fit());
    }

    #[test]
    fn an_unfit_node_that_must_try_pauses_longer_each_time() {
        let mut f = Fitness::new(Duration::from_secs(600));
        let pauses: Vec<u64> = (0..8)
            .map(|_| {
                f.failed(true, at(0));
                f.retry_at().since(at(0)).as_secs()
            })
            .collect();
        assert_eq!(pauses, vec![1, 2, 4, 8, 16, 32, 60, 60]);
    }

    #[test]
    fn a_node_that_has_released_stays_unfit_for_its_peers_turn_at_least() {
        let mut f = Fitness::new(Duration::from_secs(60));
        f.released(at(7));
        assert!(f.is_fit());
        f.failed(true, at(0));
        f.released(at(7));
        assert_eq!(f.unfit_until(), Some(at(60)));
        f.released(at(70));
        assert_eq!(f.unfit_until(), Some(at(70)));
    }

    #[test]
    fn a_failure_within_the_allowance_leaves_the_node_fit() {
        let mut f = Fitness::new(Duration::from_secs(60));
        f.failed(false, at(5));
        assert!(f.is_fit());
        assert!(f.retry_at() <= at(5));
    }
}
