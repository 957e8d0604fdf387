//! What must hold between times, so that they can keep the promises made with them: one table of inequalities.
//!
//! ```text
//!   KEY >= least(other keys)      does not hold ──▶ a Problem with the numbers, and a value that works
//! ```
//!
//! Each entry stands in the configuration's own words; what is refused, the table of `docs/times.md` and the settings for
//! trying an edge ([`edges`]) are all made from it. Where the times meet in the code is said there, too. Defaults follow
//! the times that they depend on, so an inequality is broken only by what a file says.

use std::path::Path;
use std::time::Duration;

use pha_core::supervisor::KILL_GRACE;

use crate::config::Config;
use crate::problem::Wrong;
use crate::reader::Reader;
use crate::value::in_seconds;

/// What the lease leaves above the dead time: supervise ticks once a second, and a tick may be late by half of that.
const ABOVE_DEAD_TIME: Duration = Duration::from_millis(1500);
/// What a failure may take to be seen beside the period and the limit of checks: SIGKILL comes 2 s after SIGTERM, and a
/// timer may be a second late.
const SEEN_LATE: Duration = KILL_GRACE.saturating_add(Duration::from_secs(1));
/// How many dead times a peer has to begin a claim.
const TURN: u32 = 2;

/// Every time at its edge at once: the smallest that is accepted without real-time scheduling. For trying, not for use.
pub const TIGHTEST: &str = "REALTIME=off\nHEARTBEAT_INT=50\nDEADTIME=100\nINITDEAD=100\nLEASE=2\nOFFLINE_TIME=1\nUNFIT_TIME=1\n\
                            FAILBACK=on\nFAILBACK_AFTER=1\nSUPERVISE_INT=100\nSTART_TIMEOUT=1\nSTOP_TIMEOUT=1\n\
                            CHECK_TIMEOUT=1\nRESTARTS=1\nRESTART_WINDOW=5\nPINGTIMEOUT=0.1\n";

/// What the configurations of [`edges`] have in common.
const EDGE_BASE: &str = "NODES=lb1 lb2\nRES_service=httpd\nRES_ipaddr=192.168.42.20/24 eth0\n";

/// `key >= least`.
#[derive(Debug, Clone, Copy)]
pub struct Inequality {
    /// The key that is too small where it does not hold.
    pub key: &'static str,
    /// What it has to be at least, in the configuration's words.
    pub least: &'static str,
    /// What would happen otherwise.
    pub otherwise: &'static str,
    /// Where the times meet: a file, and what in it.
    pub place: [&'static str; 2],
    unit: Unit,
    most: u64,
    value: fn(&Config) -> Duration,
    least_value: fn(&Config) -> Duration,
    /// Keys of the right side, and for [`edges`] values of them that make it whole.
    others: &'static [(&'static str, u64)],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Milliseconds,
    Seconds,
}

