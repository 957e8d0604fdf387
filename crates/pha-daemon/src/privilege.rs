//! What a daemon that was started as root gives up, and what it leaves to `DAEMON_USER` before (ADR 0024).
//!
//! pha-sender and pha-receiver need root to begin with and not afterwards. They are what speaks with the network, so they go
//! on as a user that may write the status database and their own logs, and nothing else. pha-supervise runs agents and stays.
//!
//! ```text
//!   VARDIR       root:pha 2775   the database is replaced, its lock taken by root, by pha and by members of group pha
//!   VARDIR/run   root      755   what root believes: process ids and notes of running calls
//!   log folder   root:pha 3775   each program's log and trace are its own
//! ```

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use pha_config::{Config, Home};
use pha_status::{LOCK_FILE, STATUS_FILE};
use pha_sys::guarded::is_roots_link;
use pha_sys::privilege::{self, User};
use pha_sys::shared::{self, Owner};
use pha_sys::volatile::is_volatile;

use crate::ring::named;
use crate::start::Program;

/// The group writes, and what is made here is the group's.
const SHARED: u32 = 0o2775;
/// Also, nobody removes what is another's.
const SHARED_LOGS: u32 = 0o3775;
/// Only the owner writes.
const OWN: u32 = 0o755;

/// What a mode allows.
const MODE: u32 = 0o7777;
/// What it allows group and others.
const FOR_OTHERS: u32 = 0o077;

/// What pha itself puts into its folders begins so.
const OURS: [&str; 6] = ["run", "log", "status.", "sender", "receiver", "supervise"];

/// What becomes of root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Root {
    /// There is none to give up: the program was not started as root, or is to stay it.
    Untouched,
    /// Kept, for this reason, with the remedy.
    Kept(String),
    /// Left to this user.
    LeftTo(User),
}

/// The folders that are shared.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    home_var: PathBuf,
    var: PathBuf,
    /// What outlives a reboot, where that is another folder than `var`.
    memory: Option<PathBuf>,
    logs: PathBuf,
}

impl Places {
    /// Those of an installation.
    pub(crate) fn new(home: &Home, config: &Config) -> Self {
        let (var, home_var) = (config.var_dir(home), config.memory_dir(home));
        let memory = Some(home_var.clone()).filter(|memory| *memory != var && is_volatile(&var));
        let log = config.log_file(home, Program::Sender.word());
        let logs = log.parent().unwrap_or(&home_var).to_owned();
        Self { home_var, var, memory, logs }
    }

    fn folders(&self) -> impl Iterator<Item = (&Path, u32)> {
        let databases = [Some(&self.var), self.memory.as_ref()].into_iter().flatten();
        // Where the database is replaced, nobody's files may be sticky.
        let logs = Some((self.logs.as_path(), SHARED_LOGS)).filter(|(dir, _)| !self.is_database(dir));
        databases.map(|dir| (dir.as_path(), SHARED)).chain(logs)
    }

    fn is_database(&self, dir: &Path) -> bool {
        dir == self.var || self.memory.as_deref() == Some(dir)
    }

    /// A folder that an administrator has put elsewhere, before anybody else could have: pha leaves its owner alone. With the
    /// remedy.
    fn link(&self) -> Option<String> {
        let run = self.var.join("run");
        let mut folders = self.folders().map(|(dir, _)| dir).chain([run.as_path()]);
        let link = folders.find(|dir| is_roots_link(dir))?;
        Some(format!("{} is a link: name the folder itself with VARDIR or LOGPATH", link.display()))
    }

    /// Only what is pha's own is changed: below `var` of the installation, or holding nothing else.
    fn is_ours(&self, dir: &Path) -> bool {
        let is_known = |name: &str| OURS.iter().any(|ours| name.starts_with(ours));
        let holds_else = |dir: &Path| {
            fs::read_dir(dir)
                .into_iter()
                .flatten()
                .flatten()
                .any(|entry| !is_known(&entry.file_name().to_string_lossy()))
        };
        dir.starts_with(&self.home_var) || !holds_else(dir)
    }

