//! Runs agents and built-in checks: one call of a resource at a time, none of them waited for.

use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::time::Duration;

use pha_config::{Config, Home, Node};
use pha_core::resource::{Call, Outcome};
use pha_core::{BootTime, Reason, Term};
use pha_sys::agent::{self, AgentCall, CallNote, Finished, Lingering, RunningAgent};
use pha_sys::poll;
use pha_sys::writer::Writer;

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

/// A call under way, by how it is carried out.
#[derive(Debug)]
enum Running {
    Agent(RunningAgent),
    Connection(Connection),
}

#[derive(Debug)]
struct Agent {
    name: String,
    program: PathBuf,
    arguments: Vec<String>,
    built_in: Option<BuiltIn>,
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

/// All agents of this node.
#[derive(Debug)]
pub struct Runner {
    environment: Vec<(String, String)>,
    agents: Vec<Agent>,
    lingering: Lingering,
}

impl Runner {
    /// Nothing runs: what an earlier supervise began and left running is ended first, which may take a second or two.
    pub fn new(home: &Home, config: &Config, me: &Node, writer: &Writer) -> Self {
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
        Self { environment, agents, lingering: Lingering::default() }
    }

    /// Starts a call; what cannot be started, and what needs no time, has ended already.
    pub fn start(&mut self, resource: usize, run: Run, now: BootTime) -> Result<(), Ended> {
        let agent = &self.agents[resource];
        assert!(agent.running.is_none(), "one call of a resource at a time: {}", agent.name);
        if run.call == Call::Watch {
            return self.watch(resource, run.limit, now);
        }
        let call = AgentCall {
            program: agent.program.clone(),
            arguments: std::iter::once(run.call.verb())
                .chain(agent.arguments.iter().map(String::as_str))
                .map(Into::into)
                .collect(),
            environment: self.environment(&agent.name, run),
            limit: run.limit,
            dies_with_caller: !outlives_us(run.call),
        };
        log::debug!("{} {}", agent.name, run.call.verb());
        match RunningAgent::start(call, elapsed(now)) {
            Ok(running) => {
                let agent = &mut self.agents[resource];
                if outlives_us(run.call) {
                    agent.note.begins(running.pid());
                }
                agent.running = Some((run.call, Running::Agent(running)));
                Ok(())
            }
            Err(error) => Err(Ended {
                resource,
                call: run.call,
                outcome: Outcome::NotRun,
                message: format!("{}: {error}", agent.program.display()),
                duration: Duration::ZERO,
            }),
        }
    }

    /// Looks without an agent; only a connection may take time.
    fn watch(&mut self, resource: usize, limit: Duration, now: BootTime) -> Result<(), Ended> {
        let agent = &mut self.agents[resource];
        let found =
            agent.built_in.as_mut().map_or_else(Found::nothing_to_look_at, |built_in| built_in.look(limit, now));
        match found {
            Found::Answer(outcome, message) => {
                Err(Ended { resource, call: Call::Watch, outcome, message, duration: Duration::ZERO })
            }
            Found::Waits(connection) => {
                agent.running = Some((Call::Watch, Running::Connection(connection)));
                Ok(())
            }
        }
    }

    /// Resources whose built-in check has something to look at before it is due, each told once.
    pub fn tripped(&mut self) -> Vec<usize> {
        let watched = |(resource, agent)| Some((resource, Agent::watched(agent)?));
        let (resources, fds): (Vec<usize>, Vec<_>) = self.agents.iter().enumerate().filter_map(watched).unzip();
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
            None => {}
            Some((Call::Start | Call::Stop | Call::Keep, Running::Agent(running))) => running.cancel(elapsed(now)),
            Some((_, Running::Agent(running))) => running.kill(),
            Some((_, Running::Connection(connection))) => connection.cancel(),
        }
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
            };
            if let Some(finished) = running.advance(elapsed(now)) {
                agent.running = None;
                if outlives_us(call) {
                    agent.note.ends();
                }
                log_output(&agent.name, call, &finished);
                ended.push(conclusion(resource, call, &finished));
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
        let running = running.filter_map(|(_, running)| match running {
            Running::Agent(running) => running.fd(),
            Running::Connection(connection) => connection.fd(),
        });
        let watched = self.agents.iter().filter_map(Agent::watched);
        running.chain(watched).chain(self.lingering.fds()).collect()
    }

    /// When a running call must be looked at.
    pub fn next_deadline(&self) -> Option<BootTime> {
        let running = self.agents.iter().filter_map(|agent| agent.running.as_ref());
        let deadlines = running.filter_map(|(_, running)| match running {
            Running::Agent(running) => running.next_deadline(),
            Running::Connection(connection) => Some(connection.next_deadline()),
        });
        deadlines.map(BootTime::since_boot).min()
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
        environment
    }
}

/// A lease must not be renewed by a child that outlives its keeper; a start or stop may be in the middle of something.
const fn outlives_us(call: Call) -> bool {
    matches!(call, Call::Start | Call::Stop | Call::Keep)
}

fn elapsed(now: BootTime) -> Duration {
    now.since(BootTime::ZERO)
}

fn conclusion(resource: usize, call: Call, finished: &Finished) -> Ended {
    let (outcome, how) = match finished.outcome {
        agent::Outcome::Exited(0) => (Outcome::Succeeded, String::new()),
        agent::Outcome::Exited(code) => (Outcome::Failed, format!("exit status {code}")),
        agent::Outcome::Signalled(number) => (Outcome::Failed, format!("killed by signal {number}")),
        agent::Outcome::TimedOut => (Outcome::TimedOut, "took longer than its limit".to_owned()),
        agent::Outcome::Cancelled => (Outcome::Cancelled, "cancelled".to_owned()),
    };
    let last_line = finished.output.lines().map(str::trim).rfind(|line| !line.is_empty());
    let message = last_line.map_or(how.clone(), |line| format!("{line} ({how})"));
    Ended { resource, call, outcome, message, duration: finished.duration }
}

/// Agents speak through the log: what changes something always, what only looks only on request.
fn log_output(name: &str, call: Call, finished: &Finished) {
    let level = match call {
        Call::Start | Call::Stop | Call::Keep => log::Level::Info,
        Call::Check | Call::Probe | Call::Announce | Call::Watch => log::Level::Debug,
    };
    for line in finished.output.lines() {
        log::log!(level, "{name} {}: {line}", call.verb());
    }
}
