//! From the command line to a running daemon, in one order for all three:
//! configuration, detach, directories, pid file, signals, writers, log, then the daemon's own body, which gives root up when
//! it has its sockets.
//!
//! Everything that fails before the body says that it is ready goes to standard error and to the caller's exit code.

use std::cell::RefCell;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use pha_config::{Config, Home, Node};
use pha_status::Database;
use pha_sys::daemonize::{self, Ready};
use pha_sys::logging::{self, Log};
use pha_sys::pidfile::{PidFile, PidFileError};
use pha_sys::remedy::remedy;
use pha_sys::signals::Signals;
use pha_sys::writer::Writer;
use pha_sys::{clock, exit};

use crate::key;
use crate::privilege::{self, Places, Root, Unshared};
use crate::realtime;
use crate::reload::Reloaded;
use crate::waker::{RecordWatch, Waker};

/// How long a daemon that ends, or gives root up, waits for its writers.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// One of the three.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// pha-sender.
    Sender,
    /// pha-receiver.
    Receiver,
    /// pha-supervise.
    Supervise,
}

impl Program {
    /// All of them, in the order in which they are started.
    pub const ALL: [Self; 3] = [Self::Receiver, Self::Sender, Self::Supervise];

    /// `sender`: the word in pid and log file names.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Sender => "sender",
            Self::Receiver => "receiver",
            Self::Supervise => "supervise",
        }
    }

    /// It speaks with the network and needs root only to begin.
    pub(crate) const fn gives_root_up(self) -> bool {
        match self {
            Self::Sender | Self::Receiver => true,
            Self::Supervise => false,
        }
    }

    /// `run/sender.pid` in the directory of run-time files; locked while the program runs.
    #[must_use]
    pub fn pid_file(self, var_dir: &Path) -> PathBuf {
        var_dir.join("run").join(format!("{}.pid", self.word()))
    }
}

/// The options every daemon takes.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Options {
    /// The installation's directory [default: the one above the program's own].
    #[arg(long, env = "PHA_HOME", value_name = "DIR")]
    pub home: Option<PathBuf>,
    /// This node's name [default: the host's].
    #[arg(long, env = "PHA_NODE", value_name = "NAME")]
    pub node: Option<String>,
    /// Stay in the foreground, whatever DAEMON says.
    #[arg(long, conflicts_with = "detach")]
    pub foreground: bool,
    /// Detach, whatever DAEMON says.
    #[arg(long)]
    pub detach: bool,
}

/// A daemon's surroundings.
#[derive(Debug)]
pub struct Daemon {
    /// The installation.
    pub home: Home,
    /// The configuration as it was read at the start.
    pub config: Config,
    /// This node.
    pub me: Node,
    /// Its status database.
    pub database: Arc<Database>,
    /// Where run-time files are.
    pub var_dir: PathBuf,
    /// Writes to `var_dir`.
    pub database_writer: Writer,
    /// Writes log and trace. Another one, because they may lie on another disk, and must never hold up what peers hear.
    pub log_writer: Writer,
    log: Log,
    signals: Option<Signals>,
    ready: Option<Ready>,
    pid_file: Rc<RefCell<PidFile>>,
    program: Program,
    root: Root,
}

/// A start that failed: what to print, and the exit code.
#[derive(Debug)]
struct Refusal {
    message: String,
    code: i32,
}

impl Refusal {
    fn new(code: i32, message: impl Into<String>) -> Self {
        Self { message: message.into(), code }
    }

    fn io(what: &str, path: &Path, error: &io::Error) -> Self {
        let unknown = (exit::CANT_CREATE, "check VARDIR and LOGPATH in etc/config");
        let (code, remedy) = remedy(error).unwrap_or(unknown);
        Self::new(code, format!("{}: {what}: {error}; {remedy}", path.display()))
    }

    fn unshared(unshared: &Unshared) -> Self {
        Self::io("cannot be shared with DAEMON_USER", &unshared.path, &unshared.error)
    }
}

/// Starts `program` and runs `body` until it returns; the result is the process's exit code.
pub fn run(program: Program, options: &Options, body: impl FnOnce(&mut Daemon) -> anyhow::Result<()>) -> i32 {
    let (home, config, me) = match configured(options) {
        Ok(configured) => configured,
        Err(refusal) => return report(program, &refusal),
    };
    let foreground = options.foreground || !(config.daemon || options.detach);
    let ready = if foreground { Ok(Ready::foreground()) } else { daemonize::detach(home.root()) };
    let ready = match ready {
        Ok(ready) => ready,
        Err(error) => return report(program, &Refusal::io("cannot detach", home.root(), &error)),
    };
    match set_up(program, home, config, me) {
        Err(refusal) => {
            report(program, &refusal);
            ready.fail(refusal.code)
        }
        Ok(mut daemon) => {
            daemon.ready = Some(ready);
            let result = body(&mut daemon);
            conclude(program, daemon, result)
        }
    }
}

