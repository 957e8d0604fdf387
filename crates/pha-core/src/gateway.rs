//! Is the gateway there? Rounds of ICMP echoes, pure.
//!
//! Every `SUPERVISE_INT` a round begins: up to [`ECHOES`] echoes spread over `PINGTIMEOUT`, to every `GW` address. The first
//! answer ends the round as reachable; only a whole round without any answer is a lost gateway, so one lost echo is not.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::BootTime;
use crate::word::Gateway;

/// Echoes in a round: at 10 % loss a healthy gateway is taken for lost once in ten million rounds.
pub const ECHOES: u32 = 7;

/// Tests the gateway round by round.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct GatewayMonitor {
    interval: Duration,
    timeout: Duration,
    state: Gateway,
    since: BootTime,
    round: Option<Round>,
    next_round: BootTime,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Round {
    began: BootTime,
    sent: u32,
}

impl GatewayMonitor {
    /// `configured` tells whether there is any `GW`; `interval` is `SUPERVISE_INT`, `timeout` is `PINGTIMEOUT`.
    #[must_use]
    pub const fn new(configured: bool, interval: Duration, timeout: Duration, now: BootTime) -> Self {
        let state = if configured { Gateway::Testing } else { Gateway::Off };
        Self { interval, timeout, state, since: now, round: None, next_round: now }
    }

    /// What is known.
    #[must_use]
    pub const fn state(&self) -> Gateway {
        self.state
    }

    /// Since when.
    #[must_use]
    pub const fn since(&self) -> BootTime {
        self.since
    }

    /// Begin a round now, because a peer's gateway was lost or came back. What was reachable counts as being tested until it
    /// answers, what was lost stays lost until then.
    pub fn retest(&mut self, now: BootTime) {
        if self.state == Gateway::Reachable {
            self.change(Gateway::Testing, now);
        }
        self.round = None;
        self.next_round = now;
    }

    /// A gateway answered.
    pub fn answered(&mut self, now: BootTime) {
        if self.state != Gateway::Off {
            self.round = None;
            self.change(Gateway::Reachable, now);
        }
    }

    /// Time has come for [`Self::next_deadline`]; true if an echo is to be sent to every address.
    #[must_use]
    pub fn deadline_passed(&mut self, now: BootTime) -> bool {
        if self.state == Gateway::Off {
            return false;
        }
        if self.round.is_some_and(|round| now >= round.began + self.timeout) {
            self.round = None;
            self.change(Gateway::Lost, now);
        }
        if self.round.is_none() && now >= self.next_round {
            self.round = Some(Round { began: now, sent: 0 });
            self.next_round = now + self.interval;
        }
        let (spacing, round) = (self.timeout / ECHOES, self.round.as_mut());
        match round {
            Some(round) if round.sent < ECHOES && now >= round.began + spacing * round.sent => {
                round.sent += 1;
                true
            }
            Some(_) | None => false,
        }
    }

    /// When there is next something to do.
    #[must_use]
    pub fn next_deadline(&self) -> Option<BootTime> {
        if self.state == Gateway::Off {
            return None;
        }
        Some(match self.round {
            None => self.next_round,
            Some(round) if round.sent < ECHOES => round.began + self.timeout / ECHOES * round.sent,
            Some(round) => round.began + self.timeout,
        })
    }

    fn change(&mut self, to: Gateway, now: BootTime) {
        if self.state != to {
            self.state = to;
            self.since = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> BootTime {
        BootTime::ZERO + Duration::from_millis(ms)
    }

    fn monitor() -> GatewayMonitor {
        GatewayMonitor::new(true, Duration::from_millis(2000), Duration::from_millis(2100), at(0))
    }

    /// Echoes sent in `from..to` milliseconds.
    fn run(monitor: &mut GatewayMonitor, from: u64, to: u64) -> Vec<u64> {
        (from..to).filter(|ms| monitor.deadline_passed(at(*ms))).collect()
    }

    #[test]
    fn one_lost_echo_is_not_a_lost_gateway() {
        // P17
        let mut m = monitor();
        assert_eq!(run(&mut m, 0, 400), vec![0, 300]);
        m.answered(at(400));
        assert_eq!(m.state(), Gateway::Reachable);
        assert_eq!(run(&mut m, 400, 2001), vec![2000]);
    }

    #[test]
    fn a_whole_round_without_an_answer_is_a_lost_gateway() {
        // P17
        let mut m = monitor();
        m.answered(at(0));
        assert_eq!(run(&mut m, 0, 2100).len(), ECHOES as usize);
        assert_eq!(m.state(), Gateway::Reachable);
        run(&mut m, 2100, 2101);
        assert_eq!((m.state(), m.since()), (Gateway::Lost, at(2100)));
        m.answered(at(2200));
        assert_eq!(m.state(), Gateway::Reachable);
    }

    #[test]
    fn without_a_gateway_the_test_is_off() {
        // P37
        let mut m = GatewayMonitor::new(false, Duration::from_secs(2), Duration::from_secs(2), at(0));
        assert!(run(&mut m, 0, 10_000).is_empty());
        assert_eq!((m.state(), m.next_deadline()), (Gateway::Off, None));
    }

    #[test]
    fn a_round_wakes_for_each_echo_and_once_more_for_its_end() {
        // Not a multiple of the spacing.
        let timeout = Duration::from_millis(2000);
        let mut m = GatewayMonitor::new(true, Duration::from_secs(5), timeout, at(100));
        let mut wakes = Vec::new();
        while m.state() != Gateway::Lost {
            let due = m.next_deadline().expect("a configured gateway always has a deadline");
            assert!(!m.deadline_passed(due - Duration::from_nanos(1)), "too early");
            wakes.push((due, m.deadline_passed(due)));
        }
        let mut expected: Vec<_> = (0..ECHOES).map(|n| (at(100) + timeout / ECHOES * n, true)).collect();
        expected.push((at(100) + timeout, false));
        assert_eq!(wakes, expected);
    }

    #[test]
    fn a_retest_begins_at_once() {
        let mut m = monitor();
        m.answered(at(0));
        run(&mut m, 0, 1);
        m.answered(at(1));
        m.retest(at(500));
        assert_eq!(m.state(), Gateway::Testing);
        assert_eq!(run(&mut m, 500, 501), vec![500]);
        m.answered(at(501));
        assert_eq!(m.state(), Gateway::Reachable);
    }

    #[test]
    fn every_deadline_is_one_at_which_something_happens() {
        let mut m = monitor();
        for _ in 0..50 {
            let due = m.next_deadline().expect("a configured gateway always has a deadline");
            let before = m.clone();
            let sent = m.deadline_passed(due);
            assert!(sent || m != before, "nothing happened at {due:?}");
        }
    }
}
