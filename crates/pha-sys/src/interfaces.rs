//! Network devices: which one has an address, whether its cable is in, and what its link address is.
//!
//! Each question asks the kernel anew; nothing is remembered. A device that can have no neighbours to be asked
//! (loopback, tunnels, anything that is not like Ethernet) has no link address here.

use std::io;
use std::net::{IpAddr, Ipv6Addr};

use nix::errno::Errno;
use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::net::if_::InterfaceFlags;
use nix::sys::socket::SockaddrStorage;

use crate::socket::Socket;

/// Whether the device that has `address` is up and has a carrier; `None` if no device has it.
///
/// # Errors
/// If the kernel does not answer.
pub fn running(address: IpAddr) -> io::Result<Option<bool>> {
    let entry = getifaddrs()?.find(|entry| ip_address(entry) == Some(address));
    Ok(entry.map(|entry| entry.flags.contains(InterfaceFlags::IFF_UP | InterfaceFlags::IFF_RUNNING)))
}

/// Whether `device` is up and has a carrier; `None` if there is no such device.
///
/// # Errors
/// If the kernel does not answer.
pub fn has_carrier(device: &str) -> io::Result<Option<bool>> {
    let entry = getifaddrs()?.find(|entry| entry.interface_name == device);
    Ok(entry.map(|entry| entry.flags.contains(InterfaceFlags::IFF_UP | InterfaceFlags::IFF_RUNNING)))
}

/// The address from which this machine speaks to `address` on `device`, as the kernel chooses it; `None` if `address` is not
/// in its network, so that it is no neighbour, or is its own. A missing device has none.
///
/// # Errors
/// If the kernel does not answer.
pub(crate) fn neighbour_of(device: &str, address: IpAddr) -> io::Result<Option<IpAddr>> {
    // An error means that there is no way to it.
    let Some(own) = Socket::source(device, address).ok().flatten().filter(|own| *own != address) else {
        return Ok(None);
    };
    let entry = getifaddrs()?.find(|entry| entry.interface_name == device && ip_address(entry) == Some(own));
    let mask = entry.and_then(|entry| entry.netmask.as_ref().and_then(ip));
    Ok(mask.filter(|mask| is_in_network(address, own, *mask)).map(|_| own))
}

/// What has to be known of a device to speak to its neighbours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Device {
    pub(crate) index: u32,
    /// Its Ethernet address; `None` where no neighbour can be asked for an address.
    pub(crate) link_address: Option<[u8; 6]>,
    /// Its link-local IPv6 address, if it has one.
    pub(crate) link_local: Option<Ipv6Addr>,
}

impl Device {
    /// Looks a device up by its name.
    pub(crate) fn find(name: &str) -> io::Result<Self> {
        let mut device = Device { index: nix::net::if_::if_nametoindex(name)?, link_address: None, link_local: None };
        for entry in getifaddrs()?.filter(|entry| entry.interface_name == name) {
            device.link_address = device.link_address.or_else(|| link_address(&entry));
            device.link_local = device.link_local.or_else(|| link_local(&entry));
        }
        Ok(device)
    }
}

/// The Ethernet addresses of all devices of this machine.
pub(crate) fn link_addresses() -> Result<Vec<[u8; 6]>, Errno> {
    Ok(getifaddrs()?.filter_map(|entry| link_address(&entry)).collect())
}

fn ip_address(entry: &InterfaceAddress) -> Option<IpAddr> {
    entry.address.as_ref().and_then(ip)
}

fn ip(address: &SockaddrStorage) -> Option<IpAddr> {
    let four = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
    four.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
}

fn is_in_network(address: IpAddr, own: IpAddr, mask: IpAddr) -> bool {
    masked(own, mask).is_some_and(|network| masked(address, mask) == Some(network))
}

/// The network part; `None` where address and mask are of different families.
fn masked(address: IpAddr, mask: IpAddr) -> Option<u128> {
    match (address, mask) {
        (IpAddr::V4(address), IpAddr::V4(mask)) => Some(u128::from((address & mask).to_bits())),
        (IpAddr::V6(address), IpAddr::V6(mask)) => Some((address & mask).to_bits()),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => None,
    }
}

fn link_address(entry: &InterfaceAddress) -> Option<[u8; 6]> {
    if entry.flags.intersects(InterfaceFlags::IFF_LOOPBACK | InterfaceFlags::IFF_NOARP) {
        return None;
    }
    entry.address.as_ref()?.as_link_addr()?.addr()
}

fn link_local(entry: &InterfaceAddress) -> Option<Ipv6Addr> {
    match ip_address(entry)? {
        IpAddr::V6(address) if address.is_unicast_link_local() => Some(address),
        IpAddr::V6(_) | IpAddr::V4(_) => None,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn loopback_is_running_and_an_unknown_address_is_on_no_device() {
        assert_eq!(running("127.0.0.1".parse().unwrap()).unwrap(), Some(true));
        assert_eq!(running("192.0.2.200".parse().unwrap()).unwrap(), None);
        assert_eq!(running("2001:db8::200".parse().unwrap()).unwrap(), None);
    }

    #[test]
    fn a_device_has_a_carrier_or_is_not_there() {
        assert_eq!(has_carrier("lo").unwrap(), Some(true));
        assert_eq!(has_carrier("no-such-device").unwrap(), None);
    }

    #[test]
    fn only_an_address_in_a_network_of_the_device_can_be_a_neighbour() {
        let neighbour = |device, address: &str| neighbour_of(device, address.parse().unwrap()).unwrap();
        assert_eq!(neighbour("lo", "127.9.9.9"), Some("127.0.0.1".parse().unwrap()));
        for address in ["127.0.0.1", "128.0.0.1", "2001:db8::1", "::2"] {
            assert_eq!(neighbour("lo", address), None);
        }
        assert_eq!(neighbour("no-such-device", "127.9.9.9"), None);
    }

    #[test]
    fn loopback_has_no_neighbours_and_a_missing_device_is_an_error() {
        let device = Device::find("lo").unwrap();
        assert_eq!((device.link_address, device.link_local), (None, None));
        assert!(device.index > 0);
        assert!(Device::find("no-such-device").is_err());
    }
}
