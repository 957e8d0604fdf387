//! The table of faults. Each says how it begins, which returns how it is undone, how long it lasts, and what it allows.
//!
//! Programs that a fault has ended are started again by whoever plays it, as init would: nothing here does it.

mod agents;
mod database;
mod input;
mod programs;
mod wire;

use std::time::Duration;

use anyhow::Result;

use super::allows::Allows;
use crate::command;
use crate::lab::Lab;
use crate::network;
use crate::node::{Disk, Node};

/// The resource of the agent `fault`.
pub(super) const RESOURCE: &str = "demo";

/// What a fault spoils. Two at once are never of the same kind: one would undo the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// What is between the nodes.
    Wire,
    /// Programs, or the machine with them.
    Programs,
    /// Resources and their agents.
    Agents,
    /// What lies in `var/`: the disk, the database, the operator's wishes in it.
    Database,
    /// What comes from outside: datagrams, configuration, names.
    Input,
    /// It keeps everything that writes from ending, or commands from being heard, so that nothing else could be undone.
    Alone,
}

/// What a fault needs of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Needs {
    /// Nothing that a lab does not need.
    Nothing,
    /// `nft`.
    Packets,
    /// A file system in a file, which can be frozen.
    Freezing,
    /// `prlimit`.
    Limits,
}

/// Where a fault takes place.
pub(super) struct Scene<'a> {
    pub lab: &'a Lab,
    /// Whom it befalls.
    pub node: &'a Node,
    /// A standby, or the active node if `node` stands by.
    pub other: &'a Node,
    /// The nodes' disks, lb1's first.
    pub disks: &'a [Disk],
    pub chance: u64,
}

/// What a case allows depends on this.
#[derive(Debug, Clone, Copy)]
pub(super) struct Case {
    /// It befalls the active node.
    pub active: bool,
    pub lasts: Duration,
    pub chance: u64,
}

/// Ends a fault.
pub(super) type Undo<'a> = Box<dyn FnOnce() -> Result<()> + 'a>;

/// A fault.
pub(super) struct Fault {
    pub name: &'static str,
    /// What happens, in one line.
    pub what: &'static str,
    pub kind: Kind,
    pub needs: Needs,
    /// Milliseconds, at least and at most.
    pub lasts: (u64, u64),
    pub allows: fn(Case) -> Allows,
    pub begin: for<'a> fn(&Scene<'a>) -> Result<Undo<'a>>,
}

impl std::fmt::Debug for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl Fault {
    /// Whether both can befall the nodes at once.
    pub(super) fn goes_with(&self, other: &Self) -> bool {
        self.kind != other.kind && self.kind != Kind::Alone && other.kind != Kind::Alone
    }
}

/// Every fault, by kind.
pub(super) fn all() -> Vec<&'static Fault> {
    [wire::FAULTS, programs::FAULTS, agents::FAULTS, database::FAULTS, input::FAULTS].into_iter().flatten().collect()
}

/// What is not in the table, and why.
const LEFT_OUT: [(&str, &str); 2] = [
    (
        "clock",
        "the clock of the machine is not for a test to set, and no namespace has one of its own (time_namespaces(7))",
    ),
    (
        "reordering",
        "it needs a kernel with netem; random schedules reorder (`bin/prove`), and so do the tests of pha-wire",
    ),
];

/// What may befall: nothing at all on a standby, on the active node whatever `service` is.
const fn if_active(case: Case, active: Allows) -> Allows {
    if case.active { active } else { Allows::STAYS }
}

/// The names of all.
pub(super) fn names() -> Vec<&'static str> {
    all().into_iter().map(|fault| fault.name).collect()
}

/// The faults called `only`, or all, that this machine can make; and what cannot be, with the reason.
pub(super) fn possible(only: &[String]) -> (Vec<&'static Fault>, Vec<String>) {
    let (packets, frozen) = (network::can_drop(), Disk::can_freeze());
    let reason = |fault: &Fault| match fault.needs {
        Needs::Nothing => None,
        Needs::Packets => packets.as_ref().err().map(|reason| format!("{reason:#}")),
        Needs::Freezing => frozen.as_ref().err().map(|reason| format!("{reason:#}")),
        Needs::Limits => (!command::exists("prlimit")).then(|| "`prlimit` is not installed".to_owned()),
    };
    let wanted = all().into_iter().filter(|fault| only.is_empty() || only.iter().any(|name| name == fault.name));
    let (can, cannot): (Vec<_>, Vec<_>) = wanted.map(|fault| (fault, reason(fault))).partition(|(_, r)| r.is_none());
    let lines = cannot.into_iter().map(|(fault, reason)| format!("{}: {}", fault.name, reason.unwrap_or_default()));
    (can.into_iter().map(|(fault, _)| fault).collect(), lines.collect())
}

/// The table as text.
pub(super) fn list() -> String {
    let row = |fault: &Fault| {
        let (least, most) = fault.lasts;
        let lasts = format!("{:.1}–{:.1} s", least as f64 / 1000.0, most as f64 / 1000.0);
        format!("{:<16} {lasts:<12} {}\n", fault.name, fault.what)
    };
    let without = LEFT_OUT.iter().map(|(name, why)| format!("{name:<16} {:<12} {why}\n", "left out"));
    all().into_iter().map(row).chain(without).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_fault_has_a_name_of_its_own_and_ends() {
        let names: BTreeSet<_> = names().into_iter().collect();
        assert_eq!(names.len(), all().len());
        for fault in all() {
            assert!(fault.lasts.0 <= fault.lasts.1 && fault.lasts.1 <= 10_000, "{}", fault.name);
            assert!(list().lines().any(|line| line.starts_with(fault.name) && line.ends_with(fault.what)));
        }
    }

    #[test]
    fn the_one_that_is_wanted_is_played_and_no_other() {
        let (faults, left_out) = possible(&["crash".to_owned()]);
        assert_eq!((faults.len(), faults[0].name, left_out.len()), (1, "crash", 0));
    }
}
