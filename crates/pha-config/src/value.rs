//! Values: numbers with their bounds, times with their units, words of a choice. Each error says what to write.

use std::fmt::Display;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use crate::problem::Wrong;

/// A whole number in `range`; digits only.
pub(crate) fn whole<T: TryFrom<u64>>(text: &str, range: RangeInclusive<u64>, unit: &str) -> Result<T, Wrong> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.then(|| text.parse().ok()).flatten().filter(|number| range.contains(number));
    let fitting = number.and_then(|number| T::try_from(number).ok());
    fitting.ok_or_else(|| outside("a whole number", &range.start(), &range.end(), unit, text))
}

/// Whole milliseconds in `range`.
pub(crate) fn milliseconds(text: &str, range: RangeInclusive<u64>) -> Result<Duration, Wrong> {
    whole(text, range, " ms").map(Duration::from_millis)
}

/// Whole seconds in `range`.
pub(crate) fn seconds(text: &str, range: RangeInclusive<u64>) -> Result<Duration, Wrong> {
    whole(text, range, " s").map(Duration::from_secs)
}

/// Seconds with up to `decimals` (1 to 3) places after a point; `range` in milliseconds.
pub(crate) fn fractional(text: &str, decimals: usize, range: RangeInclusive<u64>) -> Result<Duration, Wrong> {
    let number = thousandths(text, decimals).filter(|number| range.contains(number)).map(Duration::from_millis);
    number.ok_or_else(|| {
        let kind = if decimals == 1 { "a number with at most one decimal" } else { "a number such as 2 or 2.1" };
        let bound = |thousandths: &u64| in_seconds(Duration::from_millis(*thousandths));
        outside(kind, &bound(range.start()), &bound(range.end()), " s", text)
    })
}

fn thousandths(text: &str, decimals: usize) -> Option<u64> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(seconds) || !digits(fraction) || fraction.len() > decimals.max(1) {
        return None;
    }
    let fraction: u64 = format!("{fraction:0<3}").parse().ok()?;
    seconds.parse::<u64>().ok()?.checked_mul(1000)?.checked_add(fraction)
}

fn outside(kind: &str, least: &dyn Display, most: &dyn Display, unit: &str, text: &str) -> Wrong {
    let remedy = if text.contains('#') { "put the comment on a line of its own" } else { "correct the value" };
    Wrong::new(format!("this has to be {kind} from {least} to {most}{unit}"), remedy)
}

/// A duration as seconds are written: `3`, `2.1`; exact to the millisecond, which a float is not.
pub(crate) fn in_seconds(duration: Duration) -> String {
    let text = format!("{}.{:03}", duration.as_secs(), duration.subsec_millis());
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// One of a few words.
pub(crate) fn choice<T: Copy>(text: &str, words: &[(&str, T)]) -> Result<T, Wrong> {
    words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning).ok_or_else(|| {
        let words: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        Wrong::new("there is no such choice", format!("write {}", words.join(" or ")))
    })
}

/// `0` or `1`.
pub(crate) fn digit(text: &str) -> Result<bool, Wrong> {
    choice(text, &[("0", false), ("1", true)])
}

/// `on` or `off`.
pub(crate) fn switch(text: &str) -> Result<bool, Wrong> {
    choice(text, &[("on", true), ("off", false)])
}

/// A path that does not depend on where a program was started.
pub(crate) fn absolute_path(text: &str) -> Result<PathBuf, Wrong> {
    if text.starts_with('/') {
        return Ok(text.into());
    }
    Err(Wrong::new("this is not an absolute path", "begin it with /"))
}

/// Addresses, blank-separated, each once; none at all is fine.
pub(crate) fn addresses(text: &str) -> Result<Vec<IpAddr>, Wrong> {
    let mut known = Vec::new();
    for word in text.split_whitespace() {
        let address: IpAddr = word.parse().map_err(|_| {
            let remedy = "write IPv4 or IPv6 addresses with blanks between them, no names and no prefix length";
            Wrong::new(format!("'{word}' is no IP address"), remedy)
        })?;
        let broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
        if address.is_unspecified() || address.is_multicast() || broadcast {
            return Err(Wrong::new(format!("{address} is no single machine's address"), "write a router's address"));
        }
        if known.contains(&address) {
            return Err(Wrong::new(format!("{address} stands here twice"), "write each address once"));
        }
        known.push(address);
    }
    Ok(known)
}

