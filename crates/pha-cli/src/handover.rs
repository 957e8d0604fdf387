//! A handover as it went, phase by phase: what `offline` and `switchover` print.

use std::time::Duration;

use pha_core::report::SuperviseReport;
use pha_core::{BootTime, Direction, Handover};
use serde_json::{Value, json};

/// The phases of a handover that somebody took over.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Phases {
    /// Who took over.
    pub(crate) to: String,
    /// Resources that were checked there.
    checked: usize,
    /// After it was asked: it said that it was ready, all was down here, it had begun, it was ONLINE.
    ready: Duration,
    left: Option<Duration>,
    begun: Option<Duration>,
    taken: Duration,
    /// From the first `stop` here until the other said ONLINE.
    away: Option<Duration>,
}

impl Phases {
    /// Of the last handover in `report`, if it came to its end.
    pub(crate) fn of(report: &SuperviseReport, name: impl Fn(pha_core::NodeId) -> String) -> Option<Self> {
        let Handover { to, asked, ready, left, begun, taken, .. } = report.handover?;
        let (to, ready, taken) = (to?, ready?, taken?);
        let after = |at: BootTime| at.since(asked);
        let release = report.moves.iter().rev().find(|stages| stages.direction == Direction::Stopping);
        let first = release.filter(|stages| stages.decided >= ready).and_then(|stages| stages.calls.first());
        Some(Self {
            to: name(to),
            checked: report.resources.len(),
            ready: after(ready),
            left: left.map(after),
            begun: begun.map(after),
            taken: after(taken),
            away: first.map(|call| taken.since(call.began)),
        })
    }

    /// A line for each.
    pub(crate) fn text(&self) -> String {
        let to = &self.to;
        let plural = if self.checked == 1 { "" } else { "s" };
        let lines = [
            Some((format!("asked {to} to get ready"), Duration::ZERO, String::new())),
            Some((format!("{to} is ready"), self.ready, format!("   (checked {} resource{plural})", self.checked))),
            self.left.map(|after| ("released".to_owned(), after, String::new())),
            Some((format!("{to} took over"), self.taken, String::new())),
        ];
        let lines: Vec<_> = lines.into_iter().flatten().collect();
        let width = lines.iter().map(|(what, ..)| what.chars().count()).max().unwrap_or(0) + 4;
        let phases = lines.iter().map(|(what, after, note)| format!("{what:<width$}{:>8} ms{note}\n", decimal(*after)));
        let away =
            self.away.map_or_else(String::new, |away| format!("; the service was away for about {} ms", decimal(away)));
        format!("{}done: {to} is active{away}\n", phases.collect::<String>())
    }

    /// The same for programs, in microseconds after the peer was asked.
    pub(crate) fn json(&self) -> Value {
        json!({
            "to": self.to,
            "checked": self.checked,
            "ready_us": micros(self.ready),
            "released_us": self.left.map(micros),
            "begun_us": self.begun.map(micros),
            "taken_over_us": micros(self.taken),
            "away_us": self.away.map(micros),
        })
    }
}

/// Milliseconds with one decimal.
pub(crate) fn decimal(length: Duration) -> String {
    format!("{:.1}", length.as_secs_f64() * 1000.0)
}

pub(crate) fn micros(length: Duration) -> u64 {
    u64::try_from(length.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use pha_core::{CallSpan, NodeId, Reason, Role, Stages, Word};

    use super::*;
    use crate::samples;

    fn at(micros: u64) -> BootTime {
        BootTime::since_boot(Duration::from_secs(900) + Duration::from_micros(micros))
    }

    #[test]
    fn the_phases_are_told_in_their_order_and_in_milliseconds() {
        let mut report = samples::report(Role::Standby, Word::Offline { clean: true }, Reason::PeerActive);
        let asked = Handover::asked(at(0), NodeId::new(2), at(0));
        assert_eq!(Phases::of(&report, |_| "lb2".to_owned()), None);
        report.handover = Some(asked);
        assert_eq!(Phases::of(&report, |_| "lb2".to_owned()), None, "nobody has taken over yet");
        let (ready, left, begun, taken) = (Some(at(1800)), Some(at(3100)), Some(at(4000)), Some(at(5900)));
        report.handover = Some(Handover { ready, left, begun, taken, ..asked });
        let mut stages = Stages::decided(Direction::Stopping, report.saying.term, Reason::Operator, at(1800));
        stages.note(CallSpan { resource: 0, began: at(2000), ended: at(3000) });
        report.moves = vec![stages];
        let phases = Phases::of(&report, |_| "lb2".to_owned()).unwrap();
        let expected = "\
asked lb2 to get ready         0.0 ms
lb2 is ready                   1.8 ms   (checked 2 resources)
released                       3.1 ms
lb2 took over                  5.9 ms
done: lb2 is active; the service was away for about 3.9 ms
";
        assert_eq!(phases.text(), expected);
        assert_eq!(phases.json()["away_us"], 3900);
    }
}
