//! The key that makes heartbeats authentic, as the configuration wants it.

use std::fs;
use std::io;

use anyhow::{Context as _, bail};
use pha_config::{Auth, Config, Home};
use pha_wire::{Codec, Key};

/// The codec for this cluster, with the key of `etc/authkey` as `AUTH` says.
///
/// # Errors
/// If `AUTH=required` and there is no key, or if the key cannot be read or is none.
pub fn codec(home: &Home, config: &Config) -> anyhow::Result<Codec> {
    let path = home.authkey();
    let shown = path.display();
    let key = match (config.auth, fs::read_to_string(&path)) {
        (Auth::Off, _) => None,
        (Auth::Auto | Auth::Required, Ok(text)) => {
            let none = || format!("{shown} holds no key (`pha-cli keygen --force` makes a new one)");
            Some(Key::parse(&text).with_context(none)?)
        }
        (Auth::Auto, Err(error)) if error.kind() == io::ErrorKind::NotFound => None,
        (Auth::Required, Err(error)) if error.kind() == io::ErrorKind::NotFound => {
            bail!("AUTH=required, but there is no {shown}; `pha-cli keygen` makes one")
        }
        (Auth::Auto | Auth::Required, Err(error)) => {
            return Err(error).with_context(|| format!("{shown} cannot be read"));
        }
    };
    Ok(Codec::new(&config.cluster, key))
}
