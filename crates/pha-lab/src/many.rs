//! What many resources cost: a node that keeps a hundred, checked by scripts, then by each kind of built-in check.
//!
//! One node, plainly on this machine. The processor time is that of pha-supervise with every child it has waited for, from
//! the kernel's own accounts, in percent of one core.

use std::fs;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use pha_core::Status;
use pha_core::report::ResourceState;

use crate::home;
use crate::lab::{Lab, LabOptions};
use crate::node::Program;
use crate::usage::Usage;

/// Longest wait for anything but the measurement.
const PATIENCE: Duration = Duration::from_secs(60);
/// `SUPERVISE_INT`.
const INTERVAL: Duration = Duration::from_secs(2);
/// After everything is up: announcements and first looks are over.
const SETTLE: Duration = Duration::from_secs(3);
/// Percent of one core that script checks may cost.
const SCRIPT_BAR: f64 = 15.0;
/// Percent of one core that built-in checks may cost.
const BUILT_IN_BAR: f64 = 1.0;
/// What the log says of a check that was late.
const LATE: &str = "longer than its interval";

/// `res/test`, which counts its checks.
const AGENT: &str = "#!/bin/sh\n# many FILE: it is up while FILE exists.\nset -u\nfile=$2\ncase $1 in\n\
                     start) true >>\"$file\" ;;\nstop) rm -f -- \"$file\" ;;\n\
                     check) echo >>\"$file.checks\"; [ -f \"$file\" ] ;;\n*) exit 64 ;;\nesac\n";

/// How many, and how long.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct ManyOptions {
    /// Resources.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub resources: u16,
    /// Seconds to measure each kind of check.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(4..=3600))]
    pub seconds: u64,
}

impl Default for ManyOptions {
    fn default() -> Self {
        Self { resources: 100, seconds: 20 }
    }
}

/// How resources are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Script,
    Process,
    Tcp,
    Link,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Script, Self::Process, Self::Tcp, Self::Link];

    const fn name(self) -> &'static str {
        match self {
            Self::Script => "scripts",
            Self::Process => "built-in process",
            Self::Tcp => "built-in tcp",
            Self::Link => "built-in link",
        }
    }

    const fn bar(self) -> f64 {
        match self {
            Self::Script => SCRIPT_BAR,
            Self::Process | Self::Tcp | Self::Link => BUILT_IN_BAR,
        }
    }
}

/// Measures every kind of check and prints it. Exit code 1 if a bar was missed.
///
/// # Errors
/// The lab could not be built, the resources did not come up, or a check was not made in time.
pub fn run(options: ManyOptions) -> Result<ExitCode> {
    println!("{:<58} {:>8} {:>8}  % of one core", "figure", "measured", "bar");
    let mut kept = true;
    for (kind, share) in Kind::ALL.into_iter().zip(shares(options)?) {
        kept &= share <= kind.bar();
        let figure = format!("{} resources checked every 2 s: {}", options.resources, kind.name());
        println!("{figure:<58} {share:>8.2} {:>8.2}", kind.bar());
    }
    println!("{}", if kept { "every bar was kept" } else { "a bar was missed" });
    Ok(ExitCode::from(u8::from(!kept)))
}

/// Percent of one core that the checks of each kind cost, scripts first.
///
/// # Errors
/// As [`run`].
pub fn shares(options: ManyOptions) -> Result<[f64; 4]> {
    let mut shares = [0.0; 4];
    for (share, kind) in shares.iter_mut().zip(Kind::ALL) {
        *share = measure(kind, options)?;
    }
    Ok(shares)
}