/// The cluster's name: it tells apart clusters that share a network.
pub(crate) fn cluster(text: &str) -> Result<String, Wrong> {
    let fine = text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    fine.then(|| text.to_owned())
        .ok_or_else(|| Wrong::new("this is no cluster name", "use up to 64 letters, digits, '-', '_' and '.'"))
}

/// The name of a user, as useradd(8) takes it.
pub(crate) fn user(text: &str) -> Result<String, Wrong> {
    let begins = text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    let fine = text.len() <= 32 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    (begins && fine).then(|| text.to_owned()).ok_or_else(|| {
        let remedy = "write the name of a user of this machine, such as pha, or root";
        Wrong::new("this is no name of a user", remedy)
    })
}

/// Whether this can be a host name (RFC 1123, and the underscore that some networks use).
pub(crate) fn host_name(text: &str) -> Result<(), Wrong> {
    if text.parse::<IpAddr>().is_ok() {
        let remedy = "write the node's host name here and its address into ADDR_<name>=";
        return Err(Wrong::new(format!("'{text}' is an address"), remedy));
    }
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let label = |label: &str| {
        (1..=63).contains(&label.len()) && label.bytes().all(letter) && !label.starts_with('-') && !label.ends_with('-')
    };
    if text.len() <= 253 && text.split('.').all(label) {
        return Ok(());
    }
    let remedy = "use letters, digits, '-' and '.', names with blanks between them";
    Err(Wrong::new(format!("'{text}' is no host name"), remedy))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn whole_numbers_are_digits_within_their_bounds() {
        assert_eq!(whole::<u16>("1", 1..=65535, ""), Ok(1));
        assert_eq!(whole::<u16>("0065535", 1..=65535, ""), Ok(65535));
        for bad in ["", "0", "65536", "+7", "-1", "1.0", "0x10", " 7", "7 ", "seven", "٧", "99999999999999999999999"] {
            assert!(whole::<u16>(bad, 1..=65535, "").is_err(), "{bad}");
        }
        let wrong = milliseconds("4 # fast", 5..=10_000).unwrap_err();
        assert_eq!(wrong.what, "this has to be a whole number from 5 to 10000 ms");
        assert_eq!(wrong.remedy, "put the comment on a line of its own");
    }

    // P33
    #[test]
    fn fractional_seconds_keep_their_decimals_exactly() {
        let ms = Duration::from_millis;
        for (text, meant) in [("2.1", 2100), ("2", 2000), ("0.1", 100), ("60", 60_000), ("0.125", 125), ("2.10", 2100)]
        {
            assert_eq!(fractional(text, 3, 100..=60_000), Ok(ms(meant)), "{text}");
        }
        for bad in ["", ".", "2.", ".5", "2,1", "2.1.1", "-2", "1e3", "inf", "NaN", "0.0999", "0.099", "60.001"] {
            assert!(fractional(bad, 3, 100..=60_000).is_err(), "{bad}");
        }
        assert!(fractional("2.15", 1, 1500..=60_000).is_err());
        assert_eq!(in_seconds(ms(2100)), "2.1");
        assert_eq!(in_seconds(ms(30_000)), "30");
        assert_eq!(in_seconds(ms(1352)), "1.352");
    }

    #[test]
    fn names_and_addresses_are_told_apart() {
        for good in ["lb1", "lb1.example.com", "a-b", "a_b", "1a", "LB1"] {
            assert_eq!(host_name(good), Ok(()), "{good}");
        }
        for bad in ["", ".", "lb1.", "-a", "a-", "a..b", "lb1,lb2", "lb/1", "lä", "10.0.0.1", "::1"] {
            assert!(host_name(bad).is_err(), "{bad}");
        }
        assert!(host_name(&"a".repeat(64)).is_err());
    }

    #[test]
    fn a_user_has_a_name_and_no_number() {
        for good in ["pha", "root", "_pha", "pha-2", "Pha.x"] {
            assert_eq!(user(good), Ok(good.to_owned()), "{good}");
        }
        for bad in ["", "0", "-pha", "pha pha", "pha:x", "../pha", "a".repeat(33).as_str()] {
            assert!(user(bad).is_err(), "{bad}");
        }
    }

    // P37
    #[test]
    fn a_gateway_is_any_single_machines_address() {
        assert_eq!(addresses("").unwrap().len(), 0);
        assert_eq!(addresses("192.168.42.1  2001:db8::1").unwrap().len(), 2);
        for bad in ["gw", "10.0.0.1/24", "0.0.0.0", "::", "224.0.0.1", "ff02::1", "255.255.255.255", "::1 0:0::1"] {
            assert!(addresses(bad).is_err(), "{bad}");
        }
    }
}
