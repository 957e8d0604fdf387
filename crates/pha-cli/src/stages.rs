//! What the latest takeovers and releases were made of, for `history` and `--json`.
//!
//! The figures are this node's own: from the last that it heard of the node that served before until its own last `start`
//! was done. What clients saw may be shorter or longer by what lies on the other node and on the network.

use std::time::Duration;

use jiff::Zoned;
use pha_core::report::SuperviseReport;
use pha_core::{BootTime, CallSpan, Direction, Stages};
use serde_json::{Value, json};

use crate::handover::{decimal, micros};
use crate::times::local;
use crate::view::View;

/// From the last word or heartbeat of the node that served before until the last `start` was done here; `None` for a
/// release, for one that did not come to its end, and if there was no other node.
fn outage(stages: &Stages) -> Option<Duration> {
    let end = stages.calls.iter().map(|call| call.ended).max().or(stages.done)?;
    let begin = stages.releasing.or(stages.let_go).or(stages.last_heard)?;
    (stages.direction == Direction::Starting && stages.done.is_some()).then(|| end.since(begin))
}

/// pha's own share of a takeover: from the verdict (dead declared, or LEFT heard) until the last `start` had begun, without
/// the time of the starts before it.
fn overhead(stages: &Stages) -> Option<Duration> {
    let last = stages.calls.iter().max_by_key(|call| call.began).filter(|_| stages.direction == Direction::Starting)?;
    let verdict = stages.declared_dead.or(stages.let_go)?;
    let scripts = stages.calls.iter().filter(|call| call.began < last.began).map(length).sum();
    Some(last.began.since(verdict).saturating_sub(scripts))
}

fn length(call: &CallSpan) -> Duration {
    call.ended.since(call.began)
}

/// A line for each takeover and release, oldest first.
pub(crate) fn text(view: &View, wall: &Zoned, report: &SuperviseReport) -> String {
    report.moves.iter().map(|stages| line(view, wall, stages)).collect()
}

fn line(view: &View, wall: &Zoned, stages: &Stages) -> String {
    let what = match stages.direction {
        Direction::Starting => "takeover",
        Direction::Stopping => "release",
    };
    let calls = match stages.direction {
        Direction::Starting => "start",
        Direction::Stopping => "stop",
    };
    let since = |at: Option<BootTime>, from: BootTime| at.map(|at| format!("{} ms", decimal(at.since(from))));
    let first = stages.calls.iter().map(|call| call.began).min();
    let last = stages.calls.iter().map(|call| call.ended).max();
    let parts = [
        since(stages.declared_dead, stages.last_heard.unwrap_or(stages.decided))
            .map(|time| format!("dead after {time}")),
        since(first, stages.declared_dead.or(stages.let_go).unwrap_or(stages.decided))
            .map(|time| format!("first {calls} after {time}")),
        since(last, first.unwrap_or(stages.decided)).map(|time| format!("{calls}s done in {time}")),
        since(stages.done, stages.decided).map(|time| format!("all checked {time} after the decision")),
        outage(stages).map(|time| format!("outage {} ms as computed here", decimal(time))),
    ];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    format!("{}  {what}, {}: {}\n", local(stages.decided, view.now, wall), stages.reason, parts.join(", "))
}

/// For programs: moments in microseconds after the decision (before it: negative), then what is computed from them.
pub(crate) fn json(stages: &Stages, wall: &Zoned, view: &View, names: &[String]) -> Value {
    let nanos = |at: BootTime| i64::try_from(at.as_nanos()).unwrap_or(i64::MAX);
    let at = |at: BootTime| (nanos(at) - nanos(stages.decided)) / 1000;
    let call = |call: &CallSpan| {
        json!({
            "resource": names.get(call.resource),
            "began": at(call.began),
            "ended": at(call.ended),
        })
    };
    let stage = |moment: Option<BootTime>| moment.map(at);
    json!({
        "kind": if stages.direction == Direction::Starting { "takeover" } else { "release" },
        "time": local(stages.decided, view.now, wall),
        "term": stages.term.value(),
        "reason": stages.reason.to_string(),
        "stages": {
            "last_heard": stage(stages.last_heard),
            "suspected": stage(stages.suspected),
            "declared_dead": stage(stages.declared_dead),
            "releasing_heard": stage(stages.releasing),
            "let_go_heard": stage(stages.let_go),
            "decided": 0,
            "term_stored": stage(stages.stored),
            "calls": stages.calls.iter().map(call).collect::<Vec<_>>(),
            "done": stage(stages.done),
        },
        "outage_us": outage(stages).map(micros),
        "overhead_us": overhead(stages).map(micros),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use pha_core::{Reason, Term};

    use super::*;
    use crate::samples;

    fn at(ms: u64) -> BootTime {
        BootTime::since_boot(samples::NOW - Duration::from_secs(100) + Duration::from_millis(ms))
    }

    /// Heard at 0, dead at 600, decided at 601, two starts of 10 ms, one millisecond apart.
    fn takeover() -> Stages {
        let mut stages = Stages::decided(Direction::Starting, Term::NONE, Reason::PeerDead, at(601));
        (stages.last_heard, stages.suspected, stages.declared_dead) = (Some(at(0)), Some(at(300)), Some(at(600)));
        stages.stored = Some(at(602));
        stages.note(CallSpan { resource: 0, began: at(603), ended: at(613) });
        stages.note(CallSpan { resource: 1, began: at(614), ended: at(624) });
        stages.done = Some(at(630));
        stages
    }

    #[test]
    fn the_outage_ends_with_the_last_start_and_the_overhead_is_without_the_starts() {
        let ms = Duration::from_millis;
        assert_eq!((outage(&takeover()), overhead(&takeover())), (Some(ms(624)), Some(ms(4))));
        let handed_over =
            Stages { let_go: Some(at(600)), last_heard: Some(at(620)), declared_dead: None, ..takeover() };
        assert_eq!((outage(&handed_over), overhead(&handed_over)), (Some(ms(24)), Some(ms(4))));
        assert_eq!(outage(&Stages { done: None, ..takeover() }), None);
        let release = Stages { direction: Direction::Stopping, ..takeover() };
        assert_eq!((outage(&release), overhead(&release)), (None, None));
    }

    #[test]
    fn stages_are_told_in_a_line_and_in_microseconds() {
        let wall: Zoned = "2026-01-31T12:00:00+01:00[+01:00]".parse().unwrap();
        let mut view = samples::active_alone();
        view.record.supervise.report.as_mut().unwrap().moves = vec![takeover()];
        let report = view.last_report().unwrap();
        let expected = "2026-01-31T11:58:20.601+01:00  takeover, peer dead: dead after 600.0 ms, first start after 3.0 ms, starts \
                        done in 21.0 ms, all checked 29.0 ms after the decision, outage 624.0 ms as computed here\n";
        assert_eq!(text(&view, &wall, report), expected);
        let document = json(&takeover(), &wall, &view, &["service".to_owned(), "ipaddr".to_owned()]);
        assert_eq!(document["stages"]["declared_dead"], -1000);
        assert_eq!(document["stages"]["calls"][1]["resource"], "ipaddr");
        assert_eq!((&document["outage_us"], &document["overhead_us"]), (&json!(624_000), &json!(4000)));
    }
}
