//! The program: one call, its messages, its exit code.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use pha_sys::clock::boot_time;
use pha_sys::{exit, poll};

use crate::keeper::could_not;
use crate::{Answer, DUPLICATE_WINDOW, Keeper, LinkAddress, Place, Presence, Prober};

/// The exit code of `check` where the address is not, of `probe` where no other machine answers, of whatever failed.
const NO: i32 = 1;

/// Puts an address on a network device, takes it away, tells the neighbours, asks them for it.
///
/// PHA_LEASE=SECONDS gives the address a lifetime with `start`, and renews it with each `check`. `start` asks whether another machine has it,
/// unless PHA_DAD=skip, or PHA_REASON says that its keeper is gone. Changing and asking needs root or CAP_NET_ADMIN and CAP_NET_RAW.
#[derive(Debug, Parser)]
#[command(name = "pha-address", version)]
struct Arguments {
    /// What to do
    #[arg(value_enum)]
    action: Action,
    /// The address with its prefix length, for example 10.0.0.20/24 or fd00::20/64
    #[arg(value_name = "ADDR/PREFIX")]
    place: String,
    /// The network device, for example eth0
    #[arg(value_name = "DEV")]
    device: String,
    /// How long `probe` waits for a first answer, in milliseconds (1 to 10000); 15 questions are spread over it
    #[arg(long, value_name = "MS", env = "PHA_PROBE_WINDOW", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    limit: u16,
    #[arg(long, env = "PHA_LEASE", hide = true, default_value = "", value_parser = lease)]
    lease: Lease,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Action {
    /// Add the address and tell the network
    Start,
    /// Remove it, and nothing else
    Stop,
    /// Exit 0 if it is on the device and the device is up
    Check,
    /// Tell the network again where it is
    Announce,
    /// Exit 0 if another machine has it, 1 if none has, 71 if that cannot be found out
    ///
    /// An answer to ARP (IPv6: to a neighbour solicitation) counts only if the address then answers an ICMP echo sent
    /// through the same device as well: a router or a switch fabric may answer ARP for hosts that are down. Where no echo
    /// can be sent from here (no own address in that network, no permission, a link-local address), the first answer
    /// counts alone. A machine whose packet filter drops echoes is therefore taken for absent. Own addresses do not count.
    Probe,
}

/// `PHA_LEASE`, if it is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Lease(Option<Duration>);

fn lease(text: &str) -> Result<Lease, String> {
    if text.is_empty() {
        return Ok(Lease(None));
    }
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let plain = is_number(whole) && is_number(fraction) && (whole == "0" || !whole.starts_with('0')) && text.len() < 10;
    let seconds = text.parse().ok().filter(|_| plain).and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    match seconds {
        Some(Duration::ZERO) => Err("PHA_LEASE must be more than 0".to_owned()),
        Some(seconds) => Ok(Lease(Some(seconds))),
        None => Err(format!("PHA_LEASE={text} is no number of seconds")),
    }
}

pub(crate) fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let code = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => match Place::parse(&arguments.place, &arguments.device) {
            Ok(place) => act(&arguments, place),
            Err(problem) => {
                note(&problem);
                note("usage: ipaddr start|stop|check|announce|probe ADDR/PREFIX DEV");
                exit::USAGE
            }
        },
        Err(error) => {
            // A closed output is not worth a second complaint.
            let _ = error.print();
            if error.use_stderr() { exit::USAGE } else { exit::OK }
        }
    };
    ExitCode::from(u8::try_from(code).unwrap_or(exit::SOFTWARE as u8))
}

fn act(arguments: &Arguments, place: Place) -> i32 {
    let began = boot_time();
    let lease = arguments.lease.0;
    let mut keeper = Keeper::new(place);
    let (done, code) = match arguments.action {
        Action::Start => (start(&mut keeper, lease), NO),
        Action::Stop => (keeper.stop(), NO),
        Action::Check => (keeper.check(lease, began), NO),
        Action::Announce => (keeper.announce(), exit::OS_ERR),
        Action::Probe => return probe(keeper.place(), Duration::from_millis(arguments.limit.into())),
    };
    match done {
        Ok(()) => exit::OK,
        Err(problem) => {
            note(&problem);
            code
        }
    }
}

