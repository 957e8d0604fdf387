//! `res`: resources by hand.
//!
//! With the daemons running a resource is stopped and started by supervise: `res stop` is a wish to hold it down,
//! `res start` takes the wish back. With the daemons stopped the agents are run at once, by pha-supervise in the
//! foreground, and the peers are told when nothing runs here any more.

use std::time::Duration;

use pha_config::Config;
use pha_core::report::ResourceState;
use pha_sys::exit;

use crate::commands::ResAction;
use crate::daemons::{not_down, pid};
use crate::failure::{Failure, RUN, UNAVAILABLE};
use crate::programs::{Program, file_name};
use crate::screen::{print, print_json, warn};
use crate::session::Session;
use crate::stat::state_word;
use crate::view::View;
use crate::{document, wait, wishes};

/// For what is no script: the database, forks, a check.
const SLACK: Duration = Duration::from_secs(5);

/// `res [list|start|stop] [name]`.
pub(crate) fn run(session: &Session, action: &ResAction) -> Result<(), Failure> {
    match action {
        ResAction::List { name } => list(session, name.as_deref()),
        ResAction::Start { name } => {
            let names = selected(declared(session.config()?), name.as_deref())?;
            if pid(session, Program::Supervise).is_some() {
                let_start(session, &names)
            } else {
                start_now(session, name.as_deref())
            }
        }
        ResAction::Stop { name } => {
            let names = selected(declared(session.config()?), name.as_deref())?;
            if pid(session, Program::Supervise).is_some() {
                hold(session, &names, name.is_none())
            } else {
                stop_now(session, name.as_deref())
            }
        }
    }
}

fn declared(config: &Config) -> Vec<String> {
    config.resources.iter().map(|resource| resource.name.clone()).collect()
}

/// The resources meant; all without a name.
fn selected(all: Vec<String>, name: Option<&str>) -> Result<Vec<String>, Failure> {
    match name {
        None => Ok(all),
        Some(name) if all.iter().any(|known| known == name) => Ok(vec![name.to_owned()]),
        Some(name) => {
            let known = if all.is_empty() {
                "etc/config declares none".to_owned()
            } else {
                format!("there are: {}", all.join(", "))
            };
            Err(Failure::new(exit::USAGE, format!("no resource '{name}'; {known}")))
        }
    }
}

fn list(session: &Session, name: Option<&str>) -> Result<(), Failure> {
    let view = View::take(session)?;
    let seen = view.last_report().map(|report| report.resources.as_slice()).unwrap_or_default();
    // A broken configuration keeps nobody from looking at what runs.
    let seen_names = |_| seen.iter().map(|resource| resource.name.clone()).collect();
    let names = selected(session.loaded().map_or_else(seen_names, declared), name)?;
    if session.json {
        return print_json(&document::resources(&view, Some(&names)));
    }
    let state = |name: &String| {
        let resource = seen.iter().find(|resource| resource.name == *name);
        let held = if resource.is_some_and(|resource| resource.held) { " (held)" } else { "" };
        format!("{}{held}", state_word(resource.map(|resource| resource.state).unwrap_or_default()))
    };
    if !view.is_running() && !seen.is_empty() {
        warn("pha-supervise does not run: these are the states it saw last");
    }
    let lines: Vec<_> = names.iter().map(|name| format!("{name:<16}{}", state(name))).collect();
    print(&lines.join("\n"))
}

/// `res stop` with the daemons running.
fn hold(session: &Session, names: &[String], all: bool) -> Result<(), Failure> {
    wishes::change(session, |wishes| {
        wishes.held.extend(names.iter().filter(|name| !wishes.held.contains(name)).cloned().collect::<Vec<_>>());
    })?;
    if all && !names.is_empty() {
        warn(&format!(
            "{}: all resources are held down until 'res start'; 'offline' would hand them over",
            session.node
        ));
    }
    let limit = limit(session.config()?, names, |resource| resource.stop_timeout);
    await_state(session, names, ResourceState::Down, limit)
}

