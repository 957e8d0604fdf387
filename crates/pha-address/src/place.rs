//! `ADDR/PREFIX DEV`: which address belongs on which device.

use std::fmt;
use std::net::IpAddr;

/// An address, its prefix length and its device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The address.
    pub address: IpAddr,
    /// Its prefix length.
    pub prefix: u8,
    /// The name of the device.
    pub device: String,
}

impl Place {
    /// From the two arguments of the agent.
    ///
    /// # Errors
    /// What is wrong, and with what remedy, for a person.
    pub fn parse(place: &str, device: &str) -> Result<Self, String> {
        let Some((address, prefix)) = place.split_once('/') else {
            return Err(format!("{place} has no prefix length: write {place}/24 or the like"));
        };
        let address: IpAddr = address.parse().map_err(|_| format!("'{address}' is no address"))?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let is_number = !prefix.is_empty() && prefix.bytes().all(|byte| byte.is_ascii_digit());
        let length = prefix.parse::<u8>().ok().filter(|_| is_number);
        let length = length.ok_or_else(|| format!("'/{prefix}' is no prefix length"))?;
        if length > longest {
            return Err(format!("/{length} is longer than /{longest}"));
        }
        if matches!(device, "" | "." | "..") || device.starts_with('-') || device.contains(['/', ' ', '\t', '\n', '\0'])
        {
            return Err(format!("'{device}' is no device"));
        }
        Ok(Self { address, prefix: length, device: device.to_owned() })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} {}", self.address, self.prefix, self.device)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn an_address_a_prefix_length_and_a_device_make_a_place() {
        for text in ["10.7.0.20/24 eth0", "fd00:7::20/64 bond0.7", "10.7.0.20/0 a", "fd00::1/128 eth0:1"] {
            let (place, device) = text.split_once(' ').unwrap();
            assert_eq!(Place::parse(place, device).unwrap().to_string(), text);
        }
    }

    #[test]
    fn whatever_else_is_refused_with_what_is_wrong() {
        for (place, device, said) in [
            ("10.7.0.20", "eth0", "has no prefix length: write 10.7.0.20/24"),
            ("10.7.0.300/24", "eth0", "'10.7.0.300' is no address"),
            ("eth0/24", "eth0", "'eth0' is no address"),
            ("10.7.0.20/", "eth0", "'/' is no prefix length"),
            ("10.7.0.20/+8", "eth0", "'/+8' is no prefix length"),
            ("10.7.0.20/33", "eth0", "/33 is longer than /32"),
            ("fd00::1/129", "eth0", "/129 is longer than /128"),
            ("10.7.0.20/24", "", "'' is no device"),
            ("10.7.0.20/24", "-v", "'-v' is no device"),
            ("10.7.0.20/24", "a/b", "'a/b' is no device"),
        ] {
            let problem = Place::parse(place, device).unwrap_err();
            assert!(problem.contains(said), "{problem}");
        }
    }
}
