//! Two real nodes on loopback: the daemons that were built beside `pha-cli`, an agent that keeps a file, no privilege.
//!
//! Each node has a folder of its own under one temporary folder, and each pair addresses of its own, so that several tests
//! run at once. Times are long enough for a machine that stops now and then.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use pha_sys::pidfile;
use tempfile::TempDir;

use crate::{PROGRAM, input_into, text};

/// Anything that a node does by itself is done by then, on any machine.
const SOON: Duration = Duration::from_secs(20);

/// Up while its file exists. `var/broken` in the node's folder makes its next start fail.
const AGENT: &str = "\
#!/bin/sh
up=$PHA_HOME/${0##*/}.up
case $1 in
start) [ ! -e \"$PHA_HOME/broken\" ] && : >\"$up\" ;;
stop) rm -f \"$up\" ;;
check) [ -e \"$up\" ] ;;
esac
";

static PORT: AtomicU16 = AtomicU16::new(4711);

/// lb1 and lb2. Dropped, their daemons are ended.
pub struct Pair {
    folder: TempDir,
}

impl Pair {
    /// Two nodes that were never started.
    pub fn new() -> Self {
        let daemons = Path::new(PROGRAM).with_file_name("pha-supervise");
        assert!(daemons.exists(), "the daemons are not built: run `cargo build --workspace` first");
        let pair = Self { folder: tempfile::tempdir().unwrap() };
        let [.., high, low] = std::process::id().to_be_bytes();
        let port = PORT.fetch_add(1, Ordering::Relaxed);
        let config = format!(
            "NODES=lb1 lb2\nADDR_lb1=127.{high}.{low}.1\nADDR_lb2=127.{high}.{low}.2\nPORT={port}\n\
             DEADTIME=2000\nINITDEAD=2000\nLEASE=5\nOFFLINE_TIME=600\nSUPERVISE_INT=500\nRES_service=httpd\nRES_ipaddr=192.168.42.20/24 eth0\n"
        );
        for node in ["lb1", "lb2"] {
            for folder in ["etc", "res"] {
                fs::create_dir_all(pair.home(node).join(folder)).unwrap();
            }
            write(&pair.home(node).join("etc/config"), &config, 0o644);
            for agent in ["service", "ipaddr"] {
                write(&pair.home(node).join("res").join(agent), AGENT, 0o755);
            }
        }
        pair
    }

    /// The folder of both nodes.
    pub fn root(&self) -> &Path {
        self.folder.path()
    }

    /// A node's installation.
    pub fn home(&self, node: &str) -> PathBuf {
        self.folder.path().join(node)
    }

    /// `pha-cli words` on a node, with `input` as its standard input.
    pub fn cli(&self, node: &str, words: &str, input: &str) -> Output {
        let mut command = Command::new(PROGRAM);
        command.args(words.split_whitespace()).env("PHA_HOME", self.home(node)).env("PHA_NODE", node);
        input_into(command.stdin(Stdio::piped()), input)
    }

    fn document(&self, node: &str) -> serde_json::Value {
        serde_json::from_slice(&self.cli(node, "status --json", "").stdout).unwrap_or_default()
    }

    /// As the prompt shows it.
    pub fn state(&self, node: &str) -> String {
        self.document(node)["state"].as_str().unwrap_or("?").to_owned()
    }

    /// The other node is alive, seen from `node`.
    pub fn hears_its_peer(&self, node: &str) -> bool {
        self.document(node)["peers"][0]["liveness"] == "alive"
    }

    /// Waits until the prompt of `node` shows `state`.
    pub fn await_state(&self, node: &str, state: &str) {
        await_that(&format!("{node} is {state}"), || self.state(node) == state);
    }

    /// Process ids of the daemons that run on a node: sender, receiver, supervise.
    pub fn running(&self, node: &str) -> Vec<u32> {
        let pid = |program| pidfile::running(&self.home(node).join(format!("var/run/{program}.pid")));
        ["sender", "receiver", "supervise"].into_iter().filter_map(pid).collect()
    }

    /// Whether a resource is up on a node.
    pub fn is_up(&self, node: &str, resource: &str) -> bool {
        self.home(node).join(format!("{resource}.up")).exists()
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        for node in ["lb1", "lb2"] {
            self.cli(node, "stop", "");
        }
    }
}

/// Looks until it is so; panics with `what` after [`SOON`].
pub fn await_that(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < SOON, "waited in vain: {what}");
        sleep(Duration::from_millis(10));
    }
}

/// Standard output, then standard error.
pub fn said(output: &Output) -> String {
    text(&output.stdout) + &text(&output.stderr)
}

fn write(path: &Path, content: &str, mode: u32) {
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}
