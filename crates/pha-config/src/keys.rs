//! The words of the file, and what somebody may have meant by another one.

/// Every key that stands alone, in the order in which they are shown.
pub(crate) const PLAIN: [&str; 31] = [
    "DEBUG",
    "INSTALLDIR",
    "LOGPATH",
    "DAEMON",
    "PINGTIMEOUT",
    "PORT",
    "SUPERVISE_INT",
    "NODES",
    "GW",
    "PROFILE",
    "HEARTBEAT_INT",
    "DEADTIME",
    "INITDEAD",
    "OFFLINE_TIME",
    "LEASE",
    "START_TIMEOUT",
    "STOP_TIMEOUT",
    "CHECK_TIMEOUT",
    "RESTARTS",
    "RESTART_WINDOW",
    "UNFIT_TIME",
    "FAILBACK",
    "FAILBACK_AFTER",
    "CLUSTER",
    "AUTH",
    "WITNESS",
    "REALTIME",
    "DAEMON_USER",
    "SPLIT",
    "VARDIR",
    "TRACE_SIZE",
];

/// `RES_<agent>[.<name>]`: a resource.
pub(crate) const RESOURCE: &str = "RES_";
/// `ADDR_<node>`: where a node is reached.
pub(crate) const ADDRESS: &str = "ADDR_";
/// `START_TIMEOUT_<resource>` and its like: limits of one resource.
pub(crate) const LIMITS: [&str; 3] = ["START_TIMEOUT_", "STOP_TIMEOUT_", "CHECK_TIMEOUT_"];

/// `CHECK_<resource>`: its built-in check.
pub(crate) const CHECK: &str = "CHECK_";
/// The resources that start and stop together; it looks like a resource, so it is read before them.
pub(crate) const PARALLEL: &str = "RES_PARALLEL";

/// Keys longer than this are no typing errors.
const LONGEST: usize = 64;

/// The known word nearest to `word`, if one is near enough to be meant.
#[must_use]
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > LONGEST {
        return None;
    }
    // Two characters in the wrong order are two changes, and that happens in a short word too.
    let enough = if word.len() < 4 { 1 } else { (word.len() / 3).max(2) };
    let near = known.into_iter().map(|other| (distance(&word.to_uppercase(), &other.to_uppercase()), other));
    near.filter(|(distance, _)| *distance <= enough).min_by_key(|(distance, _)| *distance).map(|(_, other)| other)
}

/// Levenshtein's: how many characters to insert, remove or change.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, b) in to.iter().enumerate() {
            let changed = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_known_word_is_meant() {
        for (typed, meant) in [
            ("PROT", Some("PORT")),
            ("port", Some("PORT")),
            ("NODE", Some("NODES")),
            ("DEAD_TIME", Some("DEADTIME")),
            ("HEARTBEAT_INTERVAL", Some("HEARTBEAT_INT")),
            ("G", Some("GW")),
            ("QUORUM_SERVERS", None),
            ("", None),
        ] {
            assert_eq!(nearest(typed, PLAIN), meant, "{typed}");
        }
        assert_eq!(nearest(&"X".repeat(1000), PLAIN), None);
    }
}
