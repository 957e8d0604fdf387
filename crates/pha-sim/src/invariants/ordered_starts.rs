//! The order of the configuration.

use pha_core::resource::{Call, ResourceSettings};

use super::Invariant;
use crate::cluster::Cluster;
use crate::fault::name;
use crate::happening::Happening;

/// Watches starts as they begin.
#[derive(Debug)]
pub struct OrderedStarts;

impl Invariant for OrderedStarts {
    fn name(&self) -> &'static str {
        "ordered_starts"
    }

    fn promise(&self) -> &'static str {
        "No resource begins to start while another one is being started on that node, but for those of its own group."
    }

    fn happened(&mut self, cluster: &Cluster, happening: &Happening) -> Result<(), String> {
        let Happening::Called { node, resource, call: Call::Start } = happening else { return Ok(()) };
        let (machine, n) = (&cluster.nodes[*node], *node);
        let starts = |running: &crate::agents::Running| running.call == Call::Start && !running.orphaned;
        let others = machine.agents.iter().enumerate().filter(|(_, agent)| agent.running.iter().any(starts));
        let mut beside = others.map(|(other, _)| other).filter(|other| other != resource);
        match beside.find(|other| !share_a_group(&machine.settings.resources, *other, *resource)) {
            Some(other) => Err(format!("{} starts resource {resource} while resource {other} starts", name(n))),
            None => Ok(()),
        }
    }
}

fn share_a_group(resources: &[ResourceSettings], a: usize, b: usize) -> bool {
    resources[a.min(b) + 1..=a.max(b)].iter().all(|resource| resource.beside_previous)
}
