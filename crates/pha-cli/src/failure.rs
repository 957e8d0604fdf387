//! What ends a command without success: one sentence for the operator, and the exit code.

use std::fmt;
use std::io;
use std::path::Path;

use pha_sys::exit;

/// `EX_UNAVAILABLE`: what was asked for cannot be had now, as when no peer could take over.
pub(crate) const UNAVAILABLE: i32 = 69;

/// What [`Failure::from_io`] is told about a program that could not be run.
pub(crate) const RUN: &str = "run";

/// A command that did not succeed. Nothing was changed unless the text says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    code: i32,
    text: String,
}

impl Failure {
    /// `code` is a sysexits number, `text` one or more lines without the program's name.
    pub(crate) fn new(code: i32, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }

    /// For what an operating system call on `path` answered; `doing` is a verb like "write".
    pub(crate) fn from_io(doing: &str, path: &Path, error: &io::Error) -> Self {
        let at = path.display();
        if error.kind() == io::ErrorKind::PermissionDenied && doing == RUN {
            return Self::new(
                exit::NO_PERM,
                format!("cannot run {at}: permission denied; chmod 755 makes it a program"),
            );
        }
        if error.kind() == io::ErrorKind::PermissionDenied {
            let remedy = "permission denied; run pha-cli as root (sudo pha-cli)";
            return Self::new(exit::NO_PERM, format!("cannot {doing} {at}: {remedy}"));
        }
        if error.kind() == io::ErrorKind::NotFound && doing == RUN {
            return Self::new(exit::OS_ERR, format!("cannot run {at}: it is not there; install pha with bin/install"));
        }
        Self::new(exit::IO_ERR, format!("cannot {doing} {at}: {error}"))
    }

    /// The reader of standard output went away: nothing to say, and nobody to say it to.
    pub(crate) fn silent(code: i32) -> Self {
        Self::new(code, "")
    }

    /// The exit code.
    pub(crate) const fn code(&self) -> i32 {
        self.code
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_permission_names_its_remedy() {
        let failure = Failure::from_io("write", Path::new("/etc/x"), &io::ErrorKind::PermissionDenied.into());
        assert_eq!(failure.code(), 77);
        assert_eq!(failure.to_string(), "cannot write /etc/x: permission denied; run pha-cli as root (sudo pha-cli)");
    }

    #[test]
    fn a_missing_program_is_not_a_missing_file() {
        let failure = Failure::from_io(RUN, Path::new("/opt/pha/bin/pha-sender"), &io::ErrorKind::NotFound.into());
        assert!(failure.to_string().ends_with("install pha with bin/install"), "{failure}");
    }
}
