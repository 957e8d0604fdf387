//! [`Config::load`]: the file itself, and the files it names.
//!
//! Agents run as root. A configuration, key or agent that others may write, or somebody else's, is their way to root, so it is
//! refused; and so is a folder in which they may put another one in its place.

use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::agent::agent_features;
use crate::config::{Auth, Config, ResourceConfig};
use crate::home::Home;
use crate::parse::{assemble, settle};
use crate::problem::{ConfigErrors, Problem, Wrong, shown};
use crate::source::{MAX_BYTES, decode};
use crate::value::in_seconds;

/// Write permission of group and others.
const WRITABLE: u32 = 0o022;
/// Any permission of others, and writing of the group: too much for a secret.
const EXPOSED: u32 = 0o027;
/// In a folder with this bit nobody removes or renames what is another's.
const STICKY: u32 = 0o1000;

/// More of a script's first line the kernel does not read.
const LONGEST_FIRST_LINE: u64 = 256;

impl Config {
    /// Reads `home`'s `etc/config` and looks at what it names: agents must be there, executable, root's or this process's
    /// user's, and writable by their owner only; so must the key, and nobody else may read it.
    ///
    /// # Errors
    /// Every problem at once, in the order of the lines.
    pub fn load(home: &Home) -> Result<Self, ConfigErrors> {
        let path = home.config();
        let bytes = read(&path).map_err(|wrong| ConfigErrors(vec![Problem::new(&path, None, "", wrong)]))?;
        let mut problems = Vec::new();
        let text = decode(&bytes, &path, &mut problems);
        let (mut config, more) = assemble(&text, &path, Some(home));
        problems.extend(more);
        let own = permissions(&path, WRITABLE, "644").and_then(|()| ownership(&path)).err();
        problems.extend(own.map(|wrong| Problem::new(&path, None, "", wrong)));
        problems.extend(folder_problem(&home.etc()));
        problems.extend(config.key_problem(home));
        problems.extend(folder_problem(&config.home_in_use(home).res()).filter(|_| !config.resources.is_empty()));
        problems.extend(config.resources.iter().filter_map(|resource| config.agent_problem(home, resource)));
        problems.extend(config.resources.iter().filter_map(|resource| config.renewal_problem(home, resource)));
        let late: Vec<_> = config.resources.iter().filter_map(|one| config.lease_warning(home, one)).collect();
        config.found.extend(late);
        settle(config, problems)
    }

    /// Decides between the home and `INSTALLDIR`.
    pub(crate) fn settle_home(&mut self, home: &Home) {
        self.place = Some(home.clone());
        let Some(dir) = self.install_dir.clone() else { return };
        if same_folder(&dir, home.root()) {
            return;
        }
        let (dir_name, home_name) = (dir.display(), home.root().display());
        let what = if !dir.is_dir() {
            format!("INSTALLDIR={dir_name} is not there: {home_name} is used instead")
        } else if home.given().is_some() {
            format!("INSTALLDIR={dir_name} is not used, because --home or PHA_HOME says {home_name}")
        } else {
            self.place = Some(Home::found(&dir));
            format!("res/ and var/ of INSTALLDIR={dir_name} are used, with the programs and the etc/ of {home_name}")
        };
        let warning = self.warning("INSTALLDIR", &what, &format!("write INSTALLDIR={home_name}, or remove the line"));
        self.found.push(warning);
    }

    /// Whether some leased resource's agent can ask who holds it, and is to be asked. What cannot be read is no witness.
    pub(crate) fn has_witness(&self) -> bool {
        let Some(home) = &self.place else { return false };
        let features = |resource: &ResourceConfig| agent_features(&self.agent_path(home, &resource.agent));
        self.witness && self.resources.iter().any(|one| features(one).is_ok_and(|found| found.lease && found.probe))
    }

