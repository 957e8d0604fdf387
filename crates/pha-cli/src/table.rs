//! `status` on a terminal: the state as a person reads it.

use pha_core::Gateway;
use pha_core::report::{LinkReport, Liveness, PeerReport, ResourceReport, ResourceState};

use crate::grid::Grid;
use crate::notes::notes;
use crate::programs::DISPLAY_ORDER;
use crate::session::Session;
use crate::stat::state_word;
use crate::times::period;
use crate::view::{View, word_since};

/// The whole table.
pub(crate) fn table(session: &Session, view: &View) -> String {
    let mut parts = vec![headline(session, view), programs(view)];
    if let Some(report) = view.last_report() {
        parts.push(resources(view, &report.resources));
    }
    if !view.record.receiver.peers.is_empty() {
        parts.push(peers(session, view));
    }
    let notes: String = notes(session, view).iter().map(|note| format!("! {note}\n")).collect();
    parts.push(notes);
    parts.retain(|part| !part.is_empty());
    parts.join("\n")
}

/// One or two lines: state, since when, why; gateway and term.
fn headline(session: &Session, view: &View) -> String {
    let mut line = format!("{}: {}", session.node, view.record.prompt_state());
    let Some(report) = view.report() else { return line + "\n" };
    let since = period(view.now.since(word_since(report)));
    line += &format!(", {} for {since}: {}\n", report.saying.word, report.reason);
    line += &format!(
        "term {} (decision {}), gateway {}",
        report.saying.term,
        report.saying.term.count(),
        gateway(report.gateway())
    );
    let heartbeat = if view.record.sender.running { "heartbeat goes out" } else { "heartbeat rests" };
    format!("{line}, {heartbeat}\n")
}

fn programs(view: &View) -> String {
    let mut grid = Grid::new(["program", "pid", "sign of life"]);
    for program in DISPLAY_ORDER {
        let life = view.age(program).map_or_else(|| "-".to_owned(), |age| format!("{} ago", period(age)));
        grid.row([program.word().to_owned(), view.pid(program).to_string(), life]);
    }
    grid.render()
}

/// Resources; those of a supervise that does not run are what it saw last.
fn resources(view: &View, resources: &[ResourceReport]) -> String {
    let mut grid = Grid::new(["resource", "state", "since", "failures", ""]);
    for resource in resources {
        let since = format!("{} ago", period(view.now.since(resource.since)));
        grid.row([
            resource.name.clone(),
            state_word(resource.state).to_owned(),
            since,
            resource.failures.to_string(),
            remark(view, resource),
        ]);
    }
    grid.render()
}

fn remark(view: &View, resource: &ResourceReport) -> String {
    let mut remarks = Vec::new();
    if !view.is_running() {
        remarks.push("seen last");
    }
    if resource.held {
        remarks.push("held");
    }
    let restored = format!("removed by others and restored {} times", resource.restored);
    if resource.restored > 0 {
        remarks.push(&restored);
    }
    if let Some(error) = resource.last_error.as_deref().filter(|_| resource.state != ResourceState::Up) {
        remarks.push(error);
    }
    remarks.join(", ")
}

fn peers(session: &Session, view: &View) -> String {
    let mut grid = Grid::new(["peer", "is", "says", "link", "heard", "lost", "longest gap"]);
    for peer in &view.record.receiver.peers {
        let mut name = session.name_of(peer.node);
        let mut is = format!("{} for {}", liveness(peer.liveness), period(view.now.since(peer.liveness_since)));
        let mut says = peer_word(peer);
        for link in &peer.links {
            let [address, heard, lost, gap] = link_cells(view, link);
            grid.row([
                std::mem::take(&mut name),
                std::mem::take(&mut is),
                std::mem::take(&mut says),
                address,
                heard,
                lost,
                gap,
            ]);
        }
        if !name.is_empty() {
            grid.row([name, is, says, String::new(), String::new(), String::new(), String::new()]);
        }
    }
    grid.render()
}

fn link_cells(view: &View, link: &LinkReport) -> [String; 4] {
    let heard = link.heard_at.map_or_else(|| "never".to_owned(), |at| format!("{} ago", period(view.silence(at))));
    let sent = link.received + link.lost;
    [link.address.clone(), heard, format!("{} of {sent}", link.lost), period(link.longest_gap)]
}

fn peer_word(peer: &PeerReport) -> String {
    peer.saying.map_or_else(|| "-".to_owned(), |saying| saying.word.to_string())
}

/// A detector's verdict as a word.
pub(crate) const fn liveness(liveness: Liveness) -> &'static str {
    match liveness {
        Liveness::Unheard => "not heard",
        Liveness::Alive => "alive",
        Liveness::Suspect => "suspect",
        Liveness::Dead => "dead",
        Liveness::Absent => "gone",
    }
}

fn gateway(gateway: Gateway) -> &'static str {
    match gateway {
        Gateway::Off => "not tested",
        Gateway::Testing => "being tested",
        Gateway::Reachable => "reachable",
        Gateway::Lost => "lost",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::samples;

    #[test]
    fn the_table_of_an_active_node_shows_all_at_a_glance() {
        let expected = "\
lb1: Active, ONLINE for 2 min: active
term 511 (decision 1), gateway reachable, heartbeat goes out

program    pid    sign of life
sender     16468  0 ms ago
receiver   16470  0 ms ago
supervise  16472  0 ms ago

resource  state  since      failures
service   UP     2 min ago  0
ipaddr    UP     2 min ago  0

peer  is               says     link      heard     lost       longest gap
lb2   alive for 1 min  OFFLINE  10.0.0.2  0 ms ago  3 of 1003  210 ms
";
        assert_eq!(table(&Session::sample(), &samples::active_with_standby()), expected);
    }

    /// Else a heartbeat that comes every 200 ms would seem to have missed the dead time.
    #[test]
    fn a_peer_is_as_old_as_the_receiver_found_it_unless_the_receiver_is_stuck() {
        let mut view = samples::standby();
        view.record.receiver.tick = samples::at(1);
        view.record.receiver.peers[0].links[0].heard_at = Some(samples::at(1) - Duration::from_millis(150));
        assert!(table(&Session::sample(), &view).contains("150 ms ago"));
        view.record.receiver.tick = samples::at(60);
        view.record.receiver.peers[0].links[0].heard_at = Some(samples::at(60));
        assert!(table(&Session::sample(), &view).contains("1 min ago  3 of 1003"));
    }

    #[test]
    fn what_a_stopped_supervise_saw_is_marked_as_old() {
        let text = table(&Session::sample(), &samples::stopped());
        assert!(text.starts_with("lb1: NOTRUNNING\n") && text.contains("seen last"), "{text}");
    }

    #[test]
    fn a_peer_without_links_still_has_its_row() {
        let mut view = samples::standby();
        view.record.receiver.peers[0].links.clear();
        assert!(table(&Session::sample(), &view).contains("lb2   alive for 1 min  ONLINE\n"));
    }
}
