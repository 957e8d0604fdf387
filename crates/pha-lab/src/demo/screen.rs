//! The live screen as lines of text: a pure function of what is shown.

use std::time::Duration;

use super::snapshot::{Snapshot, ms};
use crate::client::Gap;

/// Event lines shown.
const EVENTS: usize = 10;

const GREEN: &str = "\x1b[32m";
const RED: &str = "\x1b[31m";
const BOLD: &str = "\x1b[1m";
const PLAIN: &str = "\x1b[0m";

/// What the client sees.
#[derive(Debug, Clone, Default)]
pub(super) struct ClientView {
    pub(super) answer: Option<String>,
    pub(super) counts: (u64, u64),
    pub(super) last_gap: Option<Gap>,
}

/// All lines of the screen.
pub(super) fn lines(what: &str, nodes: &[Snapshot], client: &ClientView, events: &[String]) -> Vec<String> {
    let mut lines = vec![format!("{BOLD}pha{PLAIN}  {what}"), String::new()];
    lines.extend(table(nodes));
    lines.push(String::new());
    lines.push(format!("{BOLD}client{PLAIN}        {}", client_line(client)));
    if let Some(gap) = &client.last_gap {
        lines.push(format!("              last {}", gap_line(gap)));
    }
    lines.push(String::new());
    lines.extend(events[events.len().saturating_sub(EVENTS)..].iter().map(|event| format!("  {event}")));
    lines.push(String::new());
    lines.push("[k]ill the active machine  [r]evive the dead  [s]witch over  [g]ateway of the active".to_owned());
    lines.push("[1] [2] pha-cli of a node (leave it with q)  [q]uit".to_owned());
    lines
}

fn table(nodes: &[Snapshot]) -> Vec<String> {
    let row = |title: &str, cell: &dyn Fn(&Snapshot) -> (String, &'static str)| {
        let cells = nodes.iter().map(|node| {
            let (text, colour) = cell(node);
            format!("{colour}{:<28}{PLAIN}", text.chars().take(27).collect::<String>())
        });
        format!("{title:<14}{}", cells.collect::<String>())
    };
    let role = |node: &Snapshot| {
        (
            node.role.clone(),
            if node.active {
                GREEN
            } else if node.running {
                ""
            } else {
                RED
            },
        )
    };
    let gateway = |node: &Snapshot| (node.gateway.clone(), if node.gateway == "LOST" { RED } else { "" });
    let holds = |node: &Snapshot| match node.holds_address {
        true => ("yes".to_owned(), GREEN),
        false => ("no".to_owned(), ""),
    };
    let mut lines = vec![
        row("", &|node| (node.name.clone(), BOLD)),
        row("role", &role),
        row("status", &|node| (node.status.clone(), "")),
        row("reason", &|node| (node.reason.clone(), "")),
        row("term", &|node| (node.term.clone(), "")),
        row("gateway", &gateway),
        row("serves", &holds),
    ];
    let longest = nodes.iter().map(|node| node.resources.len()).max().unwrap_or(0);
    for index in 0..longest {
        lines.push(row(if index == 0 { "resources" } else { "" }, &|node| match node.resources.get(index) {
            Some((name, state)) => (format!("{name} {state}"), if state == "UP" { GREEN } else { "" }),
            None => (String::new(), ""),
        }));
    }
    lines
}

fn client_line(client: &ClientView) -> String {
    let (all, failed) = client.counts;
    match &client.answer {
        Some(name) => format!("{GREEN}answered by {name}{PLAIN}  ({all} requests, {failed} without answer)"),
        None => format!("{RED}no answer{PLAIN}  ({all} requests, {failed} without answer)"),
    }
}

/// One outage in words.
pub(super) fn gap_line(gap: &Gap) -> String {
    let name = |node: &Option<String>| node.clone().unwrap_or_else(|| "nobody".to_owned());
    let length = gap.length().map_or_else(|| "not over".to_owned(), |length: Duration| ms(length));
    format!("outage {length}: {} → {}", name(&gap.before), name(&gap.after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_screen_shows_both_nodes_and_the_last_outage() {
        let node = |name: &str, role: &str| Snapshot { name: name.into(), role: role.into(), ..Snapshot::default() };
        let gap = Gap {
            from: Duration::from_millis(10),
            to: Some(Duration::from_millis(622)),
            before: Some("lb1".into()),
            after: Some("lb2".into()),
            failed: 3,
        };
        let client = ClientView { answer: Some("lb2".into()), counts: (100, 3), last_gap: Some(gap) };
        let text = lines("demo", &[node("lb1", "NOTRUNNING"), node("lb2", "Active")], &client, &[]).join("\n");
        for part in ["lb1", "NOTRUNNING", "Active", "answered by lb2", "last outage 612 ms: lb1 → lb2"] {
            assert!(text.contains(part), "{part} missing in\n{text}");
        }
    }

    #[test]
    fn only_the_newest_events_are_shown() {
        let events: Vec<String> = (0..30).map(|n| format!("event {n}.")).collect();
        let text = lines("demo", &[], &ClientView::default(), &events).join("\n");
        assert!(text.contains("event 29.") && text.contains("event 20.") && !text.contains("event 19."));
    }
}
