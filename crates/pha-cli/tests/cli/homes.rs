//! Homes with a status database as the daemons would have left it.
//!
//! A "running" daemon is a locked pid file here; its process id is that of the test.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pha_core::report::{Liveness, PeerReport};
use pha_core::{BootTime, LeaveCause, Reason, Role, Word};
use pha_status::{Database, Durability, Patience, ReceiverSection, SenderSection, SuperviseSection};
use pha_sys::clock;
use pha_sys::pidfile::PidFile;
use tempfile::TempDir;

use crate::reports;

const CONFIG: &str = "\
NODES=lb1 lb2
ADDR_lb1=10.0.0.1
ADDR_lb2=10.0.0.2
GW=10.0.0.254
REALTIME=off
DAEMON_USER=root
RES_service=httpd
RES_ipaddr=10.0.0.20/24 eth0
";

/// What every agent of these homes does.
const AGENT: &str = "#!/bin/sh\nexit 0\n";
/// The one that keeps an address can do more.
const ADDRESS_AGENT: &str = "#!/bin/sh\n# pha: lease probe announce\nexit 0\n";

/// One installation in a folder of its own.
pub struct FakeHome {
    folder: TempDir,
    /// The locks of daemons that "run".
    daemons: Vec<PidFile>,
}

impl FakeHome {
    /// never-started, active, standby, alone, kept, stopped, corrupt, no-config, bad-config.
    pub fn named(name: &str) -> Self {
        let mut home = Self::empty();
        match name {
            "never-started" => {}
            "active" => home.run(
                Role::Active,
                Word::Online,
                Reason::Active,
                peer(Liveness::Alive, Word::Offline { clean: true }),
            ),
            "standby" => home.run(
                Role::Standby,
                Word::Offline { clean: true },
                Reason::PeerActive,
                peer(Liveness::Alive, Word::Online),
            ),
            "alone" => home.run(Role::Active, Word::Online, Reason::PeerDead, peer(Liveness::Dead, Word::Online)),
            "kept" => home.run(
                Role::Standby,
                Word::Offline { clean: true },
                Reason::PeerKept,
                peer(Liveness::Absent, Word::Kept),
            ),
            "stopped" => {
                home.run(
                    Role::Active,
                    Word::Kept,
                    Reason::Stopped,
                    peer(Liveness::Alive, Word::Offline { clean: true }),
                );
                home.daemons.clear();
            }
            "corrupt" => fs::write(home.root().join("var/status.dat"), "#pha-status 1 3 4 00000000\n--\nab").unwrap(),
            "no-config" => fs::remove_file(home.root().join("etc/config")).unwrap(),
            "bad-config" => home.configure("NODES=lb1 lb2\nDEADTIME=soon\nCOLOUR=red\n"),
            unknown => panic!("no home is called {unknown}"),
        }
        home
    }

    /// Configuration and agents; nothing was started.
    pub fn empty() -> Self {
        let home = Self { folder: tempfile::tempdir().unwrap(), daemons: Vec::new() };
        for folder in ["etc", "res", "var/run", "var/log"] {
            fs::create_dir_all(home.root().join(folder)).unwrap();
        }
        home.configure(CONFIG);
        for (agent, text) in [("service", AGENT), ("ipaddr", ADDRESS_AGENT)] {
            executable(&home.root().join("res").join(agent), text);
        }
        home
    }

    /// The installation's folder.
    pub fn root(&self) -> &Path {
        self.folder.path()
    }

    /// Its status database.
    pub fn database(&self) -> Database {
        Database::new(&self.root().join("var"), "lb1")
    }

    fn configure(&self, text: &str) {
        let path = self.root().join("etc/config");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    }

    fn pid_file(&self, program: &str) -> PathBuf {
        self.root().join(format!("var/run/{program}.pid"))
    }

    /// Three daemons run, and this is what they say.
    fn run(&mut self, role: Role, word: Word, reason: Reason, peer: PeerReport) {
        let pid = std::process::id();
        for program in ["sender", "receiver", "supervise"] {
            self.daemons.push(PidFile::take(&self.pid_file(program)).unwrap());
        }
        self.receive(peer);
        self.decide(role, word, reason);
        let database = self.database();
        database
            .update(Durability::Volatile, Patience::Daemon, |section: &mut SenderSection| {
                *section = SenderSection { pid, incarnation: 9, running: true, tick: far_future(), errors: Vec::new() };
            })
            .unwrap();
    }

    /// The receiver hears `peer`.
    pub fn receive(&self, peer: PeerReport) {
        let pid = std::process::id();
        let change = |section: &mut ReceiverSection| {
            *section = ReceiverSection { pid, tick: far_future(), ..reports::receiver(vec![peer]) };
        };
        self.database().update(Durability::Volatile, Patience::Daemon, change).unwrap();
    }

    /// supervise has decided.
    pub fn decide(&self, role: Role, word: Word, reason: Reason) {
        let pid = std::process::id();
        let change = |section: &mut SuperviseSection| {
            let report = Some(reports::report(role, word, reason, |_| far_future()));
            *section = SuperviseSection { pid, tick: far_future(), report, config_loaded: far_future() };
        };
        self.database().update(Durability::Volatile, Patience::Daemon, change).unwrap();
    }
}

fn executable(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A sign of life that does not grow old while a test runs.
fn far_future() -> BootTime {
    BootTime::since_boot(clock::boot_time()) + Duration::from_secs(3600)
}

/// The other node as the receiver hears it.
pub fn peer(liveness: Liveness, word: Word) -> PeerReport {
    reports::peer(liveness, Some(word), |_| far_future())
}

/// The word of a node after `offline`.
pub const AWAY: Word = Word::Left { cause: LeaveCause::Operator };
