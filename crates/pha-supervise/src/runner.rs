//! Carries calls out: one of a resource at a time, none of them waited for. By running its agent, or in this program: for an
//! agent that says that it is `native`, and for built-in checks.

use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pha_config::{Config, Home, Node, agent_features};
use pha_core::resource::{Call, Outcome};
use pha_core::{BootTime, Reason, Term};
use pha_sys::agent::{self, AgentCall, CallNote, Finished, Lingering, RunningAgent};
use pha_sys::clock::boot_time;
use pha_sys::logging::escaped;
use pha_sys::netlink::AddressWatch;
use pha_sys::poll;
use pha_sys::writer::Writer;

use crate::address::{Address, Conclusion};
use crate::builtin::{BuiltIn, Connection, Found};

/// What an agent is run with, apart from which one.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    /// Which call.
    pub call: Call,
    /// Its time limit.
    pub limit: Duration,
    /// `PHA_REASON`.
    pub reason: Reason,
    /// `PHA_TERM`.
    pub term: Term,
    /// `PHA_LEASE`, if a lease is to be given or renewed.
    pub lease: Option<Duration>,
    /// `PHA_DAD=skip`.
    pub sole: bool,
    /// `PHA_PROBE_WINDOW`: how long a probe asks.
    pub window: Duration,
}

/// A call that ended.
#[derive(Debug)]
pub struct Ended {
    /// Index of the resource.
    pub resource: usize,
    /// Which call.
    pub call: Call,
    /// How.
    pub outcome: Outcome,
    /// Its last line, or why it could not run.
    pub message: String,
    /// How long it took.
    pub duration: Duration,
}

#[derive(Debug)]
struct Agent {
    name: String,
    program: PathBuf,
    arguments: Vec<String>,
    built_in: Option<BuiltIn>,
    /// What can do the agent's work in this program, unless it is at work.
    native: Option<Box<Address>>,
    running: Option<(Call, Running)>,
    /// Whoever supervises next finds here what outlived this program.
    note: CallNote,
}

impl Agent {
    /// Readable when its built-in check has something to look at.
    fn watched(&self) -> Option<BorrowedFd<'_>> {
        self.built_in.as_ref()?.fd()
    }
}

/// The ways to carry out a call.
#[derive(Debug)]
enum Running {
    /// A process.
    Agent(RunningAgent),
    /// In this program, since then.
    Native(Box<Address>, BootTime),
    /// A built-in check that connects.
    Connection(Connection),
}

impl Running {
    fn fds(&self) -> Vec<BorrowedFd<'_>> {
        match self {
            Self::Agent(agent) => agent.fd().into_iter().collect(),
            Self::Native(address, _) => address.fds(),
            Self::Connection(connection) => connection.fd().into_iter().collect(),
        }
    }

    fn next_deadline(&self) -> Option<Duration> {
        match self {
            Self::Agent(agent) => agent.next_deadline(),
            Self::Native(address, _) => address.next_deadline(),
            Self::Connection(connection) => Some(connection.next_deadline()),
        }
    }
}

/// All agents of this node.
#[derive(Debug)]
pub struct Runner {
    environment: Vec<(String, String)>,
    agents: Vec<Agent>,
    starter: Writer,
    lingering: Lingering,
    /// Where any address is cared for in this program.
    watch: Option<AddressWatch>,
}

impl Runner {
    /// Nothing runs: what an earlier supervise began and left running is ended first, which may take a second or two.
    /// `writer` keeps the notes of calls, `starter` begins them.
    pub fn new(home: &Home, config: &Config, me: &Node, writer: &Writer, starter: Writer) -> Self {
        let peers: Vec<&str> =
            config.nodes.iter().filter(|node| node.id != me.id).map(|node| node.name.as_str()).collect();
        let environment = vec![
            ("PHA_HOME".to_owned(), config.home_in_use(home).root().display().to_string()),
            ("PHA_NODE".to_owned(), me.name.clone()),
            ("PHA_PEER".to_owned(), peers.join(" ")),
        ];
        let run_dir = config.var_dir(home).join("run");
        let agents: Vec<Agent> = config
            .resources
            .iter()
            .map(|resource| Agent {
                name: resource.name.clone(),
                program: config.agent_path(home, &resource.agent),
                arguments: resource.arguments.clone(),
                built_in: resource.built_in_check.clone().map(BuiltIn::new),
                native: native(&config.agent_path(home, &resource.agent), &resource.arguments),
                running: None,
                note: CallNote::new(run_dir.join(format!("{}.call", resource.name)), writer.clone()),
            })
            .collect();
        for agent in &agents {
            if let Some(pid) = agent.note.end_orphan() {
                log::warn!(
                    "{}: a call of an earlier pha-supervise still ran and was ended (process {pid})",
                    agent.name
                );
            }
        }
        let watch = agents.iter().any(|agent| agent.native.is_some()).then(AddressWatch::open);
        let watch = watch.transpose().unwrap_or_else(|error| {
            log::warn!("addresses that others remove are only noticed by the next check: {error}");
            None
        });
        Self { environment, agents, starter, lingering: Lingering::default(), watch }
    }