    /// The key is there if it must be, and nobody else's.
    fn key_problem(&mut self, home: &Home) -> Option<Problem> {
        let key = home.authkey_in_use();
        let shown = key.display();
        if !key.exists() {
            let remedy = "make one with `pha-cli keygen` and copy it to every node";
            let line = self.lines.get("AUTH").copied();
            return match self.auth {
                Auth::Required => {
                    let wrong = Wrong::new(format!("there is no {shown}"), remedy);
                    Some(Problem::new(&self.file, line, "AUTH=required", wrong))
                }
                Auth::Auto | Auth::Rollout => {
                    let what = format!("without {shown} anybody on the network can forge heartbeats");
                    let warning = self.warning("AUTH", &what, remedy);
                    self.found.push(warning);
                    None
                }
                Auth::Off => None,
            };
        }
        if !key.is_file() {
            let wrong = Wrong::new("this is no regular file", "remove it, and make a key with `pha-cli keygen`");
            return Some(Problem::new(&key, None, "", wrong));
        }
        permissions(&key, EXPOSED, "600").err().map(|wrong| Problem::new(&key, None, "", wrong))
    }

    /// The agent can be run, and is nobody else's.
    fn agent_problem(&self, home: &Home, resource: &ResourceConfig) -> Option<Problem> {
        let path = self.agent_path(home, &resource.agent);
        let wrong = agent(&path).err()?;
        let text = format!("RES_{}={}", resource.name, resource.arguments.join(" "));
        Some(Problem::new(&self.file, Some(resource.line), text, wrong))
    }

    /// The check of a leased resource renews the lease: nothing may stand in its place.
    fn renewal_problem(&self, home: &Home, resource: &ResourceConfig) -> Option<Problem> {
        let check = resource.built_in_check.as_ref()?;
        let leased = agent_features(&self.agent_path(home, &resource.agent)).is_ok_and(|features| features.lease);
        let key = format!("CHECK_{}", resource.name);
        let what =
            format!("each check of {} renews its lease, so a built-in check cannot stand in its place", resource.name);
        let wrong = Wrong::new(what, "remove the line");
        leased.then(|| Problem::new(&self.file, self.lines.get(&key).copied(), format!("{key}={check}"), wrong))
    }

    /// A limit of its own for the check of a leased resource that is longer than what the last renewal leaves of the lease.
    fn lease_warning(&self, home: &Home, resource: &ResourceConfig) -> Option<Problem> {
        let key = format!("CHECK_TIMEOUT_{}", resource.name);
        let left = self.lease * 2 / 3;
        let leased = || agent_features(&self.agent_path(home, &resource.agent)).is_ok_and(|features| features.lease);
        if resource.check_timeout <= left || !self.lines.contains_key(&key) || !leased() {
            return None;
        }
        let what = format!(
            "a check renews the lease, of which {} s are left: one that takes longer loses it, whatever its limit",
            in_seconds(left)
        );
        Some(self.warning(&key, &what, &format!("write {key}={} or less, or a longer LEASE", left.as_secs())))
    }
}

fn agent(path: &Path) -> Result<(), Wrong> {
    let shown = path.display();
    let found = fs::metadata(path).map_err(|error| {
        let remedy = format!("put the agent there, or correct what follows RES_ (see `ls {}`)", folder(path).display());
        Wrong::new(unreadable(path, &error), remedy)
    })?;
    if !found.is_file() {
        return Err(Wrong::new(format!("{shown} is no regular file"), "an agent is an executable file"));
    }
    if found.mode() & 0o111 == 0 {
        return Err(Wrong::new(format!("{shown} is not executable"), format!("chmod 755 {shown}")));
    }
    permissions(path, WRITABLE, "755")?;
    ownership(path)?;
    interpreter(path)
}

/// What the first line of a script names must be there: the system's own answer would name the script instead. What
/// cannot be read is not judged.
fn interpreter(path: &Path) -> Result<(), Wrong> {
    let mut start = Vec::new();
    let read = File::open(path).and_then(|file| file.take(LONGEST_FIRST_LINE).read_to_end(&mut start));
    if read.is_ok_and(|length| length == 0) {
        return Err(Wrong::new(format!("{} is empty", path.display()), "put the agent there"));
    }
    let Some(line) = start.strip_prefix(b"#!").and_then(|rest| rest.split(|byte| *byte == b'\n').next()) else {
        return Ok(());
    };
    let line = String::from_utf8_lossy(line);
    let program = line.trim_start_matches([' ', '\t']).split([' ', '\t']).next().unwrap_or_default();
    if Path::new(program).is_absolute() && Path::new(program).exists() {
        return Ok(());
    }
    let what =
        format!("{} is to be run by '{}', which is not there", path.display(), shown(line.trim_matches([' ', '\t'])));
    Err(Wrong::new(what, "install that program, or correct the first line (does it end with CR LF?)"))
}

