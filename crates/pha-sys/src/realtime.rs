//! Real-time scheduling and locked memory, where the kernel permits them: nix, for libc's `sched_setscheduler`.
//!
//! A program that has them runs before all ordinary ones, and does not wait for its own memory to come back from a disk.
//! Neither is for others: children are ordinary programs, and memory locks end with `exec`. A program that runs wild is held
//! back by the kernel's own limit (`kernel.sched_rt_runtime_us`).

use std::fs;
use std::io;

use nix::errno::Errno;
use nix::libc;

/// The lowest real-time priority.
const LOWEST: u8 = 1;
/// `CAP_IPC_LOCK`'s bit in `/proc/self/status`.
const CAP_IPC_LOCK: u32 = 14;
/// The whole range of user ids: this process is in the first user namespace, where capabilities are worth what they say.
const FIRST_NAMESPACE: [&str; 3] = ["0", "0", "4294967295"];

/// What a program got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Got {
    /// It runs under `SCHED_RR`.
    pub scheduling: bool,
    /// Its memory stays in memory.
    pub memory: bool,
}

/// Takes `SCHED_RR` with `priority` (1 to 99) for this thread and locks the memory of this process, each if permitted. Its
/// children, and threads that it starts later, begin as ordinary ones.
///
/// Call it after the last `fork` of a daemon that detaches.
#[must_use]
pub fn take(priority: u8) -> Got {
    let scheduling = schedule(libc::SCHED_RR | libc::SCHED_RESET_ON_FORK, priority).is_ok();
    Got { scheduling, memory: lock_memory().is_ok() }
}

/// Whether [`take`] would get real-time scheduling: it is tried and given back.
#[must_use]
pub fn is_permitted() -> bool {
    let permitted = schedule(libc::SCHED_RR, LOWEST).is_ok();
    if permitted {
        // Nobody is refused to be an ordinary program.
        let _ = schedule(libc::SCHED_OTHER, 0);
    }
    permitted
}

/// Sets how this thread runs.
fn schedule(policy: i32, priority: u8) -> io::Result<()> {
    let parameters = libc::sched_param { sched_priority: i32::from(priority) };
    // SAFETY: the parameters outlive the call, which only reads them.
    #[expect(unsafe_code, reason = "no crate has this call")]
    let result = unsafe { libc::sched_setscheduler(0, policy, &raw const parameters) };
    Errno::result(result).map(drop).map_err(io::Error::from)
}

/// Pages are locked as they are first used, so nothing is loaded that would not be. A limit would make later allocations
/// fail, so it is not tried under one.
fn lock_memory() -> io::Result<()> {
    if !unlimited() {
        return Err(Errno::EPERM.into());
    }
    // SAFETY: takes no memory and changes none.
    #[expect(unsafe_code, reason = "nix does not know MCL_ONFAULT")]
    let result = unsafe { libc::mlockall(libc::MCL_CURRENT | libc::MCL_FUTURE | libc::MCL_ONFAULT) };
    Errno::result(result).map(drop).map_err(io::Error::from)
}

fn unlimited() -> bool {
    use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
    getrlimit(Resource::RLIMIT_MEMLOCK).is_ok_and(|(soft, _)| soft == RLIM_INFINITY) || may_lock()
}

fn may_lock() -> bool {
    let ids = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    ids.split_whitespace().eq(FIRST_NAMESPACE) && has_capability(&status, CAP_IPC_LOCK)
}

fn has_capability(status: &str, bit: u32) -> bool {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    line.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok()).is_some_and(|bits| bits >> bit & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fields of `/proc/thread-self/stat`, counted as in proc(5): 41 is the policy.
    fn policy() -> Option<String> {
        let stat = fs::read_to_string("/proc/thread-self/stat").ok()?;
        stat.rsplit_once(')')?.1.split_whitespace().nth(41 - 3).map(str::to_owned)
    }

    #[test]
    fn what_was_tried_is_given_back() {
        let before = policy();
        let _ = is_permitted();
        assert_eq!(policy(), before);
    }

    #[test]
    fn real_time_is_for_the_thread_that_took_it_and_not_for_its_children() {
        let taken = std::thread::spawn(|| {
            let got = schedule(libc::SCHED_RR | libc::SCHED_RESET_ON_FORK, LOWEST).is_ok();
            let own = policy();
            let child = std::process::Command::new("cut").args(["-d", " ", "-f41", "/proc/self/stat"]).output();
            (got, own, child.map(|child| String::from_utf8_lossy(&child.stdout).trim().to_owned()).ok())
        });
        let Ok((got, own, child)) = taken.join() else { panic!("the thread failed") };
        assert_eq!(own.as_deref() == Some("2"), got);
        assert_eq!(child.as_deref(), Some("0"));
    }

    #[test]
    fn a_capability_is_one_bit_of_the_effective_ones() {
        assert!(has_capability("Name:\tx\nCapEff:\t0000000000004000\n", CAP_IPC_LOCK));
        assert!(!has_capability("CapPrm:\t0000000000004000\nCapEff:\t0000000000002000\n", CAP_IPC_LOCK));
        assert!(!has_capability("", CAP_IPC_LOCK));
    }
}
