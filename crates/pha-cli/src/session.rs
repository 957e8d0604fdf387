//! Where a command works: the installation, its configuration as it stands now, and this node's name.
//!
//! Opened anew for every command, so that a REPL that runs for weeks sees every change of the configuration. A broken
//! configuration does not keep anybody from looking or stopping: only what needs it asks for it.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use pha_config::{Auth, Config, ConfigErrors, Home, Node};
use pha_core::NodeId;
use pha_daemon::privilege::hand_over_key;
use pha_status::Database;
use pha_sys::volatile::is_writable;
use pha_sys::{clock, exit, privilege};

use crate::commands::Global;
use crate::failure::Failure;
use crate::programs::Program;

/// One command's surroundings.
pub(crate) struct Session {
    /// The installation.
    pub(crate) home: Home,
    /// This node's name.
    pub(crate) node: String,
    /// `--json` was given.
    pub(crate) json: bool,
    /// Standard output is a terminal.
    pub(crate) terminal: bool,
    config: Result<Config, ConfigErrors>,
    /// `node` stands in the configuration.
    is_member: bool,
}

impl Session {
    /// Reads the configuration; never fails, because `check` and `help` work without one.
    pub(crate) fn open(global: &Global) -> Self {
        let home = Home::find(global.home.as_deref());
        let config = Config::load(&home);
        let given = global.node.clone().or_else(|| std::env::var("PHA_NODE").ok()).filter(|name| !name.is_empty());
        let host = clock::host_name().unwrap_or_default();
        let member = config.as_ref().ok().and_then(|config| config.local_node(given.as_deref(), &host).ok());
        let is_member = member.is_some();
        let node = member.map_or_else(|| given.unwrap_or(host), |node| node.name.clone());
        Self { node, is_member, json: global.json, terminal: std::io::stdout().is_terminal(), config, home }
    }

    /// The configuration.
    ///
    /// # Errors
    /// [`exit::CONFIG`] with every problem, one a line.
    pub(crate) fn config(&self) -> Result<&Config, Failure> {
        let unusable = |errors| Failure::new(exit::CONFIG, format!("the configuration cannot be used:\n{errors}"));
        self.loaded().map_err(unusable)
    }

    /// The configuration, or what is wrong with it.
    pub(crate) const fn loaded(&self) -> Result<&Config, &ConfigErrors> {
        self.config.as_ref()
    }

    /// Whether this user may start and stop daemons here: root, or the owner of a tree of his own.
    pub(crate) fn administers(&self) -> bool {
        let run = self.var_dir().join("run");
        // The nearest folder that is there: the first start makes the others.
        privilege::is_root() || run.ancestors().find(|dir| dir.exists()).is_some_and(is_writable)
    }

    /// # Errors
    /// [`exit::NO_PERM`]: `what` is nothing for this user.
    pub(crate) fn demand_administrator(&self, what: &str) -> Result<(), Failure> {
        if self.administers() {
            return Ok(());
        }
        let (user, place) = (privilege::own_name(), self.home.root().display());
        let text =
            format!("'{what}' is for root, or for the owner of {place}, and {user} is neither: sudo pha-cli {what}");
        Err(Failure::new(exit::NO_PERM, text))
    }

    /// The configuration and this node's id in it.
    ///
    /// # Errors
    /// [`exit::CONFIG`] also if this node is not one of `NODES`.
    pub(crate) fn member(&self) -> Result<(&Config, NodeId), Failure> {
        let config = self.config()?;
        let node = config
            .local_node(Some(&self.node), "")
            .map_err(|stranger| Failure::new(exit::CONFIG, format!("the configuration cannot be used:\n{stranger}")))?;
        Ok((config, node.id))
    }

    /// The folder of the status database, pid files and logs; the installation's `var` while the configuration is broken.
    pub(crate) fn var_dir(&self) -> PathBuf {
        self.config.as_ref().map_or_else(|_| self.home.root().join("var"), |config| config.var_dir(&self.home))
    }

    /// This node's status database.
    pub(crate) fn database(&self) -> Database {
        let dir = self.var_dir();
        let database = if self.is_member { Database::new(&dir, &self.node) } else { Database::of_anyone(&dir) };
        match &self.config {
            Ok(config) => database.remembering(&config.memory_dir(&self.home)),
            Err(_) => database,
        }
    }

    /// The pid file of a daemon.
    pub(crate) fn pid_file(&self, program: Program) -> PathBuf {
        program.pid_file(&self.var_dir())
    }

