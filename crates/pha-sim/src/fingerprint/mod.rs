//! One number for all that decides how a cluster goes on, so that a search knows where it has been.
//!
//! Two clusters with one fingerprint count as one state. Points in time are taken relative to the machine's own now and in
//! coarse steps, terms relative to the highest, and what no decision looks at (history, counters, error texts, the phase
//! of what comes round for ever) is left out; so a quiet cluster keeps coming back to the same few fingerprints. The
//! core's state is read through its own `Serialize`, and nothing of it can be forgotten: a new field counts until it is
//! named in [`left_out`].
//!
//! Taking two different clusters for one can hide states behind the one that came first, and so miss a violation. It
//! cannot invent one: what is searched are always whole clusters, never fingerprints.

mod serializer;

use pha_core::{BootTime, Term};
use serde::Serialize;

use crate::agents::Agent;
use crate::clock::Micros;
use crate::cluster::Cluster;
use crate::node::Node;

/// Where one step of time ends and the next begins, in milliseconds before or after now; what lies beyond the last is "far".
const STEPS: [u64; 5] = [300, 600, 1200, 3600, 12_000];
/// Terms that lie further back than this many decisions are all the same.
const OLD_TERM: u64 = 2;
/// Of these fields it counts that they hold a moment, not which.
const TIMELESS: [&str; 2] = ["online_since", "doubt_since"];
const MULTIPLIER: u128 = 0x2360_ED05_1FC6_5DA4_4385_DF64_9FCC_F645;

/// Fields that decide nothing, or say again what stands elsewhere, by the type they belong to.
fn left_out(structure: &str) -> &'static [&'static str] {
    match structure {
        "Supervisor" => &[
            "settings",
            "now",
            "wake_by",
            // What was read from the database, which counts itself.
            "outside",
            "preferred_since",
            "announcements",
            "conflict_since",
            "last_conflict",
            "decision_since",
            "history",
            "moves",
            "suspected",
            "peer_releasing",
            "published",
            "next_tick",
            "forgiven",
        ],
        "Resource" => &["settings", "since", "next_check", "last_error", "duration"],
        "Probed" => &["began"],
        "GatewayMonitor" => &["interval", "timeout", "since", "next_round"],
        "Round" => &["sent"],
        "Fitness" => &["unfit_time", "tries"],
        "PeerDetector" => &["settings", "own_config", "link_serials"],
        "PeerReport" => &["liveness_since", "serial", "heard_at", "hears_us", "reply_wanted", "supervise_age", "links"],
        "Saying" => &["config_hash"],
        "Beat" => &["settings", "answered", "next", "copies"],
        "Said" => &["tick"],
        "Heartbeat" => &["serial", "heard", "supervise_age"],
        "Wishes" => &["forgiven"],
        "OfflineWish" | "SwitchoverWish" => &["since"],
        "Handover" => &["wish", "left", "begun"],
        "Progress" => &["remaining"],
        _ => &[],
    }
}

/// The fingerprint of a cluster.
#[must_use]
pub fn fingerprint(cluster: &Cluster) -> u128 {
    let reports = cluster.nodes.iter().filter_map(Node::report);
    let top = reports.map(|report| report.highest_term).max().unwrap_or_default();
    let mut print = Print::new(top);
    for node in &cluster.nodes {
        print.now = node.local(cluster.now);
        print.node(node, cluster.now);
    }
    print.links(cluster);
    print.moment(cluster.now, cluster.now - cluster.audit.two_for(cluster.now));
    print.sum
}

/// What the next integer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    Moment,
    Term,
}

#[derive(Debug)]
struct Print {
    sum: u128,
    now: BootTime,
    top: Term,
    next: Kind,
    /// Moments count as one: that there is one, not when.
    timeless: bool,
}

impl Print {
    const fn new(top: Term) -> Self {
        Self { sum: 0, now: BootTime::ZERO, top, next: Kind::Plain, timeless: false }
    }

    const fn add(&mut self, word: u64) {
        self.sum = (self.sum ^ word as u128).wrapping_add(1).wrapping_mul(MULTIPLIER);
        self.sum ^= self.sum >> 59;
    }

    fn whole(&mut self, part: &impl Serialize) {
        part.serialize(self).expect("a sum takes everything");
    }

