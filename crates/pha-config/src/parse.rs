//! The keys that stand alone: their defaults and their bounds.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use crate::config::{Auth, Config, Profile, Split};
use crate::home::Home;
use crate::problem::{ConfigErrors, Problem, Wrong};
use crate::reader::Reader;
use crate::value::{
    absolute_path, addresses, choice, cluster, digit, fractional, milliseconds, seconds, switch, user, whole,
};
use crate::{nodes, resources, times};

impl Config {
    /// The configuration that `text` is; `file` only names it in errors. Reads nothing, so no agent counts as a witness.
    ///
    /// # Errors
    /// Every problem at once, in the order of the lines.
    pub fn parse(text: &str, file: &Path) -> Result<Self, ConfigErrors> {
        let (config, problems) = assemble(text, file, None);
        settle(config, problems)
    }
}

/// The configuration, unless there is a problem.
pub(crate) fn settle(config: Config, mut problems: Vec<Problem>) -> Result<Config, ConfigErrors> {
    if problems.is_empty() {
        return Ok(config);
    }
    problems.sort_by_key(|problem| problem.line);
    Err(ConfigErrors(problems))
}

/// Reads all of `text`. With problems, the configuration is only good for finding more of them. `home` has the agents.
pub(crate) fn assemble(text: &str, file: &Path, home: Option<&Home>) -> (Config, Vec<Problem>) {
    let mut reader = Reader::new(text, file);
    let mut config = defaults(file);
    read_program(&mut reader, &mut config);
    config.lines = reader.lines().clone();
    if let Some(home) = home {
        config.settle_home(home);
    }
    read_limits(&mut reader, &mut config);
    config.nodes = nodes::read(&mut reader);
    config.resources = resources::read(&mut reader, &config);
    read_times(&mut reader, &mut config);
    read_failures(&mut reader, &mut config);
    config.restart_window = times::default_of("RESTART_WINDOW", config.restart_window, &config);
    reader.read("RESTART_WINDOW", &mut config.restart_window, |text| seconds(text, 1..=86_400));
    times::check(&mut reader, &config);
    let names: Vec<_> = config.nodes.iter().map(|node| node.name.clone()).collect();
    let resources: Vec<_> = config.resources.iter().map(|resource| resource.name.clone()).collect();
    let (lines, problems) = reader.finish(&names, &resources);
    config.lines = lines;
    (config, problems)
}

fn defaults(file: &Path) -> Config {
    let ms = Duration::from_millis;
    Config {
        file: file.to_owned(),
        debug: false,
        install_dir: None,
        log_path: None,
        daemon: true,
        ping_timeout: ms(2100),
        port: 4711,
        supervise_interval: ms(2000),
        nodes: Vec::new(),
        gateways: Vec::new(),
        profile: Profile::Usual,
        realtime: true,
        daemon_user: "pha".to_owned(),
        heartbeat_interval: ms(200),
        dead_time: ms(600),
        init_dead: ms(1200),
        offline_time: ms(30_000),
        cluster: "pha".to_owned(),
        auth: Auth::Auto,
        lease: ms(3000),
        start_timeout: ms(60_000),
        stop_timeout: ms(60_000),
        check_timeout: ms(10_000),
        restarts: 1,
        restart_window: ms(60_000),
        unfit_time: ms(60_000),
        failback: None,
        failback_after: ms(60_000),
        var_dir: None,
        trace_size: 2 << 20,
        witness: true,
        split: Split::Service,
        resources: Vec::new(),
        lines: BTreeMap::new(),
        found: Vec::new(),
        place: None,
    }
}

