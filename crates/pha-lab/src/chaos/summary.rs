//! What is printed: a line for each step, and a table of all at the end.

use std::collections::BTreeMap;
use std::time::Duration;

use super::plan::Step;
use super::seconds;
use super::step::Played;

/// All that was played.
#[derive(Default)]
pub(super) struct Summary {
    kinds: BTreeMap<&'static str, Row>,
    steps: u32,
    broken: u32,
}

/// One kind of fault, alone or with another one.
#[derive(Default)]
struct Row {
    played: u32,
    survived: u32,
    outage: Duration,
    two: Duration,
    recovery: Duration,
}

impl Summary {
    /// Steps that broke a promise.
    pub(super) const fn broken(&self) -> u32 {
        self.broken
    }

    /// One step in a line.
    pub(super) fn line(&self, step: &Step, played: &Played) -> String {
        let name = |blow: &super::plan::Blow| format!("{} {}", blow.fault.name, seconds(blow.lasts));
        let what = match &step.second {
            None => name(&step.blow),
            Some((_, second)) => format!("{} + {}", name(&step.blow), name(second)),
        };
        let mark = if played.result.is_ok() { "✓" } else { "✗" };
        let figures = format!("outage {:>6}, healthy after {:>6}", seconds(played.outage), seconds(played.recovery));
        format!("{mark} {:>4}  {:<12} {figures}  {what}", step.number, played.whom)
    }

    pub(super) fn add(&mut self, step: &Step, played: Played) {
        let survived = played.result.is_ok();
        self.steps += 1;
        self.broken += u32::from(!survived);
        let row = self.kinds.entry(if step.second.is_some() { TWO } else { step.blow.fault.name }).or_default();
        row.played += 1;
        row.survived += u32::from(survived);
        row.outage = row.outage.max(played.outage);
        row.two = row.two.max(played.two);
        row.recovery = row.recovery.max(played.recovery);
    }

    /// The table.
    pub(super) fn text(&self, took: Duration) -> String {
        let mut text = "\n".to_owned();
        let mut line = |cells: [&str; 5]| {
            let [name, survived, outage, two, recovery] = cells;
            text += &format!("{name:<18} {survived:>9}  {outage:>12}  {two:>12}  {recovery:>13}\n");
        };
        line(["fault", "survived", "worst outage", "two holders", "healthy after"]);
        for (name, row) in &self.kinds {
            let survived = format!("{}/{}", row.survived, row.played);
            line([name, &survived, &seconds(row.outage), &milliseconds(row.two), &seconds(row.recovery)]);
        }
        let each = took.as_secs_f64() / f64::from(self.steps.max(1));
        let survived = self.steps - self.broken;
        text += &format!("\nsurvived {survived}/{}, in {:.0} s, {each:.1} s each\n", self.steps, took.as_secs_f64());
        text
    }
}

fn milliseconds(time: Duration) -> String {
    if time.is_zero() { "never".to_owned() } else { format!("{} ms", time.as_millis()) }
}

/// How steps with two faults are called.
const TWO: &str = "two at once";
