//! Homes with a status database as the daemons would have left it, and daemons that can be started and stopped.
//!
//! A "running" daemon is a locked pid file here; its process id is that of the test. Programs in `bin/` are one Perl script
//! that takes and frees its pid file as the real ones do.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pha_core::report::{LinkReport, Liveness, PeerReport, ResourceReport, ResourceState, SuperviseReport, Transition};
use pha_core::{BootTime, Gateway, LeaveCause, NodeId, Reason, Role, Saying, Serial, Term, Word};
use pha_status::{Database, Durability, Patience, ReceiverSection, SenderSection, SuperviseSection};
use pha_sys::clock;
use pha_sys::pidfile::PidFile;
use tempfile::TempDir;

const CONFIG: &str = "\
NODES=lb1 lb2
ADDR_lb1=10.0.0.1
ADDR_lb2=10.0.0.2
GW=10.0.0.254
RES_service=httpd
RES_ipaddr=10.0.0.20/24 eth0
";

/// What every agent of these homes does.
const AGENT: &str = "#!/bin/sh\nexit 0\n";

/// A stand-in for the daemons, and for their foreground calls.
const PROGRAM: &str = include_str!("program.pl");

/// One installation in a folder of its own.
pub struct FakeHome {
    folder: TempDir,
    /// The locks of daemons that "run".
    daemons: Vec<PidFile>,
}

impl FakeHome {
    /// `NAME [MORE]`: never-started, active, standby, alone, kept, stopped, corrupt, no-config, bad-config.
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

    /// Configuration, agents, programs; nothing was started.
    pub fn empty() -> Self {
        let home = Self { folder: tempfile::tempdir().unwrap(), daemons: Vec::new() };
        for folder in ["bin", "etc", "res", "var/run", "var/log"] {
            fs::create_dir_all(home.root().join(folder)).unwrap();
        }
        home.configure(CONFIG);
        for agent in ["service", "ipaddr"] {
            executable(&home.root().join("res").join(agent), AGENT);
        }
        for program in ["pha-sender", "pha-receiver", "pha-supervise"] {
            executable(&home.root().join("bin").join(program), PROGRAM);
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
            *section = ReceiverSection {
                pid,
                tick: far_future(),
                peers: vec![peer],
                drops: BTreeMap::new(),
                authentic: true,
                late: 0,
            };
        };
        self.database().update(Durability::Volatile, Patience::Daemon, change).unwrap();
    }

    /// supervise has decided.
    pub fn decide(&self, role: Role, word: Word, reason: Reason) {
        let pid = std::process::id();
        let change = |section: &mut SuperviseSection| {
            let report = Some(report(role, word, reason));
            *section = SuperviseSection { pid, tick: far_future(), report, config_loaded: BootTime::ZERO };
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

fn saying(word: Word) -> Saying {
    let term = Term::next(Term::NONE, id(1));
    Saying { word, term, gateway: Gateway::Reachable, fit: true, willing: true, config_hash: 7 }
}

fn id(number: usize) -> NodeId {
    NodeId::new(number).unwrap()
}

fn report(role: Role, word: Word, reason: Reason) -> SuperviseReport {
    let state = if role == Role::Active { ResourceState::Up } else { ResourceState::Down };
    let resource = |name: &str| ResourceReport {
        name: name.to_owned(),
        state,
        since: far_future(),
        failures: 0,
        held: false,
        last_error: None,
        duration: Duration::from_millis(12),
    };
    let step = Transition {
        at: far_future(),
        from: Word::Offline { clean: true },
        to: word,
        role,
        reason,
        term: saying(word).term,
    };
    SuperviseReport {
        saying: saying(word),
        progress_until: None,
        role,
        highest_term: saying(word).term,
        reason,
        since: far_future(),
        until: None,
        announce: true,
        unfit_until: None,
        resources: vec![resource("service"), resource("ipaddr")],
        history: vec![step],
        last_conflict: None,
    }
}

/// The other node as the receiver hears it.
pub fn peer(liveness: Liveness, word: Word) -> PeerReport {
    let link = LinkReport {
        address: "10.0.0.2".to_owned(),
        heard_at: Some(far_future()),
        longest_gap: Duration::from_millis(210),
        received: 1000,
        lost: 3,
    };
    PeerReport {
        node: id(2),
        liveness,
        liveness_since: far_future(),
        saying: Some(saying(word)),
        word_since: far_future(),
        progress_until: None,
        serial: Serial { incarnation: 5, sequence: 1003 },
        heard_at: Some(far_future()),
        hears_us: Serial { incarnation: 9, sequence: 500 },
        reply_wanted: Serial::default(),
        supervise_age: Duration::from_millis(300),
        config_differs: false,
        links: vec![link],
    }
}

/// The word of a node after `offline`.
pub const AWAY: Word = Word::Left { cause: LeaveCause::Operator };
