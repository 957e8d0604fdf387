//! `offline`, `switchover` and `online`: a switchover by hand.
//!
//! The first two write a wish and then only watch: supervise asks a peer to get ready, stops the resources and says LEFT,
//! the peer takes over and says ONLINE. What is refused here is refused because supervise would not follow the wish either.

use std::time::Duration;

use pha_config::Config;
use pha_core::report::{Liveness, OfflineWish, PeerReport, SwitchoverWish};
use pha_core::{BootTime, GaveUp, LeaveCause, NodeId, Reason, Role, Word};
use serde_json::json;

use crate::failure::{Failure, UNAVAILABLE};
use crate::handover::{Phases, micros};
use crate::screen::{print, print_json, warn};
use crate::session::Session;
use crate::table::liveness;
use crate::times::period;
use crate::view::{View, is_audible};
use crate::{wait, wishes};
use pha_sys::exit;

/// For what is neither a script nor the dead time: datagrams, forks, the database.
const SLACK: Duration = Duration::from_secs(2);

/// A peer that is asked says within this time that it is ready, or the wish is void.
const ANSWER: Duration = Duration::from_secs(6);

/// How a switchover went.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// A peer was asked, and is active now.
    HandedOver(Phases),
    /// Nothing has moved, or nobody took over.
    GivenUp(GaveUp),
    /// This peer is active now; it was not asked.
    TakenOver { by: String, after: Duration },
    /// Nobody took over, so this node is active again.
    TakenBack,
    /// Everything is down here, and nobody was there to take over.
    Released,
}

/// `offline [--for TIME] [--force]`.
pub(crate) fn offline(session: &Session, rest: Option<Duration>, force: bool) -> Result<(), Failure> {
    let (config, _) = session.member()?;
    let before = View::take(session)?;
    may_leave(session, &before, force)?;
    let since = wishes::now();
    let rest = rest.unwrap_or(config.offline_time);
    let wish = OfflineWish { since, until: since + rest, force };
    let successor = before.audible_peers().any(is_able);
    wishes::change(session, |wishes| (wishes.offline, wishes.switchover) = (Some(wish), None))?;
    if !before.is_active() {
        return print(&format!("{}: the heartbeat rests for {}; 'online' ends it earlier", session.node, period(rest)));
    }
    let progress = Progress { since, successor, left: false };
    watch(session, progress, limit(config))
}

/// `switchover [to NODE]`.
pub(crate) fn switchover(session: &Session, words: &[String]) -> Result<(), Failure> {
    let (config, _) = session.member()?;
    let to = match words {
        [] => None,
        [name] | [_, name] if words.len() == 1 || words[0] == "to" => Some(node_named(session, name)?),
        _ => return Err(Failure::new(exit::USAGE, "write 'switchover' or 'switchover to NODE'")),
    };
    let before = View::take(session)?;
    is_to_hand_over(session, &before, to)?;
    may_leave(session, &before, false)?;
    let since = wishes::now();
    let wish = SwitchoverWish { since, until: since + ANSWER, to };
    wishes::change(session, |wishes| (wishes.offline, wishes.switchover) = (None, Some(wish)))?;
    watch(session, Progress { since, successor: true, left: false }, limit(config))
}

fn watch(session: &Session, mut progress: Progress, limit: Duration) -> Result<(), Failure> {
    let outcome = wait::until(session, limit, |view| progress.look(session, view))?;
    tell(session, outcome, limit)
}

/// # Errors
/// [`exit::USAGE`]: no such node.
fn node_named(session: &Session, name: &str) -> Result<NodeId, Failure> {
    let (config, _) = session.member()?;
    let known = config.nodes.iter().find(|node| node.name == name).map(|node| node.id);
    let text = || format!("no node '{name}'; there are: {}", session.node_names().join(", "));
    known.ok_or_else(|| Failure::new(exit::USAGE, text()))
}

/// # Errors
/// There is nothing to hand over, or not here: then what to type where.
fn is_to_hand_over(session: &Session, view: &View, to: Option<NodeId>) -> Result<(), Failure> {
    let (_, me) = session.member()?;
    let active = if view.is_active() { Some(me) } else { view.active_peer().map(|peer| peer.node) };
    let text = match active {
        _ if !view.is_running() => return Ok(()),
        Some(active) if Some(active) == to => format!("{} is active already", session.name_of(active)),
        Some(active) if active == me => return Ok(()),
        Some(active) => {
            let to = session.name_of(to.unwrap_or(me));
            format!("{} is not active: type 'switchover to {to}' on {}", session.node, session.name_of(active))
        }
        None => format!("{} is not active, and neither is any peer; 'explain' says more", session.node),
    };
    Err(Failure::new(UNAVAILABLE, text))
}

