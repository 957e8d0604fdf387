//! One step: the faults begin, last and are undone, the nodes become healthy, and what they promised is audited.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::allows::{Allows, Service, TWO_HOLDERS};
use super::faults::{Case, Scene, Undo};
use super::plan::{Blow, Step, Whom};
use super::stage::Stage;
use super::{healthy, seconds};
use crate::holders::Span;
use crate::lab::Lab;
use crate::node::Node;

/// Healthy nodes are left alone for so long: nothing moves any more, and the client knows what became of its requests.
const CALM: Duration = Duration::from_millis(350);

/// To begin a fault, to undo it and to start programs takes so long on a machine that is not busy.
const PUNCTUAL: Duration = Duration::from_millis(300);

/// The promise about times without a fault.
const CALM_PROMISE: &str = "calm: where nothing is wrong nothing moves";

/// What became of a step.
pub(super) struct Played {
    /// Whom it befell, such as `lb1 active`.
    pub(super) whom: String,
    /// The longest time without an answer for the client.
    pub(super) outage: Duration,
    /// How long two nodes that could reach each other held the address.
    pub(super) two: Duration,
    /// From the undoing until the nodes were healthy.
    pub(super) recovery: Duration,
    /// Which promise was broken, if one was.
    pub(super) result: Result<()>,
}

/// Plays `step`.
pub(super) fn play(stage: &mut Stage, step: &Step) -> Played {
    let (outage, two, recovery) = Default::default();
    let mut played = Played { whom: String::new(), outage, two, recovery, result: Ok(()) };
    played.result = befall(stage, step, &mut played).and_then(|()| stage.auditor.audit(&stage.lab, &stage.eyes));
    played
}

fn befall(stage: &mut Stage, step: &Step, played: &mut Played) -> Result<()> {
    std::thread::sleep(step.pause);
    healthy::calm(&stage.lab, stage.active).context(CALM_PROMISE)?;
    stage.eyes.look_anew();
    played.whom = name(&stage.lab, stage.active, &step.blow);
    let began = Instant::now();
    suffer(stage, step)?;
    let (undone, healed) = (Instant::now(), stage.eyes.holders().mark());
    stage.mend().context("a node starts again when nothing is wrong any more")?;
    // What is done by hand takes its time on a busy machine.
    let (allows, lasts) = expected(step, began.elapsed());
    let well = healthy::wait(&stage.lab, &stage.eyes, || stage.mend()).context("the nodes are healthy again");
    played.recovery = undone.elapsed();
    std::thread::sleep(CALM);
    played.outage = stage.eyes.longest_outage();
    let before = std::mem::replace(&mut stage.active, well?);
    healthy::calm(&stage.lab, stage.active).context(CALM_PROMISE)?;
    let spans = stage.eyes.spans();
    if allows.service == Service::Stays {
        let strangers = spans.iter().filter(|span| span.holders.iter().any(|id| *id != before)).count();
        ensure!(strangers == 0, "the service stays where it is: {spans:?}");
    }
    played.two = two_holders(&spans, if allows.apart { healed } else { Duration::ZERO });
    ensure!(
        played.two <= TWO_HOLDERS,
        "never two: nodes that reach each other held the address for {}: {spans:?}",
        seconds(played.two)
    );
    let (outage, most) = (played.outage, allows.outage(lasts));
    ensure!(outage <= most, "the service: not served for {}, {} are allowed", seconds(outage), seconds(most));
    Ok(())
}

/// What is allowed altogether, and how long it lasted; until its end it `took` so long.
fn expected(step: &Step, took: Duration) -> (Allows, Duration) {
    let late = |lasts: Duration| if took > lasts + PUNCTUAL { took } else { lasts };
    match &step.second {
        None => (allowed(&step.blow, late(step.blow.lasts)), late(step.blow.lasts)),
        Some((delay, second)) => {
            let lasts = late(step.blow.lasts.max(*delay + second.lasts));
            (allowed(&step.blow, lasts).and(allowed(second, lasts)), lasts)
        }
    }
}

/// All of it begins, lasts and is undone.
fn suffer(stage: &Stage, step: &Step) -> Result<()> {
    let (began, active) = (Instant::now(), stage.active);
    let wait_until = |moment: Duration| std::thread::sleep(moment.saturating_sub(began.elapsed()));
    let first = begin(stage, &step.blow, active)?;
    let Some((delay, blow)) = &step.second else {
        wait_until(step.blow.lasts);
        return first().with_context(|| step.blow.fault.name);
    };
    wait_until(*delay);
    let second = begin(stage, blow, active);
    let mut ends = [(step.blow.lasts, Some(first), step.blow.fault.name), (*delay + blow.lasts, None, blow.fault.name)];
    let second = second.map(|undo| ends[1].1 = Some(undo));
    ends.sort_by_key(|(at, ..)| *at);
    let undone = ends.into_iter().map(|(at, undo, name)| {
        wait_until(at);
        undo.map_or(Ok(()), |undo| undo()).context(name)
    });
    // Both are undone, even if one cannot be.
    let undone: Vec<Result<()>> = undone.collect();
    second?;
    undone.into_iter().collect()
}

fn begin<'a>(stage: &'a Stage, blow: &Blow, active: usize) -> Result<Undo<'a>> {
    let node = befallen(&stage.lab, active, blow.whom);
    let other = if node.id() == active { Whom::Standby(0) } else { Whom::Active };
    let other = befallen(&stage.lab, active, other);
    let (lab, disks) = (&stage.lab, &stage.disks[..]);
    let scene = Scene { lab, node, other, disks, chance: blow.chance };
    (blow.fault.begin)(&scene).with_context(|| format!("{} cannot begin", blow.fault.name))
}

/// Two faults in one step find the same nodes in the same roles: those at its beginning.
fn befallen(lab: &Lab, active: usize, whom: Whom) -> &Node {
    match whom {
        Whom::Active => lab.node(active),
        Whom::Standby(number) => {
            let others: Vec<&Node> = lab.nodes().iter().filter(|node| node.id() != active).collect();
            others[number % others.len()]
        }
    }
}

fn name(lab: &Lab, active: usize, blow: &Blow) -> String {
    let role = if blow.whom == Whom::Active { "active" } else { "standby" };
    format!("{} {role}", befallen(lab, active, blow.whom).name())
}

fn allowed(blow: &Blow, lasts: Duration) -> Allows {
    (blow.fault.allows)(Case { active: blow.whom == Whom::Active, lasts, chance: blow.chance })
}

/// How long more than one held the address, counted from `since` on.
fn two_holders(spans: &[Span], since: Duration) -> Duration {
    let doubles = spans.iter().filter(|span| span.holders.len() > 1 && span.to >= since);
    doubles.map(|span| span.to.saturating_sub(span.from.max(since))).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_holders_count_from_when_the_nodes_could_reach_each_other_again() {
        let ms = Duration::from_millis;
        let span = |from, to, holders: &[usize]| Span { from: ms(from), to: ms(to), holders: holders.to_vec() };
        let spans = [span(0, 10, &[1]), span(11, 20, &[1, 2]), span(21, 30, &[2]), span(31, 35, &[1, 2])];
        assert_eq!(two_holders(&spans, Duration::ZERO), ms(13));
        assert_eq!(two_holders(&spans, ms(15)), ms(9));
        assert_eq!(two_holders(&spans, ms(40)), Duration::ZERO);
    }
}
