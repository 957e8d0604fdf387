//! `RES_<agent>[.<name>]=arguments` and the time limits of single resources.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::config::{Config, ResourceConfig};
use crate::keys::{LIMITS, RESOURCE};
use crate::problem::Wrong;
use crate::reader::{Entry, Reader};
use crate::value::seconds;

/// Resources a cluster may have; it bounds the status database and what one round has to check.
pub(crate) const MAX_RESOURCES: usize = 256;

/// A limit of a script, in seconds.
pub(crate) fn limit(text: &str) -> Result<Duration, Wrong> {
    seconds(text, 1..=3600)
}

/// The resources in the order of the file; `config` has the common limits.
pub(crate) fn read(reader: &mut Reader, config: &Config) -> Vec<ResourceConfig> {
    let mut resources = Vec::new();
    let mut shown: BTreeMap<String, Entry> = BTreeMap::new();
    for entry in reader.take_all(RESOURCE) {
        match resource(entry, &shown, config) {
            Ok(mut resource) => {
                shown.insert(shell_name(&resource.name), entry);
                read_limits(reader, &mut resource);
                resources.push(resource);
            }
            Err(wrong) => reader.refuse(entry, wrong),
        }
    }
    if resources.len() > MAX_RESOURCES {
        let what = format!("there are {} resources, and at most {MAX_RESOURCES} are possible", resources.len());
        reader.refuse_rule(&[], Wrong::new(what, "let one agent care for several things"));
    }
    resources
}

fn resource(entry: Entry, shown: &BTreeMap<String, Entry>, config: &Config) -> Result<ResourceConfig, Wrong> {
    let name = &entry.key[RESOURCE.len()..];
    let agent = name.split('.').next().unwrap_or(name);
    if agent.is_empty() || name.ends_with('.') {
        let remedy = "write RES_<agent>= or RES_<agent>.<name>=, where <agent> is a file in res/";
        return Err(Wrong::new("the name of the resource is not complete", remedy));
    }
    if let Some(other) = shown.get(&shell_name(name)) {
        let what = format!("{} in line {} looks the same where shells read the status", other.key, other.line);
        return Err(Wrong::new(what, "choose names that differ in more than '.', '-' and '_'"));
    }
    Ok(ResourceConfig {
        name: name.to_owned(),
        agent: agent.to_owned(),
        arguments: entry.value.split_whitespace().map(str::to_owned).collect(),
        start_timeout: config.start_timeout,
        stop_timeout: config.stop_timeout,
        check_timeout: config.check_timeout,
        line: entry.line,
    })
}

fn read_limits(reader: &mut Reader, resource: &mut ResourceConfig) {
    let [start, stop, check] = LIMITS.map(|key| format!("{key}{}", resource.name));
    reader.read(&start, &mut resource.start_timeout, limit);
    reader.read(&stop, &mut resource.stop_timeout, limit);
    reader.read(&check, &mut resource.check_timeout, limit);
}

/// The name as the status database writes it for shells.
fn shell_name(name: &str) -> String {
    name.replace(['.', '-'], "_")
}
