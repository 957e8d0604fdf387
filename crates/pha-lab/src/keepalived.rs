//! keepalived on the lab's nodes: what pha is compared with.
//!
//! Two equal VRRP routers keep the lab's address on the same wire as pha would, with nothing configured but what they
//! need. Its programs run in the foreground of their node's namespace with files of their own in the node's tree.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::command;
use crate::network::{PREFIX, VIP};
use crate::node::Node;

/// How keepalived is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keepalived {
    /// `advert_int`; hundredths of a second at the finest (RFC 5798).
    pub interval: Duration,
    /// `priority` of both nodes, 1 to 254. A backup waits (256 − priority) / 256 of an interval longer than three of them,
    /// and so long after a master that went in order.
    pub priority: u8,
}

impl Keepalived {
    /// The priority that keepalived takes if none is configured.
    pub const USUAL_PRIORITY: u8 = 100;

    /// The installed version, such as `2.2.7`; an error where there is none.
    pub fn version() -> Result<String> {
        ensure!(command::exists("keepalived"), "`keepalived` is not installed");
        let said = command::finish(std::process::Command::new("keepalived").arg("--version"))?;
        // It says so on standard error: `Keepalived v2.2.7 (01/16,2022)`.
        let text = [said.stdout, said.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        let version = text.split_whitespace().find_map(|word| word.strip_prefix('v'));
        version.map(str::to_owned).context("`keepalived --version` says no version")
    }

    /// Starts it on `node`, which must not have it running.
    pub fn start(&self, node: &Node) -> Result<()> {
        let [config, pid, vrrp_pid, log] =
            ["etc/keepalived.conf", "var/run/keepalived.pid", "var/run/vrrp.pid", "var/log/keepalived.log"]
                .map(|file| node.home().join(file));
        fs::write(&config, self.text(node.name())).context("keepalived's configuration")?;
        for file in [&pid, &vrrp_pid] {
            let _ = fs::remove_file(file);
        }
        // In the background of a shell that ends: whoever dies is then no zombie of ours.
        let script = r#"keepalived --dont-fork --log-console --vrrp -f "$1" -p "$2" -r "$3" </dev/null >>"$4" 2>&1 &"#;
        let mut shell = node.command("sh");
        shell.args(["-c", script, "keepalived"]).args([config, pid, vrrp_pid, log]).stdin(Stdio::null());
        ensure!(shell.status()?.success(), "{}: keepalived did not start", node.name());
        for _ in 0..5000 {
            // The first one and its child, which does the work.
            if processes(node).len() >= 2 {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        bail!("{}: keepalived did not start", node.name())
    }

    /// Ends it in order: the fastest of keepalived's ways to hand over. Returns as soon as it has been told so.
    pub fn end(node: &Node) -> Result<()> {
        let pid = fs::read_to_string(node.home().join("var/run/keepalived.pid")).context("keepalived's pid file")?;
        command::signal("TERM", &[pid.trim().parse().context("keepalived's pid file")?])
    }

    fn text(&self, name: &str) -> String {
        let Self { interval, priority } = self;
        let interval = interval.as_secs_f64();
        format!(
            "global_defs {{\n    router_id {name}\n    vrrp_version 3\n}}\n\
             vrrp_instance lab {{\n    state BACKUP\n    interface eth0\n    virtual_router_id 77\n    \
             priority {priority}\n    advert_int {interval}\n    virtual_ipaddress {{\n        \
             {VIP}/{PREFIX} dev eth0\n    }}\n}}\n"
        )
    }
}

/// Its processes on `node`.
#[must_use]
pub fn processes(node: &Node) -> Vec<u32> {
    node.named(|name| name.starts_with("keepalived"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_has_the_interval_in_seconds() {
        let text = Keepalived { interval: Duration::from_millis(10), priority: 100 }.text("lb1");
        assert!(text.contains("advert_int 0.01\n") && text.contains("priority 100\n"), "{text}");
        assert_eq!(text.matches('{').count(), text.matches('}').count(), "{text}");
    }
}
