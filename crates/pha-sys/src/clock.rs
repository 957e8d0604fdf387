//! Time since boot, the identity of this boot, and the machine's name.
//!
//! `CLOCK_BOOTTIME` is the only clock pha decides by: it is the same in all processes, nobody can set it, and it
//! counts while the machine is suspended, which `std::time::Instant` does not. It starts anew with every boot, so a
//! time that is stored needs the boot id beside it.

use std::fs;
use std::io;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// Time since the machine was booted, suspension included, with nanosecond resolution.
///
/// # Panics
/// On a kernel without `CLOCK_BOOTTIME` (older than 2.6.39).
pub fn boot_time() -> Duration {
    let time = clock_gettime(ClockId::CLOCK_BOOTTIME).expect("every supported kernel has CLOCK_BOOTTIME");
    Duration::from(time)
}

/// The kernel's random name for this boot: a UUID of 36 characters that changes with every start of the machine.
///
/// # Errors
/// Where `/proc` is not mounted.
pub fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

/// The name of this machine as `hostname` prints it, not resolved and not shortened.
///
/// # Errors
/// If the kernel refuses, or the name is not UTF-8 (`InvalidData`).
pub fn host_name() -> io::Result<String> {
    let name = nix::unistd::gethostname()?;
    name.into_string().map_err(|name| io::Error::new(io::ErrorKind::InvalidData, format!("host name {name:?}")))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn the_boot_clock_runs_forward_and_agrees_with_proc_uptime() {
        let before = boot_time();
        let uptime = fs::read_to_string("/proc/uptime").unwrap();
        let after = boot_time();
        let seconds: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
        assert!(before < after);
        // In a container /proc/uptime may be its own, so only a clock that is ahead of it is a fault of nothing.
        assert!(seconds <= after.as_secs_f64() + 0.02, "{seconds} {after:?}");
    }

    #[test]
    fn the_boot_id_is_one_uuid_and_stays() {
        let id = boot_id().unwrap();
        assert_eq!(id.len(), 36);
        assert_eq!(id, boot_id().unwrap());
    }

    #[test]
    fn the_host_name_is_the_kernels() {
        let kernel = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
        assert_eq!(host_name().unwrap(), kernel.trim());
    }
}
