//! Where the installation is: the folder that holds `bin/ etc/ res/ var/`.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf, absolute};

/// Where pha is installed if its own place does not tell.
const DEFAULT: &str = "/opt/pha";

/// An installation's root folder; always an absolute path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    root: PathBuf,
    given: bool,
}

impl Home {
    /// `given` (`--home`), else `PHA_HOME`, else the folder above the `bin` this program lies in (symbolic links
    /// followed), else `/opt/pha`. Empty values count as not given. Nothing is checked: [`crate::Config::load`] does.
    #[must_use]
    pub fn find(given: Option<&Path>) -> Self {
        Self::choose(given, env::var_os("PHA_HOME"), env::current_exe().ok().as_deref())
    }

    /// The installation in `root`, as if given with `--home`.
    #[must_use]
    pub fn at(root: &Path) -> Self {
        Self { root: absolute(root).unwrap_or_else(|_| root.to_owned()), given: true }
    }

    fn choose(given: Option<&Path>, variable: Option<OsString>, program: Option<&Path>) -> Self {
        let variable = variable.map(PathBuf::from);
        let named = given.into_iter().chain(variable.as_deref()).find(|path| !path.as_os_str().is_empty());
        if let Some(root) = named {
            return Self::at(root);
        }
        let folder = program.and_then(Path::parent).filter(|folder| folder.ends_with("bin"));
        let root = folder.and_then(Path::parent).unwrap_or(Path::new(DEFAULT));
        Self::found(root)
    }

    /// The installation in `root`, which nobody named.
    pub(crate) fn found(root: &Path) -> Self {
        Self { root: root.to_owned(), given: false }
    }

    /// The root folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The root folder if `--home` or `PHA_HOME` named it. Only this may be handed to another program as `--home`: a
    /// home that was found by itself gives way to `INSTALLDIR`, one that was named does not.
    #[must_use]
    pub fn given(&self) -> Option<&Path> {
        self.given.then_some(&self.root)
    }

    /// The programs.
    #[must_use]
    pub fn bin(&self) -> PathBuf {
        self.root.join("bin")
    }

    /// The configuration's folder.
    #[must_use]
    pub fn etc(&self) -> PathBuf {
        self.root.join("etc")
    }

    /// The resource agents.
    #[must_use]
    pub fn res(&self) -> PathBuf {
        self.root.join("res")
    }

    /// The configuration file.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.root.join("etc/config")
    }

    /// The keys that make heartbeats authentic; need not exist.
    #[must_use]
    pub fn authkey(&self) -> PathBuf {
        self.root.join("etc/authkey")
    }

    /// Where this program reads the keys: the credential `authkey`, if systemd was told to hand it one
    /// (`LoadCredential=`, systemd.exec(5)), else [`Home::authkey`].
    #[must_use]
    pub fn authkey_in_use(&self) -> PathBuf {
        self.authkey_beside(env::var_os("CREDENTIALS_DIRECTORY"))
    }

    fn authkey_beside(&self, credentials: Option<OsString>) -> PathBuf {
        let credential = credentials.map(|folder| Path::new(&folder).join("authkey"));
        credential.filter(|path| path.exists()).unwrap_or_else(|| self.authkey())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // P4
    #[test]
    fn the_option_wins_over_the_variable_over_the_programs_own_place() {
        let program = Path::new("/srv/pha/bin/pha-cli");
        let choose = |given: Option<&str>, variable: Option<&str>| {
            Home::choose(given.map(Path::new), variable.map(OsString::from), Some(program))
        };
        assert_eq!(choose(Some("/a"), Some("/b")).root(), Path::new("/a"));
        assert_eq!(choose(None, Some("/b")).root(), Path::new("/b"));
        assert_eq!(choose(None, None).root(), Path::new("/srv/pha"));
        assert_eq!(choose(Some(""), Some("")).root(), Path::new("/srv/pha"));
        assert_eq!(choose(None, Some("/b")).given(), Some(Path::new("/b")));
        assert_eq!(choose(None, None).given(), None);
    }

    // P4
    #[test]
    fn a_program_outside_of_a_bin_folder_belongs_to_the_default_prefix() {
        let home = Home::choose(None, None, Some(Path::new("/src/target/debug/pha-cli")));
        assert_eq!(home.root(), Path::new("/opt/pha"));
        assert_eq!(Home::choose(None, None, None).config(), Path::new("/opt/pha/etc/config"));
    }

    #[test]
    fn a_credential_stands_in_for_the_file_if_there_is_one() {
        let (home, credentials) = (Home::at(Path::new("/srv/pha")), tempfile::tempdir().expect("a folder"));
        let folder = || Some(credentials.path().into());
        assert_eq!(home.authkey_beside(None), home.authkey());
        assert_eq!(home.authkey_beside(folder()), home.authkey());
        let credential = credentials.path().join("authkey");
        std::fs::write(&credential, "").expect("a credential");
        assert_eq!(home.authkey_beside(folder()), credential);
    }

    #[test]
    fn a_relative_home_becomes_absolute_because_daemons_leave_the_folder() {
        let home = Home::find(Some(Path::new("here")));
        assert!(home.root().is_absolute());
        assert!(home.root().ends_with("here"));
    }
}
