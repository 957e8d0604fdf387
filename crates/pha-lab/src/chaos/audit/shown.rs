//! What `pha-cli` displays, beside what is true.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::node::{Node, Program};

/// Notes of healthy nodes: what happened once, and no state.
const NOTES: [&str; 3] = ["datagrams dropped since", "cannot send to", ": last error: "];

fn json(node: &Node, word: &str) -> Result<Value> {
    let text = node.order(&[word, "--json"])?;
    serde_json::from_str(&text).with_context(|| format!("{}: {word} --json: {text}", node.name()))
}

/// Roles, processes and resources are those of the kernel, peers are alive, and no note tells of what is over.
pub(super) fn status(node: &Node, active: bool) -> Result<()> {
    let (name, shown) = (node.name(), json(node, "status")?);
    ensure!(shown["node"] == name, "{name}: its name is {}", shown["node"]);
    let state = if active { "Active" } else { "Standby" };
    ensure!(shown["state"] == state && active == node.holds_address(), "{name}: {} is shown", shown["state"]);
    for program in Program::ALL {
        let entry = &shown["programs"][program.name().trim_start_matches("pha-")];
        let true_now = entry["pid"] == node.pid(program)? && entry["running"] == true && entry["stale"] == false;
        ensure!(true_now, "{name}: {} is shown as {entry}", program.name());
    }
    for resource in shown["resources"].as_array().context("resources")? {
        let up = if active { "UP" } else { "DOWN" };
        ensure!(resource["state"] == up && resource["held"] == false, "{name}: {resource}");
    }
    let peers = shown["peers"].as_array().context("peers")?;
    ensure!(!peers.is_empty() && peers.iter().all(|peer| peer["liveness"] == "alive"), "{name}: {peers:?}");
    for note in shown["notes"].as_array().context("notes")?.iter().filter_map(Value::as_str) {
        ensure!(NOTES.iter().any(|known| note.contains(known)), "{name}: {note}");
    }
    Ok(())
}

/// One sentence.
pub(super) fn explanation(node: &Node, active: bool) -> Result<()> {
    let shown = json(node, "explain")?;
    let sentence = shown["explanation"].as_str().unwrap_or_default();
    let state = if active { "Active" } else { "Standby" };
    let begins = format!("{} is {state}, for ", node.name());
    let whole = sentence.starts_with(&begins) && sentence.contains(" because ") && sentence.ends_with('.');
    ensure!(whole, "{}: {sentence:?}", node.name());
    Ok(())
}

/// Each change begins where the one before it ended, has a reason, and no lower term.
pub(super) fn history(node: &Node, active: bool) -> Result<()> {
    let shown = json(node, "history")?;
    let steps = shown.as_array().context("history")?;
    for step in steps {
        ensure!(step["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{}: {step}", node.name());
    }
    for pair in steps.windows(2) {
        let grows = pair[0]["term"].as_u64() <= pair[1]["term"].as_u64();
        ensure!(pair[0]["to"] == pair[1]["from"] && grows, "{}: {} then {}", node.name(), pair[0], pair[1]);
    }
    let role = if active { "Active" } else { "Standby" };
    ensure!(steps.last().is_none_or(|step| step["role"] == role), "{}: {:?}", node.name(), steps.last());
    Ok(())
}
