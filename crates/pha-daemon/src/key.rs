//! The keys that make heartbeats authentic, as the configuration wants them.

use std::fs;
use std::io;

use anyhow::{Context as _, bail};
use pha_config::{Auth, Config, Home};
use pha_wire::{Codec, Keyring, Trust};

use crate::start::Daemon;

/// The codec for this cluster, with the keys of `etc/authkey` as `AUTH` says.
///
/// # Errors
/// If `AUTH=required` and there is no key, or if the keys cannot be read or are none.
pub fn codec(home: &Home, config: &Config) -> anyhow::Result<Codec> {
    let path = home.authkey_in_use();
    let shown = path.display();
    let keys = |text: &str| {
        let none = || format!("{shown} holds no key (`pha-cli keygen --force` makes a new one)");
        Keyring::parse(text).with_context(none)
    };
    let trust = match (config.auth, fs::read_to_string(&path)) {
        (Auth::Off, _) => Trust::Anybody,
        (Auth::Auto | Auth::Required, Ok(text)) => Trust::Holders(keys(&text)?),
        (Auth::Rollout, Ok(text)) => Trust::Untagged(keys(&text)?),
        (Auth::Auto | Auth::Rollout, Err(error)) if error.kind() == io::ErrorKind::NotFound => Trust::Anybody,
        (Auth::Required, Err(error)) if error.kind() == io::ErrorKind::NotFound => {
            bail!("AUTH=required, but there is no {shown}; `pha-cli keygen` makes one")
        }
        (Auth::Auto | Auth::Rollout | Auth::Required, Err(error)) => {
            return Err(error).with_context(|| format!("{shown} cannot be read"));
        }
    };
    Ok(Codec::new(&config.cluster, trust))
}

/// SIGHUP: reads the configuration and the keys again. Whether `codec` is another one now; keys that cannot be used leave the
/// old ones in force.
pub fn reload(daemon: &mut Daemon, codec: &mut Codec) -> bool {
    let Some(reloaded) = daemon.reload() else { return false };
    daemon.config = reloaded.config;
    match self::codec(&daemon.home, &daemon.config) {
        Ok(new) if new == *codec => false,
        Ok(new) => {
            log::info!("heartbeats are signed with {}", name(new.best().signer));
            *codec = new;
            true
        }
        Err(error) => {
            log::error!("not reloaded, the keys in use stay: {error:#}");
            false
        }
    }
}

fn name(key: u8) -> String {
    match key {
        0 => "no key".to_owned(),
        id => format!("key {id:02x}"),
    }
}
