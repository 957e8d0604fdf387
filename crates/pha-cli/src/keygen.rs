//! `keygen`: the secrets that make heartbeats authentic.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use pha_config::{Auth, Node};
use pha_status::remove_stale;
use pha_sys::exit;
use pha_wire::{Key, Keyring};

use crate::failure::{Failure, UNAVAILABLE};
use crate::screen::print;
use crate::session::Session;

/// One key in 255 has the name of the one that is there, so this many have not.
const ATTEMPTS: u32 = 100;

/// Writes the first key, mode 0600, and says what to do with it. A key that is there stays, unless `force` is given. Where pha
/// runs, nothing is written before the nodes can bear it.
pub(crate) fn create(session: &Session, force: bool) -> Result<(), Failure> {
    let path = session.home.authkey();
    let (shown, exists) = (path.display(), path.exists());
    if exists && !force {
        let text = format!(
            "{shown} exists and stays: --rotate puts a new key before it, without an interruption; --force replaces it"
        );
        return Err(Failure::new(exit::CANT_CREATE, text));
    }
    if let Some(first) = to_be_done_first(session, exists) {
        return Err(Failure::new(UNAVAILABLE, first));
    }
    save(session, &ring_with(None)?)?;
    let (copy, next) = (copy(&path), if exists { REPLACED } else { FIRST });
    print(&format!("a new key is in {shown}. Now:\n1. {copy}\n{next}"))
}

const FIRST: &str = "\
If pha runs there already:
2. 'reload' on every node, in any order
3. as soon as 'status' on every node says that every peer signs: remove AUTH=rollout everywhere, and 'reload'";

const REPLACED: &str = "\
2. 'reload' on every node
3. as soon as 'status' shows the peers alive: 'maintenance off' on every node";

/// What a running pair needs before there is a key in the file: a receiver that starts anew would hear nobody who does not sign
/// with it.
fn to_be_done_first(session: &Session, replaces: bool) -> Option<&'static str> {
    let record = session.database().read().ok().filter(|record| record.receiver.pid != 0)?;
    if replaces {
        let needed = "nodes with different keys do not hear each other: 'maintenance on' on every node first, then --force \
                      again; or use --rotate, which needs none";
        return (!record.operator.wishes.maintenance).then_some(needed);
    }
    let needed = "pha runs here without a key: write AUTH=rollout into etc/config of every node and 'reload' there first, so \
                  that a node with a key still hears one without; then 'keygen' again";
    let arms = session.config().is_ok_and(|config| config.auth == Auth::Auto);
    arms.then_some(needed)
}

/// Puts a new key before the one that is there, and says what to do next.
pub(crate) fn rotate(session: &Session) -> Result<(), Failure> {
    let path = session.home.authkey();
    let shown = path.display();
    let old = load(&path)?;
    if old.second().is_some() {
        let text = format!("{shown} holds two keys already: --retire removes the older one");
        return Err(Failure::new(exit::CANT_CREATE, text));
    }
    let new = ring_with(Some(old.first()))?;
    save(session, &new)?;
    let (id, before, copy) = (new.first().id(), old.first().id(), copy(&path));
    print(&format!(
        "a new key, {id:02x}, is in {shown} before the one in use, {before:02x}. Nothing is interrupted:\n\
         1. {copy}\n\
         2. 'reload' on every node, in any order\n\
         3. as soon as 'status' says that every peer signs with {id:02x}: 'keygen --retire'"
    ))
}

/// Removes the older one of two keys. Peers that sign with it, or with none, would not be heard any more.
pub(crate) fn retire(session: &Session, force: bool) -> Result<(), Failure> {
    let path = session.home.authkey();
    let shown = path.display();
    let keys = load(&path)?;
    let id = keys.first().id();
    if keys.second().is_none() {
        return Err(Failure::new(
            exit::CANT_CREATE,
            format!("{shown} holds one key only, {id:02x}: there is nothing to retire"),
        ));
    }
    let receiver = session.database().read().map_err(|error| Failure::new(exit::IO_ERR, error.to_string()))?.receiver;
    let signs = |peer: &&Node| receiver.contacts.get(&peer.id).is_some_and(|contact| contact.dialect.signer == id);
    if let Some(peer) = session.peers().iter().find(|peer| !force && !signs(peer)) {
        let text = format!(
            "{} was not heard to sign with {id:02x}, and could not be heard any more: copy {shown} there and 'reload' it; \
             --force removes the older key all the same",
            peer.name
        );
        return Err(Failure::new(UNAVAILABLE, text));
    }
    save(session, &Keyring::from(keys.first().clone()))?;
    let copy = copy(&path);
    print(&format!("{shown} holds one key, {id:02x}. Now:\n1. {copy}\n2. 'reload' on every node, in any order"))
}

/// A new key, and behind it the one that is there.
fn ring_with(old: Option<&Key>) -> Result<Keyring, Failure> {
    let mut refused = None;
    for _ in 0..ATTEMPTS {
        match Keyring::new(random_key()?, old.cloned()) {
            Ok(keys) => return Ok(keys),
            Err(error) => refused = Some(error),
        }
    }
    Err(Failure::new(exit::SOFTWARE, refused.map(|error| error.to_string()).unwrap_or_default()))
}

fn random_key() -> Result<Key, Failure> {
    let source = Path::new("/dev/urandom");
    let mut bytes = [0; 32];
    let read = File::open(source).and_then(|mut file| file.read_exact(&mut bytes));
    read.map_err(|error| Failure::from_io("read", source, &error))?;
    Ok(Key::from_bytes(bytes))
}

fn load(path: &Path) -> Result<Keyring, Failure> {
    let shown = path.display();
    if !path.exists() {
        return Err(Failure::new(exit::CANT_CREATE, format!("there is no {shown} yet: 'keygen' makes it")));
    }
    let text = fs::read_to_string(path).map_err(|error| Failure::from_io("read", path, &error))?;
    Keyring::parse(&text).map_err(|error| Failure::new(exit::CONFIG, format!("{shown}: {error}")))
}

fn save(session: &Session, keys: &Keyring) -> Result<(), Failure> {
    let path = session.home.authkey();
    write(&path, &keys.to_text()).map_err(|error| Failure::from_io("write", &path, &error))?;
    session.hand_over_key()
}

fn copy(path: &Path) -> String {
    let path = path.display();
    format!("copy it to every node: scp -p {path} NODE:{path}")
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
        let keys = ring_with(None).unwrap();
        write(&path, &keys.to_text()).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(load(&path).unwrap(), keys);
        let next = ring_with(Some(keys.first())).unwrap();
        assert_ne!(next.first(), keys.first());
        assert_eq!(next.second(), Some(keys.first()));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
