//! The addresses of network devices, through rtnetlink: look, add with a lifetime, renew, remove, and hear what others do.
//! The only file that names the `netlink` crates.
//!
//! The kernel carries a request out while it is being sent, so that its answer waits as soon as the call returns; what does
//! not come within `PATIENCE` is an error. Nothing is remembered here between two questions.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::Duration;

use netlink_packet_core::{
    DecodeError, NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkDeserializable,
    NetlinkHeader, NetlinkMessage, NetlinkPayload, Parseable as _,
};
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage, AddressScope, CacheInfo};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkHeader, LinkMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use nix::errno::Errno;
use nix::libc;

use crate::clock::boot_time;
use crate::poll;

/// The longest wait for one answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// A lifetime that does not end.
const FOREVER: u32 = u32::MAX;

/// The groups that an [`AddressWatch`] listens to.
const GROUPS: [u32; 3] = [libc::RTNLGRP_LINK, libc::RTNLGRP_IPV4_IFADDR, libc::RTNLGRP_IPV6_IFADDR];

/// A device as the kernel shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// Its number, which a device of the same name that is made later does not have.
    pub index: u32,
    /// It is up, with or without a carrier.
    pub up: bool,
}

/// An address on a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Assigned {
    /// Number of the device.
    pub index: u32,
    /// The address.
    pub address: IpAddr,
    /// Its prefix length.
    pub prefix: u8,
}

/// Asks the kernel and tells it what to do.
pub struct Netlink {
    socket: Socket,
    sequence: u32,
}

impl Netlink {
    /// Needs no permission; changing something does.
    ///
    /// # Errors
    /// If there is no netlink, or no descriptor left.
    pub fn open() -> io::Result<Self> {
        let socket = new_socket(&[])?;
        // Then a list may be of one device only. Older kernels send all, and what is foreign is left out below.
        let _ = socket.set_netlink_get_strict_chk(true);
        Ok(Self { socket, sequence: 0 })
    }

    /// The device called `name`; `None` if there is none.
    ///
    /// # Errors
    /// If the kernel does not answer.
    pub fn link(&mut self, name: &str) -> io::Result<Option<Link>> {
        let mut question = LinkMessage::default();
        question.attributes.push(LinkAttribute::IfName(name.to_owned()));
        let mut found = None;
        let asked = self.request(RouteNetlinkMessage::GetLink(question), NLM_F_ACK, |heard| {
            if let Heard::Link(link) = heard {
                found = Some(link);
            }
        });
        match asked {
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(None),
            other => other.map(|()| found),
        }
    }

    /// All addresses on the device with this number.
    ///
    /// # Errors
    /// If the kernel does not answer.
    pub fn addresses(&mut self, index: u32) -> io::Result<Vec<Assigned>> {
        let mut question = AddressMessage::default();
        question.header.index = index;
        let mut found = Vec::new();
        let asked = self.request(RouteNetlinkMessage::GetAddress(question), NLM_F_DUMP, |heard| {
            if let Heard::Added(assigned) = heard
                && assigned.index == index
            {
                found.push(assigned);
            }
        });
        match asked {
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(Vec::new()),
            other => other.map(|()| found),
        }
    }

    /// Adds the address, or gives the one that is there this lifetime, in seconds; `None` is for ever. An IPv6 address can
    /// be used at once: whoever wants to know whether another machine has it asks before.
    ///
    /// # Errors
    /// If the kernel refuses, which then says why.
    pub fn put(&mut self, assigned: Assigned, lifetime: Option<u32>) -> io::Result<()> {
        let mut message = address_message(assigned);
        let seconds = lifetime.unwrap_or(FOREVER);
        let mut lifetimes = CacheInfo::default();
        (lifetimes.ifa_valid, lifetimes.ifa_preferred) = (seconds, seconds);
        message.attributes.push(AddressAttribute::CacheInfo(lifetimes));
        if assigned.address.is_ipv6() {
            message.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
        }
        let flags = NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE;
        self.request(RouteNetlinkMessage::NewAddress(message), flags, |_| ())
    }

    /// Removes the address, and nothing else.
    ///
    /// # Errors
    /// If the kernel refuses, also where there is no such address.
    pub fn remove(&mut self, assigned: Assigned) -> io::Result<()> {
        self.request(RouteNetlinkMessage::DelAddress(address_message(assigned)), NLM_F_ACK, |_| ())
    }

    /// Sends one request and gives every part of its answer to `hear`.
    fn request(&mut self, request: RouteNetlinkMessage, flags: u16, mut hear: impl FnMut(Heard)) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut message = NetlinkMessage::new(NetlinkHeader::default(), NetlinkPayload::from(request));
        message.header.flags = NLM_F_REQUEST | flags;
        message.header.sequence_number = self.sequence;
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        self.socket.send_to(&bytes, &SocketAddr::new(0, 0), 0)?;
        let until = boot_time() + PATIENCE;
        loop {
            for (header, payload) in messages(&self.receive(until)?)? {
                if header.sequence_number != self.sequence {
                    continue;
                }
                if let NetlinkPayload::Error(error) = &payload
                    && error.code.is_some()
                {
                    return Err(error.to_io());
                }
                if matches!(payload, NetlinkPayload::Error(_) | NetlinkPayload::Done(_)) {
                    return Ok(());
                }
                inner(payload).into_iter().for_each(&mut hear);
            }
        }
    }

    fn receive(&self, until: Duration) -> io::Result<Vec<u8>> {
        loop {
            match self.socket.recv_from_full() {
                Ok((bytes, _)) => return Ok(bytes),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            let left = until.saturating_sub(boot_time());
            if left.is_zero() {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "the kernel does not answer"));
            }
            poll::wait(&[self.socket.as_fd()], Some(left))?;
        }
    }
}