fn report(program: Program, refusal: &Refusal) -> i32 {
    for line in refusal.message.lines() {
        eprintln!("pha-{}: {line}", program.word());
    }
    refusal.code
}

fn conclude(program: Program, mut daemon: Daemon, result: anyhow::Result<()>) -> i32 {
    let Err(error) = result else {
        log::info!("ended");
        daemon.let_go();
        return exit::OK;
    };
    let (code, message) = verdict(&error);
    log::error!("{message}");
    let ready = daemon.ready.take();
    // Its pid file is emptied first: `fail` does not return.
    daemon.let_go();
    if let Some(ready) = ready {
        report(program, &Refusal::new(code, message));
        ready.fail(code);
    }
    code
}

/// The exit code for what ended a daemon, and what to say about it.
fn verdict(error: &anyhow::Error) -> (i32, String) {
    let mut message = String::new();
    for cause in error.chain().map(ToString::to_string) {
        // Some errors tell their cause themselves.
        if !message.ends_with(&cause) {
            message = if message.is_empty() { cause } else { format!("{message}: {cause}") };
        }
    }
    let Some(cause) = error.chain().find_map(|cause| cause.downcast_ref::<io::Error>()) else {
        return (exit::SOFTWARE, message);
    };
    match remedy(cause) {
        Some((code, remedy)) => (code, format!("{message}; {remedy}")),
        None => (exit::OS_ERR, message),
    }
}

/// What the command line and the configuration say; nothing is created yet.
fn configured(options: &Options) -> Result<(Home, Config, Node), Refusal> {
    let home = Home::find(options.home.as_deref());
    let config = Config::load(&home).map_err(|errors| Refusal::new(exit::CONFIG, errors.to_string()))?;
    let host = clock::host_name().unwrap_or_default();
    let me = config
        .local_node(options.node.as_deref(), &host)
        .map_err(|problem| Refusal::new(exit::CONFIG, problem.to_string()))?
        .clone();
    // Only two of the three use it, but no one is to start where another cannot.
    key::codec(&home, &config).map_err(|error| match verdict(&error) {
        (exit::SOFTWARE, message) => Refusal::new(exit::CONFIG, message),
        (code, message) => Refusal::new(code, message),
    })?;
    match privilege::key_problem(&home, &config) {
        Some(problem) => Err(Refusal::new(exit::CONFIG, problem)),
        None => Ok((home, config, me)),
    }
}

fn set_up(program: Program, home: Home, config: Config, me: Node) -> Result<Daemon, Refusal> {
    let var_dir = config.var_dir(&home);
    let log_file = config.log_file(&home, program.word());
    let memory_dir = config.memory_dir(&home);
    for dir in [Some(var_dir.join("run").as_path()), log_file.parent()].into_iter().flatten() {
        fs::create_dir_all(dir).map_err(|error| Refusal::io("cannot be created", dir, &error))?;
    }
    if program.gives_root_up() {
        let failed = |error| Refusal::new(exit::OS_ERR, format!("privileges: {error}"));
        pha_sys::privilege::forbid_new_privileges().map_err(failed)?;
    }
    let root = privilege::prepare(&home, &config).map_err(|unshared| Refusal::unshared(&unshared))?;
    let pid_path = program.pid_file(&var_dir);
    let pid_file = PidFile::take(&pid_path).map_err(|error| match error {
        PidFileError::AlreadyRunning { .. } => Refusal::new(exit::TEMP_FAIL, error.to_string()),
        PidFileError::Io(error) => Refusal::io("cannot be written", &pid_path, &error),
    })?;
    let pid_file = Rc::new(RefCell::new(pid_file));
    let signals = Signals::new().map_err(|error| Refusal::new(exit::OS_ERR, format!("signals: {error}")))?;
    // The only threads that write; they inherit what signals are blocked, and begin as ordinary programs.
    let writer = |name| Writer::start(name).map_err(|error| Refusal::new(exit::OS_ERR, format!("no thread: {error}")));
    let (database_writer, log_writer) = (writer("database")?, writer("log")?);
    let log = logging::init(Some(&log_file), config.debug, log_writer.clone())
        .map_err(|error| Refusal::io("cannot be opened", &log_file, &error))?;
    if let Root::LeftTo(user) = &root {
        privilege::hand_over(program, &home, &config, user).map_err(|unshared| Refusal::unshared(&unshared))?;
    }
    realtime::take(program, &config, &database_writer).map_err(|refusal| Refusal::new(exit::NO_PERM, refusal))?;
    let database = Arc::new(Database::new(&var_dir, &me.name).remembering(&memory_dir));
    log::info!("started on node {} ({}), version {}", me.name, me.id, env!("CARGO_PKG_VERSION"));
    if program == Program::Supervise {
        config.warnings().iter().for_each(|warning| log::warn!("{warning}"));
        if database.forgets() {
            let dir = memory_dir.display();
            log::warn!(
                "VARDIR is on a tmpfs and {dir} on no disk that can be written: a reboot forgets terms and wishes"
            );
        }
    }
    let signals = Some(signals);
    let ready = None;
    Ok(Daemon {
        home,
        config,
        me,
        database,
        var_dir,
        database_writer,
        log_writer,
        log,
        signals,
        ready,
        pid_file,
        program,
        root,
    })
}

