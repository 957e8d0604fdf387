//! `res start` and `res stop` while the daemons are stopped: the same agents, the same order, the same section of the
//! database, and the same lock on the pid file, so that they never work against a running supervise.

use std::time::Duration;

use anyhow::{Context as _, bail};
use pha_address::DUPLICATE_WINDOW;
use pha_core::report::{ResourceState, SuperviseReport};
use pha_core::resource::{Call, Outcome};
use pha_core::supervisor::{Restored, Supervisor};
use pha_core::{LeaveCause, Reason, Saying, Term, Word};
use pha_daemon::{Daemon, now, settings};
use pha_status::{Durability, Patience, SuperviseSection};
use pha_sys::poll;
use pha_sys::writer::Writer;

use crate::Once;
use crate::runner::{Ended, Run, Runner};

/// A finished child is noticed this late at the most: its end closes its pipe, but a child of its own may hold that open.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Starts or stops all resources, or the one called `name`, and records what is up then.
pub fn run(daemon: &mut Daemon, once: Once, name: Option<&str>) -> anyhow::Result<()> {
    let settings = settings(&daemon.home, &daemon.config, &daemon.me);
    let mut indices: Vec<usize> = (0..settings.resources.len())
        .filter(|index| name.is_none_or(|name| settings.resources[*index].name == name))
        .collect();
    if let (Some(name), true) = (name, indices.is_empty()) {
        bail!("there is no resource {name} in {}", daemon.config.file.display());
    }
    let call = match once {
        Once::Start => Call::Keep,
        Once::Stop => {
            indices.reverse();
            Call::Stop
        }
    };
    let mut runner = Runner::new(&daemon.home, &daemon.config, &daemon.me, &daemon.database_writer, Writer::at_once());
    let mut errors = Vec::new();
    let mut term = Term::NONE;
    if let Ok(record) = daemon.database.read() {
        term = record.supervise.report.map_or(Term::NONE, |report| report.saying.term);
    }
    for index in indices {
        let resource = &settings.resources[index];
        let limit = if call == Call::Stop { resource.stop_timeout } else { resource.start_timeout };
        let ended = call_and_wait(&mut runner, index, call, limit, term)?;
        if ended.outcome != Outcome::Succeeded {
            errors.push(format!("{} {}: {}", resource.name, call.verb(), ended.message));
            if once == Once::Start {
                break;
            }
        }
    }
    let states = settings.resources.iter().enumerate().map(|(index, resource)| {
        let checked = call_and_wait(&mut runner, index, Call::Check, resource.check_timeout, term)?;
        Ok(match checked.outcome {
            Outcome::Succeeded => ResourceState::Up,
            Outcome::Failed => ResourceState::Down,
            Outcome::TimedOut | Outcome::NotRun | Outcome::Cancelled => ResourceState::Unknown,
        })
    });
    let states = states.collect::<anyhow::Result<Vec<_>>>()?;
    record(daemon, Supervisor::new(settings, Restored::default(), now()).report(), &states)?;
    if errors.is_empty() { Ok(()) } else { bail!(errors.join("; ")) }
}

fn call_and_wait(runner: &mut Runner, index: usize, call: Call, limit: Duration, term: Term) -> anyhow::Result<Ended> {
    let run = Run { call, limit, reason: Reason::Operator, term, lease: None, sole: false, window: DUPLICATE_WINDOW };
    if let Some(ended) = runner.start(index, run, now()) {
        return Ok(ended);
    }
    loop {
        poll::wait(&runner.fds(), Some(LOOK_AGAIN)).context("cannot wait")?;
        // Nobody restores anything here, but who does not look is woken for ever.
        let _ = runner.robbed(now());
        if let Some(ended) = runner.advance(now()).pop() {
            return Ok(ended);
        }
    }
}

/// What is up now: everything down means LEFT, so that a peer may take over; anything else stays KEPT.
fn record(daemon: &Daemon, fresh: SuperviseReport, states: &[ResourceState]) -> anyhow::Result<()> {
    let now = now();
    let clean = states.iter().all(|state| *state == ResourceState::Down);
    let word = if clean { Word::Left { cause: LeaveCause::Stopped } } else { Word::Kept };
    let change = |section: &mut SuperviseSection| {
        let mut report = renewed(section.report.take(), fresh);
        for (resource, state) in report.resources.iter_mut().zip(states) {
            if resource.state != *state {
                resource.state = *state;
                resource.since = now;
            }
        }
        report.saying.word = word;
        report.announce = true;
        *section = SuperviseSection { pid: 0, tick: now, report: Some(report), config_loaded: section.config_loaded };
    };
    daemon.database.update(Durability::Volatile, Patience::Operator, change)?;
    Ok(())
}

/// What was known, if it is of the same resources. Of others, and after a reboot, terms and history are what lasts.
fn renewed(known: Option<SuperviseReport>, fresh: SuperviseReport) -> SuperviseReport {
    let Some(known) = known else { return fresh };
    if known.resources.iter().map(|r| &r.name).eq(fresh.resources.iter().map(|r| &r.name)) {
        return known;
    }
    let saying = Saying { term: known.saying.term, ..fresh.saying };
    SuperviseReport { saying, highest_term: known.highest_term, history: known.history, ..fresh }
}
