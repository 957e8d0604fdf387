//! `offline` and `online`: a switchover by hand.
//!
//! `offline` writes a wish and then only watches: supervise stops the resources and says LEFT, a peer takes over and
//! says ONLINE. What is refused here is refused because supervise would not follow the wish either.

use std::time::Duration;

use pha_config::Config;
use pha_core::report::{Liveness, OfflineWish, PeerReport};
use pha_core::{BootTime, LeaveCause, Reason, Role, Word};

use crate::failure::{Failure, UNAVAILABLE};
use crate::screen::{print, warn};
use crate::session::Session;
use crate::table::liveness;
use crate::times::period;
use crate::view::{View, is_audible};
use crate::{wait, wishes};
use pha_sys::exit;

/// For what is neither a script nor the dead time: datagrams, forks, the database.
const SLACK: Duration = Duration::from_secs(2);

/// How a switchover went.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// This peer is active now.
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
    wishes::change(session, |wishes| wishes.offline = Some(wish))?;
    if !before.is_active() {
        return print(&format!("{}: the heartbeat rests for {}; 'online' ends it earlier", session.node, period(rest)));
    }
    let mut progress = Progress { since, successor, left: false };
    let outcome = wait::until(session, limit(config), |view| progress.look(session, view))?;
    tell(session, outcome, limit(config))
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
        wishes.offline = None;
        wishes.forgiven = wishes::now();
    })?;
    wishes::await_followed(session, |report| report.reason != Reason::Operator)
}

/// The longest a switchover may take: every script at its limit, here and there.
fn limit(config: &Config) -> Duration {
    let scripts: Duration =
        config.resources.iter().map(|resource| resource.stop_timeout + resource.start_timeout).sum();
    scripts + config.dead_time + SLACK
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
        Some(Outcome::TakenOver { by, after }) => print(&format!("switched over to {by} in {} ms", after.as_millis())),
        Some(Outcome::Released) => {
            let peers = peers(session, &View::take(session)?);
            print(&format!("released: nothing runs on {} any more, and no peer takes over ({peers})", session.node))
        }
        Some(Outcome::TakenBack) => {
            let text = format!(
                "not switched over: no peer took over, so {} is active again; 'history' there says why",
                session.node
            );
            Err(Failure::new(exit::TEMP_FAIL, text))
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
