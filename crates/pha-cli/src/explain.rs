//! `explain`: one sentence why this node is what it is, and what would change it; then the notes.

use std::time::Duration;

use pha_core::report::{Liveness, PeerReport, SuperviseReport};
use pha_core::{Gateway, Reason, Role, Word};
use serde_json::json;

use crate::notes::notes;
use crate::programs::DISPLAY_ORDER;
use crate::session::Session;
use crate::times::period;
use crate::view::{View, is_audible, word_since};

const HANDS_OVER: &str = "'offline', a lost gateway or a resource that keeps failing hands over";
const STAYS: &str = "it stays so when PEER comes back, until 'offline' hands over";

/// The sentence and the notes, a line each.
pub(crate) fn text(session: &Session, view: &View) -> String {
    let mut lines = vec![sentence(session, view)];
    lines.extend(notes(session, view));
    lines.join("\n") + "\n"
}

/// The same for programs.
pub(crate) fn json(session: &Session, view: &View) -> serde_json::Value {
    json!({
        "node": session.node,
        "state": view.record.prompt_state(),
        "reason": view.report().map(|report| report.reason.to_string()),
        "rule": view.report().and_then(|report| report.reason.rule()),
        "explanation": sentence(session, view),
        "notes": notes(session, view),
    })
}

/// Why, and what would change it.
pub(crate) fn sentence(session: &Session, view: &View) -> String {
    let node = &session.node;
    let Some(report) = view.report() else { return not_running(node, view) };
    let state = view.record.prompt_state();
    let since = period(view.now.since(word_since(report)));
    let rule = report.reason.rule().map(|rule| format!(" (rule {rule})")).unwrap_or_default();
    let (cause, remedy) = stated(session, node, &view.record.receiver.peers, report);
    let before = took_over(session, report);
    let end = remaining(view, report).map(|rest| format!(" (by itself in {})", period(rest))).unwrap_or_default();
    format!("{node} is {state}, for {since}, because {cause}{rule}; {before}{remedy}{end}.")
}

/// Why a node that has been active since then became so; nothing where that is not in its history any more.
fn took_over(session: &Session, report: &SuperviseReport) -> String {
    let standby_before = report.history.iter().rposition(|step| step.role != Role::Active);
    let takeover = standby_before.and_then(|before| report.history.get(before + 1));
    let takeover = takeover.filter(|_| report.reason == Reason::Active);
    match takeover.map(|step| step.reason) {
        None | Some(Reason::Active | Reason::Adopted) => String::new(),
        Some(reason) => {
            let (cause, _) = cause_and_remedy(reason, &session.peer_names().join(" and "));
            format!("it took over because {cause}; ")
        }
    }
}

fn not_running(node: &str, view: &View) -> String {
    let kept = view.last_report().is_some_and(|report| report.saying.word == Word::Kept);
    let resources = if kept { ", 'res stop' stops the resources that were left running" } else { "" };
    let others_run = DISPLAY_ORDER.iter().any(|program| view.pid(*program) != 0);
    let missing = if others_run { "pha-supervise does not run" } else { "pha does not run here" };
    format!("{node} is NOTRUNNING because {missing}; 'start' starts it{resources}.")
}

/// Time until what the reason waits for ends by itself.
fn remaining(view: &View, report: &SuperviseReport) -> Option<Duration> {
    let unfit_until = report.unfit_until.filter(|_| report.reason == Reason::Unfit);
    let until = unfit_until.or(report.until);
    until.filter(|until| *until > view.now).map(|until| until.since(view.now))
}

/// Why a node that reports this is what it is, and what would change it.
pub(crate) fn stated(
    session: &Session,
    node: &str,
    peers: &[PeerReport],
    report: &SuperviseReport,
) -> (String, String) {
    let (cause, remedy) = because(session, node, peers, report.reason);
    let cause = if report.reason == Reason::NotEligible { format!("{cause}: {}", obstacles(report)) } else { cause };
    (cause, remedy)
}

/// Why a node decides so and what would change it, as that node would say it; `peers` is what it hears.
pub(crate) fn because(session: &Session, node: &str, peers: &[PeerReport], reason: Reason) -> (String, String) {
    cause_and_remedy(reason, &concerned(session, node, peers, reason))
}

