//! Asks the wire whether another machine has an address: one probe is a burst of questions, spread over a window.
//!
//! ```text
//!   asking ──claimed, and the machine behind it answers an echo──▶ Held
//!      │ window over: nobody claimed it                        ──▶ Silent
//!      └ window over, and half of it since the first claim     ──▶ Silent: a router or fabric answers for a dead machine
//! ```
//!
//! A router that answers ARP for hosts that are down must not hold up a takeover, so a claim counts only with an echo. The
//! echoes go out with the questions: an answer to any question completes the kernel's neighbour entry that they wait for, and
//! a question that arrives completes the one that the answer to an echo needs. Where no echo can be sent from here, the first
//! claim counts alone. Fifteen questions: where three of ten datagrams are lost, half of the rounds fail, and all of them once
//! in 24 000 probes.
//!
//! Nothing waits here: whoever drives it polls [`Prober::fds`] until [`Prober::next_deadline`].

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use pha_sys::Way;
use pha_sys::arp::Asker;
use pha_sys::icmp::Pinger;

use crate::place::Place;

/// Questions in one window.
const QUESTIONS: u32 = 15;
/// They are not closer than this, however short the window.
const CLOSEST: Duration = Duration::from_micros(250);

/// An Ethernet address.
pub type LinkAddress = [u8; 6];

/// What a probe found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Another machine has the address; the text says why no echo could be tried, if none could.
    Held(LinkAddress, Option<String>),
    /// Nobody claims it; or the one who does has no machine behind it.
    Silent(Option<LinkAddress>),
}

/// Its sockets stay open between probes.
#[derive(Debug)]
pub struct Prober {
    place: Place,
    tools: Option<Tools>,
    burst: Option<Burst>,
}

/// The sockets; of their device as long as nothing goes wrong with it.
#[derive(Debug)]
struct Tools {
    /// `None` on a device without neighbours.
    asker: Option<Asker>,
    /// Or why there can be none.
    pinger: Result<Pinger, String>,
}

#[derive(Debug)]
struct Burst {
    until: Duration,
    window: Duration,
    next: Duration,
    sequence: u16,
    /// Questions that the device took.
    asked: u32,
    /// Why the last one could not be sent: a full queue takes the next.
    unasked: Option<io::Error>,
    claimed: Option<LinkAddress>,
    echo_sent: bool,
    answered: bool,
    /// Why the last echo could not be sent.
    no_echo: Option<String>,
}

impl Prober {
    /// Nothing is opened yet.
    #[must_use]
    pub const fn new(place: Place) -> Self {
        Self { place, tools: None, burst: None }
    }

    /// Begins a probe; one that is under way is forgotten. `now` is the time since boot, here and below.
    pub fn begin(&mut self, window: Duration, now: Duration) {
        // What came between two probes says nothing about now, and the device may be another.
        self.tools = self.tools.take().and_then(|tools| tools.refreshed(&self.place).ok());
        self.burst = Some(Burst {
            until: now + window,
            window,
            next: now,
            sequence: 0,
            asked: 0,
            unasked: None,
            claimed: None,
            echo_sent: false,
            answered: false,
            no_echo: None,
        });
    }

    /// Forgets a probe.
    pub fn cancel(&mut self) {
        self.burst = None;
    }

    /// Does what is due; the answer, once there is one.
    ///
    /// # Errors
    /// If it could not be asked, so that nothing is known: the probe has ended.
    pub fn advance(&mut self, now: Duration) -> io::Result<Option<Answer>> {
        let Some(mut burst) = self.burst.take() else { return Ok(None) };
        let mut tools = match self.tools.take() {
            Some(tools) => tools,
            None => Tools::open(&self.place)?,
        };
        let answer = burst.advance(&mut tools, &self.place, now)?;
        self.tools = Some(tools);
        if answer.is_none() {
            self.burst = Some(burst);
        }
        Ok(answer)
    }

