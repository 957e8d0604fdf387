//! What healthy nodes promise, audited from outside: kernels, processes, files, and what is displayed beside them.
//!
//! Agents run for a moment, and a file is being replaced: a promise counts as broken if it is broken for [`PATIENCE`].

mod shown;
mod traces;

pub(super) use traces::service;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use pha_core::Term;
use pha_sys::lock::LockFile;

use super::allows::LEASE;
use crate::lab::Lab;
use crate::network;
use crate::node::{Node, Program};
use crate::onlookers::Onlookers;

/// What is seen for so long is no passing moment.
const PATIENCE: Duration = Duration::from_secs(5);

/// A daemon may have so many files open beyond the fewest that it was seen with.
const FLUCTUATION: usize = 12;

/// Audits nodes again and again, and remembers what may only grow, and what may not.
#[derive(Debug, Default)]
pub struct Auditor {
    /// The highest term of each node.
    terms: BTreeMap<usize, Term>,
    /// Who was active under which term at the last audit.
    last: Option<(usize, Term)>,
    /// The fewest files that each process was seen with.
    open: BTreeMap<u32, usize>,
}

/// A promise, and how to look whether it is kept on one node.
type Promise = (&'static str, fn(&Node, bool) -> Result<()>);

/// What holds on each healthy node; it is told whether the node is the active one.
const PROMISES: [Promise; 7] = [
    ("no orphan address: a node has its own address, and the active one the kept address with a lifetime", addresses),
    ("no orphan process: a node has its daemons, and the active one its service", traces::processes),
    ("no leaked lock: status.lock can be taken", lock),
    ("no leftover file in var/", traces::files),
    ("the displayed status is what is true", shown::status),
    ("`explain` says in one sentence why a node is what it is", shown::explanation),
    ("every change of role has its reason, and terms only grow", shown::history),
];

impl Auditor {
    /// Audits healthy nodes.
    ///
    /// # Errors
    /// A promise is broken; it says which one and how.
    pub fn audit(&mut self, lab: &Lab, eyes: &Onlookers) -> Result<()> {
        patiently(|| one_active(lab, eyes).map(drop))
            .context("exactly one node has the address, and serves the client")?;
        let active = one_active(lab, eyes)?;
        for node in lab.nodes() {
            for (promise, keeps) in PROMISES {
                patiently(|| keeps(node, node.id() == active)).context(promise)?;
            }
            patiently(|| self.few_files(node)).context("the daemons' open files do not grow")?;
        }
        self.terms_grow(lab, active).context("terms only grow")
    }

    fn few_files(&mut self, node: &Node) -> Result<()> {
        for program in Program::ALL {
            let pid = node.pid(program)?;
            let open = std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
            let fewest = self.open.entry(pid).or_insert(open);
            *fewest = open.min(*fewest);
            ensure!(
                open <= *fewest + FLUCTUATION,
                "{}: {} has {open} open files, once {fewest}",
                node.name(),
                program.name()
            );
        }
        Ok(())
    }

    fn terms_grow(&mut self, lab: &Lab, active: usize) -> Result<()> {
        for node in lab.nodes() {
            let report = node.record().supervise.report.context("no report")?;
            let known = self.terms.insert(node.id(), report.highest_term).unwrap_or(Term::NONE);
            ensure!(report.highest_term >= known, "{}: {known}, then {}", node.name(), report.highest_term);
        }
        let report = lab.node(active).record().supervise.report.context("no report")?;
        let (name, term) = (lab.node(active).name(), report.saying.term);
        if let Some((before, last)) = self.last {
            ensure!(term >= last, "{name} acts under {term}, after {last}");
            ensure!(before == active || term > last, "{name} took over under the term {term} of its predecessor");
        }
        self.last = Some((active, term));
        Ok(())
    }
}

/// Tries until it holds, for [`PATIENCE`].
fn patiently(mut holds: impl FnMut() -> Result<()>) -> Result<()> {
    let began = Instant::now();
    loop {
        match holds() {
            Err(error) if began.elapsed() > PATIENCE => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
            Ok(()) => return Ok(()),
        }
    }
}

fn one_active(lab: &Lab, eyes: &Onlookers) -> Result<usize> {
    let holders = lab.active_nodes();
    ensure!(holders.len() == 1, "the address is held by {holders:?}");
    let answer = eyes.client().answer();
    let name = lab.node(holders[0]).name();
    ensure!(answer.as_deref() == Some(name), "{name} has the address, and {answer:?} answers");
    Ok(holders[0])
}

fn addresses(node: &Node, active: bool) -> Result<()> {
    let own = network::node_address(node.id());
    for held in node.addresses()? {
        let leased = || held.valid.is_some_and(|valid| valid <= LEASE);
        let known = held.address == own || active && held.address == network::VIP && leased();
        ensure!(known, "{}: {held:?}", node.name());
    }
    Ok(())
}

fn lock(node: &Node, _: bool) -> Result<()> {
    let lock = LockFile::try_lock(&node.var_dir().join("status.lock"), 0o600)?;
    ensure!(lock.is_some(), "{}: somebody holds it", node.name());
    Ok(())
}
