//! A held resource stays.

use pha_core::resource::Call;

use super::Invariant;
use crate::cluster::Cluster;
use crate::fault::name;
use crate::happening::Happening;

/// Watches starts of held resources.
#[derive(Debug)]
pub struct HeldStays;

impl Invariant for HeldStays {
    fn name(&self) -> &'static str {
        "held_stays"
    }

    fn promise(&self) -> &'static str {
        "A resource that `res stop` holds is not started on that node once its supervise knows."
    }

    fn happened(&mut self, cluster: &Cluster, happening: &Happening) -> Result<(), String> {
        let Happening::Called { node, resource, call: Call::Start } = happening else { return Ok(()) };
        let Some(supervise) = &cluster.nodes[*node].supervise.core else { return Ok(()) };
        let resource = &cluster.nodes[*node].settings.resources[*resource].name;
        if supervise.outside.wishes.held.contains(resource) {
            return Err(format!("{resource} is started on {} although it is held", name(*node)));
        }
        Ok(())
    }
}
