//! Who wrote a trace, and how its times become wall-clock times.

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};
use pha_core::{BootTime, NodeId};
use serde::{Deserialize, Serialize};

/// The first entry of a segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// pha's version; a later one may decide otherwise.
    pub version: String,
    /// The node's name.
    pub node: String,
    /// All nodes with their names.
    pub nodes: Vec<(NodeId, String)>,
    /// The boot whose times stand here.
    pub boot_id: String,
    /// The process.
    pub pid: u32,
    /// Which segment of this process it is, counted from 1. Two that follow each other have nothing between them.
    pub number: u32,
    /// Inputs that could not be written since this process started.
    pub lost: u64,
    /// What the clocks said when the segment began.
    pub clocks: Clocks,
}

/// Two clocks read at the same moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clocks {
    /// Time since boot.
    pub boot: BootTime,
    /// Nanoseconds since 1970.
    pub wall: i64,
    /// Seconds to add for the writer's local time.
    pub offset: i32,
}

impl Clocks {
    /// What the wall clock says at `boot`.
    #[must_use]
    pub fn read(boot: BootTime) -> Self {
        let now = Timestamp::now();
        let wall = i64::try_from(now.as_nanosecond()).unwrap_or(i64::MAX);
        Self { boot, wall, offset: TimeZone::system().to_offset(now).seconds() }
    }

    /// Nanoseconds since 1970 at `at`, if nobody has set the wall clock meanwhile.
    #[must_use]
    pub fn wall(&self, at: BootTime) -> i64 {
        let signed = |time: BootTime| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
        self.wall.saturating_add(signed(at).saturating_sub(signed(self.boot)))
    }

    /// The writer's local time at `at`, in RFC 3339 with milliseconds, as its logs have it.
    #[must_use]
    pub fn local(&self, at: BootTime) -> String {
        let offset = Offset::from_seconds(self.offset).unwrap_or(Offset::UTC);
        Timestamp::from_nanosecond(self.wall(at).into()).map_or_else(
            |_| "?".to_owned(),
            |time| time.to_zoned(TimeZone::fixed(offset)).strftime("%Y-%m-%dT%H:%M:%S%.3f%:z").to_string(),
        )
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_shown_in_the_writers_zone() {
        let boot = BootTime::since_boot(Duration::from_secs(100));
        let clocks = Clocks { boot, wall: 1_769_857_200_000_000_000, offset: 3600 };
        assert_eq!(clocks.local(boot + Duration::from_millis(1500)), "2026-01-31T12:00:01.500+01:00");
        assert_eq!(clocks.local(boot - Duration::from_secs(60)), "2026-01-31T11:59:00.000+01:00");
    }
}
