//! From the configuration to what the core wants to know.

use pha_config::{AgentFeatures, Config, Home, Node, ResourceConfig, agent_features};
use pha_core::resource::ResourceSettings;
use pha_core::supervisor::Settings;

/// The core's settings. An agent whose file cannot be read has no features; running it will say why.
#[must_use]
pub fn settings(home: &Home, config: &Config, me: &Node) -> Settings {
    Settings {
        me: me.id,
        heartbeat_interval: config.heartbeat_interval,
        dead_time: config.dead_time,
        supervise_interval: config.supervise_interval,
        ping_timeout: config.ping_timeout,
        gateway: !config.gateways.is_empty(),
        lease: config.lease,
        restarts: config.restarts,
        restart_window: config.restart_window,
        unfit_time: config.unfit_time,
        failback: config.failback,
        witness: config.witness,
        config_hash: config.shared_hash(),
        resources: config.resources.iter().map(|resource| resource_settings(home, config, resource)).collect(),
    }
}

fn resource_settings(home: &Home, config: &Config, resource: &ResourceConfig) -> ResourceSettings {
    let path = config.agent_path(home, &resource.agent);
    let features = agent_features(&path).unwrap_or_else(|error| {
        log::error!("{}: {error}", path.display());
        AgentFeatures::default()
    });
    ResourceSettings {
        name: resource.name.clone(),
        start_timeout: resource.start_timeout,
        stop_timeout: resource.stop_timeout,
        check_timeout: resource.check_timeout,
        leased: features.lease,
        probes: features.probe,
        announces: features.announce,
        watched: resource.built_in_check.is_some() && !features.lease,
        beside_previous: resource.beside_previous,
    }
}