impl std::fmt::Debug for Netlink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Netlink({})", self.sequence)
    }
}

/// What the kernel told about addresses and devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// An address is on a device no more, whoever removed it.
    Removed(Assigned),
    /// A device was made, came up, went down or lost its carrier.
    Link(Link),
    /// More happened than could be told: look for yourself.
    Unknown,
}

/// Hears what happens to addresses and devices.
pub struct AddressWatch {
    socket: Socket,
}

impl AddressWatch {
    /// Hears from now on; needs no permission.
    ///
    /// # Errors
    /// If there is no netlink, or no descriptor left.
    pub fn open() -> io::Result<Self> {
        Ok(Self { socket: new_socket(&GROUPS)? })
    }

    /// What to poll.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// What has happened since the last call. Never blocks.
    pub fn changes(&self) -> Vec<Change> {
        let mut changes = Vec::new();
        loop {
            match self.socket.recv_from_full() {
                Ok((bytes, _)) => match messages(&bytes) {
                    Ok(messages) => changes.extend(messages.into_iter().filter_map(|(_, payload)| change(payload))),
                    Err(_) => changes.push(Change::Unknown),
                },
                Err(error) if error.raw_os_error() == Some(Errno::ENOBUFS as i32) => changes.push(Change::Unknown),
                Err(_) => return changes,
            }
        }
    }
}

impl std::fmt::Debug for AddressWatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AddressWatch")
    }
}

/// A message of the kernel, as far as it matters here. Of a device only the header is read: its attributes change with every
/// kernel.
#[derive(Debug)]
enum Heard {
    Added(Assigned),
    Removed(Assigned),
    Link(Link),
    Other,
}

impl NetlinkDeserializable for Heard {
    type Error = DecodeError;

    fn deserialize(header: &NetlinkHeader, payload: &[u8]) -> Result<Self, DecodeError> {
        let assigned = || AddressMessage::parse(payload).map(|message| assigned(&message));
        Ok(match header.message_type {
            libc::RTM_NEWADDR => assigned()?.map_or(Self::Other, Self::Added),
            libc::RTM_DELADDR => assigned()?.map_or(Self::Other, Self::Removed),
            libc::RTM_NEWLINK => {
                let link = LinkHeader::parse(payload)?;
                Self::Link(Link { index: link.index, up: link.flags.contains(LinkFlags::Up) })
            }
            _ => Self::Other,
        })
    }
}

fn inner(payload: NetlinkPayload<Heard>) -> Option<Heard> {
    if let NetlinkPayload::InnerMessage(heard) = payload { Some(heard) } else { None }
}

fn change(payload: NetlinkPayload<Heard>) -> Option<Change> {
    if matches!(payload, NetlinkPayload::Overrun(_)) {
        return Some(Change::Unknown);
    }
    match inner(payload)? {
        Heard::Removed(assigned) => Some(Change::Removed(assigned)),
        Heard::Link(link) => Some(Change::Link(link)),
        Heard::Added(_) | Heard::Other => None,
    }
}

/// Where there are two, the local one is ours, and the other is that of the far end.
fn assigned(message: &AddressMessage) -> Option<Assigned> {
    let attributes = || message.attributes.iter();
    let local =
        attributes().find_map(|each| if let AddressAttribute::Local(address) = each { Some(address) } else { None });
    let far =
        attributes().find_map(|each| if let AddressAttribute::Address(address) = each { Some(address) } else { None });
    let address = *local.or(far)?;
    Some(Assigned { index: message.header.index, address, prefix: message.header.prefix_len })
}

fn address_message(assigned: Assigned) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.index = assigned.index;
    message.header.prefix_len = assigned.prefix;
    message.header.family = if assigned.address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    if assigned.address.is_ipv4() && assigned.address.is_loopback() {
        message.header.scope = AddressScope::Host;
    }
    message.attributes = vec![AddressAttribute::Local(assigned.address), AddressAttribute::Address(assigned.address)];
    message
}

fn new_socket(groups: &[u32]) -> io::Result<Socket> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.set_non_blocking(true)?;
    socket.bind_auto()?;
    groups.iter().try_for_each(|group| socket.add_membership(*group))?;
    Ok(socket)
}

/// The messages in one datagram, each on a boundary of four bytes.
fn messages(mut bytes: &[u8]) -> io::Result<Vec<(NetlinkHeader, NetlinkPayload<Heard>)>> {
    let mut messages = Vec::new();
    while !bytes.is_empty() {
        let message = NetlinkMessage::<Heard>::deserialize(bytes).map_err(io::Error::other)?;
        let length = usize::try_from(message.header.length).unwrap_or(usize::MAX).next_multiple_of(4);
        messages.push(message.into_parts());
        bytes = bytes.get(length.max(4)..).unwrap_or_default();
    }
    Ok(messages)
}

#[cfg(test)]
mod tests;
