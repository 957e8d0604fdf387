//! The nodes that faults befall, who looks on, and what the audit remembers.

use std::time::Duration;

use anyhow::{Context, Result};
use pha_core::report::SuperviseReport;

use super::audit::Auditor;
use super::healthy;
use crate::lab::Lab;
use crate::node::{Disk, Node, Program};
use crate::onlookers::Onlookers;

/// KiB of a disk that only can be full: logs and traces have room on it.
const SMALL: u32 = 32 << 10;

/// Shorter than the calm after a step, so that by then the client knows what became of its requests.
const CLIENT_PATIENCE: Duration = Duration::from_millis(250);

/// Nodes that run. Fields are dropped in their order: the disks go when nobody writes to them any more.
pub(super) struct Stage {
    pub(super) eyes: Onlookers,
    pub(super) auditor: Auditor,
    pub(super) lab: Lab,
    pub(super) disks: Vec<Disk>,
    /// Who was active when the nodes were last healthy.
    pub(super) active: usize,
}

impl Stage {
    /// Builds so many nodes, starts them, and waits until they are healthy.
    pub(super) fn set(nodes: usize) -> Result<Self> {
        let lab = Lab::new(super::lab_options(nodes))?;
        let frozen = Disk::can_freeze().is_ok();
        let disk = |node: &Node| if frozen { node.own_disk() } else { node.small_disk(SMALL) };
        let disks = lab.nodes().iter().map(disk).collect::<Result<Vec<_>>>()?;
        lab.start_all()?;
        let eyes = Onlookers::with(&lab, lab.client_with(CLIENT_PATIENCE)?)?;
        let active = healthy::wait(&lab, &eyes, || Ok(())).with_context(|| lab.story())?;
        Ok(Self { eyes, auditor: Auditor::default(), lab, disks, active })
    }

    /// Whatever does not run is started, as init would. What a fault has left to an operator is done as by one: failures are
    /// forgiven, and wishes that outlasted their fault are taken back.
    pub(super) fn mend(&self) -> Result<()> {
        for node in self.lab.nodes() {
            if Program::ALL.iter().any(|program| node.pids(*program).is_empty()) {
                node.start()?;
            }
            let record = node.record();
            let failed = |report: SuperviseReport| {
                !report.saying.fit || report.resources.iter().any(|resource| resource.failures > 0)
            };
            if record.operator.wishes.offline.is_some() || record.supervise.report.is_some_and(failed) {
                node.order(&["online"])?;
            }
            if !record.operator.wishes.held.is_empty() {
                node.cli(&["res", "start"])?;
            }
        }
        Ok(())
    }
}
