//! Feeds a daemon's machine and writes down what it was fed with, for `pha-cli replay`.
//!
//! Recording decides nothing and must never stop a daemon: what the disk does not take, or not in time, is counted, told
//! once, and made good by a new segment with a new beginning when there is room again. Nothing is flushed to the disk itself: a trace is
//! for defects of pha, and those leave the page cache alone.

use std::io;
use std::time::Duration;

use pha_core::BootTime;
use pha_sys::clock;
use pha_trace::{Clocks, EntryRef, Head, Machine};

use crate::ring::Ring;
use crate::start::Daemon;

/// A trace that cannot be written is tried again after this time.
const AGAIN: Duration = Duration::from_secs(10);

/// What is recorded waits so long for its write when somebody may ask what just happened.
const SOON: Duration = Duration::from_secs(1);
/// And so long while nothing happens: a daemon at rest wakes its disk seldom.
const AT_REST: Duration = Duration::from_secs(5);

/// The way to a machine's inputs.
#[derive(Debug)]
pub struct Recorder {
    trace: Option<Trace>,
}

#[derive(Debug)]
struct Trace {
    ring: Ring,
    head: Head,
    /// Not to be written to before then.
    broken_until: Option<BootTime>,
    /// When what was pushed is to be written.
    due: Option<BootTime>,
}

impl Recorder {
    /// Records nothing.
    #[must_use]
    pub const fn off() -> Self {
        Self { trace: None }
    }

    /// Begins the trace of `machine` as it is at `now`, if `TRACE_SIZE` wants one. The trace of the program's last run
    /// becomes the older file, so that a crash can be looked at after the restart.
    pub fn begin<M: Machine>(daemon: &Daemon, machine: &M, now: BootTime) -> Self {
        let config = &daemon.config;
        if config.trace_size == 0 {
            return Self::off();
        }
        let head = Head {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            node: daemon.me.name.clone(),
            nodes: config.nodes.iter().map(|node| (node.id, node.name.clone())).collect(),
            boot_id: clock::boot_id().unwrap_or_default(),
            pid: std::process::id(),
            number: 0,
            lost: 0,
            clocks: Clocks::read(now),
        };
        let ring = Ring::new(config.trace_file(&daemon.home, M::PROGRAM), config.trace_size, daemon.log_writer.clone());
        ring.keep_in_panic();
        let mut trace = Trace { ring, head, broken_until: None, due: None };
        trace.begin(machine, now);
        Self { trace: Some(trace) }
    }

    /// Feeds `machine`, and records what it is fed with.
    pub fn feed<M: Machine>(&mut self, machine: &mut M, input: M::Input, now: BootTime) -> M::Output {
        if let Some(trace) = &mut self.trace
            && !machine.ignores(&input, now)
        {
            trace.record(machine, &EntryRef::Input(&input), now);
        }
        machine.feed(input, now)
    }

    /// Something happened that people will ask about: what is recorded is written soon.
    pub fn hurry(&mut self, now: BootTime) {
        if let Some(trace) = &mut self.trace {
            trace.due = trace.due.map(|due| due.min(now + SOON));
        }
    }

    /// The turn is over: writes what was recorded, if it is due.
    pub fn flush(&mut self, now: BootTime) {
        if let Some(trace) = self.trace.as_mut().filter(|trace| trace.due.is_some_and(|due| now >= due)) {
            trace.flush(now);
        }
    }

    /// The program ends: the last entry is the state that a replay must arrive at.
    pub fn end<M: Machine>(&mut self, machine: &M, now: BootTime) {
        if let Some(trace) = &mut self.trace {
            trace.record(machine, &EntryRef::State(machine), now);
            trace.flush(now);
        }
    }
}

impl Trace {
    fn record<M: Machine>(&mut self, machine: &M, what: &EntryRef<'_, M>, now: BootTime) {
        if self.broken_until.map_or_else(|| self.ring.is_full(), |until| now >= until) {
            self.flush(now);
            self.begin(machine, now);
        }
        if self.broken_until.is_some() {
            self.head.lost += 1;
        } else if let Some(entry) = pha_trace::entry(now, what) {
            self.ring.push(&entry);
            self.due.get_or_insert(now + AT_REST);
        } else {
            // What follows an input that is not there must not be played.
            self.head.lost += 1;
            self.broke(&too_large(), now);
        }
    }

    /// A new segment, which begins with the machine as it is now.
    fn begin<M: Machine>(&mut self, machine: &M, now: BootTime) {
        self.head.number += 1;
        self.head.clocks = Clocks::read(now);
        self.head.lost += self.ring.take_lost();
        let begun = pha_trace::opening(&self.head, machine).ok_or_else(too_large);
        match begun.and_then(|opening| self.ring.begin(opening)) {
            Ok(()) if self.broken_until.take().is_some() => {
                log::info!("the trace is written again; {} inputs are missing from it", self.head.lost);
            }
            Ok(()) => {}
            Err(error) => self.broke(&error, now),
        }
    }

    fn flush(&mut self, now: BootTime) {
        self.due = None;
        if let Err(error) = self.ring.flush() {
            self.broke(&error, now);
        }
    }

    fn broke(&mut self, error: &io::Error, now: BootTime) {
        if self.broken_until.is_none() {
            log::error!("the trace {} cannot be written: {error}; going on without it", self.ring.path().display());
        }
        self.broken_until = Some(now + AGAIN);
    }
}

fn too_large() -> io::Error {
    io::Error::new(io::ErrorKind::FileTooLarge, "too large for a trace")
}

#[cfg(test)]
#[path = "recorder_tests.rs"]
mod tests;