    /// Gives root and the group of `user` what they share.
    ///
    /// # Errors
    /// The first that cannot be shared, and why.
    pub(crate) fn share(&self, user: &User) -> Result<(), Unshared> {
        let group = |mode| Owner { uid: None, gid: Some(user.gid), mode };
        for (dir, mode) in self.folders().filter(|(dir, _)| dir.exists() && self.is_ours(dir)) {
            let owner = Owner { uid: Some(0), ..group(mode) };
            shared::folder(dir, owner).map_err(Unshared::of(dir))?;
        }
        let run = self.var.join("run");
        shared::own_folder(&run, OWN).map_err(Unshared::of(&run))?;
        for (dir, _) in self.folders().filter(|(_, mode)| *mode == SHARED) {
            let (lock, reserve) = (dir.join(LOCK_FILE), named(&dir.join(STATUS_FILE), ".reserve"));
            shared::file(&lock, group(0o660)).map_err(Unshared::of(&lock))?;
            shared::file(&reserve, group(0o664)).map_err(Unshared::of(&reserve))?;
        }
        Ok(())
    }

    /// Where `user` could not work though it may write into the folders that are `given` to it, with the remedy.
    fn obstacle(&self, user: &User, given: impl Fn(&Path) -> bool) -> Option<String> {
        let name = &user.name;
        let found = self.folders().find_map(|(dir, mode)| Some((dir, mode, shared::obstacle(dir, user)?)));
        let (dir, mode, obstacle) = found.filter(|(dir, _, obstacle)| dir != obstacle || !given(dir))?;
        let shown = obstacle.display();
        Some(if obstacle == dir {
            let remedy = format!(
                "give pha a folder of its own (VARDIR, LOGPATH), or chgrp {name} {shown} and chmod {mode:o} {shown}"
            );
            format!("user {name} cannot write into {shown}: {remedy}")
        } else {
            format!("user {name} may not pass {shown}: chmod a+x {shown}")
        })
    }
}

/// What could not be shared.
#[derive(Debug)]
pub(crate) struct Unshared {
    pub path: PathBuf,
    pub error: io::Error,
}

impl Unshared {
    fn of(path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        |error| Self { path, error }
    }

    /// This file system, or this kernel's idea of root, does not do that. Anything else may be somebody's trap.
    fn is_impossible(&self) -> bool {
        use io::ErrorKind::{InvalidInput, PermissionDenied, ReadOnlyFilesystem};
        matches!(self.error.kind(), InvalidInput | PermissionDenied | ReadOnlyFilesystem)
    }
}

/// Whom sender and receiver become on this machine; `None` where they are not to become anybody.
fn daemon_user(config: &Config) -> Result<Option<User>, String> {
    let name = &config.daemon_user;
    match privilege::user(name) {
        Ok(Some(user)) if user.uid == 0 => Ok(None),
        Ok(Some(user)) => Ok(Some(user)),
        Ok(None) => {
            Err(format!("there is no user {name}: bin/install makes it, or useradd --system --user-group {name}"))
        }
        Err(error) => Err(format!("user {name} cannot be looked for: {error}")),
    }
}

/// What is wrong with the owner of the key, with the remedy: only root and `DAEMON_USER` may have it in their hands.
#[must_use]
pub fn key_problem(home: &Home, config: &Config) -> Option<String> {
    let key = home.authkey();
    let owner = fs::metadata(&key).ok().filter(|_| privilege::is_root())?.uid();
    let user = daemon_user(config).ok().flatten();
    let fine = owner == 0 || user.is_some_and(|user| user.uid == owner);
    let shown = key.display();
    (!fine)
        .then(|| format!("{shown}: {shown} belongs to another user (id {owner}), who can write it: chown root {shown}"))
}

/// Leaves a key that is root's alone to `DAEMON_USER`, which reads it again at each reload. Where nobody gives root up, nothing.
///
/// # Errors
/// If it cannot be given away. A link stays as it is.
pub fn hand_over_key(home: &Home, config: &Config) -> io::Result<()> {
    let key = home.authkey();
    let is_roots_alone = |found: &fs::Metadata| found.is_file() && found.uid() == 0 && found.mode() & FOR_OTHERS == 0;
    let found = fs::symlink_metadata(&key).ok().filter(|found| privilege::is_root() && is_roots_alone(found));
    match (found, daemon_user(config)) {
        (Some(found), Ok(Some(user))) => {
            shared::file(&key, Owner { uid: Some(user.uid), gid: None, mode: found.mode() & MODE })
        }
        _ => Ok(()),
    }
}

