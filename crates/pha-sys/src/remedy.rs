//! What an operator can do about an answer of the operating system, and the exit code that goes with it.

use std::io;

use nix::errno::Errno;

use crate::exit;

/// An exit code of [`exit`] and a remedy in a few words; `None` where the answer speaks for itself.
#[must_use]
pub fn remedy(error: &io::Error) -> Option<(i32, &'static str)> {
    let errno = error.raw_os_error().map(Errno::from_raw)?;
    let known: [(&[Errno], i32, &str); 5] = [
        (&[Errno::EACCES, Errno::EPERM], exit::NO_PERM, "run it as the owner of the directory, usually root"),
        (&[Errno::EROFS], exit::CANT_CREATE, "set VARDIR to a directory that can be written"),
        (&[Errno::ENOSPC, Errno::EDQUOT], exit::CANT_CREATE, "make room on the disk"),
        (
            &[Errno::EISDIR, Errno::ENOTDIR, Errno::ELOOP, Errno::EMLINK],
            exit::CANT_CREATE,
            "something else is in its place: remove it",
        ),
        (&[Errno::EMFILE, Errno::ENFILE], exit::OS_ERR, "raise the limit of open files (ulimit -n)"),
    ];
    let found = known.iter().find(|(errors, _, _)| errors.contains(&errno));
    found.map(|(_, code, text)| (*code, *text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_the_operator_can_do_something_about_has_a_remedy() {
        let remedy = |errno: Errno| remedy(&io::Error::from(errno));
        assert_eq!(remedy(Errno::ENOSPC), Some((exit::CANT_CREATE, "make room on the disk")));
        assert_eq!(remedy(Errno::EACCES).map(|(code, _)| code), Some(exit::NO_PERM));
        assert_eq!(remedy(Errno::EINVAL), None);
    }
}
