//! `replay`: feeds recorded inputs to the real core and prints what it decides, in the order in which it happened.
//!
//! Needs no configuration and no installation: names and times stand in the traces. Traces of several programs and nodes
//! are told as one story, by their wall clocks. The archive of `report` may be given as it is.

mod file;
mod player;
mod receiver;
mod sender;
mod supervise;

use std::path::PathBuf;

use pha_sys::exit;
use serde_json::{Map, Value};

use crate::failure::Failure;
use crate::programs::DISPLAY_ORDER;
use crate::screen::print;
use crate::session::Session;
use player::{Line, Timeline};

/// Whether every input is told, or only what changes something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detail {
    /// What a person wants to read first.
    Story,
    /// All.
    All,
}

/// Plays `files`, or this node's own traces if none is named.
pub(crate) fn run(session: &Session, files: &[PathBuf], detail: Detail) -> Result<(), Failure> {
    let own;
    let files = if files.is_empty() {
        own = own_traces(session)?;
        &own
    } else {
        files
    };
    let mut timelines = file::timelines(files)?;
    while let Some(next) = earliest(&mut timelines) {
        for line in next.step().iter().filter(|line| detail == Detail::All || !line.routine) {
            print(&if session.json { json(line) } else { text(line) })?;
        }
    }
    Ok(())
}

/// Told line by line as it is played: if a recorded input breaks the core, it does so behind the lines before it.
fn earliest(timelines: &mut [Box<dyn Timeline>]) -> Option<&mut Box<dyn Timeline>> {
    let waiting = timelines.iter_mut().filter_map(|timeline| Some((timeline.next_at()?, timeline)));
    waiting.min_by_key(|(at, _)| *at).map(|(_, timeline)| timeline)
}

/// The traces of this node's programs that are there.
fn own_traces(session: &Session) -> Result<Vec<PathBuf>, Failure> {
    let files: Vec<_> = DISPLAY_ORDER.iter().flat_map(|program| session.trace_files(*program)).collect();
    let found: Vec<_> = files.iter().filter(|path| path.exists()).cloned().collect();
    if found.is_empty() {
        let expected = files.first().map(|path| path.display().to_string()).unwrap_or_default();
        let text = format!("there is no trace here ({expected}): start pha with TRACE_SIZE above 0, or name a file");
        return Err(Failure::new(exit::IO_ERR, text));
    }
    Ok(found)
}

fn text(line: &Line) -> String {
    format!("{} {} {:<9} {}", line.time, line.node, line.program, line.text)
}

/// One object a line.
fn json(line: &Line) -> String {
    let fixed = [
        ("time", Value::from(line.time.as_str())),
        ("boot_ns", line.boot.as_nanos().into()),
        ("node", line.node.as_str().into()),
        ("program", line.program.into()),
        ("kind", line.kind.into()),
        ("text", line.text.as_str().into()),
    ];
    let facts = line.facts.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
    let object: Map<_, _> = fixed.into_iter().map(|(name, value)| (name.to_owned(), value)).chain(facts).collect();
    Value::from(object).to_string()
}