    /// The daemon's log file, where the configuration can say so.
    pub(crate) fn log_file(&self, program: Program) -> Option<PathBuf> {
        self.config.as_ref().ok().map(|config| config.log_file(&self.home, program.word()))
    }

    /// The daemon's log file; where it would be by default, while the configuration is broken.
    pub(crate) fn log_path(&self, program: Program) -> PathBuf {
        let usual = || self.var_dir().join("log").join(format!("{}.log", program.word()));
        self.log_file(program).unwrap_or_else(usual)
    }

    /// The two files of the daemon's trace, newer first, whether or not they are there.
    pub(crate) fn trace_files(&self, program: Program) -> [PathBuf; 2] {
        let usual = || self.log_path(program).with_extension("trace");
        let newer =
            self.config.as_ref().map_or_else(|_| usual(), |config| config.trace_file(&self.home, program.word()));
        let mut older = newer.clone();
        older.as_mut_os_string().push(".1");
        [newer, older]
    }

    /// The program to run: the installation's, or the one beside this program where the installation has none.
    fn program(&self, name: &str) -> PathBuf {
        let installed = self.home.bin().join(name);
        if installed.exists() {
            return installed;
        }
        let beside = std::env::current_exe().ok().and_then(|own| own.parent().map(|folder| folder.join(name)));
        beside.filter(|path| path.exists()).unwrap_or(installed)
    }

    /// One of our programs, told to work where this session does.
    pub(crate) fn command(&self, name: &str) -> Command {
        let mut command = Command::new(self.program(name));
        // A home that was found by itself is found by the other program too, and gives way to INSTALLDIR.
        if let Some(home) = self.home.given() {
            command.arg("--home").arg(home);
        }
        command.arg("--node").arg(&self.node).stdin(Stdio::null());
        command
    }

    /// A node's name, or its number where the configuration does not know it.
    pub(crate) fn name_of(&self, id: NodeId) -> String {
        let known = self.config.as_ref().ok().and_then(|config| config.nodes.iter().find(|node| node.id == id));
        known.map_or_else(|| format!("node {id}"), |node| node.name.clone())
    }

    /// Names of the other nodes.
    pub(crate) fn peer_names(&self) -> Vec<String> {
        self.node_names().into_iter().filter(|name| *name != self.node).collect()
    }

    /// Every other node; none while the configuration is broken.
    pub(crate) fn peers(&self) -> Vec<Node> {
        let Ok(config) = &self.config else { return Vec::new() };
        config.nodes.iter().filter(|node| node.name != self.node).cloned().collect()
    }

    /// Names of all nodes.
    pub(crate) fn node_names(&self) -> Vec<String> {
        let Ok(config) = &self.config else { return Vec::new() };
        config.nodes.iter().map(|node| node.name.clone()).collect()
    }

    /// Names of the resources.
    pub(crate) fn resource_names(&self) -> Vec<String> {
        let Ok(config) = &self.config else { return Vec::new() };
        config.resources.iter().map(|resource| resource.name.clone()).collect()
    }

    /// A key that was just written or copied has to be read by daemons that are root no more.
    pub(crate) fn hand_over_key(&self) -> Result<(), Failure> {
        let path = self.home.authkey();
        let handed_over = self.config.as_ref().map_or(Ok(()), |config| hand_over_key(&self.home, config));
        handed_over.map_err(|error| Failure::from_io("give away", &path, &error))
    }

    /// Heartbeats carry a tag that peers can verify.
    pub(crate) fn has_key(&self) -> bool {
        let wanted = self.config.as_ref().is_ok_and(|config| config.auth != Auth::Off);
        wanted && self.home.authkey().is_file()
    }
}

#[cfg(test)]
mod sample {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use std::path::Path;

    use super::*;

    const TEXT: &str = "NODES=lb1 lb2\nGW=192.168.42.1\nRES_service=httpd\nRES_ipaddr=192.168.42.20/24 eth0\n";

    impl Session {
        /// A two-node cluster seen from lb1; nothing of it exists on disk.
        pub(crate) fn sample() -> Self {
            let home = Home::find(Some(Path::new("/nonexistent/pha")));
            let config = Ok(Self::sample_config());
            Self { home, node: "lb1".to_owned(), json: false, terminal: true, config, is_member: true }
        }

        /// Its configuration.
        pub(crate) fn sample_config() -> Config {
            Config::parse(TEXT, Path::new("/nonexistent/pha/etc/config")).unwrap()
        }
    }
}
