//! Who has an address on the wire: tell the neighbours, ask the neighbours. ARP for IPv4, neighbour discovery for
//! IPv6, over packet sockets (root or `CAP_NET_RAW`).
//!
//! Both speak Ethernet on one device and need no address on it. Nothing waits here. On a device without neighbours (loopback,
//! tunnels, `NOARP`) there is nobody to tell and nobody to ask, which is no error.
//!
//! A router that answers for others (proxy ARP, some cloud fabrics) answers here like the owner itself. Whoever must
//! not be fooled by that asks the address for an ICMP echo as well (see [`crate::icmp`]).

use std::fs;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd as _, BorrowedFd};

use crate::interfaces::{Device, link_addresses, neighbour_of};
use crate::packets::{self, LinkAddress};
use crate::socket::{FilterStep, Socket};

/// A socket that only sends: lets nothing through.
const NOTHING: [FilterStep; 1] = [(0x06, 0, 0, 0)];

/// Tells all neighbours where an address is. Keeps its socket: to close one costs the kernel some milliseconds.
#[derive(Debug)]
pub struct Announcer {
    device: String,
    address: IpAddr,
    socket: Option<(u32, Socket)>,
}

impl Announcer {
    /// For `address` on `device`; nothing is opened yet.
    #[must_use]
    pub fn new(device: &str, address: IpAddr) -> Self {
        Self { device: device.to_owned(), address, socket: None }
    }

    /// Tells all neighbours that the address is here now, so that they correct what they remember.
    ///
    /// Two gratuitous ARP packets (a request and a reply), or one unsolicited neighbour advertisement. Nobody confirms it,
    /// so it should be said again after a while.
    ///
    /// # Errors
    /// If there is no such device, it is down, or the permission is missing.
    pub fn announce(&mut self) -> io::Result<()> {
        let found = Device::find(&self.device)?;
        let Some(mac) = found.link_address else { return Ok(()) };
        let kept = self.socket.take().filter(|(index, _)| *index == found.index);
        let protocol = if self.address.is_ipv4() { packets::ARP } else { packets::IPV6 };
        let (_, socket) = match kept {
            Some(kept) => self.socket.insert(kept),
            None => self.socket.insert((found.index, Socket::frames(found.index, protocol, &NOTHING)?)),
        };
        match self.address {
            IpAddr::V4(address) => {
                packets::gratuitous_arp(mac, address).iter().try_for_each(|frame| socket.send(frame))
            }
            IpAddr::V6(address) => {
                socket.send(&packets::unsolicited_advertisement(mac, address, is_router(&self.device)))
            }
        }
    }
}

/// Asks on one device who has an address, and hears what *other* machines say. This machine's own answers, through
/// whichever of its devices, do not count.
///
/// Once it knows this machine's own address in that network ([`Asker::look_around`]) it can ask from there: so who has the address
/// learns with each question where to answer (RFC 826), be it that it had tried in vain to find us.
#[derive(Debug)]
pub struct Asker {
    device: String,
    address: IpAddr,
    index: u32,
    socket: Socket,
    /// From nobody.
    question: Vec<u8>,
    /// From this machine's own address.
    signed: Option<Vec<u8>>,
    own: Vec<LinkAddress>,
}

impl Asker {
    /// Hears from now on; `None` where there are no neighbours.
    ///
    /// # Errors
    /// If there is no such device, or the permission is missing: then nothing is known about the address.
    pub fn open(device: &str, address: IpAddr) -> io::Result<Option<Self>> {
        let found = Device::find(device)?;
        let Some(question) = question(&found, None, address) else { return Ok(None) };
        let protocol = if address.is_ipv4() { packets::ARP } else { packets::IPV6 };
        let socket = Socket::frames(found.index, protocol, &claims_of(address))?;
        let (device, index) = (device.to_owned(), found.index);
        Ok(Some(Self { device, address, index, socket, question, signed: None, own: link_addresses()? }))
    }

    /// Forgets what was heard, and asks from now on as the device is now. To open a new one costs more.
    ///
    /// # Errors
    /// If it is another device now, or something is wrong with it: open a new one.
    pub fn refresh(&mut self) -> io::Result<()> {
        let found = Device::find(&self.device)?;
        let question = question(&found, None, self.address).filter(|_| found.index == self.index);
        self.question = question.ok_or_else(|| io::Error::other("it is another device"))?;
        self.signed = None;
        self.own = link_addresses()?;
        self.claimed().map(drop)
    }

    /// Looks up from where this machine speaks to the address now; whether it has an address in that network, so that it is a
    /// neighbour there.
    ///
    /// # Errors
    /// If the device is gone.
    pub fn look_around(&mut self) -> io::Result<bool> {
        self.signed = None;
        if let Some(from) = neighbour_of(&self.device, self.address)? {
            self.signed = question(&Device::find(&self.device)?, Some(from), self.address);
        }
        Ok(self.signed.is_some())
    }

