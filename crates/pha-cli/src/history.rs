//! `history`: the latest changes of role and word, with local times, and what they were made of.

use jiff::Zoned;
use pha_core::report::Transition;
use serde_json::json;

use crate::grid::Grid;
use crate::stages;
use crate::times::{local, period};
use crate::view::View;

/// A row for each transition and a line for each takeover or release, oldest first; `wall` is the moment of the view.
pub(crate) fn text(view: &View, wall: &Zoned) -> String {
    let Some(report) = view.last_report().filter(|report| !report.history.is_empty()) else {
        return "nothing has happened since pha was started\n".to_owned();
    };
    let mut grid = Grid::new(["time", "term", "role", "says"]);
    for step in &report.history {
        let says = format!("{}: {}", step.to, step.reason);
        grid.row([local(step.at, view.now, wall), step.term.to_string(), step.role.to_string(), says]);
    }
    let conflict = report.last_conflict.map(|length| format!("last time with two active nodes: {}\n", period(length)));
    grid.render() + &stages::text(view, wall, report) + &conflict.unwrap_or_default()
}

/// The same for programs.
pub(crate) fn json(view: &View, wall: &Zoned) -> serde_json::Value {
    let steps = view.last_report().map(|report| report.history.as_slice()).unwrap_or_default();
    steps.iter().map(|step| entry(view, wall, step)).collect()
}

fn entry(view: &View, wall: &Zoned, step: &Transition) -> serde_json::Value {
    json!({
        "time": local(step.at, view.now, wall),
        "from": step.from.to_string(),
        "to": step.to.to_string(),
        "role": step.role.to_string(),
        "term": step.term.value(),
        "reason": step.reason.to_string(),
        "rule": step.reason.rule(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use std::time::Duration;

    use super::*;
    use crate::samples;

    fn wall() -> Zoned {
        "2026-01-31T12:00:00+01:00[+01:00]".parse().unwrap()
    }

    #[test]
    fn transitions_show_with_local_times() {
        let mut view = samples::active_alone();
        view.record.supervise.report.as_mut().unwrap().last_conflict = Some(Duration::from_millis(180));
        let expected = "\
time                           term  role    says
2026-01-31T11:58:00.000+01:00  511   Active  ONLINE: peer dead
last time with two active nodes: 180 ms
";
        assert_eq!(text(&view, &wall()), expected);
    }

    #[test]
    fn before_the_first_start_the_history_is_empty() {
        assert_eq!(text(&samples::never_started(), &wall()), "nothing has happened since pha was started\n");
        assert_eq!(json(&samples::never_started(), &wall()), serde_json::json!([]));
    }
}
