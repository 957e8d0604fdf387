//! `what-if`: what would happen, without letting it happen.
//!
//! The live state (`standing.rs`) becomes a virtual cluster with the real core (`state.rs`), the question becomes faults (`question.rs`), and
//! the simulator goes on from there (`prediction.rs`), several times with the fault at another moment of the periodic work. Reads
//! only; needs neither root nor running daemons. Why the simulator answers: ADR 0013.

mod prediction;
mod question;
mod standing;
mod state;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use pha_sim::Fault;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::grid::Grid;
use crate::screen::{print, print_json};
use crate::session::Session;
use crate::times::milliseconds;
use crate::view::View;
use prediction::{Action, End, Run, Two, listed};
pub(crate) use question::HELP;
use question::Names;
use state::Live;

/// Runs of each question, unless they take too long.
const RUNS: u64 = 16;
/// No further run is begun after this time: an operator waits for the answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// Milliseconds from one run's fault to the next one's; a prime, so that no period hides behind it.
const STRIDE: u64 = 1237;

/// `what-if WORDS`.
///
/// # Errors
/// [`pha_sys::exit::USAGE`] if it is no question, [`pha_sys::exit::CONFIG`] without a usable configuration.
pub(crate) fn run(session: &Session, question: &str) -> Result<(), Failure> {
    let view = View::take(session)?;
    let answer = Answer::find(session, &view, question)?;
    if session.json { print_json(&answer.json()) } else { print(&answer.text()) }
}

/// The answer to a question.
struct Answer<'a> {
    live: Live<'a>,
    question: String,
    now: String,
    differences: Vec<String>,
    runs: Vec<Run>,
}

impl<'a> Answer<'a> {
    fn find(session: &'a Session, view: &'a View, question: &str) -> Result<Self, Failure> {
        let mut live = Live::read(session, view)?;
        let steps = Names::of(live.config(), live.links()).parse(question)?;
        let gateways = steps.iter().flat_map(|step| &step.faults).any(|fault| matches!(fault, Fault::Gateway { .. }));
        if gateways && live.config().gateways.is_empty() {
            live.assumed.push("etc/config names no GW, so losing it moves nothing".to_owned());
        }
        let settled = live.cluster(1);
        let runs = within(PATIENCE, |number| {
            let mut cluster = live.cluster(number + 1);
            cluster.pass(number * STRIDE % (2 * milliseconds(live.config().supervise_interval)).max(1));
            prediction::run(session, &live, cluster, &steps)
        });
        let (now, differences) = (live.now(&settled), live.differences(&settled));
        Ok(Self { question: question.to_owned(), now, differences, runs, live })
    }

    /// The run that is shown: the one with the longest outage, the first of them.
    fn worst(&self) -> &Run {
        let mut runs = self.runs.iter();
        let first = runs.next().expect("there are runs");
        runs.fold(first, |a, b| if b.away > a.away { b } else { a })
    }

    fn away(&self) -> (Duration, Duration) {
        range(self.runs.iter().map(|run| run.away))
    }

    /// How often runs end in each way; the most frequent first.
    fn ends(&self) -> Vec<(&Run, usize)> {
        let mut ends: Vec<(&Run, usize)> = Vec::new();
        for run in &self.runs {
            match ends.iter_mut().find(|(other, _)| other.end == run.end) {
                Some((_, count)) => *count += 1,
                None => ends.push((run, 1)),
            }
        }
        ends.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        ends
    }

    /// The longest time with two owners, for each resource.
    fn two(&self, resource: usize) -> Two {
        let longest =
            |time: fn(&Two) -> Duration| self.runs.iter().map(|run| time(&run.two[resource])).max().unwrap_or_default();
        Two { together: longest(|two| two.together), apart: longest(|two| two.apart) }
    }

    fn text(&self) -> String {
        let state = if self.live.is_running() { "now" } else { "pha does not run here; as if all nodes were started" };
        let mut lines = vec![format!("{state}: {}", self.now)];
        lines.extend(self.differences.iter().map(|difference| format!("beware: {difference}")));
        lines.push(String::new());
        let mut grid = Grid::new(["after", "node", "what"]);
        for action in &self.worst().actions {
            let after = format!("{:>6} ms", action.after.as_millis());
            grid.row([after, self.actor(action).to_owned(), action.what.clone()]);
        }
        lines.push(grid.render());
        lines.push(self.outage());
        lines.extend(self.endings());
        lines.push(format!("assumed: {}", self.live.assumed.join("; ")));
        lines.join("\n") + "\n"
    }

    fn actor(&self, action: &Action) -> &str {
        action.node.map_or("-", |node| self.live.name(node))
    }

    fn outage(&self) -> String {
        let (least, most) = self.away();
        let shown = format!("{}, each with the fault at another moment; shown: the worst", self.count());
        if self.ends().iter().all(|(run, _)| !run.end.served) {
            return format!("service is away and has not come back when this ends ({shown})");
        }
        if most.is_zero() {
            return format!("service is not away ({shown})");
        }
        if seconds(least) == seconds(most) {
            return format!("service is away for about {} s ({shown})", seconds(most));
        }
        format!("service is away for {} to {} s ({shown})", seconds(least), seconds(most))
    }

    /// How many runs there are.
    fn count(&self) -> String {
        let count = self.runs.len();
        if count as u64 == RUNS {
            format!("{RUNS} runs")
        } else {
            format!("only {count} of {RUNS} runs, as they take long")
        }
    }

