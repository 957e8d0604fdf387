//! What the screen and the story show of a node at one moment.

use std::time::Duration;

use pha_core::report::ResourceState;
use pha_core::{Gateway, Role};

use crate::node::{Node, Program};

/// One node at one moment, in words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Snapshot {
    pub(super) name: String,
    /// Some daemon runs.
    pub(super) running: bool,
    pub(super) active: bool,
    pub(super) holds_address: bool,
    pub(super) role: String,
    pub(super) status: String,
    pub(super) reason: String,
    pub(super) term: String,
    pub(super) gateway: String,
    pub(super) resources: Vec<(String, String)>,
}

impl Snapshot {
    pub(super) fn of(node: &Node) -> Self {
        let record = node.record();
        let running = Program::ALL.into_iter().any(|program| !node.pids(program).is_empty());
        let blank =
            Self { name: node.name().to_owned(), holds_address: node.holds_address(), running, ..Self::default() };
        let status = record.status();
        let Some(report) = record.supervise.report.filter(|_| running) else {
            return Self { role: "NOTRUNNING".to_owned(), ..blank };
        };
        Self {
            active: report.role == Role::Active,
            role: report.role.to_string(),
            status: status.map_or_else(|| "undef".to_owned(), |status| status.to_string()),
            reason: report.reason.to_string(),
            term: report.saying.term.to_string(),
            gateway: gateway(report.saying.gateway).to_owned(),
            resources: report.resources.iter().map(|r| (r.name.clone(), state(r.state).to_owned())).collect(),
            ..blank
        }
    }

    /// What is worth an event line if it changes.
    pub(super) fn headline(&self) -> String {
        if !self.running {
            return "not running".to_owned();
        }
        format!("{} {} ({})", self.role, self.status, self.reason)
    }
}

const fn gateway(gateway: Gateway) -> &'static str {
    match gateway {
        Gateway::Off => "not tested",
        Gateway::Testing => "testing",
        Gateway::Reachable => "reachable",
        Gateway::Lost => "LOST",
    }
}

const fn state(state: ResourceState) -> &'static str {
    match state {
        ResourceState::Up => "UP",
        ResourceState::Down => "DOWN",
        ResourceState::Unknown => "unknown",
    }
}

/// Milliseconds, rounded up.
pub(super) fn ms(duration: Duration) -> String {
    format!("{} ms", duration.as_micros().div_ceil(1000))
}
