//! The UDP socket that heartbeats travel through.
//!
//! It is bound to one address, which need not exist yet (a machine may boot faster than its network), and never
//! shares its port: two daemons on one port would each lose half of the heartbeats. It never blocks.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};

use crate::sieve::Sieve;
use crate::socket::{Socket, Way};

/// Bytes for what waits to be read. Each datagram takes some hundred more than it has, and the kernel counts them: some five
/// thousand have room, a flood of 50 ms.
const ROOM: usize = 2 * 1024 * 1024;

/// More datagrams than ever wait at one socket: who has read so many has read all that waited when he began.
pub const MOST_WAITING: usize = 8192;

/// How many ICMP errors in a row one [`UdpSocket::receive`] skips before it says that nothing is there.
const ERRORS_SKIPPED: usize = 16;

/// A bound, nonblocking UDP socket.
#[derive(Debug)]
pub struct UdpSocket {
    socket: Socket,
}

impl UdpSocket {
    /// Binds to `address`; port 0 takes any free port.
    ///
    /// # Errors
    /// `AddrInUse` if another socket has the port; permission for ports below 1024.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::udp(address)?;
        // With less room it works as well, but for a flood.
        let _ = socket.make_room(ROOM);
        Ok(UdpSocket { socket })
    }

    /// From now on the kernel drops what `sieve` does not admit, and nobody counts it; `None`: nothing any more.
    ///
    /// # Errors
    /// If the kernel has no such filters. Nothing has changed then.
    pub fn hold_back(&self, sieve: Option<&Sieve>) -> io::Result<()> {
        match sieve {
            Some(sieve) => self.socket.filter(&sieve.steps()),
            None => self.socket.unfilter(),
        }
    }

    /// The next datagram: its length and its sender; `None` if there is none now.
    ///
    /// The length is that of the datagram as it was sent, also where `buffer` was too small for it: compare it with
    /// the buffer's before trusting the bytes. Errors that only report on an earlier datagram are skipped.
    ///
    /// # Errors
    /// If the socket itself is broken.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<Option<(usize, SocketAddr)>> {
        for _ in 0..ERRORS_SKIPPED {
            match self.socket.receive(buffer) {
                Ok((length, Some(from))) => return Ok(Some((length, from))),
                Ok((_, None)) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if is_about_the_peer(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// From now on what is sent is cut into datagrams of `length` bytes: many of them cost the kernel little more than one.
    ///
    /// # Errors
    /// If the kernel cannot do that.
    pub fn cut_into(&self, length: u16) -> io::Result<()> {
        self.socket.cut_into(length)
    }

    /// Sends one datagram to `to`.
    ///
    /// # Errors
    /// If the kernel cannot send it: no route, no carrier, a full buffer (`WouldBlock`), a forbidding packet filter.
    /// The datagram is lost then; the socket stays usable.
    pub fn send(&self, datagram: &[u8], to: SocketAddr, way: Way) -> io::Result<()> {
        match self.socket.send_to(datagram, to, way) {
            // This error belongs to an earlier datagram, so this one was not sent yet.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => self.socket.send_to(datagram, to, way),
            result => result,
        }
    }
}

impl AsFd for UdpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn is_about_the_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, ConnectionReset, HostUnreachable, Interrupted, NetworkUnreachable};
    matches!(error.kind(), ConnectionRefused | ConnectionReset | HostUnreachable | NetworkUnreachable | Interrupted)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use crate::poll;
    use std::time::Duration;

    fn bound(address: &str) -> (UdpSocket, SocketAddr) {
        let socket = UdpSocket::bind(address.parse().unwrap()).unwrap();
        let address = socket.socket.local_address().unwrap().unwrap();
        (socket, address)
    }

    fn next(socket: &UdpSocket, buffer: &mut [u8]) -> Option<(usize, SocketAddr)> {
        poll::wait(&[socket.as_fd()], Some(Duration::from_secs(5))).unwrap();
        socket.receive(buffer).unwrap()
    }

    #[test]
    fn a_datagram_arrives_with_its_sender_over_both_families() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let (here, here_address) = bound(address);
            let (there, there_address) = bound(address);
            let mut buffer = [0; 16];
            assert_eq!(here.receive(&mut buffer).unwrap(), None);
            for way in [Way::Unproven, Way::Proven] {
                there.send(b"beat", here_address, way).unwrap();
                assert_eq!(next(&here, &mut buffer), Some((4, there_address)));
                assert_eq!(&buffer[..4], b"beat");
            }
        }
    }

    #[test]
    fn a_datagram_too_long_for_the_buffer_shows_its_true_length() {
        let (here, address) = bound("127.0.0.1:0");
        here.send(&[7; 300], address, Way::Unproven).unwrap();
        let mut buffer = [0; 10];
        assert_eq!(next(&here, &mut buffer), Some((300, address)));
        assert_eq!(buffer, [7; 10]);
    }

    #[test]
    fn a_sieve_lets_through_what_it_admits_and_nothing_else() {
        use crate::sieve::Word;
        for (address, stranger) in [("127.0.0.1:0", "192.0.2.1"), ("[::1]:0", "2001:db8::1")] {
            let ((here, to), (there, from)) = (bound(address), bound(address));
            let words = vec![Word { at: 0, mask: !0xff, is: 0x5048_4100 }, Word { at: 4, mask: !0, is: 0x0102_0304 }];
            let stranger: std::net::IpAddr = stranger.parse().unwrap();
            for senders in
                [vec![], vec![from.ip()], vec![stranger, from.ip()], vec![from.ip(), stranger], vec![stranger]]
            {
                let sieve = Sieve { length: 10, words: words.clone(), senders };
                here.hold_back(Some(&sieve)).unwrap();
                let good = *b"PHA\x09\x01\x02\x03\x04xy";
                let candidates: [&[u8]; 5] = [
                    &good,
                    &good[..9],
                    b"PHA\x09\x01\x02\x03\x04xyz",
                    b"PHB\x09\x01\x02\x03\x04xy",
                    b"PHA\x09\x01\x02\x03\x05xy",
                ];
                for datagram in candidates {
                    there.send(datagram, to, Way::Unproven).unwrap();
                    // On loopback it has arrived when it is sent.
                    let mut buffer = [0; 16];
                    let arrived = here.receive(&mut buffer).unwrap().is_some();
                    assert_eq!(arrived, sieve.admits(datagram, datagram.len(), from.ip()), "{datagram:?}, {sieve:?}");
                    assert_eq!(arrived, datagram == good && sieve.senders != [stranger], "{datagram:?}, {sieve:?}");
                }
            }
            here.hold_back(None).unwrap();
            there.send(b"anything", to, Way::Unproven).unwrap();
            assert_eq!(next(&here, &mut [0; 16]), Some((8, from)));
        }
    }

    #[test]
    fn what_is_cut_arrives_in_pieces() {
        let ((here, to), (there, from)) = (bound("127.0.0.1:0"), bound("127.0.0.1:0"));
        there.cut_into(3).unwrap();
        there.send(b"abcdefgh", to, Way::Unproven).unwrap();
        let mut buffer = [0; 16];
        for piece in [&b"abc"[..], b"def", b"gh"] {
            assert_eq!(next(&here, &mut buffer), Some((piece.len(), from)));
            assert_eq!(&buffer[..piece.len()], piece);
        }
    }

    #[test]
    fn fewer_datagrams_can_wait_than_is_said() {
        let (here, to) = bound("127.0.0.1:0");
        let waiting = |_: &usize| here.send(&[], to, Way::Unproven).is_ok();
        assert_eq!((0..2 * MOST_WAITING).filter(waiting).count(), 2 * MOST_WAITING);
        let mut waited = 0;
        while here.receive(&mut [0; 4]).unwrap().is_some() {
            waited += 1;
        }
        assert!(waited < MOST_WAITING, "{waited}");
    }

    #[test]
    fn a_taken_port_is_an_error() {
        let (_here, address) = bound("127.0.0.1:0");
        assert_eq!(UdpSocket::bind(address).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn an_address_that_does_not_exist_yet_can_be_bound() {
        UdpSocket::bind("192.0.2.77:0".parse().unwrap()).unwrap();
        UdpSocket::bind("[2001:db8::77]:0".parse().unwrap()).unwrap();
    }

    #[test]
    fn a_closed_port_at_the_peer_is_no_error() {
        let (here, _) = bound("127.0.0.1:0");
        let (gone, address) = bound("127.0.0.1:0");
        drop(gone);
        for _ in 0..3 {
            here.send(b"x", address, Way::Unproven).unwrap();
            assert_eq!(here.receive(&mut [0; 4]).unwrap(), None);
        }
    }

    #[test]
    fn a_wildcard_for_ipv6_leaves_the_port_free_for_ipv4() {
        let (_six, address) = bound("[::]:0");
        UdpSocket::bind(SocketAddr::from(([0, 0, 0, 0], address.port()))).unwrap();
    }
}
