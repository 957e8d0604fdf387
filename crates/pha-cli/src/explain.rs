//! `explain`: one sentence why this node is what it is, and what would change it; then the notes.

use std::time::Duration;

use pha_core::report::{Liveness, PeerReport, SuperviseReport};
use pha_core::{Gateway, Reason, Word};
use serde_json::json;

use crate::notes::notes;
use crate::session::Session;
use crate::times::period;
use crate::view::{View, is_audible};

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
    let since = period(view.now.since(report.since));
    let rule = report.reason.rule().map(|rule| format!(" (rule {rule})")).unwrap_or_default();
    let peer = concerned(session, view, report.reason);
    let cause = because(report.reason, &peer);
    let cause = if report.reason == Reason::NotEligible { format!("{cause}: {}", obstacles(report)) } else { cause };
    let remedy = what_would_change(report.reason, &peer);
    let end = remaining(view, report).map(|rest| format!(" (by itself in {})", period(rest))).unwrap_or_default();
    format!("{node} is {state}, for {since}, because {cause}{rule}; {remedy}{end}.")
}

fn not_running(node: &str, view: &View) -> String {
    let kept = view.last_report().is_some_and(|report| report.saying.word == Word::Kept);
    let resources = if kept { ", 'res stop' stops the resources that were left running" } else { "" };
    format!("{node} is NOTRUNNING because pha-supervise does not run; 'start' starts it{resources}.")
}

/// Time until what the reason waits for ends by itself.
fn remaining(view: &View, report: &SuperviseReport) -> Option<Duration> {
    let unfit_until = report.unfit_until.filter(|_| report.reason == Reason::Unfit);
    let until = unfit_until.or(report.until);
    until.filter(|until| *until > view.now).map(|until| until.since(view.now))
}

/// Names of the peers the reason is about; all peers where it is about none in particular.
fn concerned(session: &Session, view: &View, reason: Reason) -> String {
    let names: Vec<_> = view
        .record
        .receiver
        .peers
        .iter()
        .filter(|peer| is_about(reason, peer))
        .map(|peer| session.name_of(peer.node))
        .collect();
    let names = if names.is_empty() { session.peer_names() } else { names };
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
        obstacles.push("it is unfit after failures of a resource");
    }
    if matches!(report.gateway(), Gateway::Lost | Gateway::Testing) {
        obstacles.push("its gateway does not answer");
    }
    if report.resources.iter().any(|resource| resource.held) {
        obstacles.push("'res stop' holds a resource down");
    }
    if obstacles.is_empty() { "see its log".to_owned() } else { obstacles.join(" and ") }
}

fn because(reason: Reason, peer: &str) -> String {
    match reason {
        Reason::Starting => "pha has just started and looks at the resources for the first time".to_owned(),
        Reason::Maintenance => "maintenance is on and nothing is started or stopped".to_owned(),
        Reason::Operator => "'offline' was typed here".to_owned(),
        Reason::GatewayLost => "its gateway does not answer and no other node has lost it too".to_owned(),
        Reason::GatewayDoubtful => format!("its gateway does not answer and {peer} is asked whether it lost it too"),
        Reason::NoQuorum => "it does not hold the quorum that is configured".to_owned(),
        Reason::WasAway => "it was suspended or starved for longer than the dead time".to_owned(),
        Reason::Deaf => "its receiver does not work: it keeps what it has and takes nothing over".to_owned(),
        Reason::Grace => format!("pha has just started and waits for a first heartbeat of {peer}"),
        Reason::PeerBusy => format!("{peer} is starting or stopping resources"),
        Reason::PeerClaimed => format!("{peer} claimed the resources first"),
        Reason::PeerKept => format!("{peer} was stopped and left its resources running on purpose"),
        Reason::PeerActive => format!("{peer} is active"),
        Reason::BothActive => format!("{peer} is active too and the later decision stays"),
        Reason::Active => "its resources run here and no other node is active".to_owned(),
        Reason::Failback => "FAILBACK=on and the preferred node is healthy again".to_owned(),
        Reason::Unfit => "a resource failed here more often than RESTARTS allows".to_owned(),
        Reason::Claim => "nobody was active and it was this node's turn to take over".to_owned(),
        Reason::ClaimTurn => "nobody is active and it is another node's turn to take over".to_owned(),
        Reason::PeerUnclean => format!("{peer} is OFFLINE but could not confirm that its resources are down"),
        Reason::PeerDead => format!("{peer} has been silent for longer than the dead time"),
        Reason::PeerLeft => format!("{peer} left, with everything down there"),
        Reason::NotEligible => "nobody is active but this node must not take over".to_owned(),
        Reason::Probing => format!("{peer} is silent and the wire is asked whether it still holds an address"),
        Reason::AddressHeld => {
            format!("{peer} is silent but an address of ours still answers, so its keeper is alive (WITNESS)")
        }
        Reason::Stopped => "the daemons are being stopped".to_owned(),
        Reason::Adopted => "its resources were already up when pha-supervise started".to_owned(),
        Reason::ResourceFailed => "a resource failed here".to_owned(),
    }
}

