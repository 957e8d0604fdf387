//! What the operator should know beside the state: one line each, with its remedy. `status`, `explain` and the JSON
//! show the same.

use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use pha_core::Word;
use pha_core::report::{Liveness, PeerReport, ResourceState};

use crate::programs::{DISPLAY_ORDER, Program, file_name};
use crate::session::Session;
use crate::signing;
use crate::times::period;
use crate::view::View;

/// A peer that has been heard for so long must have heard us too.
const ONE_WAY_AFTER: Duration = Duration::from_secs(3);

/// The clock that stamps files and the one that daemons read differ by less, unless somebody set the first.
const CLOCK_STEPS: Duration = Duration::from_secs(1);

/// The notes, most urgent first.
pub(crate) fn notes(session: &Session, view: &View) -> Vec<String> {
    let mut notes = Vec::new();
    notes.extend(DISPLAY_ORDER.iter().filter_map(|program| program_note(session, view, *program)));
    notes.extend(wish_notes(view));
    notes.extend(config_note(session, view));
    notes.extend(resource_notes(view));
    notes.extend(view.record.receiver.peers.iter().flat_map(|peer| peer_notes(session, view, peer)));
    notes.extend(network_notes(session, view));
    notes
}

/// A daemon is missing beside others that run, or gives no sign of life.
fn program_note(session: &Session, view: &View, program: Program) -> Option<String> {
    let (name, word) = (file_name(program), &program.word()[..2]);
    let log = session.log_file(program).map(|path| format!("; its log: {}", path.display())).unwrap_or_default();
    if view.is_stale(program) {
        let age = period(view.age(program)?);
        let pid = view.pid(program);
        return Some(format!(
            "{name} (pid {pid}) gives no sign of life for {age}: '{word}_stop', '{word}_start' restart it{log}"
        ));
    }
    let others_run = DISPLAY_ORDER.iter().any(|other| view.pid(*other) != 0);
    let consequence = match program {
        Program::Sender => "the peers do not hear this node",
        Program::Receiver => "this node is deaf: it keeps what it has and takes nothing over",
        Program::Supervise => "nobody watches the resources here",
    };
    (view.pid(program) == 0 && others_run)
        .then(|| format!("{name} does not run, so {consequence}: '{word}_start' starts it{log}"))
}

fn wish_notes(view: &View) -> Vec<String> {
    let wishes = &view.record.operator.wishes;
    let mut notes = Vec::new();
    if wishes.maintenance {
        notes.push("maintenance is on: nothing is started or stopped; 'maintenance off' ends it".to_owned());
    }
    if let Some(offline) = wishes.offline.filter(|offline| offline.until > view.now) {
        let rest = period(offline.until.since(view.now));
        notes.push(format!("offline for another {rest}: 'online' ends it earlier"));
    }
    if !wishes.held.is_empty() {
        let held = wishes.held.join(", ");
        notes.push(format!("held down by 'res stop': {held}; 'res start' lets it be started again"));
    }
    notes
}

fn config_note(session: &Session, view: &View) -> Option<String> {
    let changed = fs::metadata(session.home.config()).ok()?.modified().ok()?.elapsed().ok()?;
    let loaded = view.now.since(view.record.supervise.config_loaded);
    (view.is_running() && changed + CLOCK_STEPS < loaded)
        .then(|| "etc/config was changed after pha had read it: 'check', then 'reload'".to_owned())
}

fn resource_notes(view: &View) -> Vec<String> {
    let Some(report) = view.report() else { return Vec::new() };
    let mut notes: Vec<_> = report
        .resources
        .iter()
        .filter(|resource| resource.failures > 0 || resource.state == ResourceState::Unknown)
        .filter_map(|resource| {
            resource.last_error.as_ref().map(|error| format!("{}: last error: {error}", resource.name))
        })
        .collect();
    if let Some(until) = report.unfit_until.filter(|until| *until > view.now) {
        let rest = period(until.since(view.now));
        notes.push(format!("unfit for another {rest}: a resource failed here more often than RESTARTS allows"));
    }
    notes
}