    /// The step in which `at` lies, seen from `now`; all in microseconds.
    fn moment(&mut self, now: Micros, at: Micros) {
        let step = |away: Micros| STEPS.partition_point(|ms| ms * 1000 <= away) as u64;
        self.add(if at >= now { 100 + step(at - now) } else { step(now - at) });
    }

    fn node(&mut self, node: &Node, now: Micros) {
        self.whole(&(node.powered, node.writable, node.gateway_answers, node.other_protocol, node.stopping));
        self.moment(now, node.asleep_until.max(now));
        self.whole(&node.record.operator.wishes);
        match &node.supervise.core {
            Some(supervise) => self.whole(&supervise.core),
            None => {
                let report = node.report().map(|report| (report.saying, report.highest_term, report.announce));
                self.whole(&(report, node.record.supervise.tick));
            }
        }
        match &node.receiver.core {
            Some(receiver) => receiver.peers.iter().for_each(|peer| self.whole(&peer.core)),
            None => self.whole(&node.record.receiver.peers),
        }
        self.whole(&node.sender.core.as_ref().map(|sender| &sender.core));
        node.agents.iter().for_each(|agent| self.agent(agent, now));
    }

    fn agent(&mut self, agent: &Agent, now: Micros) {
        self.whole(&(agent.up, agent.start, agent.stop, agent.check, agent.expires.is_some()));
        if let Some(at) = agent.expires {
            self.moment(now, at);
        }
        for running in &agent.running {
            self.whole(&(running.call, running.takes_effect, running.forced, running.lease, running.orphaned));
            self.moment(now, running.ends);
        }
    }

    fn links(&mut self, cluster: &Cluster) {
        let count = cluster.nodes.len();
        for (from, to) in (0..count * count).map(|pair| (pair / count, pair % count)) {
            let network = &cluster.network;
            self.whole(&(network.carries(from, to), network.same_wire(from, to)));
        }
        let mut under_way: Vec<_> = cluster.network.under_way().collect();
        under_way.sort();
        for datagram in under_way {
            self.moment(cluster.now, datagram.due);
            self.whole(&(datagram.from, datagram.to, cluster.codec.decode(&datagram.bytes).ok()));
        }
    }

    fn integer(&mut self, value: u64) {
        match std::mem::replace(&mut self.next, Kind::Plain) {
            Kind::Plain => self.add(value),
            Kind::Moment if self.timeless => {}
            Kind::Moment => self.moment(self.now.as_nanos() / 1000, value / 1000),
            Kind::Term => {
                let behind = self.top.count().saturating_sub(value / 256).min(OLD_TERM);
                self.add(if behind == OLD_TERM { u64::MAX } else { behind * 256 + value % 256 });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::fault::{Fault, Program};

    #[test]
    fn a_quiet_cluster_comes_back_to_few_fingerprints() {
        let mut cluster = Cluster::running();
        cluster.pass(20_000);
        let mut seen = BTreeSet::new();
        for _ in 0..600 {
            cluster.pass(100);
            seen.insert(fingerprint(&cluster));
        }
        assert!(seen.len() <= 32, "{} fingerprints", seen.len());
    }

    #[test]
    fn what_matters_changes_the_fingerprint() {
        let quiet = Cluster::running();
        let changes = [
            Fault::Crash { node: 1 },
            Fault::Kill { node: 0, program: Program::Sender },
            Fault::Gateway { node: 0, answers: false },
            Fault::Maintenance { node: 1, on: true },
            Fault::Cut { from: 0, to: 1, link: None, cut: true },
            Fault::ResourceDies { node: 0, resource: 0 },
        ];
        let mut seen = BTreeSet::from([fingerprint(&quiet)]);
        for change in changes {
            let mut changed = quiet.clone();
            changed.apply(&change);
            assert!(seen.insert(fingerprint(&changed)), "{change}");
        }
    }

    #[test]
    fn the_later_of_two_terms_shows_whatever_came_before() {
        let of = |terms: [u64; 2]| {
            let top = Term::from_value(terms[0].max(terms[1]));
            let mut print = Print::new(top);
            print.whole(&terms.map(Term::from_value));
            print.sum
        };
        assert_eq!(of([511, 766]), of([511 + 7 * 256, 766 + 7 * 256]));
        assert_ne!(of([511, 766]), of([767, 510]));
    }
}