/// For `check`: why sender and receiver, started as root, would stay it on this machine, with the remedy. Changes nothing.
#[must_use]
pub fn problem(home: &Home, config: &Config) -> Option<String> {
    let places = Places::new(home, config);
    match daemon_user(config) {
        Ok(user) => user.and_then(|user| places.link().or_else(|| places.obstacle(&user, |dir| places.is_ours(dir)))),
        Err(why) => Some(why),
    }
}

/// Shares what has to be shared, before any of it is opened; what becomes of root.
///
/// # Errors
/// Something is in the way that nobody should have put there.
pub(crate) fn prepare(home: &Home, config: &Config) -> Result<Root, Unshared> {
    if !privilege::is_root() {
        return Ok(Root::Untouched);
    }
    let user = match daemon_user(config) {
        Ok(Some(user)) => user,
        Ok(None) => return Ok(Root::Untouched),
        Err(why) => return Ok(Root::Kept(why)),
    };
    let places = Places::new(home, config);
    if let Some(why) = places.link() {
        return Ok(Root::Kept(why));
    }
    // It is read before root is gone; only a reload would need it.
    let _ = hand_over_key(home, config);
    match places.share(&user) {
        Ok(()) => Ok(places.obstacle(&user, |_| false).map_or(Root::LeftTo(user), Root::Kept)),
        Err(unshared) if unshared.is_impossible() => {
            let Unshared { path, error } = unshared;
            Ok(Root::Kept(format!("{} cannot be shared with user {}: {error}", path.display(), user.name)))
        }
        Err(trap) => Err(trap),
    }
}

/// Log and trace of `program`, which are there by now, belong to whoever goes on writing them.
///
/// # Errors
/// As [`prepare`].
pub(crate) fn hand_over(program: Program, home: &Home, config: &Config, user: &User) -> Result<(), Unshared> {
    let uid = if program.gives_root_up() { user.uid } else { 0 };
    let (log, trace) = (config.log_file(home, program.word()), config.trace_file(home, program.word()));
    let traces = ["", ".new", ".1"].map(|end| named(&trace, end));
    for path in [log].into_iter().chain(traces) {
        shared::file(&path, Owner { uid: Some(uid), gid: Some(user.gid), mode: 0o640 }).map_err(Unshared::of(&path))?;
    }
    Ok(())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::os::unix::fs::chown;

    use super::*;

    fn installed(dir: &Path, line: &str) -> (Home, Config) {
        (Home::at(dir), Config::parse(&format!("NODES=a b\n{line}\n"), Path::new("config")).unwrap())
    }

    #[test]
    fn only_folders_of_phas_own_are_changed() {
        let (home, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (installation, config) = installed(home.path(), &format!("VARDIR={}", other.path().display()));
        let places = Places::new(&installation, &config);
        assert!(places.is_ours(&home.path().join("var/log")), "whatever is in it");
        assert!(!places.is_ours(Path::new("/")));
        for name in ["status.dat", "status.dat.7.tmp", "run", "sender.log", "receiver.trace.1"] {
            fs::write(other.path().join(name), "").unwrap();
        }
        assert!(places.is_ours(other.path()));
        fs::write(other.path().join("passwd"), "").unwrap();
        assert!(!places.is_ours(other.path()));
    }

    #[test]
    fn a_key_in_foreign_hands_is_told_to_root() {
        let dir = tempfile::tempdir().unwrap();
        let (home, config) = installed(dir.path(), "DAEMON_USER=nobody");
        assert_eq!(key_problem(&home, &config), None, "there is none");
        fs::create_dir(dir.path().join("etc")).unwrap();
        fs::write(home.authkey(), "").unwrap();
        assert_eq!(key_problem(&home, &config), None);
        let nobody = privilege::user("nobody").unwrap();
        // Only root can give it away, and only root is told.
        if let Some(nobody) = nobody.filter(|user| chown(home.authkey(), Some(user.uid), None).is_ok()) {
            assert_eq!(key_problem(&home, &config), None, "{nobody:?} may have it");
            chown(home.authkey(), Some(54_321), None).unwrap();
            assert!(
                key_problem(&home, &config)
                    .is_some_and(|told| told.contains("id 54321") && told.contains("chown root"))
            );
        }
    }
}
