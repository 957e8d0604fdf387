//! What a fault allows while it lasts, and what never is allowed.

use std::time::Duration;

/// Default of `LEASE`.
pub(super) const LEASE: Duration = Duration::from_secs(3);

/// Default of `DEADTIME` where an address is the witness.
const DEAD_TIME: Duration = Duration::from_millis(400);

/// Default of `HEARTBEAT_INT`.
const HEARTBEAT: Duration = Duration::from_millis(200);

/// The kernel looks for addresses that have expired up to a quarter of a second late.
const KERNEL: Duration = Duration::from_millis(250);

/// How much later than promised a busy machine may make anything.
const BUSY: Duration = Duration::from_secs(3);

/// Two nodes that reach each other never hold the address at once for longer, whatever happens.
pub(super) const TWO_HOLDERS: Duration =
    LEASE.saturating_add(DEAD_TIME).saturating_add(HEARTBEAT).saturating_add(KERNEL);

/// What may happen to the service while a fault lasts; each one allows what those before it allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Service {
    /// Nothing: it stays where it is and is served all the time.
    Stays,
    /// The resource is restarted or put back in its place, or another node takes over.
    Moves,
    /// Nobody serves while the fault lasts, and as long again as a node needs to be sure.
    Rests,
}

/// What a fault allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Allows {
    /// What may become of the service.
    pub service: Service,
    /// The nodes cannot reach each other: each may hold the address.
    pub apart: bool,
}

impl Allows {
    pub(super) const STAYS: Self = Self { service: Service::Stays, apart: false };
    pub(super) const MOVES: Self = Self { service: Service::Moves, apart: false };
    pub(super) const RESTS: Self = Self { service: Service::Rests, apart: false };

    /// As this, and the nodes cannot reach each other.
    pub(super) const fn apart(self) -> Self {
        Self { apart: true, ..self }
    }

    /// Of two faults at once. What each alone leaves in place or moves, both together may end: a node that is deaf does not
    /// take over from one that dies.
    pub(super) fn and(self, other: Self) -> Self {
        Self { service: Service::Rests, apart: self.apart || other.apart }
    }

    /// The longest time without an answer for the client, of a fault that lasts so long.
    pub(super) fn outage(self, lasts: Duration) -> Duration {
        match self.service {
            Service::Stays => BUSY,
            // The longest way to a takeover is the end of a lease, beside scripts that reach their limits and are killed.
            Service::Moves => LEASE + DEAD_TIME + KERNEL + BUSY + SCRIPTS,
            Service::Rests => lasts + LEASE + DEAD_TIME + KERNEL + BUSY + 2 * SCRIPTS,
        }
    }
}

/// Start, stop and check of the resource that hangs: a second each, and two more until they are killed.
const SCRIPTS: Duration = Duration::from_secs(9);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_faults_at_once_allow_at_least_what_each_allows() {
        let lasts = Duration::from_secs(2);
        let all = [Allows::STAYS, Allows::MOVES, Allows::RESTS, Allows::MOVES.apart()];
        for (one, other) in all.iter().flat_map(|one| all.iter().map(move |other| (*one, *other))) {
            let both = one.and(other);
            assert!(both.service >= one.service.max(other.service) && both.apart == (one.apart || other.apart));
            assert!(both.outage(lasts) >= one.outage(lasts).max(other.outage(lasts)));
        }
    }
}
