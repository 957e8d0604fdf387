//! `keygen`: the secret that makes heartbeats authentic.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use pha_status::remove_stale;
use pha_sys::exit;
use pha_wire::Key;

use crate::failure::Failure;
use crate::screen::print;
use crate::session::Session;

/// Writes a new key, mode 0600, and says what to do with it. A key that is there stays, unless `force` is given.
pub(crate) fn run(session: &Session, force: bool) -> Result<(), Failure> {
    let path = session.home.authkey();
    let key = random_key().map_err(|error| Failure::from_io("read", Path::new("/dev/urandom"), &error))?;
    if !force && path.exists() {
        return Err(refusal(&path));
    }
    write(&path, &key.to_text()).map_err(|error| Failure::from_io("write", &path, &error))?;
    let path = path.display();
    print(&format!(
        "a new key is in {path}. To use it, without moving anything:\n\
         1. copy it to every node: scp -p {path} NODE:{path}\n\
         2. 'maintenance on' on every node: nodes with different keys do not hear each other, and must not act on that\n\
         3. 'restart' on every node\n\
         4. as soon as 'status' shows the peers alive, 'maintenance off' on every node"
    ))
}

fn refusal(path: &Path) -> Failure {
    let path = path.display();
    let text =
        format!("{path} exists and stays: peers with the old key would not understand a new one; --force replaces it");
    Failure::new(exit::CANT_CREATE, text)
}

fn random_key() -> io::Result<Key> {
    let mut bytes = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(Key::from_bytes(bytes))
}

/// At every moment the file is absent, the old one or the new one, and never readable by others. When this returns, it stays
/// the new one: peers may have it.
fn write(path: &Path, text: &str) -> io::Result<()> {
    remove_stale(path);
    let fresh = path.with_extension(format!("{}.tmp", std::process::id()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
    let written =
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).and_then(|()| fs::rename(&fresh, path));
    if written.is_err() {
        // Nothing but our own unfinished file.
        let _ = fs::remove_file(&fresh);
    }
    written?;
    path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn keys_differ_and_are_for_the_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("authkey");
        write(&path, &random_key().unwrap().to_text()).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let text = fs::read_to_string(&path).unwrap();
        assert!(Key::parse(&text).is_ok());
        assert_ne!(text, random_key().unwrap().to_text());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