fn what_would_change(reason: Reason, peer: &str) -> String {
    match reason {
        Reason::Starting => "the first checks decide".to_owned(),
        Reason::Maintenance => "'maintenance off' lets pha act again".to_owned(),
        Reason::Operator => "'online' ends it".to_owned(),
        Reason::GatewayLost => {
            "it comes back when the gateway answers: look at cable, interface and GW in etc/config".to_owned()
        }
        Reason::GatewayDoubtful => format!("the answer of {peer}, or an echo of the gateway, decides"),
        Reason::NoQuorum => "holding the quorum again lets it act: look at the quorum keeper".to_owned(),
        Reason::WasAway => format!(
            "a heartbeat of {peer} or one dead time of silence decides; if it happens again, this machine is overloaded"
        ),
        Reason::Deaf => "'re_start' starts the receiver; its log says why it ended".to_owned(),
        Reason::Grace => "a first heartbeat, or the end of the wait, decides".to_owned(),
        Reason::PeerBusy => "this node decides when that is done or its deadline has passed".to_owned(),
        Reason::PeerClaimed => format!("this node takes over if {peer} fails"),
        Reason::PeerKept => {
            format!("'start' on {peer}, or 'res stop' there, ends the wait: if it is really down, restart pha here")
        }
        Reason::PeerActive => format!("this node takes over when {peer} fails, hands over ('offline' there) or leaves"),
        Reason::BothActive => "it ends when one has stopped: look at the network between the nodes".to_owned(),
        Reason::Active | Reason::Claim | Reason::Adopted => {
            "'offline', a lost gateway or a resource that keeps failing hands over".to_owned()
        }
        Reason::Failback => "FAILBACK=off would leave the resources where they are".to_owned(),
        Reason::Unfit => {
            "it becomes fit when UNFIT_TIME is over or 'online' is typed: 'status' shows the resource's last error"
                .to_owned()
        }
        Reason::ClaimTurn => "if nobody does within two dead times, this node does".to_owned(),
        Reason::PeerUnclean => format!("'res' on {peer} shows what still runs: stop it there"),
        Reason::PeerDead | Reason::PeerLeft => {
            format!("it stays so when {peer} comes back, until 'offline' hands over")
        }
        Reason::NotEligible => "it takes over as soon as that has ended; 'online' forgives failures".to_owned(),
        Reason::Probing => "it takes over if nobody answers".to_owned(),
        Reason::AddressHeld => {
            "it takes over when the address falls silent: look at the heartbeat path between the nodes".to_owned()
        }
        Reason::Stopped => "'start' starts them again".to_owned(),
        Reason::ResourceFailed => {
            "it is restarted in place as often as RESTARTS allows, then a peer takes over".to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use pha_core::Role;

    use super::*;
    use crate::samples;

    const ALL: [Reason; 28] = [
        Reason::Starting,
        Reason::Maintenance,
        Reason::Operator,
        Reason::GatewayLost,
        Reason::GatewayDoubtful,
        Reason::NoQuorum,
        Reason::WasAway,
        Reason::Deaf,
        Reason::Grace,
        Reason::PeerBusy,
        Reason::PeerClaimed,
        Reason::PeerKept,
        Reason::PeerActive,
        Reason::BothActive,
        Reason::Active,
        Reason::Failback,
        Reason::Unfit,
        Reason::Claim,
        Reason::ClaimTurn,
        Reason::PeerUnclean,
        Reason::PeerDead,
        Reason::PeerLeft,
        Reason::NotEligible,
        Reason::AddressHeld,
        Reason::Stopped,
        Reason::Adopted,
        Reason::Probing,
        Reason::ResourceFailed,
    ];

    #[test]
    fn every_reason_is_one_sentence_with_a_remedy() {
        for reason in ALL {
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
        assert_eq!(text, "lb1 is NOTRUNNING because pha-supervise does not run; 'start' starts it.");
    }
}
