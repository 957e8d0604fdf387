//! What must hold after every step of the search.

use std::time::Duration;

use pha_core::{Role, Term};

use crate::clock::{Micros, micros};
use crate::cluster::Cluster;
use crate::fault::name;
use crate::invariants::{self, Invariant};
use crate::node::Node;

/// No PROGRESS lasts longer than all calls of the plan with their limits.
const LONGEST_PLAN: Duration = Duration::from_secs(34);

/// What must hold after every step.
pub(super) struct Watch {
    invariants: Vec<Box<dyn Invariant>>,
    seen: usize,
    /// The term that each node last acted under.
    acted: [Term; 2],
    /// The first promise that was broken.
    pub(super) broken: Option<String>,
    two_holders: Micros,
}

impl Watch {
    /// Watches `c` from now on.
    pub(super) fn new(c: &Cluster, two_holders: Duration) -> Self {
        let acted = [0, 1].map(|n| acts_under(&c.nodes[n]).unwrap_or_default());
        Self {
            invariants: invariants::without_memory(),
            seen: c.happened.len(),
            acted,
            broken: None,
            two_holders: micros(two_holders),
        }
    }

    pub(super) fn look(&mut self, c: &Cluster) {
        if self.broken.is_none() {
            self.broken = self.judge(c).err();
        }
    }

    fn judge(&mut self, c: &Cluster) -> Result<(), String> {
        let news = &c.happened[self.seen..];
        self.seen = c.happened.len();
        invariants::judge(&mut self.invariants, c, news)
            .map_err(|(promise, how)| format!("{promise} broken: {how}"))?;
        self.judge_holders(c)?;
        self.judge_terms(c)
    }

    fn judge_holders(&self, c: &Cluster) -> Result<(), String> {
        let asked = c.nodes.iter().any(|node| node.record.operator.wishes.maintenance);
        let bound = self.two_holders;
        if !asked && c.audit.two_for(c.now) > bound {
            let ms = bound / 1000;
            return Err(format!("two nodes on one network hold the address for longer than {ms} ms"));
        }
        Ok(())
    }

    fn judge_terms(&mut self, c: &Cluster) -> Result<(), String> {
        let [one, two] = [0, 1].map(|n| c.nodes[n].term());
        if one == two && one != Term::NONE {
            return Err(format!("two nodes act under term {one}"));
        }
        for (n, node) in c.nodes.iter().enumerate() {
            if let Some(term) = acts_under(node)
                && term < std::mem::replace(&mut self.acted[n], term)
            {
                return Err(format!("{} acts under an earlier term than before", name(n)));
            }
            let progress = node.report().and_then(|report| report.progress_until);
            if progress.is_some_and(|until| until.since(node.local(c.now)) > LONGEST_PLAN) {
                return Err(format!("{} announces a PROGRESS that no plan takes", name(n)));
            }
        }
        Ok(())
    }

    pub(super) fn pass(&mut self, c: &mut Cluster, until: Micros) {
        while c.step(until) {
            self.look(c);
        }
    }
}

fn acts_under(node: &Node) -> Option<Term> {
    (node.role() == Role::Active).then(|| node.term())
}