/// The percentage of one core that the checks of `kind` cost; an error if one was late or left out.
fn measure(kind: Kind, options: ManyOptions) -> Result<f64> {
    let dir = tempfile::tempdir().context("directory of the resources")?;
    let target = Target::new(dir.path())?;
    let names: Vec<String> = (1..=options.resources).map(|n| format!("many.r{n}")).collect();
    let resource = |name: &String| format!("RES_{name}={}", dir.path().join(name).display());
    let check = |name: &String| target.check(kind).map(|check| format!("CHECK_{name}={check}"));
    let lines = names.iter().map(resource).chain(names.iter().filter_map(check));
    let parallel = if names.len() > 1 { Some(format!("RES_PARALLEL={}", names.join(" "))) } else { None };
    let lab = Lab::new(LabOptions::default().plain().resources(lines.chain(parallel)))?;
    let node = lab.node(1);
    home::write(&node.home().join("res/many"), AGENT, 0o755)?;
    node.start()?;
    let up = || node.status() == Some(Status::Online);
    lab.wait(PATIENCE, "everything is up", up)?;
    std::thread::sleep(SETTLE);
    let supervise = node.pid(Program::Supervise)?;
    let before = (Usage::of(supervise)?, Instant::now(), made(kind, dir.path(), &names, &target));
    std::thread::sleep(Duration::from_secs(options.seconds));
    let lasted = before.1.elapsed();
    let (percent, _) = Usage::of(supervise)?.rates(&before.0, lasted);
    let rounds = lasted.as_secs() / INTERVAL.as_secs();
    for (name, (was, is)) in names.iter().zip(before.2.iter().zip(made(kind, dir.path(), &names, &target))) {
        let count = is - was;
        ensure!(count + 1 >= rounds, "{name} was checked {count} times in {lasted:?}");
    }
    let log = fs::read_to_string(node.home().join("var/log/supervise.log")).context("supervise.log")?;
    ensure!(!log.contains(LATE), "a check was late:\n{}", lab.story());
    if kind == Kind::Process {
        end_of_process_is_seen(&lab, target)?;
    }
    Ok(percent)
}

/// How often each resource has been checked, where that can be seen from outside: by its script, or all of them at the port.
fn made(kind: Kind, dir: &Path, names: &[String], target: &Target) -> Vec<u64> {
    let lines = |name: &String| fs::metadata(dir.join(format!("{name}.checks"))).map_or(0, |file| file.len());
    match kind {
        Kind::Script => names.iter().map(lines).collect(),
        Kind::Tcp => vec![target.taken.load(Ordering::Relaxed) / names.len() as u64; names.len()],
        Kind::Process | Kind::Link => Vec::new(),
    }
}

/// Without waiting for the next check: all resources go down within half an interval, and at once if nothing disturbs.
fn end_of_process_is_seen(lab: &Lab, target: Target) -> Result<()> {
    let node = lab.node(1);
    let killed = Instant::now();
    drop(target);
    let seen = || node.record().supervise.report.is_some_and(|report| is_restarting(&report.resources));
    lab.wait(PATIENCE, "the end of the process is seen", seen)?;
    println!(
        "{:<58} {:>8.1}           ms",
        "a process that ends is noticed after",
        killed.elapsed().as_secs_f64() * 1e3
    );
    ensure!(killed.elapsed() < INTERVAL / 2, "the end of a process was seen only after {:?}", killed.elapsed());
    Ok(())
}

fn is_restarting(resources: &[pha_core::report::ResourceReport]) -> bool {
    resources.iter().any(|resource| resource.state != ResourceState::Up)
}

/// What the built-in checks look at. Dropping it ends the process.
struct Target {
    process: Child,
    pid_file: String,
    port: SocketAddr,
    taken: Arc<AtomicU64>,
}

impl Target {
    fn new(dir: &Path) -> Result<Self> {
        let process = Command::new("sleep").arg("infinity").spawn().context("sleep")?;
        let pid_file = dir.join("sleep.pid");
        fs::write(&pid_file, process.id().to_string())?;
        let listener = TcpListener::bind("127.0.0.1:0").context("a port")?;
        let port = listener.local_addr()?;
        let taken = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&taken);
        // It ends with this program.
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                match connection {
                    Err(error) if error.kind() != ErrorKind::ConnectionAborted => return,
                    Ok(_) | Err(_) => _ = count.fetch_add(1, Ordering::Relaxed),
                }
            }
        });
        Ok(Self { process, pid_file: pid_file.display().to_string(), port, taken })
    }

    fn check(&self, kind: Kind) -> Option<String> {
        match kind {
            Kind::Script => None,
            Kind::Process => Some(format!("process {}", self.pid_file)),
            Kind::Tcp => Some(format!("tcp {}", self.port)),
            Kind::Link => Some("link lo".to_owned()),
        }
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
