//! One holder of an address.

use std::collections::BTreeSet;

use super::{Invariant, Since, can_talk, pairs};
use crate::clock::micros;
use crate::cluster::Cluster;
use crate::fault::{Program, name};
use std::time::Duration;

/// The kernel's lateness, and the clocks' faults.
const SLACK: Duration = Duration::from_millis(200);

/// Watches for how long two machines have the address at once.
#[derive(Debug, Default)]
pub struct OneHolder {
    both: Since<(usize, usize)>,
    /// Pairs of holders that became so while they were cut off from each other.
    split: BTreeSet<(usize, usize)>,
}

impl Invariant for OneHolder {
    fn name(&self) -> &'static str {
        "one_holder"
    }

    fn promise(&self) -> &'static str {
        "Whatever happens to programs and machines, two of them that reach each other, and of which one at least is heard, \
         never hold a leased address at once for longer than LEASE + DEADTIME + HEARTBEAT_INT; nor do two that were split and \
         can talk again. Maintenance and `stop`, which keep what is up, are excepted."
    }

    fn look(&mut self, cluster: &Cluster) -> Result<(), String> {
        for (a, b) in pairs(cluster) {
            let holds = |n: usize| cluster.nodes[n].holds_address() && !is_kept(cluster, n);
            let reach = cluster.network.carries(a, b) && cluster.network.carries(b, a);
            let heard = is_heard(cluster, a, b) || is_heard(cluster, b, a);
            let hold = holds(a) && holds(b);
            if !hold {
                self.split.remove(&(a, b));
            } else if !reach {
                self.split.insert((a, b));
            }
            let reach = if self.split.contains(&(a, b)) { can_talk(cluster, a, b) } else { reach };
            let lasts = self.both.note((a, b), hold && reach && heard, cluster.now);
            let s = &cluster.nodes[a].settings;
            let until_heard = s.heartbeat_interval + s.dead_time;
            if lasts > micros(s.lease + until_heard + SLACK) {
                return Err(format!("{} and {} have both held the address for {lasts} us", name(a), name(b)));
            }
        }
        Ok(())
    }
}

/// One's heartbeats go out, and the other's receiver reads them.
fn is_heard(cluster: &Cluster, from: usize, to: usize) -> bool {
    let (from, to) = (&cluster.nodes[from], &cluster.nodes[to]);
    let speaks = from.runs(Program::Sender) && from.sender.stalled_until == 0;
    let hears = to.runs(Program::Receiver) && to.receiver.stalled_until == 0 && to.writable;
    speaks && hears && !from.other_protocol && !to.other_protocol
}

/// The operator stopped the daemons and left the address up for good; or maintenance, which changes nothing.
fn is_kept(cluster: &Cluster, n: usize) -> bool {
    let node = &cluster.nodes[n];
    let kept = node.addresses().any(|index| node.agents[index].up && node.agents[index].expires.is_none());
    kept || node.record.operator.wishes.maintenance
}
