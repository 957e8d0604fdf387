//! Status databases that nobody expects.
//!
//! They are put in place under the database's lock, so that no update in progress replaces them unseen.

use std::fs;

use anyhow::{Context, Result};

use super::Node;

/// What lies in the database's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spoilt {
    /// Nothing.
    Deleted,
    /// A file without content.
    Empty,
    /// A file that is no database.
    Garbage,
    /// One of a later version.
    Newer,
    /// One whose end is missing.
    Truncated,
    /// A link to a device.
    Link,
    /// A folder.
    Folder,
    /// The database of another node.
    Foreign,
}

impl Node {
    /// Puts `what` in the place of this node's status database; `other` is whose a foreign one is.
    ///
    /// # Errors
    /// There is none to be truncated or copied, or the disk takes nothing.
    pub fn spoil(&self, what: Spoilt, other: &Self) -> Result<()> {
        let path = self.var_dir.join("status.dat");
        let mut options = fs::File::options();
        let lock = options.read(true).write(true).create(true).truncate(false).open(path.with_extension("lock"))?;
        lock.lock()?;
        let new = path.with_extension("new");
        match what {
            Spoilt::Deleted => return fs::remove_file(&path).context("status database"),
            Spoilt::Folder => {
                fs::remove_file(&path)?;
                return fs::create_dir(&path).context("status database");
            }
            Spoilt::Empty => fs::write(&new, "")?,
            Spoilt::Garbage => fs::write(&new, [0xa5; 3000])?,
            Spoilt::Newer => fs::write(&new, "#pha-status 2 5 0 00000000\nx\n--\n")?,
            Spoilt::Truncated => fs::write(&new, fs::read(&path)?.split_last_chunk::<7>().context("short")?.0)?,
            Spoilt::Link => std::os::unix::fs::symlink("/dev/zero", &new)?,
            Spoilt::Foreign => fs::write(&new, fs::read(other.var_dir.join("status.dat"))?)?,
        }
        fs::rename(&new, &path).context("status database")
    }
}
