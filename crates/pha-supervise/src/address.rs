//! A kept address without a fork: what `res/ipaddr` does, done by this program itself (the agent's word is `native`).
//!
//! What can be done at once is done when [`Address::start`] returns: check and renewal, stop, announcement, a start that need
//! not ask the wire. A probe, and a start that asks first, go on between the turns of the loop, with a deadline. What is
//! under way ends with this program.
//!
//! It also remembers what it put in place, so that a removal by somebody else can be told from our own and from the end of
//! a lease, which is nobody's deed.

use std::io;
use std::net::IpAddr;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use pha_address::{Answer, DUPLICATE_WINDOW, Keeper, Place, Presence, Prober};
use pha_core::resource::{Call, Outcome};
use pha_sys::netlink::Change;

use crate::runner::Run;

/// How long the wire is asked before an address is put back that somebody else removed: shorter than a peer asks before
/// it takes one over.
const RESTORE_WINDOW: Duration = Duration::from_millis(20);

/// How long a device that went away with the address may take to come back.
const DEVICE_RETURNS: Duration = Duration::from_millis(500);

/// How a call ended, and what there is to say.
pub type Conclusion = (Outcome, String);

/// One address.
#[derive(Debug)]
pub struct Address {
    keeper: Keeper,
    prober: Prober,
    call: Option<Underway>,
    /// Put in place by this program: until when, after boot, the kernel keeps it there.
    placed: Option<Duration>,
}

/// A call between two turns of the loop.
#[derive(Debug, Clone, Copy)]
struct Underway {
    run: Run,
    until: Duration,
    cancelled: bool,
    waits: Waits,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waits {
    /// For the wire.
    Wire,
    /// For its device to be there and up, at most until then.
    Device(Duration),
}

impl Address {
    /// From the agent's arguments.
    ///
    /// # Errors
    /// If they name no address, with what is wrong.
    pub fn new(arguments: &[String]) -> Result<Self, String> {
        let [place, device] = arguments else { return Err("ADDR/PREFIX and DEV are needed".to_owned()) };
        let place = Place::parse(place, device)?;
        let (keeper, prober) = (Keeper::new(place.clone()), Prober::new(place));
        Ok(Self { keeper, prober, call: None, placed: None })
    }

    /// Carries a call out, or begins to. `now` is the time since boot, and that at which the call was decided.
    pub fn start(&mut self, run: Run, now: Duration) -> Option<Conclusion> {
        match run.call {
            Call::Stop => {
                self.placed = None;
                Some(conclude(self.keeper.stop()))
            }
            Call::Check | Call::Watch => Some(self.check(run, now)),
            Call::Announce => Some(conclude(self.keeper.announce())),
            Call::Start | Call::Keep => match self.keeper.presence() {
                Ok(Presence::Absent) if !run.sole => self.ask(run, DUPLICATE_WINDOW, now),
                Ok(_) => Some(self.take(run, now)),
                Err(problem) => Some((Outcome::Failed, problem)),
            },
            Call::Restore => {
                self.wait(run, Waits::Device(now + DEVICE_RETURNS), now);
                self.advance(now)
            }
            Call::Probe => self.ask(run, run.window, now),
        }
    }

    /// The call under way ends with the next turn of the loop.
    pub fn cancel(&mut self) {
        if let Some(call) = &mut self.call {
            call.cancelled = true;
        }
    }

    /// The call under way, if it has ended.
    pub fn advance(&mut self, now: Duration) -> Option<Conclusion> {
        let Underway { run, until, cancelled, waits } = self.call?;
        let concluded = if cancelled {
            Some((Outcome::Cancelled, "cancelled".to_owned()))
        } else if now >= until {
            Some((Outcome::TimedOut, "took longer than its limit".to_owned()))
        } else {
            match waits {
                Waits::Device(until) => self.look_for_device(run, until, now),
                Waits::Wire => self.hear(run, now),
            }
        };
        if concluded.is_some() {
            self.call = None;
            self.prober.cancel();
        }
        concluded
    }

    /// What to poll.
    pub fn fds(&self) -> Vec<BorrowedFd<'_>> {
        self.prober.fds()
    }