/// `online`.
pub(crate) fn online(session: &Session) -> Result<(), Failure> {
    let view = View::take(session)?;
    let offline = view.record.operator.wishes.offline.is_some_and(|wish| view.now < wish.until);
    let unfit = view.record.supervise.report.as_ref().is_some_and(|report| !report.saying.fit);
    if !offline && !unfit {
        warn(&format!("{} is neither offline nor unfit", session.node));
    }
    wishes::change(session, |wishes| {
        (wishes.offline, wishes.switchover) = (None, None);
        wishes.forgiven = wishes::now();
    })?;
    wishes::await_followed(session, |report| report.reason != Reason::Operator)
}

/// The longest a switchover may take: every script at its limit, here and there.
fn limit(config: &Config) -> Duration {
    let scripts: Duration =
        config.resources.iter().map(|resource| resource.stop_timeout + resource.start_timeout).sum();
    scripts + config.dead_time + ANSWER + SLACK
}

/// # Errors
/// Why the wish would not be followed.
fn may_leave(session: &Session, view: &View, force: bool) -> Result<(), Failure> {
    let refuse = |why: String| Err(Failure::new(UNAVAILABLE, format!("{} stays as it is: {why}", session.node)));
    if !view.is_running() {
        return refuse("pha-supervise does not run here; 'start' starts it".to_owned());
    }
    if view.record.operator.wishes.maintenance {
        return refuse("maintenance is on; 'maintenance off' first".to_owned());
    }
    if force || has_successor(view) {
        return Ok(());
    }
    refuse(format!("no peer could take over ({}); --force releases all the same", peers(session, view)))
}

/// Some peer is active, would take over, or has its resources running though its daemons are stopped.
fn has_successor(view: &View) -> bool {
    view.record.receiver.peers.iter().any(is_able)
}

fn is_able(peer: &PeerReport) -> bool {
    let Some(saying) = peer.saying else { return false };
    let speaks = is_audible(peer) && (saying.willing || saying.word == Word::Online);
    speaks || (peer.liveness == Liveness::Absent && saying.word == Word::Kept)
}

/// What each peer is and says, as the reason of a refusal.
fn peers(session: &Session, view: &View) -> String {
    let one = |peer: &PeerReport| {
        let name = session.name_of(peer.node);
        let Some(saying) = peer.saying.filter(|_| matches!(peer.liveness, Liveness::Absent) || is_audible(peer)) else {
            return format!("{name} is {}", liveness(peer.liveness));
        };
        let Word::Left { cause } = saying.word else {
            let unfit = if saying.fit { "is not willing" } else { "is unfit" };
            return format!("{name} says {} and {unfit}: 'explain' there says why", saying.word);
        };
        match cause {
            LeaveCause::Operator => format!("{name} is offline: 'online' there ends that"),
            LeaveCause::Gateway => format!("{name} has lost its gateway"),
            LeaveCause::Stopped => format!("{name} is stopped: 'start' there starts it"),
        }
    };
    let said: Vec<_> = view.record.receiver.peers.iter().map(one).collect();
    if said.is_empty() { "no peer was ever heard".to_owned() } else { said.join(", ") }
}

/// What was seen of a running switchover.
struct Progress {
    since: BootTime,
    successor: bool,
    left: bool,
}

impl Progress {
    fn look(&mut self, session: &Session, view: &View) -> Option<Outcome> {
        let report = view.report()?;
        if let Some(handover) = report.handover.filter(|handover| handover.wish == self.since) {
            let phases = Phases::of(report, |node| session.name_of(node));
            return handover.gave_up.map(Outcome::GivenUp).or(phases.map(Outcome::HandedOver));
        }
        self.left |= matches!(report.saying.word, Word::Left { .. });
        if !self.left {
            return None;
        }
        if report.role == Role::Active && report.saying.word == Word::Online {
            return Some(Outcome::TakenBack);
        }
        if let Some(peer) = view.active_peer() {
            return Some(Outcome::TakenOver { by: session.name_of(peer.node), after: view.now.since(self.since) });
        }
        (!self.successor).then_some(Outcome::Released)
    }
}

