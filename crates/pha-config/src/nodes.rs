//! `NODES` and `ADDR_<node>`: who belongs to the cluster, and where each is reached.

use std::net::IpAddr;

use pha_core::{MAX_NODES, NodeId};

use crate::config::Node;
use crate::keys::ADDRESS;
use crate::problem::Wrong;
use crate::reader::{Entry, Reader};
use crate::value::host_name;

/// Heartbeat paths a node may have.
pub(crate) const MAX_PATHS: usize = 8;

/// The nodes; empty if `NODES` is wrong.
pub(crate) fn read(reader: &mut Reader) -> Vec<Node> {
    let mut nodes = Vec::new();
    let Some(entry) = reader.take("NODES") else {
        let remedy = "write NODES=lb1 lb2 with the host names of your machines";
        reader.refuse_rule(&[], Wrong::new("NODES is missing", remedy));
        skip_addresses(reader);
        return nodes;
    };
    match names(entry.value) {
        Ok(names) => {
            nodes = names.into_iter().zip(1..).filter_map(|(name, number)| node(name, number)).collect();
            read_addresses(reader, &mut nodes);
        }
        Err(wrong) => {
            reader.refuse(entry, wrong);
            skip_addresses(reader);
        }
    }
    nodes
}

/// Without nodes nothing can be said of their addresses.
fn skip_addresses(reader: &mut Reader) {
    reader.take_all(ADDRESS);
}

fn node(name: &str, number: usize) -> Option<Node> {
    Some(Node { id: NodeId::new(number)?, name: name.to_owned(), addresses: Vec::new() })
}

fn names(text: &str) -> Result<Vec<&str>, Wrong> {
    let names: Vec<_> = text.split_whitespace().collect();
    for (index, name) in names.iter().enumerate() {
        host_name(name)?;
        if names[..index].iter().any(|other| other.eq_ignore_ascii_case(name)) {
            return Err(Wrong::new(format!("'{name}' stands here twice"), "name each node once"));
        }
    }
    match names.len() {
        0 | 1 => {
            let remedy = "name two or more, with blanks between them: NODES=lb1 lb2";
            Err(Wrong::new(format!("a cluster has at least two nodes, not {}", names.len()), remedy))
        }
        2..=MAX_NODES => Ok(names),
        many => Err(Wrong::new(format!("a cluster has at most {MAX_NODES} nodes, not {many}"), "make two clusters")),
    }
}

fn read_addresses(reader: &mut Reader, nodes: &mut [Node]) {
    let mut taken: Vec<(String, Entry)> = Vec::new();
    for node in nodes {
        let Some(entry) = reader.take(&format!("{ADDRESS}{}", node.name)) else { continue };
        match paths(entry.value, &taken) {
            Ok(paths) => {
                taken.extend(paths.iter().map(|path| (path.clone(), entry)));
                node.addresses = paths;
            }
            Err(wrong) => reader.refuse(entry, wrong),
        }
    }
}

/// Addresses in their shortest spelling, or host names.
fn paths(text: &str, taken: &[(String, Entry)]) -> Result<Vec<String>, Wrong> {
    let mut paths: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let path = match word.parse::<IpAddr>() {
            Ok(address) => address.to_string(),
            Err(_) => host_name(word).map(|()| word.to_owned()).map_err(|_| {
                let remedy = "write addresses or host names, with blanks between them";
                Wrong::new(format!("'{word}' is neither an IP address nor a host name"), remedy)
            })?,
        };
        if paths.contains(&path) {
            return Err(Wrong::new(format!("{path} stands here twice"), "write each address once"));
        }
        if let Some((_, entry)) = taken.iter().find(|(other, _)| *other == path) {
            let what = format!("{path} belongs to {} in line {} already", entry.key, entry.line);
            return Err(Wrong::new(what, "give each node its own addresses"));
        }
        paths.push(path);
    }
    match paths.len() {
        0 => Err(Wrong::new("there is no address", "write one, or remove the line to have the node's name resolved")),
        1..=MAX_PATHS => Ok(paths),
        many => Err(Wrong::new(format!("a node has at most {MAX_PATHS} addresses, not {many}"), "remove some")),
    }
}
