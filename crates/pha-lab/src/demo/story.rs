//! The demo as a story: each promise of pha once, measured by the client and by the kernel.
//!
//! A figure is judged against the promise plus [`SLACK`], because on a shared machine any process may run late; what
//! was promised is printed beside what was measured. Safety has no slack: two holders are a broken promise at once.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::snapshot::ms;
use crate::client::{Client, Gap};
use crate::holders::HolderWatch;
use crate::lab::Lab;
use crate::node::{Node, Program};
use crate::scripts::ScriptTimes;

/// How late a shared machine may make us.
const SLACK: Duration = Duration::from_millis(500);

/// Default of `DEADTIME`.
const DEAD_TIME: Duration = Duration::from_millis(600);

/// Default of `LEASE`.
const LEASE: Duration = Duration::from_secs(3);

/// Longest wait for anything that has no figure of its own.
const PATIENCE: Duration = Duration::from_secs(15);

/// The lab, who looks on, and how far the story has come.
struct Story<'a> {
    lab: &'a Lab,
    client: Client,
    holders: HolderWatch,
    scripts: ScriptTimes,
    number: u32,
}

/// Plays the story. Exit code 1 if a promise was broken.
pub(super) fn play(lab: &Lab) -> Result<ExitCode> {
    let started = Instant::now();
    let view = if lab.is_plain() { "the client sees whose resource file exists" } else { "one client asks every 2 ms" };
    println!("pha: two nodes, lb1 and lb2; {view}.");
    let scripts = lab.script_times()?;
    println!("The scripts alone: start {}, stop {}.", ms(scripts.start), ms(scripts.stop));
    let mut story = Story { lab, client: lab.client()?, holders: lab.watch_holders(), scripts, number: 0 };
    let kept = story.tell();
    let seconds = started.elapsed().as_secs();
    if let Err(error) = kept {
        println!("✗ {error:#}\n\n{}\n✗ a promise was broken, after {seconds} s", lab.story());
        return Ok(ExitCode::from(1));
    }
    println!("✓ all promises were kept, in {seconds} s");
    Ok(ExitCode::SUCCESS)
}

