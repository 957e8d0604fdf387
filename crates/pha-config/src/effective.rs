//! The configuration as it is in force, defaults included, and the part of it that all nodes must share.

use std::path::Path;
use std::time::Duration;

use crate::config::{Auth, Config, Profile, ResourceConfig, Split};
use crate::home::Home;
use crate::keys::{ADDRESS, CHECK, LIMITS, PARALLEL, RESOURCE};
use crate::value::in_seconds;

/// Keys that may differ between nodes.
const LOCAL: [&str; 12] = [
    "DEBUG",
    "INSTALLDIR",
    "LOGPATH",
    "DAEMON",
    "DAEMON_USER",
    "PINGTIMEOUT",
    "GW",
    "VARDIR",
    "TRACE_SIZE",
    "REALTIME",
    // While it is being changed it differs.
    "AUTH",
    // What it sets is shared.
    "PROFILE",
];

impl Config {
    /// Every key with its value in force, in the order of the documentation; per-resource limits only where they
    /// differ from the common ones, built-in checks and `RES_PARALLEL` only where there are any. Paths are empty where nothing sets them and the file was not [`Config::load`]ed.
    /// Written as `KEY=value` lines this is a configuration with the same meaning.
    #[must_use]
    pub fn effective(&self) -> Vec<(String, String)> {
        let plain = self.old_keys().into_iter().chain(self.times()).chain(self.policies());
        let mut pairs: Vec<_> = plain.map(|(key, value)| (key.to_owned(), value)).collect();
        for node in &self.nodes {
            let addresses = if node.addresses.is_empty() { node.name.clone() } else { node.addresses.join(" ") };
            pairs.push((format!("{ADDRESS}{}", node.name), addresses));
        }
        for resource in &self.resources {
            pairs.push((format!("{RESOURCE}{}", resource.name), resource.arguments.join(" ")));
            pairs.extend(self.own_limits(resource));
            let check = resource.built_in_check.iter();
            pairs.extend(check.map(|check| (format!("{CHECK}{}", resource.name), check.to_string())));
        }
        pairs.extend(self.parallel().map(|groups| (PARALLEL.to_owned(), groups)));
        pairs
    }

    /// The groups of more than one resource, if there are any.
    fn parallel(&self) -> Option<String> {
        let names = |group: &[ResourceConfig]| joined(group.iter().map(|resource| resource.name.clone()));
        let groups: Vec<_> = self.groups().filter(|group| group.len() > 1).map(names).collect();
        (!groups.is_empty()).then(|| groups.join(", "))
    }

    /// CRC-32 of what all nodes must share: nodes, resources, times, cluster, port. Heartbeats carry it, and nodes warn
    /// about a difference. It leaves out what belongs to one machine: debugging, paths, gateway and addresses.
    #[must_use]
    pub fn shared_hash(&self) -> u32 {
        let mut hash = crc32fast::Hasher::new();
        for (key, value) in self.effective() {
            if !LOCAL.contains(&key.as_str()) && !key.starts_with(ADDRESS) {
                hash.update(format!("{key}={value}\n").as_bytes());
            }
        }
        hash.finalize()
    }

    fn old_keys(&self) -> [(&'static str, String); 9] {
        let home = self.place.as_ref();
        let written = |path: &Option<_>| path.as_deref().map_or_else(String::new, text);
        let install_dir = home.map_or_else(|| written(&self.install_dir), |home| text(home.root()));
        let log_path = home.map_or_else(|| written(&self.log_path), |home| self.log_path_in_force(home));
        [
            ("DEBUG", u8::from(self.debug).to_string()),
            ("INSTALLDIR", install_dir),
            ("LOGPATH", log_path),
            ("DAEMON", u8::from(self.daemon).to_string()),
            ("PINGTIMEOUT", in_seconds(self.ping_timeout)),
            ("PORT", self.port.to_string()),
            ("SUPERVISE_INT", in_milliseconds(self.supervise_interval)),
            ("NODES", joined(self.nodes.iter().map(|node| node.name.clone()))),
            ("GW", joined(self.gateways.iter().map(ToString::to_string))),
        ]
    }

    fn times(&self) -> [(&'static str, String); 9] {
        let profile = match self.profile {
            Profile::Usual => "usual",
            Profile::Lan => "lan",
        };
        [
            ("PROFILE", profile.to_owned()),
            ("HEARTBEAT_INT", in_milliseconds(self.heartbeat_interval)),
            ("DEADTIME", in_milliseconds(self.dead_time)),
            ("INITDEAD", in_milliseconds(self.init_dead)),
            ("OFFLINE_TIME", in_seconds(self.offline_time)),
            ("LEASE", in_seconds(self.lease)),
            ("START_TIMEOUT", in_seconds(self.start_timeout)),
            ("STOP_TIMEOUT", in_seconds(self.stop_timeout)),
            ("CHECK_TIMEOUT", in_seconds(self.check_timeout)),
        ]
    }

    fn policies(&self) -> [(&'static str, String); 13] {
        let auth = match self.auth {
            Auth::Auto => "auto",
            Auth::Rollout => "rollout",
            Auth::Required => "required",
            Auth::Off => "off",
        };
        let split = match self.split {
            Split::Service => "service",
            Split::Safe => "safe",
        };
        let written = || self.var_dir.as_deref().map_or_else(String::new, text);
        [
            ("RESTARTS", self.restarts.to_string()),
            ("RESTART_WINDOW", in_seconds(self.restart_window)),
            ("UNFIT_TIME", in_seconds(self.unfit_time)),
            ("FAILBACK", switched(self.failback.is_some())),
            ("FAILBACK_AFTER", in_seconds(self.failback_after)),
            ("CLUSTER", self.cluster.clone()),
            ("AUTH", auth.to_owned()),
            ("WITNESS", switched(self.witness)),
            ("REALTIME", if self.realtime { "auto" } else { "off" }.to_owned()),
            ("DAEMON_USER", self.daemon_user.clone()),
            ("SPLIT", split.to_owned()),
            ("VARDIR", self.place.as_ref().map_or_else(written, |home| text(&self.var_dir(home)))),
            ("TRACE_SIZE", (self.trace_size >> 20).to_string()),
        ]
    }

    /// The folder with its slash, or the beginning of the names.
    fn log_path_in_force(&self, home: &Home) -> String {
        let file = text(&self.log_file(home, "sender"));
        let beginning = file.strip_suffix("sender.log").or_else(|| file.strip_suffix(".sender"));
        beginning.unwrap_or(&file).to_owned()
    }

    /// The limits of `resource` that are not the common ones.
    fn own_limits(&self, resource: &ResourceConfig) -> impl Iterator<Item = (String, String)> {
        let common = [self.start_timeout, self.stop_timeout, self.check_timeout];
        let own = [resource.start_timeout, resource.stop_timeout, resource.check_timeout];
        let limits = LIMITS.into_iter().zip(own).zip(common).filter(|((_, own), common)| own != common);
        limits.map(|((key, own), _)| (format!("{key}{}", resource.name), in_seconds(own)))
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn in_milliseconds(time: Duration) -> String {
    time.as_millis().to_string()
}

fn joined(words: impl Iterator<Item = String>) -> String {
    words.collect::<Vec<_>>().join(" ")
}

fn switched(on: bool) -> String {
    if on { "on" } else { "off" }.to_owned()
}
