//! Sockets: the only file that names `socket2`.
//!
//! It makes sockets with the options each kind needs (all nonblocking and close-on-exec) and hides what is unsafe
//! about receiving into plain bytes. What is sent through them is the business of [`crate::udp`],
//! [`crate::icmp`] and [`crate::arp`]; [`crate::tcp`] only asks whether it could be.

use std::io;
use std::mem::MaybeUninit;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::libc;
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, SockAddr, SockAddrStorage, SockFilter, Type};

/// What is known of the way to whom a datagram is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Nothing.
    Unproven,
    /// Earlier datagrams have arrived on it not long ago, so the kernel need not ask where that neighbour is (`MSG_CONFIRM`).
    /// When it asks and gets no answer, it drops for seconds what is sent there. A way that is wrongly said to be proven may
    /// stay wrong.
    Proven,
}

/// A nonblocking socket that is not inherited by children.
#[derive(Debug)]
pub(crate) struct Socket(socket2::Socket);

/// One instruction of a classic packet filter: code, jump if true, jump if false, constant.
pub(crate) type FilterStep = (u16, u8, u8, u32);

impl Socket {
    /// A UDP socket bound to `address`, which need not exist on this machine yet.
    pub(crate) fn udp(address: SocketAddr) -> io::Result<Self> {
        let socket = new(Domain::for_address(address), Type::DGRAM, Protocol::UDP)?;
        match address {
            SocketAddr::V4(_) => socket.set_freebind_v4(true)?,
            SocketAddr::V6(_) => {
                socket.set_only_v6(true)?;
                socket.set_freebind_v6(true)?;
            }
        }
        socket.bind(&address.into())?;
        Ok(Socket(socket))
    }

    /// A socket for ICMP echoes of the family of `address`: the unprivileged kind if permitted, else a raw one.
    pub(crate) fn icmp(address: IpAddr, device: Option<&str>) -> io::Result<Self> {
        let (domain, protocol) = match address {
            IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4),
            IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6),
        };
        let socket = new(domain, Type::DGRAM, protocol).or_else(|_| new(domain, Type::RAW, protocol))?;
        if let Some(device) = device {
            socket.bind_device(Some(device.as_bytes()))?;
        }
        Ok(Socket(socket))
    }

    /// A socket for whole Ethernet frames of one protocol on one device; `filter` sees them first.
    pub(crate) fn frames(device_index: u32, ether_type: u16, filter: &[FilterStep]) -> io::Result<Self> {
        // Without a protocol nothing is received yet: the filter must be there first.
        let socket = new(Domain::PACKET, Type::RAW, Protocol::from(0))?;
        let socket = Socket(socket);
        if !filter.is_empty() {
            socket.filter(filter)?;
        }
        socket.0.bind(&link_address(device_index, ether_type))?;
        Ok(socket)
    }

    /// From now on `filter` sees first what arrives; it replaces the one before.
    pub(crate) fn filter(&self, filter: &[FilterStep]) -> io::Result<()> {
        let steps: Vec<_> = filter.iter().map(|&(code, jt, jf, k)| SockFilter::new(code, jt, jf, k)).collect();
        self.0.attach_filter(&steps)
    }

    /// From now on nothing is filtered.
    pub(crate) fn unfilter(&self) -> io::Result<()> {
        self.0.detach_filter()
    }

    /// Has the kernel keep up to `bytes` (by its own count, twice that) of what waits to be read; less, if this process may
    /// not have so much.
    pub(crate) fn make_room(&self, bytes: usize) -> io::Result<()> {
        setsockopt(&self.0, sockopt::RcvBufForce, &bytes).or_else(|_| self.0.set_recv_buffer_size(bytes))
    }

    /// From now on what is sent is cut into datagrams of so many bytes (`UDP_SEGMENT`).
    pub(crate) fn cut_into(&self, length: u16) -> io::Result<()> {
        Ok(setsockopt(&self.0, sockopt::UdpGsoSegment, &i32::from(length))?)
    }

    /// The address that the kernel would send from on `device`, if it knows a way to `address` there. Nothing is sent.
    pub(crate) fn source(device: &str, address: IpAddr) -> io::Result<Option<IpAddr>> {
        let to = SocketAddr::new(address, 9);
        let socket = new(Domain::for_address(to), Type::DGRAM, Protocol::UDP)?;
        socket.bind_device(Some(device.as_bytes()))?;
        socket.connect(&to.into())?;
        Ok(socket.local_addr()?.as_socket().map(|own| own.ip()))
    }

    /// A TCP socket that is being connected, and is reset when it is dropped.
    pub(crate) fn connecting(to: SocketAddr) -> io::Result<Self> {
        let socket = new(Domain::for_address(to), Type::STREAM, Protocol::TCP)?;
        socket.set_linger(Some(Duration::ZERO))?;
        match socket.connect(&to.into()) {
            Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
            Ok(()) | Err(_) => Ok(Socket(socket)),
        }
    }

    /// Whether the connection was taken, once that is decided.
    pub(crate) fn connected(&self) -> io::Result<()> {
        self.0.take_error()?.map_or(Ok(()), Err)
    }

    /// Sends one datagram; a full send buffer is an error like any other.
    pub(crate) fn send_to(&self, datagram: &[u8], to: SocketAddr, way: Way) -> io::Result<()> {
        let flags = if way == Way::Proven { libc::MSG_CONFIRM } else { 0 };
        self.0.send_to_with_flags(datagram, &to.into(), flags).map(drop)
    }

    /// Sends one frame to the device this socket is bound to.
    pub(crate) fn send(&self, frame: &[u8]) -> io::Result<()> {
        self.0.send(frame).map(drop)
    }

    /// The next datagram or frame, its true length (even if it did not fit) and its sender, if that has an IP address.
    /// `WouldBlock` if there is none.
    pub(crate) fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, Option<SocketAddr>)> {
        // SAFETY: `MaybeUninit<u8>` has the layout of `u8`, and the kernel writes only initialised bytes into it.
        #[expect(unsafe_code, reason = "socket2 receives into possibly uninitialised memory only")]
        let buffer = unsafe { &mut *(std::ptr::from_mut(buffer) as *mut [MaybeUninit<u8>]) };
        let (length, from) = self.0.recv_from_with_flags(buffer, libc::MSG_TRUNC)?;
        Ok((length, from.as_socket()))
    }

    /// The address the socket is bound to.
    #[cfg(test)]
    pub(crate) fn local_address(&self) -> io::Result<Option<SocketAddr>> {
        Ok(self.0.local_addr()?.as_socket())
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn new(domain: Domain, kind: Type, protocol: Protocol) -> io::Result<socket2::Socket> {
    socket2::Socket::new(domain, kind.nonblocking().cloexec(), Some(protocol))
}

/// The `sockaddr_ll` of a device and a protocol.
fn link_address(device_index: u32, ether_type: u16) -> SockAddr {
    let mut storage = SockAddrStorage::zeroed();
    // SAFETY: `sockaddr_ll` is one of the platform's address types and fits into the storage; all of its fields are
    // integers, and family and length given below are those of `sockaddr_ll`.
    #[expect(unsafe_code, reason = "socket2 has no constructor for link addresses")]
    unsafe {
        let link = storage.view_as::<libc::sockaddr_ll>();
        link.sll_family = libc::AF_PACKET as libc::sa_family_t;
        link.sll_protocol = ether_type.to_be();
        link.sll_ifindex = device_index as libc::c_int;
        SockAddr::new(storage, size_of::<libc::sockaddr_ll>() as libc::socklen_t)
    }
}
