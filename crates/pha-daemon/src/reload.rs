//! What of a changed configuration takes effect at once, and what needs a restart of the daemons.
//!
//! Safe is what moves nothing and what no two programs must agree on. Everything else stays as it was until the restart,
//! which moves nothing either.

use pha_config::Config;

/// Keys that take effect with a reload; those of a single resource begin with one of them.
const SAFE: [&str; 14] = [
    "AUTH",
    "GW",
    "PINGTIMEOUT",
    "SUPERVISE_INT",
    "RESTARTS",
    "RESTART_WINDOW",
    "UNFIT_TIME",
    "FAILBACK",
    "FAILBACK_AFTER",
    "WITNESS",
    "OFFLINE_TIME",
    "START_TIMEOUT",
    "STOP_TIMEOUT",
    "CHECK_TIMEOUT",
];

/// A configuration read again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reloaded {
    /// The old one with what is safe of the new one.
    pub config: Config,
    /// Keys that changed and are in force.
    pub changed: Vec<String>,
    /// Keys that changed and wait for a restart.
    pub waiting: Vec<String>,
}

impl Reloaded {
    /// Puts what is safe of `new` into `old`.
    #[must_use]
    pub fn new(old: &Config, new: &Config) -> Self {
        let (before, after) = (old.effective(), new.effective());
        let mut keys: Vec<String> = Vec::new();
        for (key, value) in before.iter().chain(&after) {
            let entry = (key.clone(), value.clone());
            let stayed = before.contains(&entry) && after.contains(&entry);
            if !stayed && !keys.contains(key) {
                keys.push(key.clone());
            }
        }
        let (changed, waiting) = keys.into_iter().partition(|key| is_safe(key));
        Self { config: merged(old, new), changed, waiting }
    }
}

fn is_safe(key: &str) -> bool {
    SAFE.iter().any(|safe| key == *safe || (safe.ends_with("_TIMEOUT") && key.starts_with(&format!("{safe}_"))))
}

fn merged(old: &Config, new: &Config) -> Config {
    let mut config = old.clone();
    config.auth = new.auth;
    config.gateways.clone_from(&new.gateways);
    config.ping_timeout = new.ping_timeout;
    config.supervise_interval = new.supervise_interval;
    config.restarts = new.restarts;
    config.restart_window = new.restart_window;
    config.unfit_time = new.unfit_time;
    config.failback = new.failback;
    config.failback_after = new.failback_after;
    config.witness = new.witness;
    config.offline_time = new.offline_time;
    config.start_timeout = new.start_timeout;
    config.stop_timeout = new.stop_timeout;
    config.check_timeout = new.check_timeout;
    for resource in &mut config.resources {
        if let Some(new) = new.resources.iter().find(|new| new.name == resource.name) {
            resource.start_timeout = new.start_timeout;
            resource.stop_timeout = new.stop_timeout;
            resource.check_timeout = new.check_timeout;
        }
    }
    config
}