    /// Starts a call that was decided at `now`; what can be done at once, or cannot be started, has ended already.
    pub fn start(&mut self, resource: usize, run: Run, now: BootTime) -> Option<Ended> {
        let agent = &mut self.agents[resource];
        assert!(agent.running.is_none(), "one call of a resource at a time: {}", agent.name);
        if run.call == Call::Watch {
            return self.watch(resource, run.limit, now);
        }
        if let Some(mut address) = agent.native.take() {
            log::debug!("{} {} (native)", agent.name, run.call.verb());
            let began = boot_time();
            if let Some(conclusion) = address.start(run, elapsed(now)) {
                agent.native = Some(address);
                return Some(concluded(resource, run.call, conclusion, boot_time().saturating_sub(began)));
            }
            agent.running = Some((run.call, Running::Native(address, now)));
            return None;
        }
        self.run(resource, run, now)
    }

    fn run(&mut self, resource: usize, run: Run, now: BootTime) -> Option<Ended> {
        let agent = &self.agents[resource];
        let call = AgentCall {
            program: agent.program.clone(),
            arguments: std::iter::once(run.call.verb())
                .chain(agent.arguments.iter().map(String::as_str))
                .map(Into::into)
                .collect(),
            environment: self.environment(&agent.name, run),
            limit: run.limit,
            dies_with_caller: !outlives_us(run.call),
            note: outlives_us(run.call).then(|| agent.note.clone()),
        };
        log::debug!("{} {}", agent.name, run.call.verb());
        match RunningAgent::start(call, &self.starter, elapsed(now)) {
            Ok(running) => {
                self.agents[resource].running = Some((run.call, Running::Agent(running)));
                None
            }
            Err(error) => Some(Ended {
                resource,
                call: run.call,
                outcome: Outcome::NotRun,
                message: format!("{}: {error}", agent.program.display()),
                duration: Duration::ZERO,
            }),
        }
    }

    /// Looks without an agent; only a connection may take time.
    fn watch(&mut self, resource: usize, limit: Duration, now: BootTime) -> Option<Ended> {
        let agent = &mut self.agents[resource];
        let found =
            agent.built_in.as_mut().map_or_else(Found::nothing_to_look_at, |built_in| built_in.look(limit, now));
        match found {
            Found::Answer(outcome, message) => {
                Some(Ended { resource, call: Call::Watch, outcome, message, duration: Duration::ZERO })
            }
            Found::Waits(connection) => {
                agent.running = Some((Call::Watch, Running::Connection(connection)));
                None
            }
        }
    }

    /// Resources whose built-in check has something to look at before it is due, each told once.
    pub fn tripped(&mut self) -> Vec<usize> {
        let watched = |(resource, agent)| Some((resource, Agent::watched(agent)?));
        let (resources, fds): (Vec<usize>, Vec<_>) = self.agents.iter().enumerate().filter_map(watched).unzip();
        if fds.is_empty() {
            return Vec::new();
        }
        let Ok(ready) = poll::wait(&fds, Some(Duration::ZERO)) else { return Vec::new() };
        let ready = ready.iter().copied();
        let tripped: Vec<_> = resources.into_iter().zip(ready).filter_map(|(i, ready)| ready.then_some(i)).collect();
        for resource in &tripped {
            self.agents[*resource].built_in.as_mut().map(BuiltIn::forget);
        }
        tripped
    }

    /// Ends a call: a start or stop is asked to, whatever only looks is killed.
    pub fn cancel(&mut self, resource: usize, now: BootTime) {
        match &mut self.agents[resource].running {
            Some((call, Running::Agent(running))) if outlives_us(*call) => running.cancel(elapsed(now)),
            Some((_, Running::Agent(running))) => running.kill(),
            Some((_, Running::Native(address, _))) => address.cancel(),
            Some((_, Running::Connection(connection))) => connection.cancel(),
            None => {}
        }
    }

    /// Resources that somebody else has taken off their device since the last call.
    pub fn robbed(&mut self, now: BootTime) -> Vec<usize> {
        let changes = self.watch.as_ref().map(AddressWatch::changes).unwrap_or_default();
        if changes.is_empty() {
            return Vec::new();
        }
        let mut robbed = Vec::new();
        for (resource, agent) in self.agents.iter_mut().enumerate() {
            let Some(address) = &mut agent.native else { continue };
            if changes.iter().any(|change| address.was_robbed(change, elapsed(now))) {
                log::warn!("{} was removed from {} by somebody else", address.address(), address.place().device);
                robbed.push(resource);
            }
        }
        robbed
    }

