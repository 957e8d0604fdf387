//! `check`: everything that is wrong or doubtful about the configuration, before it matters; and `config`, which shows
//! the one in effect, in the file's own words, defaults included.

use std::fs::File;
use std::io::ErrorKind;
use std::net::IpAddr;

use pha_address::Place;
use pha_config::{Config, Node, agent_features};
use pha_daemon::{privilege, realtime};
use pha_sys::privilege::{is_root, own_name};
use pha_sys::{exit, resolve};
use serde_json::{Map, Value, json};

use crate::failure::Failure;
use crate::screen::{print, print_json};
use crate::session::Session;
use crate::times::{milliseconds, period};

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
struct Findings {
    /// pha would not work with these.
    problems: Vec<String>,
    /// Somebody should look at these.
    warnings: Vec<String>,
    /// Only another user could look at these.
    unseen: Vec<String>,
}

/// Prints the findings, the takeover bound and other figures; [`exit::CONFIG`] if there is a problem.
pub(crate) fn run(session: &Session) -> Result<(), Failure> {
    finish(session, &find(session), session.loaded().ok())
}

/// What `check` prints.
pub(crate) fn report(session: &Session) -> String {
    text(&find(session), session.loaded().ok()) + "\n"
}

fn find(session: &Session) -> Findings {
    let config = match session.loaded() {
        Ok(config) => config,
        Err(errors) => {
            let problems = errors.to_string().lines().map(str::to_owned).collect();
            return Findings { problems, ..Findings::default() };
        }
    };
    let mut findings = Findings::default();
    findings.warnings.extend(config.warnings().iter().map(ToString::to_string));
    findings.problems.extend(config.local_node(Some(&session.node), "").err().map(|stranger| stranger.to_string()));
    rights(&mut findings, session, config);
    let file = config.file.display().to_string();
    names(&mut findings, &file, &config.nodes, &session.node, resolve::addresses);
    for resource in &config.resources {
        let native = agent_features(&config.agent_path(&session.home, &resource.agent)).is_ok_and(|has| has.native);
        if let Some(wrong) = wrong_place(&resource.arguments).filter(|_| native) {
            findings.problems.push(format!("{file}:{}: RES_{}: {wrong}", resource.line, resource.name));
        }
    }
    findings
}

/// What the daemons may do here, and what only their own user can see.
fn rights(findings: &mut Findings, session: &Session, config: &Config) {
    if session.administers() {
        findings.problems.extend(realtime::problem(config));
        findings.problems.extend(privilege::key_problem(&session.home, config));
        let stays = is_root().then(|| privilege::problem(&session.home, config)).flatten();
        let place = config.file.display();
        findings.warnings.extend(stays.map(|why| format!("{place}: pha-sender and pha-receiver stay root: {why}")));
    } else {
        findings.unseen.push("what the daemons may do (REALTIME, DAEMON_USER)".to_owned());
    }
    let key = session.home.authkey();
    if File::open(&key).is_err_and(|error| error.kind() == ErrorKind::PermissionDenied) {
        findings.unseen.push(key.display().to_string());
    }
}

/// What is wrong with the arguments of a kept address.
fn wrong_place(arguments: &[String]) -> Option<String> {
    match arguments {
        [place, device] => Place::parse(place, device).err(),
        _ => Some("write the address with its prefix length, a blank, and the device: 10.0.0.20/24 eth0".to_owned()),
    }
}

/// `config`, `show conf`: the lines of a configuration that means the same, or one object.
pub(crate) fn show(session: &Session) -> Result<(), Failure> {
    let config = session.config()?;
    let pairs = config.effective();
    if session.json {
        let object: Map<_, _> = pairs.into_iter().map(|(key, value)| (key, Value::from(value))).collect();
        return print_json(&Value::from(object));
    }
    let lines: String = pairs.iter().map(|(key, value)| format!("{key}={value}\n")).collect();
    print(&format!("# {}, with defaults\n{lines}", config.file.display()))
}

