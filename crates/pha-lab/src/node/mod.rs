//! One node of the lab: its tree, its programs, its faults.
//!
//! Its faults are those of a machine ([`Node::crash`], [`Node::boot`]), of its programs ([`Node::signal`]) and of its
//! place on the wire ([`Node::cable`], [`Node::port`], [`Node::gateway`]).

mod aging;
mod disk;
mod look;
mod spoil;

use std::fs;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

pub use disk::Disk;
pub use look::HeldAddress;
pub use spoil::Spoilt;

use crate::command;
use crate::home::{self, ConfigText};
use crate::lab::LabOptions;
use crate::network::{self, Link};

/// A daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// pha-sender
    Sender,
    /// pha-receiver
    Receiver,
    /// pha-supervise
    Supervise,
}

impl Program {
    /// All three.
    pub const ALL: [Self; 3] = [Self::Sender, Self::Receiver, Self::Supervise];

    /// The name of its process and its file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sender => "pha-sender",
            Self::Receiver => "pha-receiver",
            Self::Supervise => "pha-supervise",
        }
    }
}

/// Where a node runs.
#[derive(Debug)]
pub(crate) enum Place {
    /// In a network namespace of its name; this process keeps it and shows its tables in `/proc`.
    Namespace(Child),
    /// On the machine itself, with a loopback address and a resource file instead of the kept address.
    Plain,
}

/// What a command of a node said.
#[derive(Debug)]
pub struct Said {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

/// One node.
#[derive(Debug)]
pub struct Node {
    id: usize,
    name: String,
    home: PathBuf,
    var_dir: PathBuf,
    place: Place,
    /// It has a host name of its own, and pha knows it by that name alone.
    named: bool,
}

impl Node {
    /// Builds the tree of node `id` under `dir`, and its namespace if it has one.
    pub(crate) fn build(id: usize, dir: &Path, config: &ConfigText, options: &LabOptions) -> Result<Self> {
        let name = format!("lb{id}");
        let home = dir.join(&name);
        let own = config.clone().with(&format!("INSTALLDIR={}", home.display()));
        let own = own.with(&format!("LOGPATH={}", home.join("var/log").display()));
        let var_dir = home.join(if options.volatile { "volatile" } else { "var" });
        let own = if options.volatile { own.with(&format!("VARDIR={}", var_dir.display())) } else { own };
        home::build(&home, &own.text(), options.key)?;
        let place = if !options.plain {
            network::build_node(id, &name)?;
            let mut anchor = Command::new("ip");
            anchor.args(["netns", "exec", &name]).stdin(Stdio::null());
            if options.host_names {
                anchor.args(["unshare", "--uts", "sh", "-c", "hostname \"$1\" && exec sleep infinity", "sh", &name]);
            } else {
                anchor.args(["sleep", "infinity"]);
            }
            Place::Namespace(anchor.spawn().context("ip netns exec")?)
        } else {
            Place::Plain
        };
        let node = Self { id, name, home, var_dir, place, named: options.host_names };
        node.wait_for_anchor()?;
        Ok(node)
    }

    /// The anchor has become `sleep` in its namespace.
    fn wait_for_anchor(&self) -> Result<()> {
        let Place::Namespace(anchor) = &self.place else { return Ok(()) };
        for _ in 0..2000 {
            if comm(anchor.id()).as_deref() == Some("sleep") {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        bail!("the namespace {} was not entered", self.name)
    }

    /// Its number, from 1.
    #[must_use]
    pub const fn id(&self) -> usize {
        self.id
    }

    /// Its name: lb1, lb2, …
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its tree.
    #[must_use]
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Where its status database is.
    #[must_use]
    pub fn var_dir(&self) -> &Path {
        &self.var_dir
    }

    /// A file of the agent `fault` for the resource `resource`, such as `fail-start`.
    #[must_use]
    pub fn fault_file(&self, resource: &str, file: &str) -> PathBuf {
        self.home.join("fault").join(resource).join(file)
    }

    /// Creates (or empties) such a file with `text`.
    pub fn set_fault(&self, resource: &str, file: &str, text: &str) -> Result<()> {
        let path = self.fault_file(resource, file);
        fs::create_dir_all(path.parent().unwrap_or(&path))?;
        fs::write(&path, text).with_context(|| path.display().to_string())
    }

    /// Removes such a file; it may be gone already.
    pub fn clear_fault(&self, resource: &str, file: &str) {
        let _ = fs::remove_file(self.fault_file(resource, file));
    }

    /// How often the agent `fault` was called with `verb` for `resource`.
    #[must_use]
    pub fn calls(&self, resource: &str, verb: &str) -> usize {
        let text = fs::read_to_string(self.fault_file(resource, "calls")).unwrap_or_default();
        text.lines().filter(|line| *line == verb).count()
    }

    /// A command that runs in this node: its network, its `PHA_HOME`, and its host name or `PHA_NODE`.
    #[must_use]
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = match &self.place {
            Place::Plain => Command::new("env"),
            Place::Namespace(anchor) if self.named => {
                let mut command = Command::new("nsenter");
                command.arg(format!("--uts=/proc/{}/ns/uts", anchor.id())).args(["ip", "netns", "exec", &self.name]);
                command.env_remove("PHA_NODE");
                command
            }
            Place::Namespace(_) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", &self.name]);
                command
            }
        };
        if !self.named {
            command.env("PHA_NODE", &self.name);
        }
        command.arg(program).env("PHA_HOME", &self.home);
        command
    }

    /// Gives the machine another host name; only where nodes have host names of their own.
    ///
    /// # Errors
    /// This node has none.
    pub fn rename(&self, host_name: &str) -> Result<()> {
        ensure!(self.named, "{} has no host name of its own", self.name);
        let status = self.command("hostname").arg(host_name).status()?;
        ensure!(status.success(), "hostname {host_name}: {status}");
        Ok(())
    }

