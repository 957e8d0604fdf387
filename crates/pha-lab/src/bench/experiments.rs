//! Every experiment: what happens, on which systems, how often, and the figures it yields with their bars.

use anyhow::Result;

use super::Plan;
use super::faults::{both_at_once, crash, heartbeats_cut, kill, loss, one_dies, removed, split, switchover};
use super::idle::idle;
use super::series::{Bar, Reading, Unit};
use super::stage::Stage;
use crate::keepalived::Keepalived;

/// A figure of an experiment.
pub(super) struct Figure {
    pub(super) title: &'static str,
    pub(super) unit: Unit,
    pub(super) bars: &'static [Bar],
    /// Whether it stands in README.md too.
    pub(super) on_first_page: bool,
}

impl Figure {
    const fn new(title: &'static str, unit: Unit, bars: &'static [Bar]) -> Self {
        Self { title, unit, bars, on_first_page: false }
    }

    const fn on_first_page(mut self) -> Self {
        self.on_first_page = true;
        self
    }
}

/// Something that happens to a pair, again and again.
pub(super) struct Experiment {
    /// Its word for `--only`.
    pub(super) key: &'static str,
    /// Heartbeat interval in ms, of all systems.
    pub(super) interval: u64,
    /// Lines of pha's configuration, if the interval is not its default.
    pub(super) lines: &'static [&'static str],
    /// keepalived with these priorities is measured beside pha; bars count against the first.
    pub(super) rivals: &'static [u8],
    /// At most so many runs of pha, and of each rival.
    pub(super) most_runs: (u32, u32),
    /// How long one run usually takes.
    pub(super) seconds: fn(&Plan) -> u64,
    /// One for each reading that `run` returns.
    pub(super) figures: &'static [Figure],
    pub(super) run: fn(&mut Stage, &Plan) -> Result<Vec<Reading>>,
}

/// As often as was asked for.
const ALL: u32 = u32::MAX;

/// A rival that did the same five times will do it again.
const SURE: (u32, u32) = (ALL, 5);

/// The usual priority and the one with the shortest skew.
const BOTH: &[u8] = &[Keepalived::USUAL_PRIORITY, 254];

const USUAL: &[u8] = &[Keepalived::USUAL_PRIORITY];