/// Names of the peers the reason is about; all peers where it is about none in particular.
fn concerned(session: &Session, node: &str, peers: &[PeerReport], reason: Reason) -> String {
    let about = peers.iter().filter(|peer| is_about(reason, peer));
    let names: Vec<_> = about.map(|peer| session.name_of(peer.node)).collect();
    let others = || session.node_names().into_iter().filter(|name| name != node).collect();
    let names = if names.is_empty() { others() } else { names };
    if names.is_empty() { "the peer".to_owned() } else { names.join(" and ") }
}

fn is_about(reason: Reason, peer: &PeerReport) -> bool {
    let word = peer.saying.map(|saying| saying.word);
    if matches!(reason, Reason::PeerDead | Reason::Probing | Reason::AddressHeld) {
        return peer.liveness == Liveness::Dead;
    }
    match word {
        Some(Word::Online) => is_audible(peer) && matches!(reason, Reason::PeerActive | Reason::BothActive),
        Some(Word::Progress { .. }) => matches!(reason, Reason::PeerBusy | Reason::PeerClaimed),
        Some(Word::Offline { clean }) => !clean && reason == Reason::PeerUnclean,
        Some(Word::Left { .. }) => reason == Reason::PeerLeft,
        Some(Word::Kept) => reason == Reason::PeerKept,
        None => false,
    }
}

/// Why this node must not take over.
fn obstacles(report: &SuperviseReport) -> String {
    let mut obstacles = Vec::new();
    if !report.saying.fit {
        obstacles.push("it is unfit after failures of a resource, which 'online' forgives");
    }
    if matches!(report.gateway(), Gateway::Lost | Gateway::Testing) {
        obstacles.push("its gateway does not answer");
    }
    if report.resources.iter().any(|resource| resource.held) {
        obstacles.push("'res stop' holds a resource down");
    }
    if obstacles.is_empty() { "see its log".to_owned() } else { obstacles.join(" and ") }
}

/// Why, and what would change it; `peer` is who is concerned.
fn cause_and_remedy(reason: Reason, peer: &str) -> (String, String) {
    let (cause, remedy) = match reason {
        Reason::Starting => {
            ("pha has just started and looks at the resources for the first time", "the first checks decide")
        }
        Reason::Maintenance => {
            ("maintenance is on and nothing is started or stopped", "'maintenance off' lets pha act again")
        }
        Reason::Operator => ("'offline' was typed here", "'online' ends it"),
        Reason::GatewayLost => (
            "its gateway does not answer and no other node has lost it too",
            "it comes back when the gateway answers: look at cable, interface and GW in etc/config",
        ),
        Reason::GatewayDoubtful => (
            "its gateway does not answer and PEER is asked whether it lost it too",
            "the answer of PEER, or an echo of the gateway, decides",
        ),
        Reason::NoQuorum => (
            "it does not hold the quorum that is configured",
            "holding the quorum again lets it act: look at the quorum keeper",
        ),
        Reason::WasAway => (
            "it was suspended or starved for longer than the dead time",
            "a heartbeat of PEER or one dead time of silence decides; if it happens again, this machine is overloaded",
        ),
        Reason::Deaf => (
            "its receiver does not work: it keeps what it has and takes nothing over",
            "'re_start' starts the receiver; its log says why it ended",
        ),
        Reason::Mute => (
            "its status database cannot be written, so that PEER does not hear of it and will take over",
            "the log of pha-supervise says why it cannot be written: a full or failing disk, a file system gone read-only",
        ),
        Reason::Grace => (
            "pha has just started and waits for a first heartbeat of PEER",
            "a first heartbeat, or the end of the wait, decides",
        ),
        Reason::PeerBusy => {
            ("PEER is starting or stopping resources", "this node decides when that is done or its deadline has passed")
        }
        Reason::PeerClaimed => ("PEER claimed the resources first", "this node takes over if PEER fails"),
        Reason::PeerKept => (
            "PEER was stopped and left its resources running on purpose",
            "'start' on PEER, or 'res stop' there, ends the wait: if it is really down, restart pha here",
        ),
        Reason::PeerActive => {
            ("PEER is active", "this node takes over when PEER fails, hands over ('offline' there) or leaves")
        }
        Reason::BothActive => (
            "PEER is active too and the later decision stays",
            "it ends when one has stopped: look at the network between the nodes",
        ),
        Reason::Active => ("its resources run here and no other node is active", HANDS_OVER),
        Reason::Failback => (
            "FAILBACK=on and the preferred node is healthy again",
            "FAILBACK=off would leave the resources where they are",
        ),
        Reason::Unfit => (
            "a resource failed here more often than RESTARTS allows",
            "it becomes fit when UNFIT_TIME is over or 'online' is typed: 'status' shows the resource's last error",
        ),
        Reason::Claim => ("nobody was active and it was this node's turn to take over", HANDS_OVER),
        Reason::ClaimTurn => (
            "nobody is active and it is another node's turn to take over",
            "if nobody does within two dead times, this node does",
        ),
        Reason::PeerUnclean => (
            "PEER is OFFLINE but could not confirm that its resources are down",
            "'res' on PEER shows what still runs: stop it there",
        ),
        Reason::PeerDead => ("PEER has been silent for longer than the dead time", STAYS),
        Reason::PeerLeft => ("PEER left, with everything down there", STAYS),
        Reason::NotEligible => {
            ("nobody is active but this node must not take over", "it takes over as soon as that has ended")
        }
        Reason::Probing => (
            "PEER is silent and the wire is asked whether it still holds an address",
            "it takes over if nobody answers",
        ),
        Reason::AddressHeld => (
            "PEER is silent but an address of ours still answers, so its keeper is alive (WITNESS)",
            "it takes over when the address falls silent: look at the heartbeat path between the nodes",
        ),
        Reason::Stopped => ("the daemons are being stopped", "'start' starts them again"),
        Reason::Adopted => ("its resources were already up when pha-supervise started", HANDS_OVER),
        Reason::ResourceFailed => {
            ("a resource failed here", "it is restarted in place as often as RESTARTS allows, then a peer takes over")
        }
    };
    (cause.replace("PEER", peer), remedy.replace("PEER", peer))
}

