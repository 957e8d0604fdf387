//! A node's own tree: `bin/ res/ etc/ var/` in a directory of the lab, with the programs that were built.
//!
//! The configuration is the documented example with the lab's addresses; what a scenario wants otherwise replaces
//! single lines.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// The programs every node has.
const PROGRAMS: [&str; 6] = ["pha-sender", "pha-receiver", "pha-supervise", "pha-cli", "pha-address", "pha-lab"];

/// The lab's own agents.
const AGENTS: [(&str, &str); 2] = [("web", include_str!("../agents/web")), ("fault", include_str!("../agents/fault"))];

/// The key of every lab: heartbeats are authentic, as in a new installation. It protects nothing.
const KEY: &str = "706861206c61626f7261746f727920206e6f207365637265742061742061616c\n";

/// The directory with the built programs: `PHA_LAB_PROGRAMS`, else that of this program (`target/debug`).
pub fn programs() -> Result<PathBuf> {
    if let Some(dir) = std::env::var_os("PHA_LAB_PROGRAMS") {
        return Ok(dir.into());
    }
    let own = std::env::current_exe().context("own file")?;
    let dir = own.parent().context("own directory")?;
    let dir = if dir.ends_with("deps") { dir.parent().context("target directory")? } else { dir };
    Ok(dir.to_owned())
}

/// The repository: `PHA_LAB_SOURCE`, else where this program was compiled.
pub(crate) fn source() -> PathBuf {
    let compiled = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::env::var_os("PHA_LAB_SOURCE").map_or_else(compiled, PathBuf::from)
}

/// Makes the tree `root` for one node. `config` is the text of `etc/config`, `key` whether there is an `etc/authkey`.
pub fn build(root: &Path, config: &str, key: bool) -> Result<()> {
    for dir in ["bin", "res", "etc", "var/run", "var/log"] {
        let dir = root.join(dir);
        fs::create_dir_all(&dir).with_context(|| dir.display().to_string())?;
        mode(&dir, 0o755)?;
    }
    let programs = programs()?;
    for name in PROGRAMS {
        symlink(programs.join(name), root.join("bin").join(name)).context(name)?;
    }
    copy_scripts(&source().join("bin"), &root.join("bin"))?;
    copy_scripts(&source().join("res"), &root.join("res"))?;
    for (name, text) in AGENTS {
        write(&root.join("res").join(name), text, 0o755)?;
    }
    write(&root.join("etc/config"), config, 0o644)?;
    if key {
        write(&root.join("etc/authkey"), KEY, 0o600)?;
    }
    Ok(())
}

/// Whether every program of the tree `root` has been built.
pub fn check_programs(root: &Path) -> Result<()> {
    for name in PROGRAMS {
        let program = root.join("bin").join(name);
        ensure!(program.is_file(), "{name} is not built: run `cargo build --workspace` first");
    }
    Ok(())
}

/// Copies the regular files of a directory that are scripts; there may be no such directory.
fn copy_scripts(from: &Path, to: &Path) -> Result<()> {
    let Ok(entries) = fs::read_dir(from) else { return Ok(()) };
    for entry in entries {
        let path = entry?.path();
        let target = to.join(path.file_name().unwrap_or_default());
        let script = fs::read(&path).is_ok_and(|bytes| bytes.starts_with(b"#!"));
        if script && !target.exists() {
            fs::copy(&path, &target).with_context(|| path.display().to_string())?;
            mode(&target, 0o755)?;
        }
    }
    Ok(())
}

/// Writes a file with exactly these permissions.
pub fn write(path: &Path, text: &str, permissions: u32) -> Result<()> {
    fs::write(path, text).with_context(|| path.display().to_string())?;
    mode(path, permissions)
}

fn mode(path: &Path, permissions: u32) -> Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(permissions)).with_context(|| path.display().to_string())
}

/// A configuration as lines `KEY=VALUE`: a later line for the same key replaces the earlier one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConfigText(Vec<(String, String)>);

impl ConfigText {
    /// Sets `line`, which is `KEY=VALUE`.
    #[must_use]
    pub fn with(mut self, line: &str) -> Self {
        let (key, value) = line.split_once('=').unwrap_or((line, ""));
        match self.0.iter_mut().find(|(known, _)| known == key) {
            Some(entry) => value.clone_into(&mut entry.1),
            None => self.0.push((key.to_owned(), value.to_owned())),
        }
        self
    }

    /// Sets every line.
    #[must_use]
    pub fn with_all<S: AsRef<str>>(self, lines: impl IntoIterator<Item = S>) -> Self {
        lines.into_iter().fold(self, |config, line| config.with(line.as_ref()))
    }

    /// The value of `key`.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
    }

    /// The text of the file.
    #[must_use]
    pub fn text(&self) -> String {
        self.0.iter().map(|(key, value)| format!("{key}={value}\n")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_line_replaces_the_earlier_one_in_its_place() {
        let config = ConfigText::default().with_all(["DEBUG=0", "PORT=4711"]).with("DEBUG=1").with("GW=");
        assert_eq!(config.text(), "DEBUG=1\nPORT=4711\nGW=\n");
        assert_eq!(config.value("PORT"), Some("4711"));
        assert_eq!(config.value("LEASE"), None);
    }
}