fn peer_notes(session: &Session, view: &View, peer: &PeerReport) -> Vec<String> {
    let name = session.name_of(peer.node);
    let mut notes = Vec::new();
    if peer.liveness == Liveness::Absent && peer.saying.is_some_and(|saying| saying.word == Word::Kept) {
        notes
            .push(format!("{name} was stopped and left its resources running: if it is really down, restart pha here"));
    }
    if peer.config_differs {
        notes.push(format!("etc/config of {name} differs from this node's: make NODES, RES_ and the times the same, then 'reload' on both"));
    }
    notes.extend(signing::peer_note(&view.record.receiver, peer, &name));
    let long_heard = peer.liveness == Liveness::Alive && view.now.since(peer.liveness_since) > ONE_WAY_AFTER;
    let sender = &view.record.sender;
    if long_heard && sender.running && peer.hears_us.incarnation != sender.incarnation {
        notes.push(format!(
            "{name} does not hear this node, but is heard: look at packet filters and routes from here to {name}"
        ));
    }
    notes
}

fn network_notes(session: &Session, view: &View) -> Vec<String> {
    let (sender, receiver) = (&view.record.sender, &view.record.receiver);
    let mut notes = Vec::new();
    notes.extend(signing::own_note(session, receiver));
    for error in sender.errors.iter().filter(|_| sender.pid != 0) {
        notes.push(format!("cannot send to {} ({} times): {}", error.address, error.count, error.last));
    }
    if receiver.pid != 0 && receiver.drops.values().any(|count| *count > 0) {
        let mut text = "datagrams dropped since the receiver started".to_owned();
        for (separator, (reason, count)) in std::iter::once(':').chain(std::iter::repeat(',')).zip(&receiver.drops) {
            let _ = write!(text, "{separator} {count} {}", reason.as_str());
        }
        notes.push(text);
    }
    notes
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use pha_core::{BootTime, DropReason};

    use super::*;
    use crate::samples;

    fn said(change: impl FnOnce(&mut View)) -> String {
        let mut view = samples::active_with_standby();
        change(&mut view);
        notes(&Session::sample(), &view).join("\n")
    }

    #[test]
    fn a_healthy_node_has_no_notes() {
        assert_eq!(said(|_| ()), "");
    }

    #[test]
    fn a_stuck_program_and_a_missing_one_are_told_apart() {
        let stuck = said(|view| view.record.receiver.tick = BootTime::ZERO);
        assert!(stuck.contains("pha-receiver (pid 16470) gives no sign of life for 16 min 40 s"), "{stuck}");
        let missing = said(|view| view.record.receiver.pid = 0);
        assert!(missing.contains("this node is deaf") && missing.contains("'re_start'"), "{missing}");
    }

    #[test]
    fn a_key_or_a_configuration_that_is_not_in_use_yet_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let home = pha_config::Home::at(folder.path());
        fs::create_dir_all(home.etc()).expect("etc");
        fs::write(home.authkey(), "").expect("a key");
        fs::write(home.config(), "").expect("a configuration");
        let mut session = Session::sample();
        session.home = home;
        let mut view = samples::active_with_standby();
        view.record.receiver.signers.clear();
        let told = notes(&session, &view).join("\n");
        assert!(told.contains("not in use yet, 'reload'") && told.contains("'check', then 'reload'"), "{told}");
        // A daemon that was started just now has read both.
        view.record.receiver.signers.push(samples::KEY);
        view.record.supervise.config_loaded = view.now;
        assert_eq!(notes(&session, &view), Vec::<String>::new());
    }

    #[test]
    fn drops_are_listed_by_reason() {
        let drops = BTreeMap::from([(DropReason::WrongCluster, 2), (DropReason::Replayed, 1)]);
        assert!(said(|view| view.record.receiver.drops = drops).ends_with(": 2 wrong cluster, 1 replayed"));
    }

    #[test]
    fn a_one_way_link_shows() {
        let deaf_peer = said(|view| view.record.receiver.peers[0].hears_us.incarnation = 8);
        assert!(deaf_peer.contains("lb2 does not hear this node"), "{deaf_peer}");
    }
}