    /// What to poll while a probe is under way.
    #[must_use]
    pub fn fds(&self) -> Vec<BorrowedFd<'_>> {
        let Some(tools) = self.tools.as_ref().filter(|_| self.burst.is_some()) else { return Vec::new() };
        let pings = tools.pinger.iter().flat_map(Pinger::fds);
        tools.asker.iter().map(Asker::fd).chain(pings).collect()
    }

    /// When it must be looked at, while a probe is under way.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        self.burst.as_ref().map(|burst| burst.next.min(burst.until))
    }
}

impl Tools {
    fn open(place: &Place) -> io::Result<Self> {
        let asker = Asker::open(&place.device, place.address)?;
        Ok(Self { asker, pinger: open_pinger(place) })
    }

    fn refreshed(mut self, place: &Place) -> io::Result<Self> {
        if let Some(asker) = &mut self.asker {
            asker.refresh()?;
        }
        match &mut self.pinger {
            Ok(pinger) => drop(pinger.receive()),
            Err(_) => self.pinger = open_pinger(place),
        }
        Ok(self)
    }
}

fn open_pinger(place: &Place) -> Result<Pinger, String> {
    Pinger::on_device(&place.device).map_err(|error| error.to_string())
}

impl Burst {
    fn advance(&mut self, tools: &mut Tools, place: &Place, now: Duration) -> io::Result<Option<Answer>> {
        let Some(asker) = &mut tools.asker else { return Ok(Some(Answer::Silent(None))) };
        // Read also when it is known: what is left there would wake us for ever.
        if let Some(mac) = asker.claimed()?
            && self.claimed.is_none()
        {
            self.claimed = Some(mac);
            self.until = self.until.max(now + self.window / 2);
        }
        // Whoever was held up asks all the same, and hears the last answer: one lost datagram is no silence.
        let spacing = (self.window / QUESTIONS).max(CLOSEST);
        if now >= self.next && (now < self.until || u32::from(self.sequence) < QUESTIONS) {
            let was_away = now >= self.next + self.window;
            if (self.sequence == 0 || was_away) && !asker.look_around().unwrap_or(false) {
                // The kernel would send it with some other address of ours, and the answer would go astray.
                tools.pinger = Err(format!("no address of ours on {} is in its network", place.device));
                self.echo_sent = false;
            }
            self.echo(&mut tools.pinger, place);
            // A claim without an echo counts only where none can be sent: then nobody may answer for another.
            match if self.echo_sent { asker.ask_as_neighbour() } else { asker.ask() } {
                Ok(()) => self.asked += 1,
                Err(error) => self.unasked = Some(error),
            }
            self.next = now + spacing;
            self.until = self.until.max(self.next);
        }
        let echoes = tools.pinger.as_mut().map(|pinger| pinger.receive()).unwrap_or_default();
        self.answered |= echoes.iter().any(|(from, _)| *from == place.address);
        Ok(match (self.claimed, &self.no_echo) {
            (Some(mac), _) if self.answered => Some(Answer::Held(mac, None)),
            (Some(mac), Some(reason)) if !self.echo_sent => Some(Answer::Held(mac, Some(reason.clone()))),
            (None, _) if self.is_over(now) && self.asked == 0 => {
                return self.unasked.take().map_or(Ok(Some(Answer::Silent(None))), Err);
            }
            (claimed, _) if self.is_over(now) => Some(Answer::Silent(claimed)),
            _ => None,
        })
    }

    fn is_over(&self, now: Duration) -> bool {
        now >= self.until && u32::from(self.sequence) >= QUESTIONS
    }

    /// Sends an echo, unless it is known that none can be.
    fn echo(&mut self, pinger: &mut Result<Pinger, String>, place: &Place) {
        self.sequence = self.sequence.wrapping_add(1);
        match pinger
            .as_mut()
            .map_err(|reason| reason.clone())
            .map(|pinger| pinger.send(place.address, self.sequence, Way::Unproven))
        {
            Ok(Ok(())) => self.echo_sent = true,
            // A later one may fail because the first found nobody.
            Ok(Err(error)) => self.no_echo = Some(error.to_string()),
            Err(reason) => self.no_echo = Some(reason),
        }
    }
}
