//! From the live state to a virtual cluster in the same state.
//!
//! The status database tells what every node last said and did, not what its core remembers. So the virtual nodes are given
//! what is known (what is up, terms, gateways, wishes, failures) and are started like real ones, which move nothing; what is
//! dead, stopped or cut off now is made so. After that they must say what the live ones say. Where they do not, that is told:
//! a prediction never begins silently from another state.

use std::time::Duration;

use pha_config::{Config, agent_features};
use pha_core::detector::same_word;
use pha_core::report::{Liveness, OfflineWish, SuperviseReport, Transition};
use pha_core::supervisor::Settings;
use pha_core::{BootTime, Direction, LeaveCause, Role, Term, Word};
use pha_sim::{Cluster, Fault, Making, Micros, Program, Takes, micros};

use super::standing::{Condition, Standing};
use crate::failure::Failure;
use crate::programs;
use crate::session::Session;
use crate::table::liveness;
use crate::times::{milliseconds, period};
use crate::view::View;

/// The live state, ready to be copied.
pub(super) struct Live<'a> {
    session: &'a Session,
    config: &'a Config,
    view: &'a View,
    me: usize,
    settings: Vec<Settings>,
    standings: Vec<Standing>,
    /// How long the agents' calls take.
    takes: Vec<Takes>,
    /// What is not known and was assumed.
    pub(super) assumed: Vec<String>,
}

impl<'a> Live<'a> {
    /// Reads it; pha need not run here.
    ///
    /// # Errors
    /// If there is no usable configuration with this node in it.
    pub(super) fn read(session: &'a Session, view: &'a View) -> Result<Self, Failure> {
        let (config, id) = session.member()?;
        let settings: Vec<_> =
            config.nodes.iter().map(|node| pha_daemon::settings(&session.home, config, node)).collect();
        let me = usize::from(id.number()) - 1;
        let mut live =
            Self { session, config, view, me, settings, standings: Vec::new(), takes: Vec::new(), assumed: Vec::new() };
        live.standings = config.nodes.iter().map(|node| Standing::of(config, view, id, node.id)).collect();
        live.measure();
        live.assume();
        Ok(live)
    }

    /// Heartbeat links between two nodes.
    pub(super) fn links(&self) -> usize {
        self.config.nodes.iter().map(|node| node.addresses.len()).max().unwrap_or(1).max(1)
    }

    /// How long a round of everything periodic takes.
    pub(super) fn round(&self) -> Duration {
        let c = self.config;
        c.init_dead * 2 + c.ping_timeout + c.supervise_interval + c.lease + Duration::from_secs(1)
    }

    /// A virtual cluster in this state, `seed` deciding what chance decides.
    pub(super) fn cluster(&self, seed: u64) -> Cluster {
        let clocks = vec![0; self.settings.len()];
        let mut cluster = Cluster::made(Making { settings: self.settings.clone(), links: self.links(), clocks, seed });
        for (n, standing) in self.standings.iter().enumerate() {
            self.prepare(&mut cluster, n, standing);
        }
        let (begin, round) = (cluster.ms(), milliseconds(self.round()));
        for (n, standing) in self.standings.iter().enumerate().filter(|(_, s)| s.condition != Condition::Off) {
            cluster.start(n);
            // Time goes on while the cluster settles; what is left of a wait must not get shorter by that.
            let left = |time: Duration| cluster.nodes[n].local(cluster.now) + time + self.round() * 2;
            let unfit = standing.unfit.map(|time| time.map(left));
            if let Some(supervise) = &mut cluster.nodes[n].supervise.core {
                supervise.core.resume(unfit, &standing.failures);
            }
        }
        cluster.pass(round);
        for (n, standing) in self.standings.iter().enumerate() {
            self.dispose(&mut cluster, n, standing);
        }
        cluster.pass((begin + 2 * round).saturating_sub(cluster.ms()));
        for (n, standing) in self.standings.iter().enumerate() {
            if let Some(supervise) = &mut cluster.nodes[n].supervise.core {
                supervise.core.resume(None, &standing.failures);
            }
        }
        cluster
    }

