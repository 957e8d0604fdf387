//! Whether a TCP port takes connections: asked without waiting, and without a trace left in this machine's tables.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use crate::socket::Socket;

/// A connection that is being made. Dropping it ends it with a reset: a closed connection would be remembered by the
/// kernel for a minute, and many checks would use the ports up.
#[derive(Debug)]
pub struct Connecting {
    socket: Socket,
    /// Readable when the socket is decided: the one place where programs wait knows only what can be read.
    decided: Epoll,
}

impl Connecting {
    /// Begins to connect to `address`.
    ///
    /// # Errors
    /// If it is refused at once, if there is no way there, or no descriptor left.
    pub fn start(address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::connecting(address)?;
        let decided = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        decided.add(&socket, EpollEvent::new(EpollFlags::EPOLLOUT, 0))?;
        Ok(Self { socket, decided })
    }

    /// Whether the port took the connection: `None` while that is not decided. Never blocks.
    ///
    /// # Errors
    /// Why it was not taken.
    pub fn advance(&self) -> Option<io::Result<()>> {
        let mut events = [EpollEvent::empty()];
        match self.decided.wait(&mut events, EpollTimeout::ZERO) {
            Ok(0) => None,
            Ok(_) => Some(self.socket.connected()),
            Err(error) => Some(Err(error.into())),
        }
    }
}

/// Readable when [`Connecting::advance`] has an answer.
impl AsFd for Connecting {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.decided.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use crate::poll;
    use std::net::TcpListener;
    use std::time::Duration;

    fn answer(address: SocketAddr) -> io::Result<()> {
        let connecting = Connecting::start(address)?;
        poll::wait(&[connecting.as_fd()], Some(Duration::from_secs(30))).unwrap();
        connecting.advance().unwrap()
    }

    #[test]
    fn a_port_that_listens_takes_a_connection_and_one_that_does_not_refuses() {
        for here in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(here) else { continue };
            let address = listener.local_addr().unwrap();
            answer(address).unwrap();
            drop(listener);
            assert_eq!(answer(address).unwrap_err().kind(), io::ErrorKind::ConnectionRefused, "{address}");
        }
    }
}