    fn endings(&self) -> Vec<String> {
        let ends = self.ends();
        let mut lines = Vec::new();
        for (run, count) in &ends {
            let often =
                if ends.len() == 1 { String::new() } else { format!(" in {count} of {} runs", self.runs.len()) };
            let active = self.names(&run.end.active);
            let is = if run.end.active.len() > 1 { "are" } else { "is" };
            let active = if active.is_empty() { "nobody".to_owned() } else { active };
            lines.push(format!("at the end{often}: {active} {is} active"));
            lines.extend(self.ownership(&run.end));
            if !run.settled {
                lines.push("  it has not settled after two minutes".to_owned());
            }
            lines.extend(run.remedies.iter().map(|remedy| format!("  {remedy}")));
        }
        // What lasts has been told.
        let passes = |index: &usize| ends.iter().all(|(run, _)| run.end.owners[*index].len() < 2);
        for index in (0..self.live.resources()).filter(passes) {
            let (two, name) = (self.two(index), self.live.resource(index));
            if !two.together.is_zero() {
                lines.push(format!("{name}: on two nodes of one network for up to {} s", seconds(two.together)));
            }
            if !two.apart.is_zero() {
                lines.push(format!("{name}: on two nodes that are cut off for up to {} s", seconds(two.apart)));
            }
        }
        lines
    }

    /// Who has what at the end; resources with the same owners share a line.
    fn ownership(&self, end: &End) -> Vec<String> {
        let mut groups: BTreeMap<&[usize], Vec<&str>> = BTreeMap::new();
        for (index, owners) in end.owners.iter().enumerate() {
            groups.entry(owners).or_default().push(self.live.resource(index));
        }
        let line = |(owners, resources): (&[usize], Vec<&str>)| {
            let names = self.names(owners);
            let who = match owners.len() {
                0 => "no owner".to_owned(),
                1 => format!("one owner, {names}"),
                2 => format!("two owners, {names}"),
                count => format!("{count} owners, {names}"),
            };
            format!("  {}: {who}", resources.join(", "))
        };
        groups.into_iter().map(line).collect()
    }

    fn names(&self, nodes: &[usize]) -> String {
        listed(&nodes.iter().map(|node| self.live.name(*node)).collect::<Vec<_>>())
    }

    fn json(&self) -> Value {
        let (least, most) = self.away();
        let names = |nodes: &[usize]| nodes.iter().map(|node| self.live.name(*node)).collect::<Vec<_>>();
        let action = |action: &Action| {
            json!({
                "after_ms": milliseconds(action.after),
                "node": action.node.map(|node| self.live.name(node)),
                "what": action.what,
            })
        };
        let ending = |(run, count): &(&Run, usize)| {
            let owners: serde_json::Map<String, Value> = run
                .end
                .owners
                .iter()
                .enumerate()
                .map(|(index, owners)| (self.live.resource(index).to_owned(), json!(names(owners))))
                .collect();
            json!({
                "runs": count,
                "active": names(&run.end.active),
                "served": run.end.served,
                "settled": run.settled,
                "owners": owners,
                "ends_when": run.remedies,
            })
        };
        let two: serde_json::Map<String, Value> = (0..self.live.resources())
            .map(|index| {
                let two = self.two(index);
                let times = json!({"together": milliseconds(two.together), "apart": milliseconds(two.apart)});
                (self.live.resource(index).to_owned(), times)
            })
            .collect();
        json!({
            "question": self.question,
            "running": self.live.is_running(),
            "now": self.now,
            "differences": self.differences,
            "assumed": self.live.assumed,
            "runs": self.runs.len(),
            "outage_ms": {"least": milliseconds(least), "most": milliseconds(most)},
            "two_owners_ms": two,
            "ends": self.ends().iter().map(ending).collect::<Vec<_>>(),
            "actions": self.worst().actions.iter().map(action).collect::<Vec<_>>(),
        })
    }
}

/// What `run` makes of the numbers up to [`RUNS`], as far as it comes in `time`; the first always.
fn within<T>(time: Duration, run: impl Fn(u64) -> T) -> Vec<T> {
    let begin = Instant::now();
    (0..RUNS).take_while(|number| *number == 0 || begin.elapsed() < time).map(run).collect()
}

/// With two digits behind the point.
fn seconds(time: Duration) -> String {
    format!("{:.2}", time.as_secs_f64())
}

fn range(times: impl Iterator<Item = Duration> + Clone) -> (Duration, Duration) {
    (times.clone().min().unwrap_or_default(), times.max().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_that_take_long_are_fewer() {
        assert_eq!(within(Duration::ZERO, |number| number), [0]);
        assert_eq!(within(Duration::MAX, |number| number).len() as u64, RUNS);
        let slow = |number| {
            std::thread::sleep(Duration::from_millis(20));
            number
        };
        assert!((1..16).contains(&within(Duration::from_millis(50), slow).len()));
    }
}

#[cfg(test)]
mod sample {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use pha_config::Home;

    use super::*;

    /// [`Session::sample`] with agents that say what they can do, and the folder that they are in.
    pub(super) fn session() -> (tempfile::TempDir, Session) {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path());
        let agents = home.root().join("res");
        std::fs::create_dir_all(&agents).unwrap();
        std::fs::write(agents.join("ipaddr"), "#!/bin/sh\n# pha: lease probe announce\n").unwrap();
        std::fs::write(agents.join("service"), "#!/bin/sh\n").unwrap();
        let mut session = Session::sample();
        session.home = home;
        (folder, session)
    }
}