    fn prepare(&self, cluster: &mut Cluster, n: usize, standing: &Standing) {
        let round = self.round();
        let node = &mut cluster.nodes[n];
        node.init_dead = self.config.init_dead;
        node.gateway_answers = standing.gateway_answers;
        for (index, agent) in node.agents.iter_mut().enumerate() {
            agent.up = standing.up[index];
            agent.takes = self.takes[index];
        }
        node.record.operator.wishes = standing.wishes.clone();
        // A wish that is not forced counts only while somebody is heard who could take over: it comes later.
        node.record.operator.wishes.offline = standing.offline.filter(|rest| rest.force).map(|rest| OfflineWish {
            since: BootTime::ZERO,
            until: BootTime::ZERO + rest.left + round * 2,
            force: true,
        });
        node.lasting = standing.highest_term;
        node.record.supervise.report =
            self.view.last_report().map(|report| terms_only(report, standing.own_term, standing.highest_term));
    }

    /// Makes a node that does not simply run what it is.
    fn dispose(&self, cluster: &mut Cluster, n: usize, standing: &Standing) {
        match standing.condition {
            Condition::Runs | Condition::Off => {}
            Condition::Stopped => cluster.apply(&Fault::Stop { node: n }),
            Condition::Dead => cluster.apply(&Fault::Crash { node: n }),
            Condition::CutOff => {
                for (from, to) in [(n, self.me), (self.me, n)] {
                    cluster.apply(&Fault::Cut { from, to, link: None, cut: true });
                }
            }
        }
        if let Some(rest) = standing.offline.filter(|rest| !rest.force) {
            let seconds = (rest.left + self.round()).as_secs().max(1);
            cluster.apply(&Fault::Offline { node: n, seconds, force: false });
        }
        let handed_over = standing.word == Some(Word::Left { cause: LeaveCause::Gateway });
        if let Some(supervise) = cluster.nodes[n].supervise.core.as_mut().filter(|_| handed_over) {
            supervise.core.resume_rest();
        }
        for program in &standing.missing {
            cluster.apply(&Fault::Kill { node: n, program: *program });
        }
    }

    /// How long agents take: as measured here, else as long as the last call.
    fn measure(&mut self) {
        let report = self.view.last_report();
        let last = |name: &str| {
            let seen = report.and_then(|report| report.resources.iter().find(|resource| resource.name == name));
            seen.map(|resource| resource.duration).filter(|duration| !duration.is_zero())
        };
        let lasted: Vec<_> = self.config.resources.iter().map(|resource| last(&resource.name)).collect();
        let longest = lasted.iter().flatten().max().copied().unwrap_or_default();
        let count = u32::try_from(lasted.len()).unwrap_or(1).max(1);
        let share = |all: Duration| micros(all.saturating_sub(longest) / count).max(1);
        let history = report.map(|report| report.history.as_slice()).unwrap_or_default();
        let (starts, stops) = (measured(history, Direction::Starting), measured(history, Direction::Stopping));
        let usual = Takes::default();
        let takes = self.config.resources.iter().zip(&lasted).map(|(resource, check)| {
            let check = check.map(micros);
            // What took longer than its limit was ended, and is not what a call takes.
            let within = |time: Micros, limit: Duration| time.min(micros(limit));
            Takes {
                start: within(starts.map(share).or(check).unwrap_or(usual.start), resource.start_timeout),
                stop: within(stops.map(share).or(check).unwrap_or(usual.stop), resource.stop_timeout),
                check: within(check.unwrap_or(usual.check), resource.check_timeout),
            }
        });
        self.takes = takes.collect();
        let known = self.config.resources.iter().zip(&lasted);
        let calls: Vec<_> = known.filter_map(|(r, last)| Some(format!("{} {}", r.name, period((*last)?)))).collect();
        self.assumed.push(match (starts, calls.is_empty()) {
            (Some(starts), _) => format!(
                "starting everything takes {}, as it did here last; checks take as long as the last call ({})",
                period(starts),
                calls.join(", ")
            ),
            (None, false) => format!("every call of an agent takes as long as its last one ({})", calls.join(", ")),
            (None, true) => format!("every call of an agent takes {} ms: none was measured yet", usual.start / 1000),
        });
    }

    fn assume(&mut self) {
        let mut assumed = Vec::new();
        for resource in &self.config.resources {
            let path = self.config.agent_path(&self.session.home, &resource.agent);
            if let Err(error) = agent_features(&path) {
                assumed.push(format!("{}: {error}: taken for an agent without lease and probe", path.display()));
            }
        }
        for (n, standing) in self.standings.iter().enumerate() {
            assumed.extend(self.assumptions_about(n, standing));
        }
        self.assumed.append(&mut assumed);
    }