impl Daemon {
    /// Tells whoever started this daemon that it runs.
    pub fn is_ready(&mut self) {
        if let Some(ready) = self.ready.take() {
            ready.tell();
        }
    }

    /// Goes on as `DAEMON_USER`, for good, if this program was started as root and is not to stay it. Call it with every socket
    /// that needs root open.
    ///
    /// # Errors
    /// If the kernel refuses; the program must end then.
    pub fn give_up_root(&mut self) -> anyhow::Result<()> {
        match std::mem::replace(&mut self.root, Root::Untouched) {
            Root::Untouched => {}
            Root::Kept(why) => log::warn!("this program stays root: {why}"),
            Root::LeftTo(user) => {
                let priority = if self.config.realtime { realtime::priority(self.program) } else { 0 };
                let name = &user.name;
                // It may still have to take its real-time scheduling, and memory is locked with it.
                let _ = self.database_writer.drain(LAST_WORDS);
                let locked = pha_sys::privilege::become_user(&user, priority);
                let locked = locked.with_context(|| format!("cannot become user {name}"))?;
                let lost =
                    if locked { "" } else { ", without locked memory: its limit (ulimit -l) cannot be lifted here" };
                log::info!("goes on as user {name}{lost}");
            }
        }
        Ok(())
    }

    /// Ends, with the last words on the disk. A pid file on a disk that does not answer is not emptied: unlocked, it means
    /// nothing.
    fn let_go(self) {
        let all_written = self.database_writer.drain(LAST_WORDS) && self.log_writer.drain(LAST_WORDS);
        if !all_written {
            std::mem::forget(self);
        }
    }

    /// What wakes this daemon; there is one a daemon.
    ///
    /// # Errors
    /// If the directory of the status database cannot be watched.
    pub fn waker(&mut self) -> anyhow::Result<Waker> {
        let path = self.database.path().display();
        let failed = || format!("{path} cannot be watched");
        let news = self.database.listen().with_context(failed)?;
        let all = self.database.watch().with_context(failed)?;
        self.waker_for(Some(RecordWatch { news, all }))
    }

    /// The same for a daemon that only writes the status database: what others write there does not wake it.
    ///
    /// # Errors
    /// If this daemon has a waker already.
    pub fn waker_without_record(&mut self) -> anyhow::Result<Waker> {
        self.waker_for(None)
    }

    fn waker_for(&mut self, record: Option<RecordWatch>) -> anyhow::Result<Waker> {
        let signals = self.signals.take().context("a daemon has one waker")?;
        let sharing = match &self.root {
            Root::LeftTo(user) => Some((Places::new(&self.home, &self.config), user.clone())),
            Root::Untouched | Root::Kept(_) => None,
        };
        Ok(Waker::new(signals, record, Rc::clone(&self.pid_file)).sharing(sharing))
    }

    /// SIGHUP: opens the log again, reads the configuration again, and says what takes effect and what waits for a
    /// restart. `None` keeps the one in force, because the new one has errors; all are logged.
    pub fn reload(&mut self) -> Option<Reloaded> {
        self.log.reopen();
        let new = match Config::load(&self.home) {
            Ok(new) => new,
            Err(errors) => {
                for line in errors.to_string().lines() {
                    log::error!("not reloaded: {line}");
                }
                return None;
            }
        };
        let reloaded = Reloaded::new(&self.config, &new);
        if reloaded.changed.is_empty() && reloaded.waiting.is_empty() {
            log::info!("reloaded: nothing changed");
        }
        if !reloaded.waiting.is_empty() {
            log::warn!("reloaded: {} will take effect after a restart of the daemons", reloaded.waiting.join(", "));
        }
        Some(reloaded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ended_a_daemon_is_told_once_with_its_remedy() {
        let full = || io::Error::from_raw_os_error(28);
        let status = pha_status::StatusError::Io { path: "/v/x".into(), doing: "cannot be written", source: full() };
        let expected = "/v/x: cannot be written: No space left on device (os error 28); make room on the disk";
        assert_eq!(verdict(&status.into()), (exit::CANT_CREATE, expected.to_owned()));
        let nested = anyhow::Error::new(full()).context("/v/x").context("not begun");
        assert!(verdict(&nested).1.starts_with("not begun: /v/x: No space left"));
        assert_eq!(verdict(&anyhow::anyhow!("a defect")), (exit::SOFTWARE, "a defect".to_owned()));
    }
}