fn start(keeper: &mut Keeper, lease: Option<Duration>) -> Result<(), String> {
    if keeper.presence()? == Presence::Absent && !keeper_is_gone() {
        let Place { address, device, .. } = keeper.place();
        match ask(keeper.place(), DUPLICATE_WINDOW) {
            Ok(Answer::Held(..)) => return Err(format!("another machine answers for {address} on {device}")),
            Ok(Answer::Silent(_)) => {}
            Err(error) => {
                note(&format!("could not ask on {device} whether another machine has {address}: {error}: going on"))
            }
        }
    }
    keeper.take(lease)?.notes.iter().for_each(|problem| note(problem));
    Ok(())
}

/// Whoever calls has asked the wire, or knows that nobody can answer.
fn keeper_is_gone() -> bool {
    let says = |name: &str, words: &[&str]| std::env::var(name).is_ok_and(|value| words.contains(&value.as_str()));
    says("PHA_DAD", &["skip"]) || says("PHA_REASON", &["peer dead", "peer left"])
}

fn probe(place: &Place, window: Duration) -> i32 {
    let Place { address, device, .. } = place;
    let shown = |mac: LinkAddress| mac.map(|byte| format!("{byte:02x}")).join(":");
    match ask(place, window) {
        Ok(Answer::Held(mac, None)) => tell(exit::OK, &format!("{} on {device} has {address}", shown(mac))),
        Ok(Answer::Held(mac, Some(why))) => {
            tell(exit::OK, &format!("{} on {device} has {address} (no echo could be tried: {why})", shown(mac)))
        }
        Ok(Answer::Silent(None)) => tell(NO, &format!("nobody on {device} answers for {address}")),
        Ok(Answer::Silent(Some(mac))) => {
            let mac = shown(mac);
            tell(NO, &format!("{mac} on {device} answers for {address}, but no machine behind it does"))
        }
        Err(error) => {
            note(&could_not("probe", place, &error));
            exit::OS_ERR
        }
    }
}

/// One whole probe.
fn ask(place: &Place, window: Duration) -> io::Result<Answer> {
    let mut prober = Prober::new(place.clone());
    prober.begin(window, boot_time());
    loop {
        let now = boot_time();
        if let Some(answer) = prober.advance(now)? {
            return Ok(answer);
        }
        let due = prober.next_deadline().unwrap_or(now);
        poll::wait(&prober.fds(), Some(due.saturating_sub(boot_time())))?;
    }
}

/// One line for a person; the exit code is the answer.
fn tell(code: i32, line: &str) -> i32 {
    let _ = writeln!(io::stdout(), "{line}");
    code
}

fn note(line: &str) {
    if !line.is_empty() {
        let _ = writeln!(io::stderr(), "ipaddr: {line}");
    }
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
            "pha-address probe",
            "pha-address probe 192.0.2.1/24",
            "pha-address probe nowhere/24 lo",
            "pha-address probe 192.0.2.1 lo",
            "pha-address probe 192.0.2.1/24 lo --limit 0",
            "pha-address probe 192.0.2.1/24 lo --limit 10001",
            "pha-address release 192.0.2.1/24 lo",
        ] {
            assert_eq!(code_of(line), code(exit::USAGE), "{line}");
        }
        assert_eq!(code_of("pha-address --version"), code(exit::OK));
    }

    #[test]
    fn a_missing_device_is_neither_silence_nor_an_answer() {
        assert_eq!(code_of("pha-address probe 192.0.2.1/24 no-such-device"), code(exit::OS_ERR));
        assert_eq!(code_of("pha-address announce 192.0.2.1/24 no-such-device"), code(exit::OS_ERR));
    }

    #[test]
    fn loopback_is_silent() {
        assert_eq!(code_of("pha-address probe 127.0.0.1/8 lo"), code(NO));
        assert_eq!(code_of("pha-address announce 127.0.0.1/8 lo"), code(exit::OK));
        assert_eq!(code_of("pha-address check 127.0.0.1/8 lo"), code(exit::OK));
        assert_eq!(code_of("pha-address check 127.0.0.1/24 lo"), code(NO));
    }

    #[test]
    fn a_lease_is_a_number_of_seconds_or_nothing() {
        assert_eq!(lease(""), Ok(Lease(None)));
        assert_eq!(lease("3"), Ok(Lease(Some(Duration::from_secs(3)))));
        assert_eq!(lease("0.5"), Ok(Lease(Some(Duration::from_millis(500)))));
        for wrong in ["0", "0.0", "x", "1.2.3", "-1", "08", ".5", "5.", "1e3", "inf", " 1", "9999999999"] {
            assert!(lease(wrong).is_err(), "{wrong}");
        }
    }
}