    /// What has ended, with its output in the log.
    pub fn advance(&mut self, now: BootTime) -> Vec<Ended> {
        self.lingering.drain();
        let mut ended = Vec::new();
        for (resource, agent) in self.agents.iter_mut().enumerate() {
            let Some((call, running)) = &mut agent.running else { continue };
            let call = *call;
            let running = match running {
                Running::Agent(running) => running,
                Running::Connection(connection) => {
                    if let Some((outcome, message, duration)) = connection.advance(now) {
                        agent.running = None;
                        ended.push(Ended { resource, call, outcome, message, duration });
                    }
                    continue;
                }
                Running::Native(..) => {
                    ended.extend(agent.advance_native(resource, now));
                    continue;
                }
            };
            if let Some(finished) = running.advance(elapsed(now)) {
                agent.running = None;
                log_output(&agent.name, call, &finished);
                ended.push(conclusion(resource, call, &agent.program, &finished));
                if let Some(leftover) = finished.leftover {
                    self.lingering.add(leftover);
                }
            }
        }
        ended
    }

    /// What to poll.
    pub fn fds(&self) -> Vec<BorrowedFd<'_>> {
        let running = self.agents.iter().filter_map(|agent| agent.running.as_ref());
        let watch = self.watch.as_ref().map(AddressWatch::fd);
        let watched = self.agents.iter().filter_map(Agent::watched);
        running.flat_map(|(_, running)| running.fds()).chain(watched).chain(self.lingering.fds()).chain(watch).collect()
    }

    /// When a running call must be looked at.
    pub fn next_deadline(&self) -> Option<BootTime> {
        let running = self.agents.iter().filter_map(|agent| agent.running.as_ref());
        running.filter_map(|(_, running)| running.next_deadline()).map(BootTime::since_boot).min()
    }

    fn environment(&self, resource: &str, run: Run) -> Vec<(String, String)> {
        let mut environment = self.environment.clone();
        let mut add = |name: &str, value: String| environment.push((name.to_owned(), value));
        add("PHA_RESOURCE", resource.to_owned());
        add("PHA_TERM", run.term.to_string());
        add("PHA_REASON", run.reason.to_string());
        if let Some(lease) = run.lease {
            add("PHA_LEASE", lease.as_secs_f64().to_string());
        }
        if run.sole {
            add("PHA_DAD", "skip".to_owned());
        }
        if run.call == Call::Probe {
            add("PHA_PROBE_WINDOW", run.window.as_millis().max(1).to_string());
        }
        environment
    }
}

impl Agent {
    fn advance_native(&mut self, resource: usize, now: BootTime) -> Option<Ended> {
        let (call, Running::Native(mut address, since)) = self.running.take()? else { return None };
        let Some(conclusion) = address.advance(elapsed(now)) else {
            self.running = Some((call, Running::Native(address, since)));
            return None;
        };
        self.native = Some(address);
        Some(concluded(resource, call, conclusion, now.since(since)))
    }
}

/// What does the work of a native agent; one whose arguments are wrong is called, and says so itself.
fn native(program: &Path, arguments: &[String]) -> Option<Box<Address>> {
    let declared = agent_features(program).is_ok_and(|features| features.native);
    declared.then(|| Address::new(arguments).ok().map(Box::new)).flatten()
}

fn concluded(resource: usize, call: Call, (outcome, message): Conclusion, duration: Duration) -> Ended {
    Ended { resource, call, outcome, message, duration }
}

/// A lease must not be renewed by a child that outlives its keeper; a start or stop may be in the middle of something.
const fn outlives_us(call: Call) -> bool {
    matches!(call, Call::Start | Call::Stop | Call::Keep | Call::Restore)
}

fn elapsed(now: BootTime) -> Duration {
    now.since(BootTime::ZERO)
}

fn conclusion(resource: usize, call: Call, program: &Path, finished: &Finished) -> Ended {
    let (outcome, how) = match finished.outcome {
        agent::Outcome::Exited(0) => (Outcome::Succeeded, String::new()),
        agent::Outcome::NotExecuted(error) => {
            (Outcome::NotRun, format!("{}: {}", program.display(), io::Error::from_raw_os_error(error)))
        }
        agent::Outcome::Exited(code) => (Outcome::Failed, format!("exit status {code}")),
        agent::Outcome::Signalled(number) => (Outcome::Failed, format!("killed by signal {number}")),
        agent::Outcome::TimedOut => (Outcome::TimedOut, "took longer than its limit".to_owned()),
        agent::Outcome::Cancelled => (Outcome::Cancelled, "cancelled".to_owned()),
    };
    let last_line = finished.output.lines().map(str::trim).rfind(|line| !line.is_empty()).map(escaped);
    let message = last_line.map_or(how.clone(), |line| format!("{line} ({how})"));
    Ended { resource, call, outcome, message, duration: finished.duration }
}

/// Agents speak through the log: what changes something always, what only looks only on request.
fn log_output(name: &str, call: Call, finished: &Finished) {
    let level = match call {
        Call::Start | Call::Stop | Call::Keep | Call::Restore => log::Level::Info,
        Call::Check | Call::Probe | Call::Announce | Call::Watch => log::Level::Debug,
    };
    for line in finished.output.lines() {
        log::log!(level, "{name} {}: {line}", call.verb());
    }
}
