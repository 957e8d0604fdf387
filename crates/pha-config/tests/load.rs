//! `Config::load` on real trees: agents, key, permissions, and trees that were copied elsewhere.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use pha_config::{Auth, Config, Home};
use tempfile::TempDir;

/// An installation with one agent, `test`, and a key.
struct Tree(TempDir);

impl Tree {
    fn new(config: &str) -> Self {
        let tree = Self(tempfile::tempdir().unwrap());
        for dir in ["etc", "res", "var/log"] {
            fs::create_dir_all(tree.path(dir)).unwrap();
            tree.mode(dir, 0o755);
        }
        tree.write("etc/config", config, 0o644);
        tree.write("etc/authkey", "secret", 0o600);
        tree.write("res/test", "#!/bin/sh\n", 0o755);
        tree
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn write(&self, path: &str, text: &str, mode: u32) {
        fs::write(self.path(path), text).unwrap();
        self.mode(path, mode);
    }

    fn mode(&self, path: &str, mode: u32) {
        fs::set_permissions(self.path(path), fs::Permissions::from_mode(mode)).unwrap();
    }

    fn home(&self) -> Home {
        Home::at(self.0.path())
    }

    fn load(&self) -> Config {
        Config::load(&self.home()).unwrap()
    }

    /// The errors, with the tree's own place written as `~`.
    fn told(&self) -> Vec<String> {
        let errors = Config::load(&self.home()).unwrap_err();
        let root = self.0.path().to_str().unwrap();
        errors.to_string().lines().map(|line| line.replace(root, "~")).collect()
    }

    fn warned(&self) -> String {
        self.load().warnings().iter().map(|warning| format!("{warning}\n")).collect()
    }
}

const GOOD: &str = "NODES=lb1 lb2\nGW=10.0.0.1\nRES_test=/ONLINE\n";

#[test]
fn a_sound_tree_loads_without_a_word() {
    assert_eq!(Tree::new(GOOD).warned(), "");
}

#[test]
fn two_intervals_are_enough_where_an_address_can_be_asked() {
    let dead = |lines: &str, features: &str| {
        let tree = Tree::new(&format!("{GOOD}{lines}"));
        tree.write("res/test", &format!("#!/bin/sh\n# pha: {features}\n"), 0o755);
        tree.load().dead_time.as_millis()
    };
    assert_eq!(dead("", "lease probe"), 400);
    assert_eq!(dead("", "lease"), 600);
    assert_eq!(dead("", "probe"), 600);
    assert_eq!(dead("WITNESS=off\n", "lease probe"), 600);
    assert_eq!(dead("DEADTIME=500\n", "lease probe"), 500);
    assert_eq!(dead("HEARTBEAT_INT=50\n", "lease probe announce"), 100);
}

#[test]
fn a_missing_configuration_says_how_to_name_another_place() {
    let tree = Tree::new(GOOD);
    fs::remove_file(tree.path("etc/config")).unwrap();
    let remedy = "put the configuration there, or name the installation with --home or PHA_HOME";
    assert_eq!(tree.told(), [format!("~/etc/config: there is no ~/etc/config: {remedy}")]);
}

#[test]
fn a_configuration_that_is_no_file_is_not_waited_for() {
    let tree = Tree::new(GOOD);
    fs::remove_file(tree.path("etc/config")).unwrap();
    symlink("/dev/zero", tree.path("etc/config")).unwrap();
    assert!(tree.told()[0].contains("this is no regular file"));
}

#[test]
fn a_configuration_of_any_size_costs_little() {
    let tree = Tree::new(GOOD);
    fs::File::options().write(true).open(tree.path("etc/config")).unwrap().set_len(1 << 40).unwrap();
    assert!(tree.told().iter().any(|line| line.contains("larger than 1048576 bytes")));
}

// P2
#[test]
fn agents_must_be_there_and_executable_and_nobody_elses() {
    let tree = Tree::new("NODES=a b\nRES_none=x\nRES_dir=\nRES_plain=y z\nRES_open=\nRES_test=\n");
    fs::create_dir(tree.path("res/dir")).unwrap();
    tree.write("res/plain", "", 0o644);
    tree.write("res/open", "", 0o775);
    assert_eq!(
        tree.told(),
        [
            "~/etc/config:2: 'RES_none=x': there is no ~/res/none: put the agent there, or correct what follows RES_ (see `ls ~/res`)",
            "~/etc/config:3: 'RES_dir=': ~/res/dir is no regular file: an agent is an executable file",
            "~/etc/config:4: 'RES_plain=y z': ~/res/plain is not executable: chmod 755 ~/res/plain",
            "~/etc/config:5: 'RES_open=': ~/res/open can be written by others than its owner (mode 775): chmod 755 ~/res/open",
        ]
    );
}

/// Whether this test may give files away.
fn is_root() -> bool {
    let tree = tempfile::tempdir().unwrap();
    chown(tree.path(), Some(STRANGER), None).is_ok()
}

/// Nobody has this id.
const STRANGER: u32 = 54_321;

// P2
#[test]
fn what_belongs_to_somebody_else_is_refused_with_its_path_and_chown() {
    if !is_root() {
        return;
    }
    let tree = Tree::new("NODES=a b\nRES_test=\n");
    for (path, words) in [
        ("res/test", "'RES_test=': ~/res/test belongs to another user (id 54321), who can write it"),
        ("etc/config", "~/etc/config belongs to another user (id 54321), who can write it"),
        ("res", "~/res belongs to another user (id 54321), who can replace what is in it"),
        ("etc", "~/etc belongs to another user (id 54321), who can replace what is in it"),
    ] {
        chown(tree.path(path), Some(STRANGER), None).unwrap();
        let told = tree.told();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains(&format!("{words}: chown root ~/{path}")), "{told:?}");
        chown(tree.path(path), Some(0), None).unwrap();
    }
    assert_eq!(tree.load().resources.len(), 1);
}

