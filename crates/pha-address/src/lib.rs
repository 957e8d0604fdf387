//! What an address agent needs and no common tool offers alike everywhere: to tell the neighbours that an address
//! has moved here, and to ask whether another machine has it.
//!
//! ```text
//! pha-address announce DEV ADDR            0 told, 71 could not
//! pha-address probe DEV ADDR [--limit MS]  0 another machine has it, 1 silence, 71 could not ask
//! ```
//!
//! The three answers of `probe` are three exit codes, because "I could not ask" must never be taken for "nobody has
//! it". Run by hand it tells its answer in one line, too.

use std::ffi::OsString;
use std::io;
use std::net::IpAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use pha_sys::{arp, exit};

mod echo;

/// The exit code of `probe` where no other machine answers.
const SILENT: i32 = 1;

/// Tells the neighbours on a network device about an address, or asks them for it. Needs root or CAP_NET_RAW.
#[derive(Debug, Parser)]
#[command(name = "pha-address", version)]
enum Command {
    /// Tell all neighbours that the address is on this machine now (gratuitous ARP, unsolicited neighbour advertisement)
    ///
    /// Nobody confirms it, so say it again after a while. On a device without neighbours (lo, a tunnel) nothing is sent.
    /// Exit code 0: sent. 71: not sent.
    Announce {
        /// The network device, for example eth0
        device: String,
        /// The IPv4 or IPv6 address, without a prefix length
        address: IpAddr,
    },
    /// Find out whether another machine on the wire has the address
    ///
    /// An answer to ARP (IPv6: to a neighbour solicitation) counts only if the address then answers an ICMP echo sent
    /// through the same device as well: a router or a switch fabric may answer ARP for hosts that are down. Where no echo
    /// can be sent from here (no own address in that network, no permission, a link-local address), the first answer
    /// counts alone. A machine whose packet filter drops echoes is therefore taken for absent. Own addresses do not count.
    ///
    /// Exit code 0: another machine has it. 1: silence. 71: it could not be asked, so nothing is known.
    Probe {
        /// The network device, for example eth0
        device: String,
        /// The IPv4 or IPv6 address, without a prefix length
        address: IpAddr,
        /// Longest wait for an answer, in milliseconds (1 to 10000); the echo may take as long again
        #[arg(long, value_name = "MS", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=10_000))]
        limit: u16,
    },
}

/// Runs one command line, program name first, and gives the program's exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let code = match Command::try_parse_from(arguments) {
        Ok(Command::Announce { device, address }) => announce(&device, address),
        Ok(Command::Probe { device, address, limit }) => probe(&device, address, Duration::from_millis(limit.into())),
        Err(error) => {
            // A closed output is not worth a second complaint.
            let _ = error.print();
            if error.use_stderr() { exit::USAGE } else { exit::OK }
        }
    };
    ExitCode::from(u8::try_from(code).unwrap_or(exit::SOFTWARE as u8))
}

fn announce(device: &str, address: IpAddr) -> i32 {
    match arp::announce(device, address) {
        Ok(()) => exit::OK,
        Err(error) => could_not("announce", device, address, &error),
    }
}

fn probe(device: &str, address: IpAddr, limit: Duration) -> i32 {
    let mac = match arp::answers(device, address, limit) {
        Ok(Some(mac)) => mac.map(|byte| format!("{byte:02x}")).join(":"),
        Ok(None) => return tell(SILENT, &format!("nobody on {device} answers for {address}")),
        Err(error) => return could_not("probe", device, address, &error),
    };
    match echo::answered(device, address, limit) {
        Ok(true) => tell(exit::OK, &format!("{mac} on {device} has {address}")),
        Ok(false) => tell(SILENT, &format!("{mac} on {device} answers for {address}, but no machine behind it does")),
        Err(error) => tell(exit::OK, &format!("{mac} on {device} has {address} (no echo could be tried: {error})")),
    }
}

/// One line for a person; the exit code is the answer.
fn tell(code: i32, line: &str) -> i32 {
    use std::io::Write as _;
    let _ = writeln!(io::stdout(), "{line}");
    code
}

fn could_not(what: &str, device: &str, address: IpAddr, error: &io::Error) -> i32 {
    use std::io::Write as _;
    let denied = error.kind() == io::ErrorKind::PermissionDenied;
    let remedy = if denied { "run it as root" } else { "look at `ip address show`" };
    let _ = writeln!(io::stderr(), "pha-address: could not {what} {address} on {device}: {error}; {remedy}");
    exit::OS_ERR
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code_of(line: &str) -> String {
        format!("{:?}", run(line.split(' ').map(OsString::from)))
    }

    fn code(code: i32) -> String {
        format!("{:?}", ExitCode::from(code as u8))
    }

    #[test]
    fn a_wrong_command_line_is_a_usage_error_and_never_an_answer() {
        for line in [
            "pha-address",
            "pha-address probe lo",
            "pha-address probe lo nowhere",
            "pha-address probe lo 192.0.2.1/24",
            "pha-address probe lo 192.0.2.1 --limit 0",
            "pha-address probe lo 192.0.2.1 --limit 10001",
            "pha-address release lo 192.0.2.1",
        ] {
            assert_eq!(code_of(line), code(exit::USAGE), "{line}");
        }
        assert_eq!(code_of("pha-address --version"), code(exit::OK));
    }

    #[test]
    fn a_missing_device_is_neither_silence_nor_an_answer() {
        assert_eq!(code_of("pha-address probe no-such-device 192.0.2.1"), code(exit::OS_ERR));
        assert_eq!(code_of("pha-address announce no-such-device 192.0.2.1"), code(exit::OS_ERR));
    }

    #[test]
    fn loopback_is_silent() {
        assert_eq!(code_of("pha-address probe lo 127.0.0.1"), code(SILENT));
        assert_eq!(code_of("pha-address announce lo 127.0.0.1"), code(exit::OK));
    }
}