/// Every inequality, in the order in which their keys depend on each other.
pub const INEQUALITIES: [Inequality; 7] = [
    Inequality {
        key: "DEADTIME",
        least: "2 × HEARTBEAT_INT",
        otherwise: "one lost heartbeat, without the time to ask again, would make a dead peer",
        place: ["crates/pha-core/src/detector.rs", "suspect after 1.5 intervals, then twenty questions before dead"],
        unit: Unit::Milliseconds,
        most: 58_500,
        value: |config| config.dead_time,
        least_value: |config| config.heartbeat_interval * 2,
        others: &[("HEARTBEAT_INT", 200)],
    },
    Inequality {
        key: "INITDEAD",
        least: "DEADTIME",
        otherwise: "a starting node would take over before it could have heard a living peer",
        place: ["crates/pha-core/src/detector.rs", "the first wait of a detector"],
        unit: Unit::Milliseconds,
        most: 600_000,
        value: |config| config.init_dead,
        least_value: |config| config.dead_time,
        others: &[("DEADTIME", 600), ("HEARTBEAT_INT", 200)],
    },
    Inequality {
        key: "LEASE",
        least: "DEADTIME + 1.5 s",
        otherwise: "the sender would fall silent between two ticks of a healthy supervise",
        place: ["crates/pha-core/src/beat.rs", "silent LEASE − DEADTIME after the last tick"],
        unit: Unit::Seconds,
        most: 60,
        value: |config| config.lease,
        least_value: |config| config.dead_time + ABOVE_DEAD_TIME,
        others: &[("DEADTIME", 1500), ("HEARTBEAT_INT", 200)],
    },
    Inequality {
        key: "OFFLINE_TIME",
        least: "2 × DEADTIME",
        otherwise: "a node would be back before its peer had the time to take over",
        place: ["crates/pha-core/src/supervisor/acting.rs", "the peer begins within 2 × DEADTIME after LEFT"],
        unit: Unit::Seconds,
        most: 86_400,
        value: |config| config.offline_time,
        least_value: |config| config.dead_time * TURN,
        others: &[("DEADTIME", 1500), ("HEARTBEAT_INT", 200)],
    },
    Inequality {
        key: "UNFIT_TIME",
        least: "2 × DEADTIME",
        otherwise: "a node would claim again before its peer's turn to claim was over",
        place: ["crates/pha-core/src/supervisor/view.rs", "others wait 2 × DEADTIME for their turn"],
        unit: Unit::Seconds,
        most: 86_400,
        value: |config| config.unfit_time,
        least_value: |config| config.dead_time * TURN,
        others: &[("DEADTIME", 1500), ("HEARTBEAT_INT", 200)],
    },
    Inequality {
        key: "FAILBACK_AFTER",
        least: "2 × DEADTIME",
        otherwise: "a preferred node that spoke once and died would count as healthy",
        place: ["crates/pha-core/src/supervisor/view.rs", "healthy is alive, and alive lasts DEADTIME without a word"],
        unit: Unit::Seconds,
        most: 86_400,
        value: |config| config.failback.unwrap_or(Duration::MAX),
        least_value: |config| config.dead_time * TURN,
        others: &[("DEADTIME", 1500), ("HEARTBEAT_INT", 200)],
    },
    Inequality {
        key: "RESTART_WINDOW",
        least: "max(RESTARTS, 1) × (SUPERVISE_INT + CHECK_TIMEOUT + 3 s)",
        otherwise: "a resource that never works would be restarted in place for ever",
        place: ["crates/pha-core/src/supervisor/mod.rs", "failures are forgotten with the window; plans do not count"],
        unit: Unit::Seconds,
        most: 86_400,
        value: |config| config.restart_window,
        least_value: |config| one_failure(config) * config.restarts.max(1),
        others: &[("SUPERVISE_INT", 2000), ("CHECK_TIMEOUT", 10), ("RESTARTS", 3)],
    },
];

/// From the moment that a resource was found up to its next failure, if it never worked: at most.
fn one_failure(config: &Config) -> Duration {
    config.supervise_interval + longest_check(config) + SEEN_LATE
}

/// The longest limit of a check.
pub(crate) fn longest_check(config: &Config) -> Duration {
    config.resources.iter().map(|resource| resource.check_timeout).fold(config.check_timeout, Duration::max)
}

impl Inequality {
    /// The whole of it: `DEADTIME >= 2 × HEARTBEAT_INT`.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{} >= {}", self.key, self.least)
    }

    /// Whether `config` keeps it. True of every [`Config`] that was read without an error.
    #[must_use]
    pub fn holds(&self, config: &Config) -> bool {
        (self.value)(config) >= (self.least_value)(config)
    }

    /// The least value of the key, in its unit; it may be above the key's bound.
    fn least_number(&self, config: &Config) -> u64 {
        self.unit.up((self.least_value)(config))
    }

    /// The line that mends it, and whether less than that is fine too. Where the key would have to be above its bound, as
    /// only a restart window can be, there are too many restarts.
    fn remedy(&self, config: &Config) -> (&'static str, u64, &'static str) {
        let least = self.least_number(config);
        if least <= self.most {
            return (self.key, least, "more");
        }
        let most = self.unit.time(self.most).as_millis() / one_failure(config).as_millis();
        ("RESTARTS", u64::try_from(most).unwrap_or(u64::MAX), "less")
    }

    /// The inequality with the values in force: `399 ms >= 2 × 200 ms`.
    fn numbers(&self, config: &Config) -> String {
        let words = [
            (self.key, self.unit.show((self.value)(config))),
            ("HEARTBEAT_INT", Unit::Milliseconds.show(config.heartbeat_interval)),
            ("DEADTIME", Unit::Milliseconds.show(config.dead_time)),
            ("SUPERVISE_INT", Unit::Milliseconds.show(config.supervise_interval)),
            ("CHECK_TIMEOUT", Unit::Seconds.show(longest_check(config))),
            ("RESTARTS", config.restarts.to_string()),
        ];
        words.iter().fold(self.text(), |text, (key, value)| text.replace(key, value))
    }

    /// `mended` is what the remedy is worked out from.
    fn refuse(&self, reader: &mut Reader, config: &Config, mended: &Config) {
        let keys: Vec<_> = std::iter::once(self.key).chain(self.others.iter().map(|(key, _)| *key)).collect();
        if !reader.sound(&keys) {
            return;
        }
        let (key, value, or) = self.remedy(mended);
        let blamed: Vec<_> = std::iter::once(key).chain(keys).collect();
        let what = format!("{} does not hold: {}; {}", self.text(), self.numbers(config), self.otherwise);
        reader.refuse_rule(&blamed, Wrong::new(what, format!("write {key}={value} or {or}")));
    }
}