    fn assumptions_about(&self, n: usize, standing: &Standing) -> Vec<String> {
        let (name, mine) = (self.name(n), n == self.me);
        let mut said = Vec::new();
        let mut note = |holds: bool, text: String| said.extend(holds.then_some(text));
        note(standing.condition == Condition::Off, format!("{name} was never heard and is taken to be off"));
        note(standing.condition == Condition::Dead, format!("{name} is silent and is taken to be without power"));
        let cut = standing.condition == Condition::CutOff;
        note(cut, format!("{name} is silent but its address answers: only the link is taken to be cut"));
        let away = !mine && standing.offline.is_some();
        note(away, format!("{name} rests for another {}, as OFFLINE_TIME says", period(self.config.offline_time)));
        let unwilling = !mine && standing.wishes.maintenance;
        note(unwilling, format!("{name} would not take over and does not say why: taken for maintenance"));
        let unfit = !mine && standing.unfit.is_some();
        note(unfit, format!("{name} stays unfit for another {}", period(self.config.unfit_time)));
        let failed = standing.failures.iter().any(|count| *count > 0);
        note(failed, format!("failures of resources on {name} count as if they had happened just now"));
        let id = self.settings[n].me;
        let differs = self.view.record.receiver.peers.iter().any(|peer| peer.node == id && peer.config_differs);
        note(differs, format!("etc/config of {name} differs and is taken to be the one here"));
        let deaf = mine && standing.missing.contains(&Program::Receiver);
        note(deaf, "pha-receiver does not run here: the others are taken to be as they were heard last".to_owned());
        said
    }

    /// Where the virtual cluster is not what the live one is.
    pub(super) fn differences(&self, cluster: &Cluster) -> Vec<String> {
        let mut found = Vec::new();
        for (n, standing) in self.standings.iter().enumerate() {
            let begins = cluster.nodes[n].report().map(|report| report.saying.word);
            let speaks = matches!(standing.condition, Condition::Runs | Condition::Stopped | Condition::CutOff);
            if let (Some(live), Some(begins), true) = (standing.word, begins, speaks)
                && !same_word(live, begins)
            {
                found.push(format!("{} is {live} now; the prediction begins with {begins}", self.name(n)));
            }
        }
        if self.view.is_running() && self.view.pid(programs::Program::Receiver) != 0 {
            let virtual_peers = &cluster.nodes[self.me].record.receiver.peers;
            for live in &self.view.record.receiver.peers {
                let begins = virtual_peers.iter().find(|peer| peer.node == live.node).map(|peer| peer.liveness);
                // Both pass by themselves, and the virtual cluster was given the time.
                let settled = match live.liveness {
                    Liveness::Suspect => Liveness::Alive,
                    Liveness::Unheard => Liveness::Dead,
                    other @ (Liveness::Alive | Liveness::Dead | Liveness::Absent) => other,
                };
                if let Some(begins) = begins.filter(|begins| *begins != settled) {
                    let (name, live, begins) =
                        (self.session.name_of(live.node), liveness(live.liveness), liveness(begins));
                    found.push(format!("{name} is {live} here now; the prediction begins with {begins}"));
                }
            }
        }
        found
    }

    /// What each node is where the prediction begins.
    pub(super) fn now(&self, cluster: &Cluster) -> String {
        let one = |(n, standing): (usize, &Standing)| {
            let node = &cluster.nodes[n];
            let is = match (standing.condition, node.report()) {
                (Condition::Off | Condition::Dead, _) | (_, None) => "off".to_owned(),
                (_, Some(report)) => report.saying.word.to_string(),
            };
            format!("{} {is}", self.name(n))
        };
        self.standings.iter().enumerate().map(one).collect::<Vec<_>>().join(", ")
    }

    /// A node's name.
    pub(super) fn name(&self, n: usize) -> &str {
        &self.config.nodes[n].name
    }

    /// A resource's name.
    pub(super) fn resource(&self, index: usize) -> &str {
        &self.config.resources[index].name
    }

    /// Number of resources.
    pub(super) const fn resources(&self) -> usize {
        self.config.resources.len()
    }

    /// Whether there is a live state at all.
    pub(super) fn is_running(&self) -> bool {
        self.view.is_running()
    }

    /// The configuration.
    pub(super) const fn config(&self) -> &Config {
        self.config
    }
}

/// How long the last start or stop of everything took here, first script to last check.
fn measured(history: &[Transition], direction: Direction) -> Option<Duration> {
    let pairs = history.windows(2).rev();
    let took = pairs.filter_map(|pair| {
        let (began, ended) = (&pair[0], &pair[1]);
        let whole = match direction {
            Direction::Starting => !matches!(began.from, Word::Online) && ended.to == Word::Online,
            Direction::Stopping => began.from == Word::Online && ended.to != Word::Online,
        };
        let fits = matches!(began.to, Word::Progress { direction: d, .. } if d == direction);
        (whole && fits).then(|| ended.at.since(began.at))
    });
    took.into_iter().next()
}

