//! The second question of a probe: is there a machine behind the answer?

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use pha_sys::clock::boot_time;
use pha_sys::icmp::Pinger;
use pha_sys::interfaces;
use pha_sys::poll;

/// How many echoes are sent; one lost is not a machine lost.
const ECHOES: u16 = 3;

/// Whether `address` answers an ICMP echo through `device` within `limit`; the echoes are spread over it.
///
/// # Errors
/// If no echo could be sent, so that nothing is known.
pub(crate) fn answered(device: &str, address: IpAddr, limit: Duration) -> io::Result<bool> {
    if !interfaces::shares_network(device, address)? {
        // The kernel would send it with some other address of ours, and the answer would go astray.
        return Err(io::Error::other(format!("no address of ours on {device} is in its network")));
    }
    let mut pinger = Pinger::on_device(device)?;
    let start = boot_time();
    let mut sent = Err(io::Error::other("no echo was sent"));
    for sequence in 1..=ECHOES {
        // Only if none goes out it could not be tried: a later one may fail because the first found nobody.
        sent = sent.or(pinger.send(address, sequence));
        if sent.is_ok() && answers(&mut pinger, address, start + limit * sequence.into() / ECHOES.into())? {
            return Ok(true);
        }
    }
    sent.map(|()| false)
}

fn answers(pinger: &mut Pinger, address: IpAddr, until: Duration) -> io::Result<bool> {
    loop {
        if pinger.receive().iter().any(|&(from, _)| from == address) {
            return Ok(true);
        }
        let left = until.saturating_sub(boot_time());
        if left.is_zero() {
            return Ok(false);
        }
        poll::wait(&pinger.fds(), Some(left))?;
    }
}