/// `res start` with the daemons running.
fn let_start(session: &Session, names: &[String]) -> Result<(), Failure> {
    let view = View::take(session)?;
    let held = view.record.operator.wishes.held.iter().any(|held| names.contains(held));
    let busy = view.active_peer().filter(|_| !view.is_active()).map(|peer| session.name_of(peer.node));
    if let Some(peer) = &busy
        && !held
    {
        let text = format!(
            "{} is Standby and {peer} is active: resources run there; 'offline' on {peer} switches over",
            session.node
        );
        return Err(Failure::new(UNAVAILABLE, text));
    }
    wishes::change(session, |wishes| wishes.held.retain(|held| !names.contains(held)))?;
    if let Some(peer) = busy {
        return print(&format!("no longer held on {}; {peer} is active, so nothing is started here", session.node));
    }
    if !view.is_active() {
        return print("no longer held; 'explain' says when this node starts it");
    }
    let limit = limit(session.config()?, names, |resource| resource.start_timeout);
    await_state(session, names, ResourceState::Up, limit)
}

fn limit(config: &Config, names: &[String], timeout: impl Fn(&pha_config::ResourceConfig) -> Duration) -> Duration {
    config.resources.iter().filter(|resource| names.contains(&resource.name)).map(timeout).sum::<Duration>() + SLACK
}

fn await_state(session: &Session, names: &[String], wanted: ResourceState, limit: Duration) -> Result<(), Failure> {
    let answer = wait::until(session, limit, |view| {
        let resources = &view.report()?.resources;
        let reached =
            |name: &String| resources.iter().any(|resource| resource.name == *name && resource.state == wanted);
        if names.iter().all(reached) {
            return Some(Ok(()));
        }
        view.record.operator.wishes.maintenance.then(|| Err(in_maintenance(session, wanted)))
    })?;
    answer.unwrap_or_else(|| {
        let now = View::take(session).map(|view| not_down(&view, names)).unwrap_or_default();
        let now = if now.is_empty() { "still DOWN".to_owned() } else { now };
        Err(Failure::new(exit::TEMP_FAIL, format!("not {} in time: {now}; 'explain' says why", state_word(wanted))))
    })
}

/// The wish is written down and will not be followed for as long as the operator wants nothing to be moved.
fn in_maintenance(session: &Session, wanted: ResourceState) -> Failure {
    let (written, moved) =
        if wanted == ResourceState::Up { ("no longer held", "started") } else { ("to be held down", "stopped") };
    let text =
        format!("{written}, but maintenance is on: nothing is {moved} on {} until 'maintenance off'", session.node);
    Failure::new(UNAVAILABLE, text)
}

/// `res start` with the daemons stopped.
fn start_now(session: &Session, name: Option<&str>) -> Result<(), Failure> {
    warn(
        "pha does not run here: nobody will watch what is started, and a peer may run it too; 'start' is the safe way",
    );
    agents(session, "start", name)
}

/// `res stop` with the daemons stopped; once nothing is up, the peers may take over.
fn stop_now(session: &Session, name: Option<&str>) -> Result<(), Failure> {
    agents(session, "stop", name)?;
    let all_down = not_down(&View::take(session)?, &[]).is_empty();
    if !all_down {
        return Ok(());
    }
    run_program(session, "pha-sender", &["--farewell"]).map_err(|failure| {
        let text = format!("the resources are stopped, but the peers could not be told so: {failure}");
        Failure::new(failure.code(), text)
    })
}

fn agents(session: &Session, action: &str, name: Option<&str>) -> Result<(), Failure> {
    session.demand_administrator(&format!("res {action}"))?;
    let words: Vec<_> = ["--resources", action].into_iter().chain(name).collect();
    run_program(session, &file_name(Program::Supervise), &words)
}

/// Runs one of our programs in the foreground; it says itself what went wrong.
fn run_program(session: &Session, name: &str, words: &[&str]) -> Result<(), Failure> {
    let mut command = session.command(name);
    let status = command.args(words).status();
    let status = status.map_err(|error| Failure::from_io(RUN, command.get_program().as_ref(), &error))?;
    match status.code() {
        Some(exit::OK) => Ok(()),
        Some(code) => Err(Failure::new(code, format!("{name} {} failed (exit code {code})", words.join(" ")))),
        None => Err(Failure::new(exit::SOFTWARE, format!("{name} {} was killed", words.join(" ")))),
    }
}
