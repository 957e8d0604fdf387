//! The shipped `etc/config` and the reference of the keys agree with the program.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use pha_config::{Config, Home};

fn shipped(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

fn parse(text: &str) -> Config {
    Config::parse(text, Path::new("etc/config")).unwrap()
}

/// Keys that stand for themselves: not those of a node or resource.
fn plain_keys(config: &Config) -> BTreeSet<String> {
    let keys = config.effective().into_iter().map(|(key, _)| key);
    keys.filter(|key| !["RES_", "ADDR_"].iter().any(|prefix| key.starts_with(prefix))).collect()
}

/// The shipped configuration beside the shipped agents.
fn installed() -> Config {
    let tree = tempfile::tempdir().unwrap();
    let files = ["etc/config", "res/service", "res/ipaddr"];
    for (file, mode) in files.into_iter().zip([0o644, 0o755, 0o755]) {
        let to = tree.path().join(file);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(shipped(file), &to).unwrap();
        fs::set_permissions(&to, Permissions::from_mode(mode)).unwrap();
    }
    Config::load(&Home::at(tree.path())).unwrap()
}

/// The lines of the file that set something once their `#` is removed: `#KEY=value` without a blank.
fn commented(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.lines().filter_map(|line| line.strip_prefix('#'));
    lines.filter(|line| line.starts_with(|first: char| first.is_ascii_uppercase()) && line.contains('='))
}

// P71
#[test]
fn the_shipped_configuration_is_the_documented_example() {
    let text = fs::read_to_string(shipped("etc/config")).unwrap();
    let said: Vec<_> = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    assert_eq!(
        said,
        [
            "DEBUG=0",
            "INSTALLDIR=/opt/pha",
            "LOGPATH=/opt/pha/var/log",
            "DAEMON=1",
            "PINGTIMEOUT=2.1",
            "PORT=4711",
            "SUPERVISE_INT=2000",
            "NODES=lb1 lb2",
            "GW=192.168.42.1",
            "RES_service=httpd",
            "RES_ipaddr=192.168.42.20/24 eth0",
        ]
    );
    assert_eq!(parse(&text).warnings(), []);
}

#[test]
fn the_shipped_configuration_shows_every_other_key_with_its_default() {
    let text = fs::read_to_string(shipped("etc/config")).unwrap();
    let config = parse(&text);
    // What is not said of places is empty in what was only parsed; times know their agents.
    let (places, times) = (config.effective(), installed().effective());
    let of = |key: &str| if key.ends_with("DIR") || key.ends_with("PATH") { &places } else { &times };
    let mut missing = plain_keys(&config);
    let said = text.lines().filter(|line| !line.starts_with('#'));
    for line in said.chain(commented(&text)).filter(|line| line.contains('=')) {
        let (key, value) = line.split_once('=').unwrap();
        let default = of(key).iter().find(|(known, _)| known == key);
        if missing.remove(key) && key != "VARDIR" {
            assert_eq!(default.unwrap().1, value, "{key}");
        }
    }
    assert_eq!(missing, BTreeSet::new());
}

#[test]
fn every_commented_line_of_the_shipped_configuration_may_be_taken_in() {
    let text = fs::read_to_string(shipped("etc/config")).unwrap();
    let all = commented(&text).fold(text.clone(), |all, line| format!("{all}{line}\n"));
    assert_eq!(parse(&all).nodes[0].addresses.len(), 2);
}

#[test]
fn the_reference_has_a_section_for_every_key() {
    let reference = fs::read_to_string(shipped("docs/configuration.md")).unwrap();
    for key in plain_keys(&parse("NODES=a b")) {
        assert!(reference.contains(&format!("### `{key}`")), "{key}");
    }
    for key in ["RES_<agent>", "ADDR_<node>", "START_TIMEOUT_<resource>", "CHECK_<resource>", "RES_PARALLEL"] {
        assert!(reference.contains(key), "{key}");
    }
}