    /// Asks once, as nobody: whoever answers for others may leave that unanswered.
    ///
    /// # Errors
    /// If the device is down or gone: then nothing is known about the address.
    pub fn ask(&self) -> io::Result<()> {
        self.socket.send(&self.question)
    }

    /// Asks once from this machine's own address, if it is a neighbour.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub fn ask_as_neighbour(&self) -> io::Result<()> {
        self.socket.send(self.signed.as_ref().unwrap_or(&self.question))
    }

    /// The link address of the first other machine that has claimed the address since the last call. Never blocks.
    ///
    /// # Errors
    /// If the device went down or is gone.
    pub fn claimed(&self) -> io::Result<Option<LinkAddress>> {
        let mut buffer = [0; 2048];
        let mut first = None;
        loop {
            match self.socket.receive(&mut buffer) {
                Ok((length, _)) => {
                    let claim = claim(&buffer[..length.min(buffer.len())], self.address);
                    first = first.or(claim.filter(|mac| is_unicast(*mac) && !self.own.contains(mac)));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(first),
                Err(error) => return Err(error),
            }
        }
    }

    /// What to poll.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn question(device: &Device, from: Option<IpAddr>, address: IpAddr) -> Option<Vec<u8>> {
    let mac = device.link_address?;
    Some(match (address, from) {
        (IpAddr::V4(address), Some(IpAddr::V4(from))) => packets::arp_question(mac, Some(from), address),
        (IpAddr::V4(address), _) => packets::arp_question(mac, None, address),
        (IpAddr::V6(address), Some(IpAddr::V6(from))) => packets::neighbour_solicitation(mac, Some(from), address),
        (IpAddr::V6(address), _) => packets::neighbour_solicitation(mac, device.link_local, address),
    })
}

/// Lets only through what may claim `address`: ARP with it as sender, or a neighbour advertisement (next header ICMPv6, 58,
/// type 136) for it.
fn claims_of(address: IpAddr) -> Vec<FilterStep> {
    let mut wanted: Vec<(u16, u32, u32)> = Vec::new();
    match address {
        IpAddr::V4(address) => wanted.push((0x20, 28, address.to_bits())),
        IpAddr::V6(address) => {
            wanted.extend([(0x30, 20, 58), (0x30, 54, 136)]);
            let words = address.octets();
            let words = words.chunks_exact(4).map(|word| word.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte)));
            wanted.extend(words.zip([62, 66, 70, 74]).map(|(word, at)| (0x20, at, word)));
        }
    }
    let count = wanted.len();
    let test = |(number, (load, at, value)): (usize, (u16, u32, u32))| {
        // Each failed test jumps over the tests that are left, and over the return of everything.
        let rest = u8::try_from(2 * (count - number) - 1).expect("at most six tests");
        [(load, 0, 0, at), (0x15, 0, rest, value)]
    };
    wanted.into_iter().enumerate().flat_map(test).chain([(0x06, 0, 0, 0xffff), (0x06, 0, 0, 0)]).collect()
}

fn claim(frame: &[u8], address: IpAddr) -> Option<LinkAddress> {
    match address {
        IpAddr::V4(address) => packets::arp_claim(frame, address),
        IpAddr::V6(address) => packets::neighbour_claim(frame, address),
    }
}

/// A machine's address is neither a group's nor nobody's.
fn is_unicast(mac: LinkAddress) -> bool {
    mac[0] & 1 == 0 && mac != [0; 6]
}

/// An advertisement that wrongly says "no router" would make the neighbours drop their routes through this machine.
fn is_router(device: &str) -> bool {
    let path = format!("/proc/sys/net/ipv6/conf/{device}/forwarding");
    fs::read_to_string(path).is_ok_and(|forwarding| forwarding.trim() != "0")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn on_loopback_there_is_nobody_to_tell_and_nobody_to_ask() {
        for address in ["127.0.0.1", "::1"] {
            let address = address.parse().unwrap();
            Announcer::new("lo", address).announce().unwrap();
            assert!(Asker::open("lo", address).unwrap().is_none());
        }
    }

    #[test]
    fn a_missing_device_is_an_error_and_not_silence() {
        let address = "192.0.2.1".parse().unwrap();
        assert!(Announcer::new("no-such-device", address).announce().is_err());
        assert!(Asker::open("no-such-device", address).is_err());
    }

    #[test]
    fn a_failed_test_of_the_filter_jumps_to_its_last_step() {
        for address in ["192.0.2.1", "2001:db8::1"] {
            let filter = claims_of(address.parse().unwrap());
            for (at, (code, _, over, _)) in filter.iter().enumerate().filter(|(_, step)| step.0 == 0x15) {
                assert_eq!(at + 1 + usize::from(*over), filter.len() - 1, "{code:#x}");
            }
        }
    }

    #[test]
    fn neither_a_group_nor_nobody_is_a_machine() {
        assert!(is_unicast([2, 0, 0, 0, 0, 1]));
        assert!(!is_unicast([0xff; 6]) && !is_unicast([0x33, 0x33, 0, 0, 0, 1]) && !is_unicast([0; 6]));
    }
}