/// None of the permission bits `refused`; `usual` is what `chmod` should set.
fn permissions(path: &Path, refused: u32, usual: &str) -> Result<(), Wrong> {
    let shown = path.display();
    let remedy = format!("chmod {usual} {shown}");
    let found = fs::metadata(path).map_err(|error| Wrong::new(unreadable(path, &error), remedy.clone()))?;
    let mode = found.mode() & 0o7777;
    if mode & refused & WRITABLE != 0 {
        return Err(Wrong::new(format!("{shown} can be written by others than its owner (mode {mode:03o})"), remedy));
    }
    if mode & refused != 0 {
        return Err(Wrong::new(format!("{shown} can be read by everybody (mode {mode:03o})"), remedy));
    }
    Ok(())
}

/// Root's, or that of the user who runs this: an owner can write what he likes.
fn ownership(path: &Path) -> Result<(), Wrong> {
    let found = fs::metadata(path).map_err(|error| Wrong::new(unreadable(path, &error), "see `ls -l`"))?;
    if is_own(&found) {
        return Ok(());
    }
    let shown = path.display();
    let what = format!("{shown} belongs to another user (id {}), who can write it", found.uid());
    Err(Wrong::new(what, format!("chown root {shown}")))
}

/// Nobody else may put something into the place of what is in the folder `path`. One that is not there holds nothing.
fn folder_problem(path: &Path) -> Option<Problem> {
    let found = fs::metadata(path).ok()?;
    let shown = path.display();
    let (mode, held) = (found.mode() & 0o7777, "who can replace what is in it");
    let wrong = if !is_own(&found) {
        Wrong::new(
            format!("{shown} belongs to another user (id {}), {held}", found.uid()),
            format!("chown root {shown}"),
        )
    } else if mode & WRITABLE != 0 && mode & STICKY == 0 {
        let what = format!("{shown} can be written by others than its owner (mode {mode:03o}), {held}");
        Wrong::new(what, format!("chmod 755 {shown}"))
    } else {
        return None;
    };
    Some(Problem::new(path, None, "", wrong))
}

/// Whoever runs this is told from its own files in `/proc`, which are root's where it has given root up.
fn is_own(found: &Metadata) -> bool {
    found.uid() == 0 || fs::metadata("/proc/self").is_ok_and(|own| own.uid() == found.uid())
}

/// The file's bytes, at most one more than a configuration may have. Never waits on a pipe or device.
fn read(path: &Path) -> Result<Vec<u8>, Wrong> {
    let remedy = "put the configuration there, or name the installation with --home or PHA_HOME";
    let cannot = |error: io::Error| Wrong::new(unreadable(path, &error), remedy);
    if !fs::metadata(path).map_err(cannot)?.is_file() {
        return Err(Wrong::new("this is no regular file", remedy));
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(cannot)?;
    file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(cannot)?;
    Ok(bytes)
}

fn unreadable(path: &Path, error: &io::Error) -> String {
    if error.kind() == ErrorKind::NotFound {
        return format!("there is no {}", path.display());
    }
    format!("{} cannot be read ({error})", path.display())
}

fn folder(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}

fn same_folder(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    real(one) == real(other)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    // P30
    #[test]
    fn installdir_wins_over_the_programs_own_place_and_says_so() {
        let (own, installed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (own, installed) = (own.path(), installed.path());
        fs::create_dir(own.join("etc")).unwrap();
        let text = format!("NODES=a b\nINSTALLDIR={0}\nLOGPATH={0}/var/log\n", installed.display());
        fs::write(own.join("etc/config"), text).unwrap();
        fs::set_permissions(own.join("etc/config"), fs::Permissions::from_mode(0o644)).unwrap();
        let home = Home::found(own);
        let config = Config::load(&home).unwrap();
        assert_eq!(config.var_dir(&home), installed.join("var"));
        assert_eq!(config.agent_path(&home, "test"), installed.join("res/test"));
        assert_eq!(config.log_file(&home, "sender"), installed.join("var/log/sender.log"));
        assert!(config.warnings().iter().any(|warning| warning.what.starts_with("res/ and var/ of INSTALLDIR=")));
    }
}