/// All, in the order of the table.
pub(super) const ALL_EXPERIMENTS: &[Experiment] = &[
    Experiment {
        key: "crash",
        interval: 200,
        lines: &[],
        rivals: BOTH,
        most_runs: (ALL, ALL),
        seconds: |_| 5,
        figures: &[
            Figure::new("crash of the active node: outage", Unit::Ms, &[Bar::Most(620.0), Bar::Ratio(0.7)])
                .on_first_page(),
            Figure::new("own overhead: dead declared → last start begun", Unit::Ms, &[Bar::Most(5.0)]),
        ],
        run: crash,
    },
    Experiment {
        key: "switchover",
        interval: 200,
        lines: &[],
        rivals: BOTH,
        most_runs: (ALL, ALL),
        seconds: |_| 4,
        figures: &[
            Figure::new("planned switchover: outage", Unit::Ms, &[Bar::Median(8.0), Bar::Ratio(0.1)]).on_first_page()
        ],
        run: switchover,
    },
    Experiment {
        key: "kill",
        interval: 200,
        lines: &[],
        rivals: USUAL,
        most_runs: SURE,
        seconds: |_| 10,
        figures: &[
            Figure::new("`kill -9` of everything: two holders for", Unit::Ms, &[Bar::Most(0.0)]).on_first_page(),
            Figure::new("`kill -9` of everything: outage", Unit::Ms, &[Bar::Most(150.0)]).on_first_page(),
        ],
        run: kill,
    },
    Experiment {
        key: "heartbeats",
        interval: 200,
        lines: &[],
        rivals: USUAL,
        most_runs: SURE,
        seconds: |_| 10,
        figures: &[
            Figure::new("only heartbeats cut for 5 s: two holders for", Unit::Ms, &[Bar::Most(0.0)]).on_first_page(),
            Figure::new("only heartbeats cut for 5 s: outage", Unit::Ms, &[Bar::Most(0.0)]),
            Figure::new("only heartbeats cut for 5 s: nodes with an alarm", Unit::Count, &[Bar::Least(2.0)]),
        ],
        run: heartbeats_cut,
    },
    Experiment {
        key: "removed",
        interval: 200,
        lines: &[],
        rivals: USUAL,
        most_runs: (10, 5),
        seconds: |_| 5,
        figures: &[Figure::new("address removed by somebody else: outage", Unit::Ms, &[Bar::Most(50.0)])],
        run: removed,
    },
    Experiment {
        key: "split",
        interval: 200,
        lines: &[],
        rivals: USUAL,
        most_runs: SURE,
        seconds: |_| 12,
        figures: &[
            Figure::new("nodes cut off for 5 s: outage after healing", Unit::Ms, &[Bar::Most(250.0)]).on_first_page()
        ],
        run: split,
    },
    Experiment {
        key: "lan",
        interval: 10,
        lines: &["HEARTBEAT_INT=10"],
        rivals: BOTH,
        most_runs: (ALL, ALL),
        seconds: |_| 4,
        figures: &[
            Figure::new("crash with heartbeats every 10 ms: outage", Unit::Ms, &[Bar::Median(36.0), Bar::Ratio(1.0)])
                .on_first_page(),
            Figure::new("the same: own overhead", Unit::Ms, &[Bar::Most(5.0)]),
        ],
        run: crash,
    },
    Experiment {
        key: "loss",
        interval: 200,
        lines: &[],
        rivals: USUAL,
        most_runs: (1, 1),
        seconds: |plan| plan.loss.as_secs() + 5,
        figures: &[Figure::new("10 % of heartbeats lost: false failovers", Unit::Count, &[Bar::Most(0.0)])],
        run: loss::<10>,
    },
    Experiment {
        key: "loss",
        interval: 200,
        lines: &[],
        rivals: USUAL,
        most_runs: (1, 1),
        seconds: |plan| plan.loss.as_secs() + 5,
        figures: &[
            Figure::new("30 % of heartbeats lost: false failovers", Unit::Count, &[Bar::Most(0.0)]).on_first_page()
        ],
        run: loss::<30>,
    },
    Experiment {
        key: "idle",
        interval: 200,
        lines: &[],
        rivals: USUAL,
        most_runs: (1, 1),
        seconds: |plan| plan.idle.as_secs() + 5,
        figures: &[
            Figure::new("idle, active node: % of one core", Unit::Percent, &[Bar::Most(0.3)]).on_first_page(),
            Figure::new("idle, active node: memory (PSS), MiB", Unit::Mib, &[Bar::Most(8.0)]).on_first_page(),
            Figure::new("idle, active node: wake-ups a second", Unit::PerSecond, &[Bar::Most(20.0)]),
        ],
        run: idle,
    },
    Experiment {
        key: "both",
        interval: 200,
        lines: &[],
        rivals: &[],
        most_runs: (ALL, 0),
        seconds: |_| 5,
        figures: &[Figure::new("both started at once until exactly one is active", Unit::Ms, &[Bar::Most(3000.0)])],
        run: both_at_once,
    },
    Experiment {
        key: "one",
        interval: 200,
        lines: &[],
        rivals: &[],
        most_runs: (5, 0),
        seconds: |_| 20,
        figures: &[Figure::new("one daemon killed and started again 0.9 s later: outage", Unit::Ms, &[Bar::Most(0.0)])],
        run: one_dies,
    },
    Experiment {
        key: "many",
        interval: 200,
        lines: &[],
        rivals: &[],
        most_runs: (1, 0),
        seconds: |_| 120,
        figures: &[
            Figure::new("100 resources with script checks: % of one core", Unit::Percent, &[Bar::Most(15.0)]),
            Figure::new("100 resources with built-in checks: % of one core", Unit::Percent, &[Bar::Most(1.0)]),
        ],
        run: super::many,
    },
];
