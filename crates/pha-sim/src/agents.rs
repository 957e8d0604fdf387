//! The virtual agents of one node, and what its kernel does with a leased address.

use std::time::Duration;

use fastrand::Rng;
use pha_core::resource::{Call, Outcome};

use crate::clock::{Micros, micros};
use crate::fault::Behaviour;

/// A call takes at least so long.
const QUICK: Micros = 3_000;
/// A built-in check takes so long.
const LOOK: Micros = 300;
/// The kernel may be so late in removing an address.
const KERNEL_LATE: Micros = 50_000;

/// A call under way.
#[derive(Debug, Clone)]
pub(crate) struct Running {
    pub(crate) call: Call,
    pub(crate) began: Micros,
    pub(crate) ends: Micros,
    pub(crate) takes_effect: bool,
    /// How it ends whatever it did.
    pub(crate) forced: Option<Outcome>,
    /// It gives or renews a lease.
    pub(crate) lease: bool,
    /// It need not look for a duplicate.
    pub(crate) sole: bool,
    /// Its supervise is dead: nobody hears of its end.
    pub(crate) orphaned: bool,
}

/// How long calls take that are neither slowed down nor hang.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Takes {
    /// `start`.
    pub start: Micros,
    /// `stop`.
    pub stop: Micros,
    /// Everything else, but for the silence after asking the wire in vain and for built-in checks.
    pub check: Micros,
}

impl Default for Takes {
    fn default() -> Self {
        Self { start: QUICK, stop: QUICK, check: QUICK }
    }
}

impl Takes {
    /// `silence` is how long it takes to ask the wire for an address that nobody has, if nobody has it.
    fn call(self, call: Call, silence: Option<Micros>) -> Micros {
        match call {
            Call::Start | Call::Keep | Call::Restore => self.start,
            Call::Stop => self.stop,
            Call::Probe => silence.unwrap_or(self.check),
            Call::Check | Call::Announce => self.check,
            Call::Watch => LOOK,
        }
    }
}

/// One agent with its resource.
#[derive(Debug, Clone, Default)]
pub struct Agent {
    /// The truth, whatever the agent says.
    pub up: bool,
    /// How it answers `start`.
    pub start: Behaviour,
    /// How it answers `stop`.
    pub stop: Behaviour,
    /// How it answers `check`.
    pub check: Behaviour,
    /// How long it takes.
    pub takes: Takes,
    /// When the kernel takes the address away; `None` is never.
    pub(crate) expires: Option<Micros>,
    pub(crate) running: Vec<Running>,
}

impl Agent {
    /// Sets how it answers a verb.
    pub fn behave(&mut self, call: Call, behaviour: Behaviour) {
        match call {
            Call::Start | Call::Keep | Call::Restore => self.start = behaviour,
            Call::Stop => self.stop = behaviour,
            Call::Check => self.check = behaviour,
            Call::Probe | Call::Announce | Call::Watch => {}
        }
    }

    /// Works as it should.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        [self.start, self.stop, self.check] == [Behaviour::Works; 3]
    }

    fn behaviour(&self, call: Call) -> Behaviour {
        match call {
            Call::Start | Call::Keep | Call::Restore => self.start,
            Call::Stop => self.stop,
            Call::Check => self.check,
            Call::Probe | Call::Announce | Call::Watch => Behaviour::Works,
        }
    }

    /// Begins a call that may last up to `limit`; `slowness` is the most that it takes longer than usual, `silence` how long a
    /// probe takes if nobody has the address.
    pub(crate) fn begin(
        &mut self,
        mut call: Running,
        limit: Duration,
        slowness: Micros,
        silence: Option<Micros>,
        rng: &mut Rng,
    ) {
        let behaviour = self.behaviour(call.call);
        let slowness = if call.call == Call::Watch { 0 } else { rng.u64(0..=slowness) };
        let takes = self.takes.call(call.call, silence) + slowness;
        let limit = micros(limit);
        call.takes_effect = !matches!(behaviour, Behaviour::Fails | Behaviour::Hangs | Behaviour::Lies);
        let hangs = matches!(behaviour, Behaviour::Hangs | Behaviour::WorksAndHangs) || takes > limit;
        call.forced = match behaviour {
            _ if hangs => Some(Outcome::TimedOut),
            Behaviour::Fails => Some(Outcome::Failed),
            Behaviour::Lies => Some(Outcome::Succeeded),
            Behaviour::Works | Behaviour::Hangs | Behaviour::WorksAndHangs => None,
        };
        call.ends = call.began + if hangs { limit } else { takes };
        self.running.push(call);
    }

    /// Ends the call of the living supervise soon; it may have done its work already.
    pub(crate) fn cancel(&mut self, now: Micros, rng: &mut Rng) {
        for running in self.running.iter_mut().filter(|running| !running.orphaned) {
            running.ends = now + 1_000;
            running.takes_effect &= rng.bool();
            running.forced = Some(Outcome::Cancelled);
        }
    }

    /// Supervise died: what only looks dies with it, a start or stop comes to its end.
    pub(crate) fn orphan(&mut self) {
        self.running.retain(|running| matches!(running.call, Call::Start | Call::Stop | Call::Keep | Call::Restore));
        self.running.iter_mut().for_each(|running| running.orphaned = true);
    }

    /// The next supervise ends what an earlier one left running; it may have done its work already.
    pub(crate) fn end_orphans(&mut self, lease: Duration, held: bool, now: Micros, rng: &mut Rng) {
        let orphans: Vec<_> = self.running.extract_if(.., |running| running.orphaned).collect();
        for orphan in orphans {
            if rng.bool() {
                self.finish(&orphan, lease, held, now, rng);
            }
        }
    }

    /// Power off.
    pub(crate) fn lose_power(&mut self) {
        self.up = false;
        self.expires = None;
        self.running.clear();
    }

    /// What a call that ends does to the resource. `held` tells whether another machine holds it as far as this one sees.
    pub(crate) fn finish(
        &mut self,
        call: &Running,
        lease: Duration,
        held: bool,
        now: Micros,
        rng: &mut Rng,
    ) -> Outcome {
        let refuses = held && !self.up && !call.sole && matches!(call.call, Call::Start | Call::Keep | Call::Restore);
        let works = call.takes_effect && !refuses;
        let success = match call.call {
            Call::Start | Call::Keep | Call::Restore | Call::Stop => {
                if works {
                    self.up = call.call != Call::Stop;
                }
                works
            }
            Call::Check | Call::Watch => self.up,
            Call::Probe => held,
            Call::Announce => true,
        };
        if self.up && works && call.lease {
            self.expires = Some(now + micros(lease) + rng.u64(0..KERNEL_LATE));
        } else if works && call.call == Call::Keep {
            self.expires = None;
        }
        call.forced.unwrap_or(if success { Outcome::Succeeded } else { Outcome::Failed })
    }

    /// Somebody else takes it away; true if it was there.
    pub(crate) fn remove(&mut self) -> bool {
        self.expires = None;
        std::mem::take(&mut self.up)
    }

    /// The kernel's turn.
    pub(crate) fn expire(&mut self, now: Micros) {
        if self.expires.is_some_and(|at| now >= at) {
            self.expires = None;
            self.up = false;
        }
    }

    pub(crate) fn next(&self) -> Option<Micros> {
        self.running.iter().map(|running| running.ends).chain(self.expires).min()
    }
}