    /// Runs `pha-cli` with `arguments`; whatever it starts may live on. After 30 s it is killed.
    pub fn cli(&self, arguments: &[&str]) -> Result<Said> {
        let mut command = self.command("timeout");
        command.args(["-k", "2", "30"]).arg(self.home.join("bin/pha-cli")).args(arguments);
        // Files, not pipes: a daemon that kept an inherited pipe open must not keep us waiting.
        let (mut stdout, mut stderr) = (tempfile::tempfile()?, tempfile::tempfile()?);
        command.stdin(Stdio::null()).stdout(stdout.try_clone()?).stderr(stderr.try_clone()?);
        let status = command.status().with_context(|| format!("{command:?}"))?;
        let text = |file: &mut fs::File| -> Result<String> {
            let mut bytes = Vec::new();
            file.rewind()?;
            file.read_to_end(&mut bytes)?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        Ok(Said { status, stdout: text(&mut stdout)?, stderr: text(&mut stderr)? })
    }

    /// Runs `pha-cli` and demands success.
    pub fn order(&self, arguments: &[&str]) -> Result<String> {
        let said = self.cli(arguments)?;
        let Said { status, stdout, stderr } = &said;
        ensure!(status.success(), "{}: pha-cli {}: {status}: {stdout}{stderr}", self.name, arguments.join(" "));
        Ok(said.stdout)
    }

    /// `pha-cli start`.
    pub fn start(&self) -> Result<()> {
        home::check_programs(&self.home)?;
        self.order(&["start"]).map(drop)
    }

    /// `pha-cli stop`: the resources stay.
    pub fn stop(&self) -> Result<()> {
        self.order(&["stop"]).map(drop)
    }

    /// Every process in the node, but for the one that keeps the namespace.
    #[must_use]
    pub fn processes(&self) -> Vec<u32> {
        let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
        let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.filter(|pid| self.has(*pid)).collect()
    }

    fn has(&self, pid: u32) -> bool {
        match &self.place {
            Place::Namespace(anchor) => pid != anchor.id() && net(pid).is_some() && net(pid) == net(anchor.id()),
            Place::Plain => {
                let home = format!("PHA_HOME={}", self.home.display());
                let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
                environment.split(|byte| *byte == 0).any(|entry| entry == home.as_bytes())
            }
        }
    }

    /// The processes of one daemon: one while it runs.
    #[must_use]
    pub fn pids(&self, program: Program) -> Vec<u32> {
        self.named(|name| name == program.name())
    }

    /// The processes in the node whose name is one that is `wanted`.
    #[must_use]
    pub fn named(&self, wanted: impl Fn(&str) -> bool) -> Vec<u32> {
        self.processes().into_iter().filter(|pid| comm(*pid).as_deref().is_some_and(&wanted)).collect()
    }

    /// The process of one daemon; an error unless there is exactly one.
    pub fn pid(&self, program: Program) -> Result<u32> {
        match self.pids(program)[..] {
            [pid] => Ok(pid),
            ref pids => bail!("{}: {} processes {}, not 1", self.name, pids.len(), program.name()),
        }
    }

    /// Sends `signal` (`KILL`, `STOP`, `CONT`, …) to these daemons, all in one go.
    pub fn signal(&self, signal: &str, programs: &[Program]) -> Result<()> {
        let pids: Vec<u32> = programs.iter().flat_map(|program| self.pids(*program)).collect();
        command::signal(signal, &pids)
    }

    /// The machine crashes: off the wire in one instant, then its processes, addresses and volatile files are gone. Its
    /// status database stays, as one of an earlier boot.
    pub fn crash(&self) -> Result<()> {
        if matches!(self.place, Place::Namespace(_)) {
            network::port(self.id, Link::Down)?;
        }
        // Twice: a process may have started another meanwhile.
        command::signal("KILL", &self.processes())?;
        command::signal("KILL", &self.processes())?;
        if matches!(self.place, Place::Namespace(_)) {
            network::address_node(self.id, &self.name)?;
        }
        aging::leave_for_next_boot(&self.home.join("var/status.dat"))?;
        if self.var_dir != self.home.join("var") {
            fs::remove_dir_all(&self.var_dir)?;
        }
        for entry in fs::read_dir(self.home.join("fault")).into_iter().flatten().flatten() {
            let _ = fs::remove_file(entry.path().join("up"));
        }
        let _ = fs::remove_file(self.home.join("web.pid"));
        Ok(())
    }

    /// The crashed machine comes back on the wire, without any program started.
    pub fn boot(&self) -> Result<()> {
        if matches!(self.place, Place::Namespace(_)) {
            network::port(self.id, Link::Up)?;
        }
        Ok(())
    }

    /// The cable is pulled or plugged in: the node sees it.
    pub fn cable(&self, link: Link) -> Result<()> {
        network::cable(self.id, link)
    }

    /// The switch port goes off or on: the node does not see it.
    pub fn port(&self, link: Link) -> Result<()> {
        network::port(self.id, link)
    }

    /// The gateway is lost, or back, for this node only.
    pub fn gateway(&self, link: Link) -> Result<()> {
        network::gateway_of(&self.name, link)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = command::signal("KILL", &self.processes());
        if let Place::Namespace(anchor) = &mut self.place {
            let _ = anchor.kill();
            let _ = anchor.wait();
        }
    }
}

/// The name of a process.
fn comm(pid: u32) -> Option<String> {
    fs::read_to_string(format!("/proc/{pid}/comm")).ok().map(|name| name.trim().to_owned())
}

/// The network namespace of a process.
fn net(pid: u32) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/ns/net")).ok()
}
