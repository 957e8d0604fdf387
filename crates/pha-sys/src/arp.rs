//! Who has an address on the wire: tell the neighbours, ask the neighbours. ARP for IPv4, neighbour discovery for
//! IPv6, over packet sockets (root or `CAP_NET_RAW`).
//!
//! Both calls speak Ethernet on one device and need no address on it. On a device without neighbours (loopback,
//! tunnels, `NOARP`) there is nobody to tell and nobody to ask, which is no error.
//!
//! A router that answers for others (proxy ARP, some cloud fabrics) answers here like the owner itself. Whoever must
//! not be fooled by that asks the address for an ICMP echo as well (see [`crate::icmp`]).

use std::fs;
use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd as _;
use std::time::Duration;

use crate::clock::boot_time;
use crate::interfaces::{Device, link_addresses};
use crate::packets::{self, LinkAddress};
use crate::poll;
use crate::socket::{FilterStep, Socket};

/// How many times [`answers`] asks.
const PROBES: u32 = 3;

/// Lets only neighbour advertisements through: next header ICMPv6 (58), type 136.
const ADVERTISEMENTS: [FilterStep; 6] =
    [(0x30, 0, 0, 20), (0x15, 0, 3, 58), (0x30, 0, 0, 54), (0x15, 0, 1, 136), (0x06, 0, 0, 0xffff), (0x06, 0, 0, 0)];

/// Tells all neighbours on `device` that `address` is here now, so that they correct what they remember.
///
/// Two gratuitous ARP packets (a request and a reply), or one unsolicited neighbour advertisement. Nobody confirms it,
/// so it should be said again after a while.
///
/// # Errors
/// If there is no such device, it is down, or the permission is missing.
pub fn announce(device: &str, address: IpAddr) -> io::Result<()> {
    let found = Device::find(device)?;
    let Some(mac) = found.link_address else { return Ok(()) };
    match address {
        IpAddr::V4(address) => {
            let socket = Socket::frames(found.index, packets::ARP, &[])?;
            packets::gratuitous_arp(mac, address).iter().try_for_each(|frame| socket.send(frame))
        }
        IpAddr::V6(address) => {
            let socket = Socket::frames(found.index, packets::IPV6, &ADVERTISEMENTS)?;
            socket.send(&packets::unsolicited_advertisement(mac, address, is_router(device)))
        }
    }
}

/// Asks on `device` who has `address`: the link address of the first *other* machine that says so, at once; `None` if
/// none does within `limit`. Blocks for at most `limit`, over which three questions are spread.
///
/// This machine's own answers, through whichever of its devices, do not count. 100 ms are enough for a local network;
/// a limit below the network's delay finds nobody.
///
/// # Errors
/// If there is no such device, it is down, or the permission is missing: then nothing is known about the address.
pub fn answers(device: &str, address: IpAddr, limit: Duration) -> io::Result<Option<LinkAddress>> {
    let found = Device::find(device)?;
    let Some(mac) = found.link_address else { return Ok(None) };
    let (socket, question) = match address {
        IpAddr::V4(address) => (Socket::frames(found.index, packets::ARP, &[])?, packets::arp_probe(mac, address)),
        IpAddr::V6(address) => {
            let socket = Socket::frames(found.index, packets::IPV6, &ADVERTISEMENTS)?;
            (socket, packets::neighbour_solicitation(mac, found.link_local, address))
        }
    };
    let own = link_addresses()?;
    let start = boot_time();
    for probe in 1..=PROBES {
        socket.send(&question)?;
        if let Some(mac) = listen(&socket, address, &own, start + limit * probe / PROBES)? {
            return Ok(Some(mac));
        }
    }
    Ok(None)
}

/// Waits until another machine claims `address`, or the time `until` has come.
fn listen(socket: &Socket, address: IpAddr, own: &[LinkAddress], until: Duration) -> io::Result<Option<LinkAddress>> {
    let mut buffer = [0; 2048];
    loop {
        let left = until.saturating_sub(boot_time());
        if left.is_zero() {
            return Ok(None);
        }
        match socket.receive(&mut buffer) {
            Ok((length, _)) => {
                let claim = claim(&buffer[..length.min(buffer.len())], address);
                if let Some(mac) = claim.filter(|mac| is_unicast(*mac) && !own.contains(mac)) {
                    return Ok(Some(mac));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                poll::wait(&[socket.as_fd()], Some(left))?;
            }
            Err(error) => return Err(error),
        }
    }
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

    const LIMIT: Duration = Duration::from_millis(10);

    #[test]
    fn on_loopback_there_is_nobody_to_tell_and_nobody_to_ask() {
        for address in ["127.0.0.1", "::1"] {
            let address = address.parse().unwrap();
            announce("lo", address).unwrap();
            assert_eq!(answers("lo", address, LIMIT).unwrap(), None);
        }
    }

    #[test]
    fn a_missing_device_is_an_error_and_not_silence() {
        let address = "192.0.2.1".parse().unwrap();
        assert!(announce("no-such-device", address).is_err());
        assert!(answers("no-such-device", address, LIMIT).is_err());
    }

    #[test]
    fn neither_a_group_nor_nobody_is_a_machine() {
        assert!(is_unicast([2, 0, 0, 0, 0, 1]));
        assert!(!is_unicast([0xff; 6]) && !is_unicast([0x33, 0x33, 0, 0, 0, 1]) && !is_unicast([0; 6]));
    }
}