fn read_program(reader: &mut Reader, config: &mut Config) {
    reader.read("DEBUG", &mut config.debug, digit);
    reader.read("INSTALLDIR", &mut config.install_dir, |text| absolute_path(text).map(Some));
    reader.read("LOGPATH", &mut config.log_path, |text| absolute_path(text).map(Some));
    reader.read("DAEMON", &mut config.daemon, digit);
    reader.read("PINGTIMEOUT", &mut config.ping_timeout, |text| fractional(text, 3, 100..=60_000));
    reader.read("PORT", &mut config.port, |text| whole(text, 1..=65535, ""));
    reader.read("SUPERVISE_INT", &mut config.supervise_interval, |text| milliseconds(text, 100..=600_000));
    reader.read("GW", &mut config.gateways, addresses);
    reader.read("CLUSTER", &mut config.cluster, cluster);
    let words = [("auto", Auth::Auto), ("rollout", Auth::Rollout), ("required", Auth::Required), ("off", Auth::Off)];
    reader.read("AUTH", &mut config.auth, |text| choice(text, &words));
    reader.read("VARDIR", &mut config.var_dir, |text| absolute_path(text).map(Some));
    reader.read("TRACE_SIZE", &mut config.trace_size, |text| whole::<u64>(text, 0..=64, " MiB").map(|size| size << 20));
    reader.read("WITNESS", &mut config.witness, switch);
    reader.read("REALTIME", &mut config.realtime, |text| choice(text, &[("auto", true), ("off", false)]));
    reader.read("DAEMON_USER", &mut config.daemon_user, user);
    reader.read("SPLIT", &mut config.split, split);
}

fn read_times(reader: &mut Reader, config: &mut Config) {
    reader
        .read("PROFILE", &mut config.profile, |text| choice(text, &[("usual", Profile::Usual), ("lan", Profile::Lan)]));
    config.heartbeat_interval = config.profile.heartbeat_interval();
    reader.read("HEARTBEAT_INT", &mut config.heartbeat_interval, |text| milliseconds(text, 5..=10_000));
    if config.needs_realtime() && !config.realtime {
        let what = "a heartbeat below 50 ms needs real-time scheduling, and REALTIME=off";
        let wrong = Wrong::new(what, "write HEARTBEAT_INT=50 or more, or REALTIME=auto");
        reader.refuse_rule(&["HEARTBEAT_INT", "PROFILE", "REALTIME"], wrong);
    }
    config.dead_time = config.heartbeat_interval * if config.has_witness() { 2 } else { 3 };
    reader.read("DEADTIME", &mut config.dead_time, |text| milliseconds(text, 10..=58_500));
    config.init_dead = (config.dead_time * 2).max(Duration::from_secs(1));
    reader.read("INITDEAD", &mut config.init_dead, |text| milliseconds(text, 10..=600_000));
    config.offline_time = times::default_of("OFFLINE_TIME", config.offline_time, config);
    reader.read("OFFLINE_TIME", &mut config.offline_time, |text| seconds(text, 1..=86_400));
    config.lease = times::default_of("LEASE", config.lease, config);
    reader.read("LEASE", &mut config.lease, |text| seconds(text, 2..=60));
}

fn read_limits(reader: &mut Reader, config: &mut Config) {
    reader.read("START_TIMEOUT", &mut config.start_timeout, resources::limit);
    reader.read("STOP_TIMEOUT", &mut config.stop_timeout, resources::limit);
    reader.read("CHECK_TIMEOUT", &mut config.check_timeout, resources::limit);
}

fn read_failures(reader: &mut Reader, config: &mut Config) {
    reader.read("RESTARTS", &mut config.restarts, |text| whole(text, 0..=100, ""));
    config.unfit_time = times::default_of("UNFIT_TIME", config.unfit_time, config);
    reader.read("UNFIT_TIME", &mut config.unfit_time, |text| seconds(text, 1..=86_400));
    config.failback_after = times::default_of("FAILBACK_AFTER", config.failback_after, config);
    reader.read("FAILBACK_AFTER", &mut config.failback_after, |text| seconds(text, 1..=86_400));
    let mut failback = false;
    reader.read("FAILBACK", &mut failback, switch);
    config.failback = failback.then_some(config.failback_after);
}

fn split(text: &str) -> Result<Split, Wrong> {
    match choice(text, &[("service", Split::Service), ("safe", Split::Safe)])? {
        Split::Service => Ok(Split::Service),
        Split::Safe => {
            let what = "SPLIT=safe needs a quorum to ask, and there is none yet";
            Err(Wrong::new(what, "write SPLIT=service, or remove the line"))
        }
    }
}
