//! Names to addresses, the way the rest of the machine does it (P26): `/etc/hosts`, then DNS.
//!
//! A literal address needs no resolver and never blocks. A name may block for as long as the resolver does (commonly
//! 5 s and more where DNS is down), so no loop that beats may ask for one without being ready to wait.

use std::io;
use std::net::{IpAddr, ToSocketAddrs as _};

/// The addresses of `name`, each once, in the resolver's order; a literal address is its own answer.
///
/// # Errors
/// If the name has no address, or the resolver does not answer; trying again later may help.
pub fn addresses(name: &str) -> io::Result<Vec<IpAddr>> {
    if let Ok(address) = name.parse() {
        return Ok(vec![address]);
    }
    let mut addresses = Vec::new();
    for address in (name, 0).to_socket_addrs()? {
        if !addresses.contains(&address.ip()) {
            addresses.push(address.ip());
        }
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn a_literal_address_is_its_own_answer() {
        for literal in ["192.0.2.1", "2001:db8::1"] {
            assert_eq!(addresses(literal).unwrap(), [literal.parse::<IpAddr>().unwrap()]);
        }
    }

    // P26.
    #[test]
    fn a_name_from_the_hosts_file_resolves_without_repetition() {
        let found = addresses("localhost").unwrap();
        assert!(found.iter().all(IpAddr::is_loopback) && !found.is_empty(), "{found:?}");
        let mut unique = found.clone();
        unique.dedup();
        assert_eq!(found, unique);
    }

    #[test]
    fn a_name_that_cannot_exist_is_an_error() {
        assert!(addresses("no such name").is_err());
        assert!(addresses("").is_err());
    }
}