// P2
#[test]
fn a_folder_in_which_others_can_replace_agents_or_configuration_is_refused() {
    let tree = Tree::new("NODES=a b\nRES_test=\n");
    for folder in ["etc", "res"] {
        for mode in [0o775, 0o757] {
            tree.mode(folder, mode);
            let wrong =
                format!("can be written by others than its owner (mode {mode:03o}), who can replace what is in it");
            assert_eq!(tree.told(), [format!("~/{folder}: ~/{folder} {wrong}: chmod 755 ~/{folder}")]);
        }
        tree.mode(folder, 0o1775);
        assert_eq!(tree.load().resources.len(), 1);
        tree.mode(folder, 0o755);
    }
}

#[test]
fn an_agent_that_could_not_be_run_is_told_before_it_matters() {
    let tree = Tree::new("NODES=a b\nRES_empty=\nRES_crlf=\nRES_lost=\nRES_shell=\nRES_binary=\n");
    tree.write("res/empty", "", 0o755);
    tree.write("res/crlf", "#!/bin/sh\r\nexit 0\r\n", 0o755);
    tree.write("res/lost", "#! /no/such/perl -w\n", 0o755);
    tree.write("res/shell", "#! /bin/sh -e\n", 0o755);
    tree.write("res/binary", "\x7fELF", 0o755);
    let told = tree.told();
    assert_eq!(told.len(), 3, "{told:?}");
    assert_eq!(told[0], "~/etc/config:2: 'RES_empty=': ~/res/empty is empty: put the agent there");
    assert!(told[1].contains("~/res/crlf is to be run by '/bin/sh\\r', which is not there"), "{}", told[1]);
    assert!(
        told[2].contains("'RES_lost=': ~/res/lost is to be run by '/no/such/perl -w', which is not there"),
        "{}",
        told[2]
    );
}

#[test]
fn a_check_may_not_usefully_take_longer_than_the_lease_that_it_renews() {
    let tree = Tree::new(&format!("{GOOD}RES_held=\nCHECK_TIMEOUT_held=3\nCHECK_TIMEOUT_test=3\n"));
    tree.write("res/held", "#!/bin/sh\n# pha: lease\n", 0o755);
    let warned = tree.warned();
    assert_eq!(warned.lines().count(), 1, "{warned}");
    assert!(warned.contains("/etc/config:5: a check renews the lease, of which 2 s are left"), "{warned}");
    assert!(warned.contains("write CHECK_TIMEOUT_held=2 or less"), "{warned}");
    tree.write("etc/config", &format!("{GOOD}RES_held=\nCHECK_TIMEOUT_held=2\n"), 0o644);
    assert_eq!(tree.warned(), "");
}

