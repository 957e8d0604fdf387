//! `RES_<agent>[.<name>]=arguments`, the time limits and built-in checks of single resources, and `RES_PARALLEL`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use crate::config::{BuiltInCheck, Config, ResourceConfig};
use crate::keys::{CHECK, LIMITS, PARALLEL, RESOURCE};
use crate::problem::Wrong;
use crate::reader::{Entry, Reader};
use crate::value::{absolute_path, seconds};

/// Resources a cluster may have; it bounds the status database and what one round has to check.
pub(crate) const MAX_RESOURCES: usize = 256;

/// A device's name is shorter than this (`IFNAMSIZ`).
const DEVICE_NAME: usize = 16;

/// A limit of a script, in seconds.
pub(crate) fn limit(text: &str) -> Result<Duration, Wrong> {
    seconds(text, 1..=3600)
}

/// The resources in the order of the file; `config` has the common limits.
pub(crate) fn read(reader: &mut Reader, config: &Config) -> Vec<ResourceConfig> {
    let mut resources = Vec::new();
    let mut shown: BTreeMap<String, Entry> = BTreeMap::new();
    let parallel = reader.take(PARALLEL);
    for entry in reader.take_all(RESOURCE) {
        match resource(entry, &shown, config) {
            Ok(mut resource) => {
                shown.insert(shell_name(&resource.name), entry);
                read_limits(reader, &mut resource);
                let key = format!("{CHECK}{}", resource.name);
                reader.read(&key, &mut resource.built_in_check, |text| built_in_check(text).map(Some));
                resources.push(resource);
            }
            Err(wrong) => reader.refuse(entry, wrong),
        }
    }
    if resources.len() > MAX_RESOURCES {
        let what = format!("there are {} resources, and at most {MAX_RESOURCES} are possible", resources.len());
        reader.refuse_rule(&[], Wrong::new(what, "let one agent care for several things"));
    }
    if let Some(entry) = parallel
        && let Err(wrong) = join(&mut resources, entry.value)
    {
        reader.refuse(entry, wrong);
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
        built_in_check: None,
        beside_previous: false,
        line: entry.line,
    })
}

fn read_limits(reader: &mut Reader, resource: &mut ResourceConfig) {
    let [start, stop, check] = LIMITS.map(|key| format!("{key}{}", resource.name));
    reader.read(&start, &mut resource.start_timeout, limit);
    reader.read(&stop, &mut resource.stop_timeout, limit);
    reader.read(&check, &mut resource.check_timeout, limit);
}

/// What a built-in check looks at. It must not have to wait for a resolver, so a port has an address and no name.
fn built_in_check(text: &str) -> Result<BuiltInCheck, Wrong> {
    let words: Vec<_> = text.split_whitespace().collect();
    match words[..] {
        ["process", file] => absolute_path(file).map(BuiltInCheck::Process),
        ["tcp", address] => {
            address.parse().ok().filter(|to: &SocketAddr| to.port() != 0).map(BuiltInCheck::Tcp).ok_or_else(|| {
                let remedy = "write tcp 127.0.0.1:80 or tcp [::1]:80";
                Wrong::new(format!("'{address}' is not an IP address with a port"), remedy)
            })
        }
        ["link", device] if device.len() < DEVICE_NAME && !device.contains('/') => {
            Ok(BuiltInCheck::Link(device.to_owned()))
        }
        ["link", device] => {
            Err(Wrong::new(format!("'{device}' is no network device"), "write link eth0 (see `ip link`)"))
        }
        _ => {
            let remedy =
                "write process PIDFILE, tcp ADDRESS:PORT or link DEVICE, or remove the line: the agent checks then";
            Err(Wrong::new("there is no such built-in check", remedy))
        }
    }
}

/// Makes groups of the resources that `RES_PARALLEL` names. What stands between two members would have to start both
/// before and after them, so they must be neighbours.
fn join(resources: &mut [ResourceConfig], text: &str) -> Result<(), Wrong> {
    let mut joined = vec![false; resources.len()];
    for group in text.split(',') {
        let names: Vec<_> = group.split_whitespace().collect();
        if names.len() < 2 {
            let remedy = "write two or more resources with blanks between them, and a comma between groups";
            return Err(Wrong::new(format!("the group '{}' has not two members", group.trim()), remedy));
        }
        let mut members = Vec::new();
        for name in names {
            let index = resources.iter().position(|resource| resource.name == name).ok_or_else(|| {
                let known: Vec<_> = resources.iter().map(|resource| resource.name.as_str()).collect();
                let remedy = format!("use names as they follow RES_: {}", known.join(" "));
                Wrong::new(format!("'{name}' is no resource"), remedy)
            })?;
            if std::mem::replace(&mut joined[index], true) {
                return Err(Wrong::new(format!("{name} stands here twice"), "name each resource once"));
            }
            members.push(index);
        }
        members.sort_unstable();
        if let Some(gap) = members.windows(2).find(|pair| pair[0] + 1 != pair[1]) {
            let [before, between, after] = [gap[0], gap[0] + 1, gap[1]].map(|index| resources[index].name.clone());
            let what = format!("{between} stands between {before} and {after}, which are to start together");
            return Err(Wrong::new(what, format!("move RES_{between}, or take it into the group")));
        }
        members[1..].iter().for_each(|index| resources[*index].beside_previous = true);
    }
    Ok(())
}

/// The name as the status database writes it for shells.
fn shell_name(name: &str) -> String {
    name.replace(['.', '-'], "_")
}