    /// When the call under way must be looked at.
    pub fn next_deadline(&self) -> Option<Duration> {
        let call = self.call.as_ref()?;
        let waits = match call.waits {
            _ if call.cancelled => Duration::ZERO,
            Waits::Wire => self.prober.next_deadline().unwrap_or(call.until),
            Waits::Device(until) => until,
        };
        Some(waits.min(call.until))
    }

    /// Whether that change took our address away, and not we ourselves or the kernel at the end of its lease.
    pub fn was_robbed(&mut self, change: &Change, now: Duration) -> bool {
        let gone = match change {
            Change::Removed(removed) => {
                removed.address == self.place().address && removed.prefix == self.place().prefix && self.is_absent()
            }
            Change::Unknown => self.is_absent(),
            Change::Link(_) => false,
        };
        let robbed = gone && self.placed.is_some_and(|until| now < until);
        if gone {
            self.placed = None;
        }
        robbed
    }

    /// Which address it is.
    pub const fn place(&self) -> &Place {
        self.keeper.place()
    }

    /// Its address, for the log.
    pub const fn address(&self) -> IpAddr {
        self.place().address
    }

    /// An address that is on the device by now, put back by ourselves or its remover, is not gone.
    fn is_absent(&mut self) -> bool {
        self.placed.is_some() && self.keeper.presence() != Ok(Presence::Here)
    }

    fn ask(&mut self, run: Run, window: Duration, now: Duration) -> Option<Conclusion> {
        self.prober.begin(window, now);
        let concluded = self.hear(run, now);
        if concluded.is_none() {
            self.wait(run, Waits::Wire, now);
        }
        concluded
    }

    fn wait(&mut self, run: Run, waits: Waits, now: Duration) {
        self.call = Some(Underway { run, until: now + run.limit, cancelled: false, waits });
    }

    fn look_for_device(&mut self, run: Run, until: Duration, now: Duration) -> Option<Conclusion> {
        match self.keeper.presence() {
            Ok(Presence::Here) => Some(self.take(run, now)),
            Ok(Presence::Absent) => self.ask(run, RESTORE_WINDOW, now),
            Err(problem) => (now >= until).then_some((Outcome::Failed, problem)),
        }
    }

    /// What the wire has said so far.
    fn hear(&mut self, run: Run, now: Duration) -> Option<Conclusion> {
        let answer = self.prober.advance(now).transpose()?;
        Some(if run.call == Call::Probe { probed(answer) } else { self.asked(run, answer, now) })
    }

    /// The wire has answered a start.
    fn asked(&mut self, run: Run, answer: io::Result<Answer>, now: Duration) -> Conclusion {
        let Place { address, device, .. } = self.place();
        match answer {
            Ok(Answer::Held(..)) => {
                return (Outcome::Failed, format!("another machine answers for {address} on {device}"));
            }
            Ok(Answer::Silent(_)) => {}
            Err(error) => {
                log::warn!("could not ask on {device} whether another machine has {address}: {error}: going on");
            }
        }
        self.take(run, now)
    }

    fn take(&mut self, run: Run, now: Duration) -> Conclusion {
        match self.keeper.take(run.lease) {
            Ok(taken) => {
                taken.notes.iter().for_each(|problem| log::warn!("{problem}"));
                self.placed = Some(lasts_until(run, now));
                (Outcome::Succeeded, String::new())
            }
            Err(problem) => (Outcome::Failed, problem),
        }
    }

    fn check(&mut self, run: Run, now: Duration) -> Conclusion {
        let found = self.keeper.check(run.lease, now);
        if found.is_ok() && run.lease.is_some() {
            self.placed = Some(lasts_until(run, now));
        }
        conclude(found)
    }
}

fn lasts_until(run: Run, now: Duration) -> Duration {
    run.lease.map_or(Duration::MAX, |lease| now + lease)
}

fn conclude(done: Result<(), String>) -> Conclusion {
    match done {
        Ok(()) => (Outcome::Succeeded, String::new()),
        Err(problem) => (Outcome::Failed, problem),
    }
}

/// `Succeeded` is that another machine has it.
fn probed(answer: io::Result<Answer>) -> Conclusion {
    match answer {
        Ok(Answer::Held(..)) => (Outcome::Succeeded, String::new()),
        Ok(Answer::Silent(_)) => (Outcome::Failed, String::new()),
        Err(error) => (Outcome::Failed, format!("could not ask: {error}")),
    }
}
