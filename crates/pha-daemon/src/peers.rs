//! Where the nodes are: names and addresses of the configuration, resolved.

use std::io;
use std::net::IpAddr;

use pha_config::Node;
use pha_sys::resolve;

/// A node's addresses in the order of its `ADDR_` line, or what its name resolves to.
///
/// # Errors
/// The first name that cannot be resolved, with the name in the message.
pub fn addresses(node: &Node) -> io::Result<Vec<IpAddr>> {
    let own_name = std::slice::from_ref(&node.name);
    let names = if node.addresses.is_empty() { own_name } else { &node.addresses };
    let mut found = Vec::new();
    for name in names {
        let resolved = resolve::addresses(name)
            .map_err(|error| io::Error::new(error.kind(), format!("{name} cannot be resolved: {error}")))?;
        found.extend(resolved.into_iter().filter(|address| !found.contains(address)).collect::<Vec<_>>());
    }
    Ok(found)
}

/// A host whose name stands for 127.0.1.1 in its own hosts file cannot be reached at that address.
#[must_use]
pub fn is_unreachable_loopback(own: &[IpAddr], peer: &[IpAddr]) -> bool {
    own.iter().any(IpAddr::is_loopback) && peer.iter().any(|address| !address.is_loopback())
}
