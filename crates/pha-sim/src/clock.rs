//! Time: that of the simulation, which no node can read, and the clock of each machine, which goes a little wrong.

use std::time::Duration;

use pha_core::BootTime;

/// Microseconds since the simulation began.
pub type Micros = u64;

/// A machine's clock shows this much when its programs may start: booting takes time.
const BOOTED: Duration = Duration::from_secs(10);
const MILLION: u64 = 1_000_000;

/// One machine's `CLOCK_BOOTTIME`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Clock {
    since: Micros,
    /// How many microseconds it counts while a million pass.
    rate: u64,
}

impl Clock {
    /// A machine that has just booted; its clock is `ppm` parts in a million too fast (at most 10 %, either way).
    #[must_use]
    pub fn booted(now: Micros, ppm: i32) -> Self {
        Self { since: now, rate: MILLION.saturating_add_signed(i64::from(ppm.clamp(-100_000, 100_000))) }
    }

    /// It boots again.
    pub const fn reboot(&mut self, now: Micros) {
        self.since = now;
    }

    /// What it shows at `now`.
    #[must_use]
    pub fn shows(&self, now: Micros) -> BootTime {
        let counted = u128::from(now.saturating_sub(self.since)) * u128::from(self.rate) / u128::from(MILLION);
        BootTime::since_boot(BOOTED + Duration::from_micros(u64::try_from(counted).unwrap_or(u64::MAX)))
    }

    /// The first microsecond at which it shows `at` or later.
    #[must_use]
    pub fn reaches(&self, at: BootTime) -> Micros {
        let counted = at.since(BootTime::since_boot(BOOTED)).as_nanos().div_ceil(1000);
        let real = (counted * u128::from(MILLION)).div_ceil(u128::from(self.rate));
        self.since.saturating_add(u64::try_from(real).unwrap_or(u64::MAX))
    }
}

/// A duration in microseconds, rounded up.
#[must_use]
pub fn micros(duration: Duration) -> Micros {
    u64::try_from(duration.as_nanos().div_ceil(1000)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_reached_when_the_clock_shows_it_and_not_before() {
        for ppm in [-10_000, -3, 0, 7, 10_000] {
            let clock = Clock::booted(5_000, ppm);
            for us in [0, 1, 999, 123_456, 86_400_000_001] {
                let at = clock.shows(us + 5_000);
                let reached = clock.reaches(at);
                assert!(clock.shows(reached) >= at, "{ppm} ppm, {us} us");
                assert!(reached == 5_000 || clock.shows(reached - 1) < at, "{ppm} ppm, {us} us");
            }
        }
    }
}