fn tell(session: &Session, outcome: Option<Outcome>, limit: Duration) -> Result<(), Failure> {
    match outcome {
        Some(Outcome::HandedOver(phases)) if session.json => print_json(&phases.json()),
        Some(Outcome::HandedOver(phases)) => print(&phases.text()),
        Some(Outcome::GivenUp(GaveUp::NotTakenOver)) | Some(Outcome::TakenBack) => {
            let text = format!(
                "not switched over: no peer took over, so {} is active again; 'history' there says why",
                session.node
            );
            Err(Failure::new(exit::TEMP_FAIL, text))
        }
        Some(Outcome::GivenUp(why)) => {
            let text = format!("{} stays as it is: {why} ({})", session.node, peers(session, &View::take(session)?));
            Err(Failure::new(UNAVAILABLE, text))
        }
        Some(Outcome::TakenOver { by, after }) if session.json => {
            print_json(&json!({ "to": by, "taken_over_us": micros(after) }))
        }
        Some(Outcome::TakenOver { by, after }) => print(&format!("switched over to {by} in {} ms", after.as_millis())),
        Some(Outcome::Released) => {
            let peers = peers(session, &View::take(session)?);
            print(&format!("released: nothing runs on {} any more, and no peer takes over ({peers})", session.node))
        }
        None => {
            let view = View::take(session)?;
            let own = view
                .report()
                .map_or_else(|| "does not run".to_owned(), |report| format!("says {}", report.saying.word));
            let (node, peers) = (&session.node, peers(session, &view));
            let text =
                format!("not switched over within {}: {node} {own}, {peers}; 'explain' says more", period(limit));
            Err(Failure::new(exit::TEMP_FAIL, text))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use crate::samples;

    #[test]
    fn a_willing_peer_is_a_successor() {
        assert!(has_successor(&samples::active_with_standby()));
        assert!(may_leave(&Session::sample(), &samples::active_with_standby(), false).is_ok());
    }

    #[test]
    fn a_peer_that_kept_its_resources_is_a_successor() {
        assert!(has_successor(&samples::beside_kept_peer()));
    }

    #[test]
    fn without_a_successor_leaving_is_refused_with_the_reason() {
        let refusal = may_leave(&Session::sample(), &samples::active_alone(), false).unwrap_err();
        assert_eq!(refusal.code(), UNAVAILABLE);
        assert_eq!(
            refusal.to_string(),
            "lb1 stays as it is: no peer could take over (lb2 is not heard); --force releases all the same"
        );
        assert!(may_leave(&Session::sample(), &samples::active_alone(), true).is_ok());
    }

    #[test]
    fn an_unwilling_or_dead_peer_is_no_successor() {
        let mut view = samples::active_with_standby();
        view.record.receiver.peers[0].saying.as_mut().unwrap().willing = false;
        assert!(!has_successor(&view));
        let mut view = samples::active_with_standby();
        view.record.receiver.peers[0].liveness = Liveness::Dead;
        assert!(!has_successor(&view));
    }

    #[test]
    fn maintenance_forbids_leaving() {
        let mut view = samples::active_with_standby();
        view.record.operator.wishes.maintenance = true;
        assert!(may_leave(&Session::sample(), &view, true).unwrap_err().to_string().contains("maintenance off"));
    }

    #[test]
    fn a_switchover_is_done_when_the_peer_says_online() {
        let session = Session::sample();
        let mut progress = Progress { since: samples::at(1), successor: true, left: false };
        let mut view = samples::active_with_standby();
        assert_eq!(progress.look(&session, &view), None);
        let left = Word::Left { cause: LeaveCause::Operator };
        view.record.supervise.report = Some(samples::report(Role::Standby, left, pha_core::Reason::Operator));
        assert_eq!(progress.look(&session, &view), None);
        view.record.receiver.peers = vec![samples::peer(Liveness::Alive, Some(Word::Online))];
        let done = Outcome::TakenOver { by: "lb2".to_owned(), after: Duration::from_secs(1) };
        assert_eq!(progress.look(&session, &view), Some(done));
    }

    #[test]
    fn a_node_that_becomes_active_again_has_taken_back() {
        let mut progress = Progress { since: samples::at(1), successor: true, left: true };
        assert_eq!(progress.look(&Session::sample(), &samples::active_with_standby()), Some(Outcome::TakenBack));
    }
}
