//! Times and periods as people read them.

use std::time::Duration;

use jiff::{Timestamp, Zoned};
use pha_core::BootTime;

/// A period in one or two units: `120 ms`, `2.5 s`, `42 s`, `3 min 5 s`, `2 h 10 min`, `5 d 3 h`.
pub(crate) fn period(length: Duration) -> String {
    let (seconds, milliseconds) = (length.as_secs(), length.as_millis());
    match seconds {
        0 => format!("{milliseconds} ms"),
        1..10 if milliseconds % 1000 >= 50 => format!("{:.1} s", length.as_secs_f64()),
        1..60 => format!("{seconds} s"),
        60..3600 => two(seconds / 60, "min", seconds % 60, "s"),
        3600..86400 => two(seconds / 3600, "h", seconds % 3600 / 60, "min"),
        _ => two(seconds / 86400, "d", seconds % 86400 / 3600, "h"),
    }
}

/// For programs.
pub(crate) fn milliseconds(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

fn two(large: u64, large_unit: &str, small: u64, small_unit: &str) -> String {
    if small == 0 { format!("{large} {large_unit}") } else { format!("{large} {large_unit} {small} {small_unit}") }
}

/// The local wall-clock time of `then`, in RFC 3339 with milliseconds; `now` and `wall` are the same moment.
pub(crate) fn local(then: BootTime, now: BootTime, wall: &Zoned) -> String {
    let at = if then <= now { wall.checked_sub(now.since(then)) } else { wall.checked_add(then.since(now)) };
    at.map_or_else(|_| "?".to_owned(), |at| at.strftime("%Y-%m-%dT%H:%M:%S.%3f%:z").to_string())
}

/// Now, in the local time zone.
pub(crate) fn wall_clock() -> Zoned {
    Timestamp::now().to_zoned(jiff::tz::TimeZone::system())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn periods_have_at_most_two_units() {
        let cases = [
            (0, "0 ms"),
            (999, "999 ms"),
            (1000, "1 s"),
            (2500, "2.5 s"),
            (42_900, "42 s"),
            (185_000, "3 min 5 s"),
            (7_800_000, "2 h 10 min"),
            (432_000_000, "5 d"),
        ];
        for (milliseconds, text) in cases {
            assert_eq!(period(Duration::from_millis(milliseconds)), text);
        }
    }

    #[test]
    fn boot_times_become_local_times() {
        let wall: Zoned = "2026-01-31T12:00:00.5+01:00[+01:00]".parse().unwrap();
        let now = BootTime::since_boot(Duration::from_secs(100));
        assert_eq!(local(now - Duration::from_secs(60), now, &wall), "2026-01-31T11:59:00.500+01:00");
        assert_eq!(local(now + Duration::from_secs(30), now, &wall), "2026-01-31T12:00:30.500+01:00");
    }
}