/// Every node must have an address, and this node one that its peers can mean.
fn names(
    findings: &mut Findings,
    file: &str,
    nodes: &[Node],
    own: &str,
    resolve: impl Fn(&str) -> std::io::Result<Vec<IpAddr>>,
) {
    let mut own_is_loopback = false;
    let mut peers_are_elsewhere = false;
    for node in nodes {
        let named = if node.addresses.is_empty() { std::slice::from_ref(&node.name) } else { &node.addresses };
        for name in named {
            match resolve(name) {
                Ok(addresses) if !addresses.is_empty() => {
                    let loopback = addresses.iter().all(IpAddr::is_loopback);
                    own_is_loopback |= loopback && node.name == own;
                    peers_are_elsewhere |= !loopback && node.name != own;
                }
                answer => {
                    let why = answer.map_or_else(|error| format!(" ({error})"), |_| String::new());
                    findings.problems.push(format!(
                        "{file}: node {}: '{name}' has no address{why}: write it into /etc/hosts or DNS, or set ADDR_{}",
                        node.name, node.name
                    ));
                }
            }
        }
    }
    if own_is_loopback && peers_are_elsewhere {
        findings.warnings.push(format!(
            "{file}: node {own}: its name means a loopback address here, so peers cannot answer it: \
             correct /etc/hosts, or set ADDR_{own}"
        ));
    }
}

/// Prints everything, problems first. They stand without a prefix, so that an editor can jump to FILE:LINE.
fn finish(session: &Session, findings: &Findings, config: Option<&Config>) -> Result<(), Failure> {
    if session.json {
        let bound = config.map(|config| milliseconds(config.takeover_bound()));
        print_json(&json!({
            "problems": findings.problems,
            "warnings": findings.warnings,
            "unseen": findings.unseen,
            "takeover_bound_ms": bound,
        }))?;
    } else {
        print(&text(findings, config))?;
    }
    if findings.problems.is_empty() { Ok(()) } else { Err(Failure::silent(exit::CONFIG)) }
}

fn text(findings: &Findings, config: Option<&Config>) -> String {
    let mut lines = findings.problems.clone();
    lines.extend(findings.warnings.iter().map(|warning| format!("{warning} [warning]")));
    if let Some(config) = config.filter(|_| findings.problems.is_empty()) {
        let scripts = config.start_limits();
        let own = period(config.takeover_bound().saturating_sub(scripts));
        lines.push(format!(
            "takeover from a dead node: {own}, plus the start scripts (their limits: {})",
            period(scripts)
        ));
        lines.push(format!(
            "an address without a keeper is gone after {}; a dead resource is noticed within {}, if its check hangs {}",
            period(config.lease),
            period(config.supervise_interval),
            period(config.failure_bound())
        ));
        lines.push(if findings.unseen.is_empty() {
            format!("real-time scheduling: {}", realtime::outlook(config))
        } else {
            format!("not looked at, because {} may not: {}", own_name(), findings.unseen.join(", "))
        });
        lines.push("the configuration is good".to_owned());
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use std::io;

    use super::*;

    fn found(answers: [&str; 2]) -> Findings {
        let mut findings = Findings::default();
        let config = Session::sample_config();
        let resolve = |name: &str| {
            let answer = answers[usize::from(name == "lb2")];
            answer.parse().map(|address| vec![address]).map_err(|_| io::Error::other(answer.to_owned()))
        };
        names(&mut findings, "etc/config", &config.nodes, "lb1", resolve);
        findings
    }

    #[test]
    fn a_kept_address_is_refused_before_it_is_needed() {
        let wrong = |line: &str| wrong_place(&line.split(' ').map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(wrong("10.0.0.20/24 eth0"), None);
        assert!(wrong("10.0.0.20 eth0").unwrap().contains("no prefix length"));
        assert!(wrong("10.0.0.20/24").unwrap().contains("the device"));
    }

    /// P26.
    #[test]
    fn a_name_without_address_is_a_problem() {
        let findings = found(["10.0.0.1", "unknown host"]);
        assert_eq!(
            findings.problems,
            [
                "etc/config: node lb2: 'lb2' has no address (unknown host): write it into /etc/hosts or DNS, or set ADDR_lb2"
            ]
        );
    }

    #[test]
    fn an_own_loopback_address_is_a_warning_unless_all_are() {
        assert_eq!(found(["127.0.1.1", "10.0.0.2"]).warnings.len(), 1);
        assert_eq!(found(["127.0.0.1", "127.0.0.2"]), Findings::default());
        assert_eq!(found(["10.0.0.1", "10.0.0.2"]), Findings::default());
    }
}