/// A report of which a starting supervise takes over nothing but terms.
fn terms_only(report: &SuperviseReport, own: Term, highest: Term) -> SuperviseReport {
    let mut report = report.clone();
    (report.saying.term, report.highest_term) = (own, highest);
    (report.role, report.history, report.moves) = (Role::Standby, Vec::new(), Vec::new());
    report
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use pha_core::Reason;
    use pha_core::report::PeerReport;

    use super::*;
    use crate::samples;
    use crate::what_if::sample::session;

    /// What differs between a live state and the virtual one made from it, and what was assumed.
    fn copied(view: &View) -> (Vec<String>, Vec<String>) {
        let (_folder, session) = session();
        let live = Live::read(&session, view).unwrap();
        (live.differences(&live.cluster(1)), live.assumed.clone())
    }

    fn heard(own: Role, word: Word, reason: Reason, peer: PeerReport) -> View {
        let record = samples::record(samples::report(own, word, reason), vec![peer]);
        View { record, now: samples::at(0) }
    }

    #[test]
    fn quiet_states_are_copied_as_they_are() {
        let standby = Word::Offline { clean: true };
        let away = |cause| Some(Word::Left { cause });
        let states = [
            samples::active_with_standby(),
            samples::standby(),
            samples::active_alone(),
            samples::beside_kept_peer(),
            heard(Role::Active, Word::Online, Reason::PeerDead, samples::peer(Liveness::Dead, Some(Word::Online))),
            heard(
                Role::Active,
                Word::Online,
                Reason::PeerLeft,
                samples::peer(Liveness::Absent, away(LeaveCause::Operator)),
            ),
            heard(
                Role::Active,
                Word::Online,
                Reason::PeerLeft,
                samples::peer(Liveness::Absent, away(LeaveCause::Gateway)),
            ),
            heard(
                Role::Active,
                Word::Online,
                Reason::PeerLeft,
                samples::peer(Liveness::Absent, away(LeaveCause::Stopped)),
            ),
            heard(Role::Standby, standby, Reason::AddressHeld, samples::peer(Liveness::Dead, Some(Word::Online))),
        ];
        for view in states {
            let (differences, assumed) = copied(&view);
            assert_eq!(differences, Vec::<String>::new(), "{:?} {assumed:?}", view.record.supervise.report);
        }
    }

    #[test]
    fn wishes_and_unfit_times_are_copied() {
        let mut view = samples::standby();
        view.record.operator.wishes.maintenance = true;
        let report = view.record.supervise.report.as_mut().unwrap();
        report.saying.fit = false;
        report.unfit_until = Some(samples::at(0) + Duration::from_secs(40));
        let (_folder, session) = session();
        let cluster = Live::read(&session, &view).unwrap().cluster(1);
        let copy = cluster.nodes[0].report().unwrap();
        assert!(!copy.saying.fit);
        assert_eq!(copy.unfit_until.unwrap().since(cluster.nodes[0].local(cluster.now)).as_secs(), 40);
        assert_eq!(copy.reason, Reason::Maintenance);
    }

    #[test]
    fn a_state_that_cannot_be_copied_is_told() {
        let stopping = Word::Progress { direction: Direction::Stopping, remaining: Duration::from_secs(5) };
        let view = heard(Role::Standby, stopping, Reason::Operator, samples::peer(Liveness::Unheard, None));
        let (differences, assumed) = copied(&view);
        assert_eq!(differences, ["lb1 is PROGRESS (stopping) now; the prediction begins with ONLINE"]);
        assert!(assumed.contains(&"lb2 was never heard and is taken to be off".to_owned()), "{assumed:?}");
    }

    #[test]
    fn the_last_takeover_is_the_measure_of_the_next() {
        let mut view = samples::active_with_standby();
        let report = view.record.supervise.report.as_mut().unwrap();
        let online = report.history[0].clone();
        let starting = Word::Progress { direction: Direction::Starting, remaining: Duration::from_secs(5) };
        let progress = Transition { at: online.at - Duration::from_millis(1312), to: starting, ..online.clone() };
        report.history = vec![progress, Transition { from: starting, ..online }];
        let (_folder, session) = session();
        let live = Live::read(&session, &view).unwrap();
        assert_eq!(live.takes[0].start, 650_000);
        assert!(
            live.assumed[0].starts_with("starting everything takes 1.3 s, as it did here last"),
            "{:?}",
            live.assumed
        );
    }
}
