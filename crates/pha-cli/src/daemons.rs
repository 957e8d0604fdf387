//! Starting and stopping the three daemons.
//!
//! They detach themselves, and their exit code says whether they are up. Who runs is told by the lock on the pid file
//! alone. Stopping leaves resources as they are, unless they are released first.

use std::os::unix::process::CommandExt;
use std::process::{Child, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use pha_core::Word;
use pha_core::report::{OfflineWish, ResourceState, SuperviseReport};
use pha_daemon::privilege;
use pha_sys::signals::{self, Signal};
use pha_sys::{exit, pidfile};

use crate::failure::{Failure, RUN, UNAVAILABLE};
use crate::programs::{DISPLAY_ORDER, Program, START_ORDER, STOP_ORDER, file_name};
use crate::screen::{print, warn};
use crate::session::Session;
use crate::times::period;
use crate::view::View;
use crate::{wait, wishes};

/// A daemon says within this time whether it is up.
const START_LIMIT: Duration = Duration::from_secs(15);

/// A daemon ends within this time after SIGTERM.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// How often a process is looked at: there is no event for the end of another's child.
const STEP: Duration = Duration::from_millis(5);

/// How long a release may take while the configuration cannot be read.
const SCRIPTS: Duration = Duration::from_secs(60);

/// What `stop --release` wishes for; it is taken back as soon as the daemons have ended.
const FOR_GOOD: Duration = Duration::from_secs(366 * 24 * 3600);

/// `start` and `se_start` and so on: whatever of `programs` does not run yet.
pub(crate) fn start(session: &Session, programs: &[Program]) -> Result<(), Failure> {
    session.demand_administrator("start")?;
    session.member()?;
    let missing: Vec<_> = programs.iter().copied().filter(|program| pid(session, *program).is_none()).collect();
    if missing.is_empty() {
        warn("already running");
    }
    for program in &missing {
        start_one(session, *program)?;
    }
    // One that was killed seems to run until the agent that it was about to begin has let go of its lock.
    for program in programs.iter().filter(|program| !missing.contains(program)) {
        if pid(session, *program).is_none() {
            start_one(session, *program)?;
        }
    }
    match programs.iter().find(|program| pid(session, **program).is_none()) {
        None => Ok(()),
        Some(gone) => Err(not_started(session, *gone, "ended right after its start", exit::SOFTWARE)),
    }
}

fn start_one(session: &Session, program: Program) -> Result<(), Failure> {
    // A process group of its own: a Ctrl-C that ends the CLI is not meant for the daemon.
    let mut command = session.command(&file_name(program));
    command.arg("--detach").stdout(Stdio::null()).process_group(0);
    let mut child = command.spawn().map_err(|error| Failure::from_io(RUN, command.get_program().as_ref(), &error))?;
    let Some(status) = ended_within(&mut child, START_LIMIT) else {
        return Err(not_started(session, program, "did not say within 15 s whether it is up", exit::TEMP_FAIL));
    };
    match status.code() {
        // Another `start` was quicker.
        Some(exit::OK | exit::TEMP_FAIL) => Ok(()),
        Some(code) => Err(not_started(session, program, &format!("did not start (exit code {code})"), code)),
        None => Err(not_started(session, program, "was killed while it started", exit::SOFTWARE)),
    }
}

fn not_started(session: &Session, program: Program, what: &str, code: i32) -> Failure {
    let log = session.log_file(program).map(|path| format!("; its log is {}", path.display())).unwrap_or_default();
    Failure::new(code, format!("{} {what}{log}", file_name(program)))
}

/// `None` if it goes on.
fn ended_within(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let begin = Instant::now();
    while begin.elapsed() < limit {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        sleep(STEP);
    }
    None
}

/// `stop`: all three, with a warning if resources stay behind.
pub(crate) fn stop(session: &Session, release: bool) -> Result<(), Failure> {
    session.demand_administrator("stop")?;
    let running = DISPLAY_ORDER.iter().any(|program| pid(session, *program).is_some());
    if !running {
        let left = if were_kept(session) { "; 'res stop' stops the resources that were left running" } else { "" };
        warn(&format!("pha does not run here{left}"));
        return Ok(());
    }
    if release {
        return stop_released(session);
    }
    let active = is_active(session);
    end(session, &STOP_ORDER)?;
    if active {
        warn_kept(session);
    }
    Ok(())
}

fn were_kept(session: &Session) -> bool {
    View::take(session).is_ok_and(|view| view.last_report().is_some_and(|report| report.saying.word == Word::Kept))
}

/// A database that cannot be read is no reason not to stop.
fn is_active(session: &Session) -> bool {
    View::take(session).is_ok_and(|view| view.is_active())
}

/// `se_stop`, `re_stop`, `su_stop`.
pub(crate) fn stop_one(session: &Session, program: Program) -> Result<(), Failure> {
    session.demand_administrator("stop")?;
    if pid(session, program).is_none() {
        warn(&format!("{} does not run here", file_name(program)));
        return Ok(());
    }
    let active = is_active(session);
    end(session, &[program])?;
    match program {
        Program::Supervise if active => warn_kept(session),
        Program::Sender if active => warn_silent(session),
        Program::Sender | Program::Receiver | Program::Supervise => {}
    }
    Ok(())
}

/// `restart`: resources and role stay. What would keep a daemon from starting is told before one is ended.
pub(crate) fn restart(session: &Session) -> Result<(), Failure> {
    session.demand_administrator("restart")?;
    session.member()?;
    if let Some(problem) = privilege::key_problem(&session.home, session.config()?) {
        return Err(Failure::new(exit::CONFIG, format!("nothing was ended: {problem}")));
    }
    end(session, &STOP_ORDER)?;
    start(session, &START_ORDER)
}

fn warn_kept(session: &Session) {
    warn(&format!(
        "{} was active: its resources are left running, nobody watches them, and no peer takes over; \
         'res stop' stops them now ('stop --release' would have handed them over)",
        session.node
    ));
}

fn warn_silent(session: &Session) {
    let dead_time = session.config().map_or_else(|_| "DEADTIME".to_owned(), |config| period(config.dead_time));
    warn(&format!(
        "{} is active and silent: after {dead_time} a peer may take its resources over; 'se_start' starts the sender",
        session.node
    ));
}

/// SIGTERM to each, one after the other, until all have ended.
fn end(session: &Session, programs: &[Program]) -> Result<(), Failure> {
    for program in programs {
        let Some(id) = pid(session, *program) else { continue };
        let sent = send(*program, id, Signal::Terminate);
        if sent.is_err() && pid(session, *program).is_some() {
            return sent;
        }
        if !is_gone_within(session, *program, STOP_LIMIT) {
            let text =
                format!("{} (pid {id}) does not end: see its log; kill -9 {id} ends it by force", file_name(*program));
            return Err(Failure::new(exit::TEMP_FAIL, text));
        }
    }
    Ok(())
}

fn is_gone_within(session: &Session, program: Program, limit: Duration) -> bool {
    let begin = Instant::now();
    while pid(session, program).is_some() {
        if begin.elapsed() > limit || wait::interrupted() {
            return false;
        }
        sleep(STEP);
    }
    true
}

/// Has supervise stop everything and say LEFT, then ends the daemons, then takes the wish back.
fn stop_released(session: &Session) -> Result<(), Failure> {
    let refuse =
        |why: &str| Err(Failure::new(UNAVAILABLE, format!("{why}: 'stop' and then 'res stop' end everything")));
    if pid(session, Program::Supervise).is_none() {
        return refuse("pha-supervise does not run, so nothing can be released");
    }
    if View::take(session)?.record.operator.wishes.maintenance {
        return refuse("maintenance is on, so nothing is released");
    }
    let scripts = session.config().map(|config| config.resources.iter().map(|resource| resource.stop_timeout).sum());
    let limit = scripts.unwrap_or(SCRIPTS) + STOP_LIMIT;
    let since = wishes::now();
    let wish = OfflineWish { since, until: since + FOR_GOOD, force: true };
    wishes::change(session, |wishes| wishes.offline = Some(wish))?;
    let result = await_release(session, limit).and_then(|()| end(session, &STOP_ORDER));
    wishes::change(session, |wishes| wishes.offline = None)?;
    result
}

fn await_release(session: &Session, limit: Duration) -> Result<(), Failure> {
    let released = wait::until(session, limit, |view| match view.report() {
        Some(report) => is_released(report).then_some(()),
        None => Some(()),
    })?;
    released.ok_or_else(|| {
        let up = View::take(session).map(|view| not_down(&view, &[])).unwrap_or_default();
        let text =
            format!("not released ({up}): the daemons go on; 'stop' ends them and leaves the resources as they are");
        Failure::new(exit::TEMP_FAIL, text)
    })
}

fn is_released(report: &SuperviseReport) -> bool {
    let all_down = report.resources.iter().all(|resource| resource.state == ResourceState::Down);
    all_down && matches!(report.saying.word, Word::Left { .. })
}

/// `web is UP, db is UNKNOWN`: what of `names` (all, if empty) is not down, with its last error.
pub(crate) fn not_down(view: &View, names: &[String]) -> String {
    let report = view.last_report();
    let resources = report.into_iter().flat_map(|report| &report.resources);
    let wanted = resources.filter(|resource| names.is_empty() || names.contains(&resource.name));
    let up = wanted.filter(|resource| resource.state != ResourceState::Down).map(|resource| {
        let error = resource.last_error.as_ref().map(|error| format!(" ({error})")).unwrap_or_default();
        format!("{} is {}{error}", resource.name, crate::stat::state_word(resource.state))
    });
    up.collect::<Vec<_>>().join(", ")
}

/// `reload`: SIGHUP to all three; first to the receiver, which must know a key before somebody is spoken to with it.
pub(crate) fn reload(session: &Session) -> Result<(), Failure> {
    session.demand_administrator("reload")?;
    session.member()?;
    let running: Vec<_> = START_ORDER.iter().filter_map(|program| Some((*program, pid(session, *program)?))).collect();
    if running.is_empty() {
        return Err(Failure::new(UNAVAILABLE, "pha does not run here: 'start' reads the configuration"));
    }
    session.hand_over_key()?;
    let mut logs = Vec::new();
    for (program, id) in running {
        send(program, id, Signal::Hangup)?;
        logs.extend(session.log_file(program).map(|path| format!("  {}", path.display())));
    }
    print(&format!(
        "the daemons read the configuration again; what changed, and what needs a 'restart', stands in\n{}",
        logs.join("\n")
    ))
}

/// The process id of a daemon that runs.
pub(crate) fn pid(session: &Session, program: Program) -> Option<u32> {
    pidfile::running(&session.pid_file(program))
}

fn send(program: Program, id: u32, signal: Signal) -> Result<(), Failure> {
    signals::send(id, signal).map_err(|error| {
        let name = file_name(program);
        let text = format!("{name} (pid {id}) takes no signal: {error}; run pha-cli as root (sudo pha-cli)");
        Failure::new(exit::NO_PERM, text)
    })
}