impl Unit {
    const fn length(self) -> u64 {
        match self {
            Self::Milliseconds => 1,
            Self::Seconds => 1000,
        }
    }

    const fn time(self, number: u64) -> Duration {
        Duration::from_millis(number * self.length())
    }

    /// As a whole number, rounded up.
    fn up(self, time: Duration) -> u64 {
        u64::try_from(time.as_millis()).unwrap_or(u64::MAX).div_ceil(self.length())
    }

    fn show(self, time: Duration) -> String {
        match self {
            Self::Milliseconds => format!("{} ms", time.as_millis()),
            Self::Seconds => format!("{} s", in_seconds(time)),
        }
    }
}

/// Tells every inequality that does not hold, unless a value in it is wrong anyway.
pub(crate) fn check(reader: &mut Reader, config: &Config) {
    // Others stand on DEADTIME: their remedies fit the one that it is going to have.
    let mended = Config { dead_time: config.dead_time.max(config.heartbeat_interval * 2), ..config.clone() };
    INEQUALITIES.iter().filter(|one| !one.holds(config)).for_each(|one| one.refuse(reader, config, &mended));
}

/// The default of `key`: `usual`, or as much more as the times in `config` demand.
pub(crate) fn default_of(key: &str, usual: Duration, config: &Config) -> Duration {
    let least = |one: &Inequality| one.unit.time(one.least_number(config).min(one.most));
    INEQUALITIES.iter().find(|one| one.key == key).map_or(usual, |one| usual.max(least(one)))
}

/// The table of `docs/times.md`.
#[must_use]
pub fn table() -> String {
    let row =
        |one: &Inequality| format!("| `{}` | {} | `{}`: {} |\n", one.text(), one.otherwise, one.place[0], one.place[1]);
    let head = "| inequality | otherwise | where the times meet |\n| --- | --- | --- |\n".to_owned();
    INEQUALITIES.iter().map(row).fold(head, |table, row| table + &row)
}

/// Two configurations beside one inequality's edge, for trying it.
#[derive(Debug, Clone)]
pub struct Edge {
    /// Which one.
    pub inequality: Inequality,
    /// It holds, and both sides are equal.
    pub accepted: String,
    /// The key is one less, and that is the only problem.
    pub refused: String,
}

/// The edge of every inequality, in the order of [`INEQUALITIES`].
#[must_use]
pub fn edges() -> Vec<Edge> {
    INEQUALITIES.into_iter().map(edge).collect()
}

fn edge(inequality: Inequality) -> Edge {
    let others = inequality.others.iter().map(|(key, value)| format!("{key}={value}\n"));
    let failback = if inequality.key == "FAILBACK_AFTER" { "FAILBACK=on\n" } else { "" };
    let base = others.fold(format!("{EDGE_BASE}{failback}"), |text, line| text + &line);
    let config = Config::parse(&base, Path::new("edge")).expect("defaults follow the times of the table");
    let least = inequality.least_number(&config);
    let with = |value| format!("{base}{}={value}\n", inequality.key);
    Edge { inequality, accepted: with(least), refused: with(least - 1) }
}
