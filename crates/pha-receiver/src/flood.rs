//! Whether so many foreign datagrams come that the kernel should drop them.
//!
//! At rest each is counted with its reason, because that is how an operator finds a wrong cluster name or an old version. In a
//! flood counting them costs more than it tells, and wakes a program that runs before ordinary ones.

use std::time::Duration;

use pha_core::BootTime;

/// Foreign datagrams within [`WINDOW`] that are a flood: more than any misconfigured neighbour sends.
const MANY: u32 = 1000;
const WINDOW: Duration = Duration::from_secs(1);
/// How long they are held back, before it is looked whether they still come.
const HELD_BACK: Duration = Duration::from_secs(10);
/// Two floods with less between them are one, and told once.
const ONE_FLOOD: Duration = Duration::from_secs(60);

/// Counts what is foreign.
#[derive(Debug, Default)]
pub struct Flood {
    foreign: u32,
    window_began: BootTime,
    held_back_since: Option<BootTime>,
    told_until: BootTime,
}

/// What is to be done with foreign datagrams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// From now on they are to be held back.
    Rises,
    /// From now on they are to be heard again.
    Falls,
    /// As before.
    Stays,
}

impl Flood {
    /// A datagram came.
    pub const fn count(&mut self, admitted: bool) {
        self.foreign = self.foreign.saturating_add(!admitted as u32);
    }

    /// To be asked when datagrams were read.
    pub fn turn(&mut self, now: BootTime) -> Turn {
        if let Some(since) = self.held_back_since {
            if now.since(since) < HELD_BACK {
                return Turn::Stays;
            }
            *self = Self { told_until: self.told_until, window_began: now, ..Self::default() };
            return Turn::Falls;
        }
        if self.foreign > MANY {
            if now >= self.told_until {
                log::warn!("a flood of foreign datagrams: the kernel drops them, and they are no longer counted");
            }
            self.told_until = now + ONE_FLOOD;
            self.held_back_since = Some(now);
            return Turn::Rises;
        }
        if now.since(self.window_began) >= WINDOW {
            (self.foreign, self.window_began) = (0, now);
        }
        Turn::Stays
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> BootTime {
        BootTime::since_boot(Duration::from_secs(1000) + Duration::from_millis(milliseconds))
    }

    fn come(flood: &mut Flood, number: u32) {
        (0..number).for_each(|_| flood.count(false));
    }

    #[test]
    fn what_a_neighbour_sends_is_no_flood_however_long_it_does() {
        let mut flood = Flood::default();
        for second in 0..100 {
            come(&mut flood, MANY / 2);
            assert_eq!(flood.turn(at(second * 1000)), Turn::Stays);
        }
        (0..10 * MANY).for_each(|_| flood.count(true));
        assert_eq!(flood.turn(at(100_000)), Turn::Stays, "these are no foreign ones");
    }

    #[test]
    fn a_flood_is_held_back_and_looked_at_again() {
        let mut flood = Flood::default();
        for round in 0..3 {
            let began = round * 20_000;
            come(&mut flood, MANY + 1);
            assert_eq!(flood.turn(at(began)), Turn::Rises);
            assert_eq!(flood.turn(at(began + 9_999)), Turn::Stays);
            assert_eq!(flood.turn(at(began + 10_000)), Turn::Falls);
            assert_eq!(flood.turn(at(began + 10_001)), Turn::Stays);
        }
    }
}
