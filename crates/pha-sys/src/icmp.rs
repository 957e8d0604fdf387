//! ICMP echoes to any number of addresses, without waiting for the answers.
//!
//! The unprivileged kind of socket is used where `net.ipv4.ping_group_range` permits it, else a raw one. Each pinger
//! marks its echoes with a token of its own, so it never takes the answer to somebody else's for its own.
//! How many lost echoes make a lost gateway is not decided here.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::boot_time;
use crate::packets::{echo_reply, echo_request};
use crate::socket::{Socket, Way};

/// How many datagrams one [`Pinger::receive`] takes from each socket at most.
const DATAGRAMS: usize = 64;

/// Tells the pingers of one process apart.
static COUNT: AtomicU64 = AtomicU64::new(0);

/// Sends echoes and collects the answers.
#[derive(Debug)]
pub struct Pinger {
    four: Option<Socket>,
    six: Option<Socket>,
    device: Option<String>,
    token: [u8; 8],
}

impl Pinger {
    /// A pinger that sends by the routing table.
    ///
    /// # Errors
    /// `PermissionDenied` if neither kind of socket is allowed. (A socket for IPv6 is opened when first needed.)
    pub fn new() -> io::Result<Self> {
        Self::with(None)
    }

    /// A pinger that sends through `device` only, and hears nothing from elsewhere.
    ///
    /// # Errors
    /// As [`Pinger::new`], and if there is no such device.
    pub fn on_device(device: &str) -> io::Result<Self> {
        Self::with(Some(device))
    }

    fn with(device: Option<&str>) -> io::Result<Self> {
        let any = IpAddr::from([0, 0, 0, 0]);
        let number =
            COUNT.fetch_add(1, Ordering::Relaxed).rotate_right(16) ^ u64::from(std::process::id()).rotate_left(24);
        // A time that never comes again, and a process: nobody else on this machine has both.
        let token = (boot_time().as_nanos() as u64 ^ number).to_be_bytes();
        Ok(Pinger { four: Some(Socket::icmp(any, device)?), six: None, device: device.map(str::to_owned), token })
    }

    /// Sends one echo request; the answer will carry `sequence`.
    ///
    /// # Errors
    /// If it cannot be sent: no route, no permission (for IPv6), a link-local address (which does not name its link).
    pub fn send(&mut self, to: IpAddr, sequence: u16, way: Way) -> io::Result<()> {
        let identifier = u16::from_be_bytes([self.token[6], self.token[7]]);
        let request = echo_request(to, identifier, sequence, self.token);
        let device = self.device.as_deref();
        let slot = if to.is_ipv4() { &mut self.four } else { &mut self.six };
        let socket = match slot {
            Some(socket) => socket,
            None => slot.insert(Socket::icmp(to, device)?),
        };
        socket.send_to(&request, SocketAddr::new(to, 0), way)
    }

    /// The answers that have arrived: from whom, and to which sequence number. Never blocks.
    pub fn receive(&mut self) -> Vec<(IpAddr, u16)> {
        let mut answers = Vec::new();
        let mut buffer = [0; 128];
        for socket in [&self.four, &self.six].into_iter().flatten() {
            for _ in 0..DATAGRAMS {
                match socket.receive(&mut buffer) {
                    Ok((length, Some(from))) => {
                        let bytes = &buffer[..length.min(buffer.len())];
                        answers.extend(echo_reply(from.ip(), bytes, self.token).map(|sequence| (from.ip(), sequence)));
                    }
                    Ok((_, None)) => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    // A report on an echo that did not arrive: its answer will be missing, which says it all.
                    Err(_) => {}
                }
            }
        }
        answers
    }

    /// What to poll; ask anew after each [`Pinger::send`].
    pub fn fds(&self) -> Vec<BorrowedFd<'_>> {
        [&self.four, &self.six].into_iter().flatten().map(|socket| socket.as_fd()).collect()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use crate::poll;
    use std::time::Duration;

    fn pinger() -> Option<Pinger> {
        let pinger = Pinger::new();
        if pinger.is_err() {
            println!("skipped: this user may not send echoes");
        }
        pinger.ok()
    }

    fn await_answers(pinger: &mut Pinger, count: usize) -> Vec<(IpAddr, u16)> {
        let mut answers = Vec::new();
        for _ in 0..100 {
            answers.extend(pinger.receive());
            if answers.len() >= count {
                break;
            }
            poll::wait(&pinger.fds(), Some(Duration::from_millis(100))).unwrap();
        }
        answers
    }

    // P17.
    #[test]
    fn loopback_answers_in_both_families_with_the_sequence_number() {
        let Some(mut pinger) = pinger() else { return };
        for (address, sequence) in [("127.0.0.1", 7), ("127.0.0.2", 65535), ("::1", 9)] {
            let address: IpAddr = address.parse().unwrap();
            pinger.send(address, sequence, Way::Proven).unwrap();
            assert_eq!(await_answers(&mut pinger, 1), [(address, sequence)]);
        }
        assert_eq!(pinger.fds().len(), 2);
    }

    #[test]
    fn a_pinger_hears_only_the_answers_to_its_own_echoes() {
        let (Some(mut one), Some(mut other)) = (pinger(), pinger()) else { return };
        let address: IpAddr = "127.0.0.1".parse().unwrap();
        one.send(address, 1, Way::Unproven).unwrap();
        other.send(address, 2, Way::Unproven).unwrap();
        assert_eq!(await_answers(&mut other, 1), [(address, 2)]);
        assert_eq!(await_answers(&mut one, 1), [(address, 1)]);
        assert_eq!(one.receive(), []);
    }

    #[test]
    fn a_pinger_on_a_missing_device_is_an_error() {
        assert!(Pinger::on_device("no-such-device").is_err());
    }
}
