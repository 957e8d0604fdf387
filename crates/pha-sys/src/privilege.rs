//! Who this process is, and how it gives root up: nix, for the calls of the user database and of process credentials.
//!
//! What is given up does not come back: real, effective and saved ids change in all threads (the C library sees to that), the
//! kernel takes every capability with them, and no program that is executed later gets more.

use std::io;

use nix::errno::Errno;
use nix::sys::mman::munlockall;
use nix::sys::prctl::set_no_new_privs;
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};
use nix::unistd::{self, Gid, Group, Uid, geteuid, setgroups, setresgid, setresuid};

/// A user of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Its name.
    pub name: String,
    /// Its id; 0 is root.
    pub uid: u32,
    /// The id of its own group.
    pub gid: u32,
}

/// The user called `name`, if there is one. May wait for whatever keeps the users of this machine.
///
/// # Errors
/// If they cannot be read.
pub fn user(name: &str) -> io::Result<Option<User>> {
    let found = unistd::User::from_name(name)?;
    Ok(found.map(|user| User { name: user.name, uid: user.uid.as_raw(), gid: user.gid.as_raw() }))
}

/// The name of this process's user; its number where it has no name.
#[must_use]
pub fn own_name() -> String {
    let uid = geteuid();
    unistd::User::from_uid(uid).ok().flatten().map_or_else(|| uid.to_string(), |user| user.name)
}

/// The name of a group; its number where it has no name.
#[must_use]
pub fn group_name(gid: u32) -> String {
    Group::from_gid(Gid::from_raw(gid)).ok().flatten().map_or_else(|| gid.to_string(), |group| group.name)
}

/// Whether this process is root's.
#[must_use]
pub fn is_root() -> bool {
    geteuid().is_root()
}

/// Nothing that this thread executes gets more than it has, whatever the file says, nor do threads that it starts later: call
/// it before the first.
///
/// # Errors
/// If the kernel is older than 3.5.
pub fn forbid_new_privileges() -> io::Result<()> {
    Ok(set_no_new_privs()?)
}

/// Becomes `user`, with its own group and no other, in all threads and for good. Real-time scheduling stays, and threads may
/// still take it up to `priority`. Locked memory stays where its limit can be lifted; whether that could be. No other thread
/// may be about to lock it.
///
/// # Errors
/// If the kernel refuses. The process may have lost a part of what it had then, and should end.
pub fn become_user(user: &User, priority: u8) -> io::Result<bool> {
    // Who may not lift a limit has what it allows.
    let _ = lift(Resource::RLIMIT_RTPRIO, priority.into());
    let unlimited = lift(Resource::RLIMIT_MEMLOCK, RLIM_INFINITY).is_ok();
    if !unlimited {
        // Under a limit, the next allocation of any thread would fail.
        munlockall()?;
    }
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    setgroups(&[])?;
    setresgid(gid, gid, gid)?;
    setresuid(uid, uid, uid)?;
    let back = setresuid(Uid::from_raw(0), Uid::from_raw(0), Uid::from_raw(0));
    assert!(uid.is_root() || back == Err(Errno::EPERM), "root was given up and came back");
    Ok(unlimited)
}

/// Makes a limit at least `least`.
fn lift(limit: Resource, least: u64) -> nix::Result<()> {
    let (soft, hard) = getrlimit(limit)?;
    if soft >= least { Ok(()) } else { setrlimit(limit, least, hard.max(least)) }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn users_and_groups_are_known_by_their_names() {
        assert_eq!(user("root").unwrap(), Some(User { name: "root".to_owned(), uid: 0, gid: 0 }));
        assert_eq!(user("no-such-user").unwrap(), None);
        assert_eq!(group_name(0), "root");
        assert_eq!(group_name(4_000_000_000), "4000000000");
        assert_eq!(own_name() == "root", is_root());
    }
}
