//! The scripts' own time: what starting and stopping a node's resources costs without pha.
//!
//! A promise such as "the scripts' own time plus 10 ms" needs that figure, so each agent is called by hand once, as an
//! administrator would, before any daemon runs.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::node::Node;

/// How long all scripts of one node take, one after the other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ScriptTimes {
    /// All starts.
    pub start: Duration,
    /// All stops.
    pub stop: Duration,
}

impl ScriptTimes {
    /// Starts and stops every resource of `lines` (`RES_agent=arguments`) on `node` once. Nothing may run there.
    pub fn measure(node: &Node, lines: &[String]) -> Result<Self> {
        let start = lines.iter().map(|line| call(node, line, "start")).sum::<Result<Duration>>()?;
        let stop = lines.iter().rev().map(|line| call(node, line, "stop")).sum::<Result<Duration>>()?;
        Ok(Self { start, stop })
    }
}

/// One call, without what it costs to run anything at all in the node.
fn call(node: &Node, line: &str, verb: &str) -> Result<Duration> {
    let (name, arguments) = line.strip_prefix("RES_").and_then(|rest| rest.split_once('=')).context("no resource")?;
    let agent = name.split_once('.').map_or(name, |(agent, _)| agent);
    let time = |program: &std::path::Path, arguments: &[&str]| -> Result<Duration> {
        let started = Instant::now();
        // As in a takeover from a node that is known to have let go.
        let mut command = node.command(program);
        let status = command.args(arguments).env("PHA_LEASE", "3").env("PHA_DAD", "skip").status()?;
        ensure!(status.success(), "{}: {agent} {arguments:?}: {status}", node.name());
        Ok(started.elapsed())
    };
    let nothing = time("true".as_ref(), &[])?;
    let words: Vec<&str> = std::iter::once(verb).chain(arguments.split_whitespace()).collect();
    Ok(time(&node.home().join("res").join(agent), &words)?.saturating_sub(nothing))
}
