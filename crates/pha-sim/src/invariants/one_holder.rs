//! One holder of an address.

use super::{Invariant, Since, pairs};
use crate::clock::micros;
use crate::cluster::Cluster;
use crate::fault::name;
use std::time::Duration;

/// The kernel's lateness, and the clocks' faults.
const SLACK: Duration = Duration::from_millis(200);

/// Watches for how long two machines have the address at once.
#[derive(Debug, Default)]
pub struct OneHolder {
    both: Since<(usize, usize)>,
}

impl Invariant for OneHolder {
    fn name(&self) -> &'static str {
        "one_holder"
    }

    fn promise(&self) -> &'static str {
        "Whatever happens to programs and machines, two of them that reach each other never hold a leased address at once \
         for longer than LEASE."
    }

    fn look(&mut self, cluster: &Cluster) -> Result<(), String> {
        for (a, b) in pairs(cluster) {
            let holds = |n: usize| cluster.nodes[n].holds_address() && !is_kept(cluster, n);
            let reach = cluster.network.carries(a, b) && cluster.network.carries(b, a);
            let same_protocol = !cluster.nodes[a].other_protocol && !cluster.nodes[b].other_protocol;
            let both = holds(a) && holds(b) && reach && same_protocol;
            let lasts = self.both.note((a, b), both, cluster.now);
            let s = &cluster.nodes[a].settings;
            let heard = s.heartbeat_interval + s.dead_time;
            if lasts > micros(s.lease + heard + SLACK) {
                return Err(format!("{} and {} have both held the address for {lasts} us", name(a), name(b)));
            }
        }
        Ok(())
    }
}

/// The operator stopped the daemons and left the address up for good; or maintenance, which changes nothing.
fn is_kept(cluster: &Cluster, n: usize) -> bool {
    let node = &cluster.nodes[n];
    let kept = node.addresses().any(|index| node.agents[index].up && node.agents[index].expires.is_none());
    kept || node.record.operator.wishes.maintenance
}
