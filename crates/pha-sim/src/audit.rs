//! Who has the address, seen from outside: for how long two machines on one network had it, and for how long nobody.

use crate::clock::Micros;
use crate::network::Network;
use crate::node::Node;

/// A condition that comes and goes.
#[derive(Debug, Clone, Copy, Default)]
struct Span {
    since: Option<Micros>,
    longest: Micros,
}

impl Span {
    fn note(&mut self, holds: bool, now: Micros) {
        self.since = if holds { self.since.or(Some(now)) } else { self.since.and_then(|since| self.end(since, now)) };
        self.longest = self.longest.max(self.lasts(now));
    }

    fn end(&mut self, since: Micros, now: Micros) -> Option<Micros> {
        self.longest = self.longest.max(now - since);
        None
    }

    fn lasts(&self, now: Micros) -> Micros {
        self.since.map_or(0, |since| now - since)
    }
}

/// The audit. All times in microseconds of the simulation.
#[derive(Debug, Clone, Default)]
pub struct Audit {
    two: Span,
    apart: Span,
    none: Span,
}

impl Audit {
    pub(crate) fn look(&mut self, nodes: &[Node], network: &Network, now: Micros) {
        let holders: Vec<usize> = (0..nodes.len()).filter(|n| nodes[*n].holds_address()).collect();
        let together = holders.iter().enumerate().any(|(i, a)| holders[..i].iter().any(|b| network.same_wire(*a, *b)));
        self.two.note(together, now);
        self.apart.note(holders.len() > 1 && !together, now);
        self.none.note(holders.is_empty(), now);
    }

    /// The longest time since the last reset in which two machines on one network had the address.
    #[must_use]
    pub const fn two(&self) -> Micros {
        self.two.longest
    }

    /// The same for machines that are cut off from each other.
    #[must_use]
    pub const fn two_apart(&self) -> Micros {
        self.apart.longest
    }

    /// The longest time in which nobody had the address.
    #[must_use]
    pub const fn none(&self) -> Micros {
        self.none.longest
    }

    /// For how long two have had it until now.
    #[must_use]
    pub fn two_for(&self, now: Micros) -> Micros {
        self.two.lasts(now)
    }

    /// Begins to count anew; what lasts is counted from now on.
    pub fn reset(&mut self) {
        *self = Self::default();
    }
}
