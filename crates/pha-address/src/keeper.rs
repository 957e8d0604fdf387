//! Puts an address on its device, renews it, announces it, removes it. Each call is done when it returns, within a
//! millisecond on a machine at rest, and forks nothing.
//!
//! What goes wrong is told in one sentence with its remedy. The kernel's state is looked at anew each time: whatever an
//! operator or another program did meanwhile is true.

use std::fs;
use std::io;
use std::time::Duration;

use pha_sys::arp::Announcer;
use pha_sys::clock::boot_time;
use pha_sys::netlink::{Assigned, Link, Netlink};

use crate::place::Place;

/// Whether the address is on its device before a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// With whatever prefix length: nobody need be asked for it.
    Here,
    /// Another machine may have it.
    Absent,
}

/// What comes of a call that puts the address in place.
#[derive(Debug, Default)]
pub struct Taken {
    /// It is in place, and this was wrong all the same.
    pub notes: Vec<String>,
}

/// Cares for one address. Its sockets stay open between calls.
#[derive(Debug)]
pub struct Keeper {
    place: Place,
    netlink: Option<Netlink>,
    announcer: Announcer,
}

impl Keeper {
    /// Nothing is opened yet.
    #[must_use]
    pub fn new(place: Place) -> Self {
        let announcer = Announcer::new(&place.device, place.address);
        Self { place, netlink: None, announcer }
    }

    /// Which address it is.
    #[must_use]
    pub const fn place(&self) -> &Place {
        &self.place
    }

    /// Before a start: whether the address is on the device, which must be up.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn presence(&mut self) -> Result<Presence, String> {
        let (_, found) = self.look_where_up()?;
        Ok(if found.is_empty() { Presence::Absent } else { Presence::Here })
    }

    /// Adds the address, or renews it, with this lifetime, and tells the network.
    ///
    /// # Errors
    /// If it is not in place.
    pub fn take(&mut self, lease: Option<Duration>) -> Result<Taken, String> {
        let mut taken = Taken::default();
        let Place { address, prefix, device } = self.place.clone();
        let (link, _) = self.look_where_up()?;
        if self.keep_secondaries().is_err() && prefix != 32 {
            taken.notes.push(format!(
                "cannot set promote_secondaries of {device}: other addresses of this subnet may go with {address}"
            ));
        }
        self.put(link, lease)?;
        if let Err(error) = self.announcer.announce() {
            taken.notes.push(format!("{address} is up, but could not be announced on {device}: {error}"));
        }
        Ok(taken)
    }

    /// Whether the address is in place on a device that is up; then, with a lease, it is renewed. `since` is the moment, after
    /// boot, of whatever this check rests on: frozen for the lease since then, the peer may have the address.
    ///
    /// # Errors
    /// If it is not in place, or could not be renewed. The sentence is empty if it is simply not there.
    pub fn check(&mut self, lease: Option<Duration>, since: Duration) -> Result<(), String> {
        let Place { address, prefix, device } = self.place.clone();
        let (link, found) = self.look()?;
        if found.is_empty() {
            return Err(String::new());
        }
        if !link.up {
            return Err(format!("{device} is down"));
        }
        if !found.iter().any(|each| each.prefix == prefix) {
            return Err(format!("{address} is on {device}, but not with /{prefix}"));
        }
        let Some(lease) = lease else { return Ok(()) };
        if boot_time().saturating_sub(since) >= lease {
            return Err("was held up for longer than the lease: not renewed".to_owned());
        }
        self.put(link, Some(lease))
    }

    /// Removes the address with whatever prefix length it has. A device that is gone has nothing to remove.
    ///
    /// # Errors
    /// If it is not known to be gone.
    pub fn stop(&mut self) -> Result<(), String> {
        let Place { address, device, .. } = self.place.clone();
        let Some((_, found)) = self.find()? else { return Ok(()) };
        // Where it cannot be set, the start has said so.
        let _ = self.keep_secondaries();
        let mut failure = None;
        for each in found {
            failure = self.ask(|netlink| netlink.remove(each)).err().or(failure);
        }
        // It may have gone by itself meanwhile.
        let gone = failure.is_none() || self.find()?.is_none_or(|(_, found)| found.is_empty());
        match failure {
            Some(error) if !gone => Err(format!("{address} is still on {device}: {error}")),
            Some(_) | None => Ok(()),
        }
    }

    /// Tells the network again.
    ///
    /// # Errors
    /// If nothing was sent.
    pub fn announce(&mut self) -> Result<(), String> {
        let could_not = |error| could_not("announce", &self.place, &error);
        self.announcer.announce().map_err(could_not)
    }

    fn put(&mut self, link: Link, lease: Option<Duration>) -> Result<(), String> {
        let Place { address, prefix, .. } = self.place;
        let assigned = Assigned { index: link.index, address, prefix };
        let put = self.ask(|netlink| netlink.put(assigned, lease.map(whole_seconds)));
        put.map_err(|error| could_not("add", &self.place, &error))
    }

    /// The device, which must be there and up, and the address on it.
    fn look_where_up(&mut self) -> Result<(Link, Vec<Assigned>), String> {
        let (link, found) = self.look()?;
        let device = &self.place.device;
        if link.up { Ok((link, found)) } else { Err(format!("{device} is down: ip link set {device} up")) }
    }

    /// The device, which must be there, and the address on it.
    fn look(&mut self) -> Result<(Link, Vec<Assigned>), String> {
        self.find()?.ok_or_else(|| format!("there is no device {}", self.place.device))
    }

    /// The device, if there is one, and the address on it, once for each prefix length.
    fn find(&mut self) -> Result<Option<(Link, Vec<Assigned>)>, String> {
        let Place { address, device, .. } = self.place.clone();
        let found = self.ask(|netlink| {
            let Some(link) = netlink.link(&device)? else { return Ok(None) };
            let mut found = netlink.addresses(link.index)?;
            found.retain(|each| each.address == address);
            Ok(Some((link, found)))
        });
        found.map_err(|error| format!("cannot look at {device}: {error}"))
    }

    /// A socket on which something went wrong is not used again.
    fn ask<T>(&mut self, question: impl FnOnce(&mut Netlink) -> io::Result<T>) -> io::Result<T> {
        let mut netlink = match self.netlink.take() {
            Some(netlink) => netlink,
            None => Netlink::open()?,
        };
        let answer = question(&mut netlink)?;
        self.netlink = Some(netlink);
        Ok(answer)
    }

    /// Otherwise the kernel takes every other address of a subnet away with its first one, when that is removed or its
    /// lifetime ends.
    fn keep_secondaries(&self) -> io::Result<()> {
        if self.place.address.is_ipv6() {
            return Ok(());
        }
        fs::write(format!("/proc/sys/net/ipv4/conf/{}/promote_secondaries", self.place.device), "1\n")
    }
}

