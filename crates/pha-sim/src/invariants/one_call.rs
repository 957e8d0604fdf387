//! One call at a time.

use super::Invariant;
use crate::cluster::Cluster;
use crate::fault::name;

/// Watches the calls that run.
#[derive(Debug)]
pub struct OneCall;

impl Invariant for OneCall {
    fn name(&self) -> &'static str {
        "one_call"
    }

    fn promise(&self) -> &'static str {
        "No two calls of one resource run at once on one node."
    }

    fn look(&mut self, cluster: &Cluster) -> Result<(), String> {
        for (n, node) in cluster.nodes.iter().enumerate() {
            for (resource, agent) in node.agents.iter().enumerate() {
                if agent.running.len() > 1 {
                    let calls: Vec<_> = agent.running.iter().map(|running| running.call.verb()).collect();
                    return Err(format!("{} of resource {resource} run at once on {}", calls.join(" and "), name(n)));
                }
            }
        }
        Ok(())
    }
}