#[test]
fn a_key_that_is_a_folder_is_no_key() {
    let tree = Tree::new("NODES=a b\n");
    fs::remove_file(tree.path("etc/authkey")).unwrap();
    fs::create_dir(tree.path("etc/authkey")).unwrap();
    let told = "~/etc/authkey: this is no regular file: remove it, and make a key with `pha-cli keygen`";
    assert_eq!(tree.told(), [told]);
}

#[test]
fn every_problem_of_text_and_files_is_told_at_once() {
    let tree = Tree::new("NODES=a\nPORT=x\nRES_none=\n");
    tree.mode("etc/config", 0o664);
    tree.mode("etc/authkey", 0o644);
    let told = tree.told();
    assert_eq!(told.len(), 5, "{told:?}");
    let all = told.join("\n");
    assert!(all.contains("~/etc/config can be written by others than its owner (mode 664): chmod 644 ~/etc/config"));
    assert!(all.contains("~/etc/authkey: ~/etc/authkey can be read by everybody (mode 644): chmod 600 ~/etc/authkey"));
}

#[test]
fn a_required_key_must_be_there_and_a_missing_one_is_warned_about() {
    let tree = Tree::new(&format!("{GOOD}AUTH=required\n"));
    assert_eq!(tree.load().auth, Auth::Required);
    fs::remove_file(tree.path("etc/authkey")).unwrap();
    let told = tree.told();
    assert!(
        told[0].starts_with("~/etc/config:4: 'AUTH=required': there is no ~/etc/authkey: make one with"),
        "{told:?}"
    );
    tree.write("etc/config", GOOD, 0o644);
    assert!(tree.warned().contains("anybody on the network can forge heartbeats: make one with `pha-cli keygen`"));
}

#[test]
fn nothing_may_stand_in_the_place_of_a_renewal() {
    let tree = Tree::new("NODES=a b\nRES_vip=x\nCHECK_vip=link eth0\n");
    tree.write("res/vip", "#!/bin/sh\n", 0o755);
    assert!(tree.load().resources[0].built_in_check.is_some());
    tree.write("res/vip", "#!/bin/sh\n# pha: lease\n", 0o755);
    let told = "~/etc/config:3: 'CHECK_vip=link eth0': each check of vip renews its lease, so a built-in check cannot stand \
                in its place: remove the line";
    assert_eq!(tree.told(), [told]);
}

// P4 P30
#[test]
fn a_copied_tree_runs_where_it_is_and_says_so() {
    let text =
        format!("{GOOD}INSTALLDIR=/nonexistent/pha\nLOGPATH=/nonexistent/pha/var/log\nVARDIR=/nonexistent/pha/var\n");
    let tree = Tree::new(&text);
    let (config, home) = (tree.load(), tree.home());
    assert_eq!(config.var_dir(&home), tree.path("var"));
    assert_eq!(config.log_file(&home, "sender"), tree.path("var/log/sender.log"));
    assert!(tree.warned().contains(":4: INSTALLDIR=/nonexistent/pha is not there"), "{}", tree.warned());
    let effective = config.effective();
    let value = |key: &str| effective.iter().find(|(other, _)| other == key).unwrap().1.clone();
    assert_eq!(Path::new(&value("INSTALLDIR")), home.root());
    assert_eq!(Path::new(&value("VARDIR")), tree.path("var"));
    assert_eq!(value("LOGPATH"), format!("{}/", tree.path("var/log").display()));
}

// P30
#[test]
fn a_home_that_was_named_wins_over_installdir() {
    let other = Tree::new(GOOD);
    let tree = Tree::new(&format!("{GOOD}INSTALLDIR={}\n", other.0.path().display()));
    assert_eq!(tree.load().home_in_use(&tree.home()).root(), tree.0.path());
    assert!(tree.warned().contains("is not used, because --home or PHA_HOME says"));
}

// P30
#[test]
fn installdir_may_be_another_name_of_the_same_place() {
    let tree = Tree::new(GOOD);
    symlink(tree.0.path(), tree.path("alias")).unwrap();
    tree.write("etc/config", &format!("{GOOD}INSTALLDIR={}\n", tree.path("alias").display()), 0o644);
    assert_eq!(tree.warned(), "");
}