/// A lifetime is in whole seconds, rounded up.
fn whole_seconds(lease: Duration) -> u32 {
    let up = u64::from(lease.subsec_nanos() > 0);
    // The greatest number would be for ever.
    u32::try_from(lease.as_secs() + up).unwrap_or(u32::MAX - 1)
}

/// What was not done, and what may help.
pub(crate) fn could_not(what: &str, place: &Place, error: &io::Error) -> String {
    let denied = error.kind() == io::ErrorKind::PermissionDenied;
    let remedy = if denied { "run it as root" } else { "look at `ip address show`" };
    format!("could not {what} {} on {}: {error}; {remedy}", place.address, place.device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lifetime_is_rounded_up_to_whole_seconds_and_never_to_for_ever() {
        assert_eq!(whole_seconds(Duration::from_millis(9200)), 10);
        assert_eq!(whole_seconds(Duration::from_secs(3)), 3);
        assert_eq!(whole_seconds(Duration::MAX.min(Duration::from_secs(u64::MAX - 1))), u32::MAX - 1);
    }

    #[test]
    fn a_device_that_is_not_there_has_nothing_to_stop_and_cannot_be_started_on() {
        let place = Place { address: [192, 0, 2, 1].into(), prefix: 24, device: "no-such-device".to_owned() };
        let mut keeper = Keeper::new(place);
        assert_eq!(keeper.stop(), Ok(()));
        for refused in [keeper.presence().map(drop), keeper.take(None).map(drop), keeper.check(None, Duration::ZERO)] {
            assert_eq!(refused, Err("there is no device no-such-device".to_owned()));
        }
    }
}