#[cfg(test)]
mod tests {
    use pha_core::report::Transition;

    use super::*;
    use crate::samples;

    #[test]
    fn every_reason_is_one_sentence_with_a_remedy() {
        for reason in Reason::ALL {
            let mut view = samples::standby();
            view.record.supervise.report = Some(samples::report(Role::Standby, Word::Offline { clean: true }, reason));
            let text = sentence(&Session::sample(), &view);
            assert!(
                text.starts_with("lb1 is ") && text.ends_with('.') && text.contains("because") && text.contains("; "),
                "{text}"
            );
            assert_eq!(text.matches(". ").count(), 0, "{text}");
        }
    }

    #[test]
    fn a_standby_names_the_active_peer() {
        let text = sentence(&Session::sample(), &samples::standby());
        assert_eq!(
            text,
            "lb1 is Standby, for 2 min, because lb2 is active (rule 8); this node takes over when lb2 fails, hands over \
             ('offline' there) or leaves."
        );
    }

    #[test]
    fn an_active_node_says_why_it_took_over() {
        let mut view = samples::active_with_standby();
        let Some(report) = view.record.supervise.report.as_mut() else { return };
        let takeover = Transition { reason: Reason::PeerLeft, ..report.history[0].clone() };
        report.history[0].role = Role::Standby;
        report.history.push(takeover);
        let text = sentence(&Session::sample(), &view);
        assert!(text.contains("; it took over because lb2 left, with everything down there; 'offline'"), "{text}");
    }

    #[test]
    fn a_peer_that_kept_its_resources_has_a_way_out() {
        let explanation = text(&Session::sample(), &samples::beside_kept_peer());
        assert!(explanation.contains("if it is really down, restart pha here"), "{explanation}");
    }

    #[test]
    fn a_wait_says_how_long_it_still_takes() {
        let mut view = samples::standby();
        let report = view.record.supervise.report.as_mut();
        report.into_iter().for_each(|report| report.until = Some(samples::at(0) + Duration::from_secs(12)));
        assert!(sentence(&Session::sample(), &view).ends_with(" (by itself in 12 s)."));
    }

    #[test]
    fn without_daemons_the_remedy_is_start() {
        let text = sentence(&Session::sample(), &samples::stopped());
        assert_eq!(text, "lb1 is NOTRUNNING because pha does not run here; 'start' starts it.");
    }
}