impl Story<'_> {
    fn tell(&mut self) -> Result<()> {
        self.step("both nodes start", Self::both_start)?;
        self.step("the active machine crashes", Self::active_crashes)?;
        self.step("the dead machine comes back", Self::dead_one_returns)?;
        self.step("`offline` on the active node", Self::switchover)?;
        if self.lab.is_plain() {
            self.say("kill -9 of all daemons", "– skipped: without namespaces there is no address to expire");
        } else {
            self.step("kill -9 of all daemons, active node", Self::keepers_die)?;
            self.step("the daemons are started again", Self::dead_one_returns)?;
        }
        self.step("`stop` on both nodes", Self::both_stop)?;
        let doubles = self.holders.doubles();
        ensure!(doubles.is_empty(), "two nodes held the address: {doubles:?}");
        self.say("never two holders of the address", "✓ looked every millisecond");
        Ok(())
    }

    fn say(&mut self, title: &str, text: &str) {
        self.number += 1;
        println!("{:2}. {title:<36} {text}", self.number);
    }

    fn step(&mut self, title: &str, act: fn(&Self) -> Result<String>) -> Result<()> {
        let text = act(self).with_context(|| title.to_owned())?;
        self.say(title, &format!("✓ {text}"));
        Ok(())
    }

    /// The active node's id.
    fn active(&self) -> Result<usize> {
        match self.lab.active_nodes()[..] {
            [id] => Ok(id),
            ref ids => anyhow::bail!("{} nodes are active, not 1", ids.len()),
        }
    }

    /// Waits until `node` answers the client; returns the whole gap since `mark`, from the first failure on.
    fn served_by(&self, node: &Node, mark: Duration) -> Result<Gap> {
        let name = Some(node.name());
        let what = format!("{} answers the client", node.name());
        self.lab.wait(PATIENCE, &what, || self.client.answer().as_deref() == name)?;
        let gaps = self.client.gaps(mark);
        let change = gaps.into_iter().rfind(|gap| gap.after.as_deref() == name && gap.before != gap.after);
        change.with_context(|| format!("the client did not see the change to {}", node.name()))
    }

    fn both_start(&self) -> Result<String> {
        let started = Instant::now();
        let id = self.lab.start_all()?;
        let name = self.lab.node(id).name();
        self.lab.wait(PATIENCE, "the client is served", || self.client.answer().as_deref() == Some(name))?;
        Ok(format!("exactly one is active, {name}, after {}; the client is served", ms(started.elapsed())))
    }

    fn active_crashes(&self) -> Result<String> {
        let (id, mark) = (self.active()?, self.client.mark());
        self.lab.node(id).crash()?;
        let other = self.lab.other(id);
        let gap = self.served_by(other, mark)?;
        self.lab.wait(PATIENCE, "the new node is active", || other.is_active())?;
        judge(&gap, DEAD_TIME + self.scripts.start + Duration::from_millis(20))
    }

    fn dead_one_returns(&self) -> Result<String> {
        let (id, mark) = (self.active()?, self.client.mark());
        let other = self.lab.other(id);
        other.boot()?;
        let started = Instant::now();
        other.start()?;
        self.lab.wait(PATIENCE, "the node stands by", || other.is_standby())?;
        let took = started.elapsed();
        self.lab.stays(Duration::from_secs(1), "the active node stays active", || self.lab.node(id).is_active())?;
        let gaps = self.client.gaps(mark);
        ensure!(gaps.is_empty(), "the join interrupted the service: {gaps:?}");
        Ok(format!("{} stands by after {}; not one request was lost", other.name(), ms(took)))
    }

    fn switchover(&self) -> Result<String> {
        let (id, mark) = (self.active()?, self.client.mark());
        let (node, other) = (self.lab.node(id), self.lab.other(id));
        node.order(&["offline"])?;
        let gap = self.served_by(other, mark)?;
        self.lab.wait(PATIENCE, "the new node is active", || other.is_active())?;
        let promised = self.scripts.stop + self.scripts.start + Duration::from_millis(10);
        let text = judge(&gap, promised)?;
        node.order(&["online"])?;
        self.lab.wait(PATIENCE, "the node that was offline stands by", || node.is_standby())?;
        Ok(text)
    }

    fn keepers_die(&self) -> Result<String> {
        let (id, mark) = (self.active()?, self.client.mark());
        let (node, other) = (self.lab.node(id), self.lab.other(id));
        // The clock starts when they are gone: until then they may still renew.
        node.signal("KILL", &Program::ALL)?;
        let killed = Instant::now();
        self.lab.wait(PATIENCE, "the kernel removes the address", || !node.holds_address())?;
        let removed = killed.elapsed();
        // The kernel itself looks up to a quarter of a second late.
        let removed = measured(removed, LEASE + Duration::from_millis(200)).context("removed by the kernel")?;
        let took = self.lab.wait(PATIENCE, "the peer takes over", || other.holds_address())?;
        self.lab.wait(PATIENCE, "the peer is active", || other.is_active())?;
        // Or its first answer would end a gap of the next step.
        self.served_by(other, mark)?;
        let took = measured(took, Duration::from_millis(100) + self.scripts.start).context("taken by the peer")?;
        Ok(format!("the kernel removes the address after {removed}, the peer has it {took} later"))
    }

    fn both_stop(&self) -> Result<String> {
        let (id, mark) = (self.active()?, self.client.mark());
        let (node, other) = (self.lab.node(id), self.lab.other(id));
        other.stop()?;
        node.stop()?;
        self.lab.stays(Duration::from_secs(1), "the stopped node keeps the address", || node.holds_address())?;
        ensure!(self.client.gaps(mark).is_empty(), "the service was interrupted");
        node.order(&["res", "stop"])?;
        self.lab.wait(PATIENCE, "the address is gone", || self.lab.active_nodes().is_empty())?;
        Ok("the daemons end and the service stays; `res stop` ends it".to_owned())
    }
}

/// An outage against what was promised.
fn judge(gap: &Gap, promised: Duration) -> Result<String> {
    let length = gap.length().context("the outage is not over")?;
    let after = gap.after.as_deref().unwrap_or("nobody");
    Ok(format!("{after} answers; outage {}", measured(length, promised)?))
}

/// A figure beside its promise; an error if it is later than [`SLACK`] explains.
fn measured(length: Duration, promised: Duration) -> Result<String> {
    let late = if length > promised { ", late" } else { "" };
    let text = format!("{} (promised {}{late})", ms(length), ms(promised));
    ensure!(length <= promised + SLACK, "{text}");
    Ok(text)
}
