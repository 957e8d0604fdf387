//! What can be seen of a node from outside.
//!
//! What it thinks is read from its status database ([`Node::record`]), what it does from the kernel
//! ([`Node::holds_address`], [`Node::addresses`]); tests about safety use the kernel.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use pha_core::{Reason, Role, Status};
use pha_status::{Database, Record};
use serde_json::Value;

use super::{Node, Place};
use crate::command;
use crate::holders::Holding;
use crate::network;

/// Log lines of each program in a story.
const LOG_LINES: usize = 30;

/// An address as the kernel lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldAddress {
    /// Without prefix.
    pub address: String,
    /// Prefix length.
    pub prefix: u64,
    /// Time until the kernel removes it by itself; `None` for ever.
    pub valid: Option<Duration>,
}

impl Node {
    /// Where to look whether this node holds the kept address.
    #[must_use]
    pub fn holding(&self) -> Holding {
        match &self.place {
            Place::Namespace(anchor) => {
                Holding::Kernel(format!("/proc/{}/net/fib_trie", anchor.id()).into(), network::VIP.to_owned())
            }
            Place::Plain => Holding::File(self.fault_file("demo", "up")),
        }
    }

    /// Whether the kernel of this node has the kept address now.
    #[must_use]
    pub fn holds_address(&self) -> bool {
        self.holding().now()
    }

    /// The IPv4 addresses of `eth0`, from the kernel.
    pub fn addresses(&self) -> Result<Vec<HeldAddress>> {
        let text = command::ip(&format!("-n {} -j -4 addr show dev eth0", self.name))?;
        let parsed: Value = serde_json::from_str(&text).context("ip -j addr")?;
        let entries = parsed[0]["addr_info"].as_array().cloned().unwrap_or_default();
        Ok(entries.iter().map(HeldAddress::parse).collect())
    }

    /// What the node last published. An unreadable database is an empty record.
    #[must_use]
    pub fn record(&self) -> Record {
        Database::new(&self.var_dir, &self.name).read().unwrap_or_default()
    }

    /// STATUS as published; `None` while the daemons are stopped.
    #[must_use]
    pub fn status(&self) -> Option<Status> {
        self.record().status()
    }

    /// The published role; `None` while the daemons are stopped.
    #[must_use]
    pub fn role(&self) -> Option<Role> {
        let record = self.record();
        record.supervise.report.filter(|_| record.supervise.pid != 0).map(|report| report.role)
    }

    /// The published reason; `None` while the daemons are stopped.
    #[must_use]
    pub fn reason(&self) -> Option<Reason> {
        let record = self.record();
        record.supervise.report.filter(|_| record.supervise.pid != 0).map(|report| report.reason)
    }

    /// Active, all resources confirmed up, and the kernel has the address.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.role() == Some(Role::Active) && self.status() == Some(Status::Online) && self.holds_address()
    }

    /// Running, waiting, without the address.
    #[must_use]
    pub fn is_standby(&self) -> bool {
        self.role() == Some(Role::Standby) && self.status() == Some(Status::Offline) && !self.holds_address()
    }

    /// What a person would look at first: the readable part of the database and the end of the logs.
    #[must_use]
    pub fn story(&self) -> String {
        let status = fs::read(self.var_dir.join("status.dat")).unwrap_or_default();
        let status = String::from_utf8_lossy(&status).into_owned();
        let head: Vec<&str> = status.lines().take_while(|line| *line != "--").collect();
        let mut story =
            format!("== {} (holds the address: {})\n{}\n", self.name, self.holds_address(), head.join("\n"));
        for entry in fs::read_dir(self.home.join("var/log")).into_iter().flatten().flatten() {
            if entry.path().extension().is_none_or(|end| end != "log") {
                continue;
            }
            let text = fs::read(entry.path()).unwrap_or_default();
            let text = String::from_utf8_lossy(&text).into_owned();
            let lines: Vec<&str> = text.lines().collect();
            let end = lines[lines.len().saturating_sub(LOG_LINES)..].join("\n");
            story.push_str(&format!("-- {}\n{end}\n", entry.path().display()));
        }
        story
    }
}

impl HeldAddress {
    fn parse(entry: &Value) -> Self {
        // The kernel's "for ever" is 2^32 - 1 seconds.
        let valid = entry["valid_life_time"].as_u64().filter(|seconds| *seconds < u64::from(u32::MAX));
        Self {
            address: entry["local"].as_str().unwrap_or_default().to_owned(),
            prefix: entry["prefixlen"].as_u64().unwrap_or_default(),
            valid: valid.map(Duration::from_secs),
        }
    }
}
