//! One run of a question: what each node does and when, and who has what meanwhile and at the end.

use std::collections::BTreeMap;
use std::time::Duration;

use pha_core::detector::same_word;
use pha_core::report::Liveness;
use pha_core::resource::{Call, Outcome};
use pha_core::supervisor::Note;
use pha_core::{Gateway, Reason};
use pha_sim::{Cluster, Happening, Micros, Program};

use super::question::{Step, When};
use super::state::Live;
use crate::explain::{because, stated};
use crate::session::Session;
use crate::times::{milliseconds, period};

/// No prediction goes further; milliseconds.
const HORIZON: u64 = 120_000;

/// Something that a node does or notices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Action {
    /// Since the first step.
    pub(super) after: Duration,
    /// Whose; `None` for what happens from outside.
    pub(super) node: Option<usize>,
    /// In words.
    pub(super) what: String,
}

/// How two machines had one resource.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Two {
    /// On one network.
    pub(super) together: Duration,
    /// Cut off from each other.
    pub(super) apart: Duration,
}

/// How things stand when nothing happens any more.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct End {
    /// Nodes that are ONLINE.
    pub(super) active: Vec<usize>,
    /// Every resource is up on one node, but for those held.
    pub(super) served: bool,
    /// Who has each resource up.
    pub(super) owners: Vec<Vec<usize>>,
}

/// One run.
#[derive(Debug, Clone)]
pub(super) struct Run {
    /// In their order.
    pub(super) actions: Vec<Action>,
    /// How long no node had everything up.
    pub(super) away: Duration,
    /// Two owners, for each resource.
    pub(super) two: Vec<Two>,
    /// The end.
    pub(super) end: End,
    /// Nothing happened for long before the end; else it was cut short.
    pub(super) settled: bool,
    /// What would end a bad state: a line each.
    pub(super) remedies: Vec<String>,
}

/// Lets `steps` happen to `cluster`.
pub(super) fn run(session: &Session, live: &Live<'_>, cluster: Cluster, steps: &[Step]) -> Run {
    let mut watch = Watch::new(session, live, cluster);
    for step in steps {
        match step.when {
            When::Together => {}
            When::After(time) => watch.pass(milliseconds(time)),
            When::Settled => watch.settle(),
        }
        watch.apply(step);
    }
    watch.settle();
    watch.finish()
}

/// A cluster being looked at after everything that happens.
struct Watch<'a> {
    session: &'a Session,
    live: &'a Live<'a>,
    cluster: Cluster,
    begin: Micros,
    /// Happenings seen.
    seen: usize,
    last_news: Micros,
    /// Starts and stops under way.
    open: usize,
    /// Whether each node's heartbeat goes out, where a sender runs.
    beats: Vec<Option<bool>>,
    /// The reason that each node gave last: it is told once.
    reasons: Vec<Option<Reason>>,
    /// What each node last heard when it asked the wire for a resource: told when it changes.
    answers: BTreeMap<(usize, usize), Outcome>,
    run: Run,
}

impl<'a> Watch<'a> {
    fn new(session: &'a Session, live: &'a Live<'a>, cluster: Cluster) -> Self {
        let run = Run {
            actions: Vec::new(),
            away: Duration::ZERO,
            two: vec![Two::default(); live.resources()],
            end: end(&cluster, live.resources()),
            settled: true,
            remedies: Vec::new(),
        };
        let beats = (0..cluster.nodes.len()).map(|n| beat(&cluster, n)).collect();
        let reasons = vec![None; cluster.nodes.len()];
        let (begin, seen) = (cluster.now, cluster.happened.len());
        Self {
            session,
            live,
            cluster,
            begin,
            seen,
            last_news: begin,
            open: 0,
            beats,
            reasons,
            answers: BTreeMap::new(),
            run,
        }
    }

    fn apply(&mut self, step: &Step) {
        self.tell(None, step.text.clone());
        for fault in &step.faults {
            self.cluster.apply(fault);
        }
        self.look();
    }

    fn pass(&mut self, ms: u64) {
        let until = self.cluster.now + ms * 1000;
        while self.step(until) {}
    }

    /// Until nothing has happened for long, or the horizon.
    fn settle(&mut self) {
        let quiet = Duration::from_secs(5) + self.live.round();
        let horizon = self.cluster.now + HORIZON * 1000;
        self.last_news = self.cluster.now;
        loop {
            let waits = self.open > 0 || self.cluster.nodes.iter().any(|node| node.powered && !node.is_awake());
            let until = if waits { horizon } else { self.last_news + pha_sim::micros(quiet) };
            if !self.step(until.min(horizon)) {
                break;
            }
        }
        self.run.settled = self.cluster.now < horizon;
    }

    fn step(&mut self, until: Micros) -> bool {
        let before = self.cluster.now;
        let was = end(&self.cluster, self.live.resources());
        let went_on = self.cluster.step(until);
        self.count(&was, Duration::from_micros(self.cluster.now - before));
        self.look();
        went_on
    }

    fn count(&mut self, was: &End, lasted: Duration) {
        if !was.served {
            self.run.away += lasted;
        }
        for (two, owners) in self.run.two.iter_mut().zip(&was.owners).filter(|(_, owners)| owners.len() > 1) {
            if meet(&self.cluster, owners) {
                two.together += lasted;
            } else {
                two.apart += lasted;
            }
        }
    }

    /// Tells what happened since the last look.
    fn look(&mut self) {
        for index in self.seen..self.cluster.happened.len() {
            let happening = self.cluster.happened[index].1.clone();
            match &happening {
                Happening::Called { call: Call::Start | Call::Stop | Call::Keep | Call::Restore, .. } => self.open += 1,
                Happening::Ended { call: Call::Start | Call::Stop | Call::Keep | Call::Restore, .. } => {
                    self.open = self.open.saturating_sub(1);
                }
                Happening::Fault(_)
                | Happening::Healed
                | Happening::Verdict { .. }
                | Happening::Noted { .. }
                | Happening::Called { .. }
                | Happening::Ended { .. }
                | Happening::Expired { .. } => {}
            }
            if let Some((node, what)) = self.words(&happening) {
                self.tell(Some(node), what);
            }
        }
        self.seen = self.cluster.happened.len();
        for n in 0..self.beats.len() {
            let beats = beat(&self.cluster, n);
            match (std::mem::replace(&mut self.beats[n], beats), beats) {
                (Some(true), Some(false)) => self.tell(Some(n), "heartbeat rests".to_owned()),
                (Some(false), Some(true)) => self.tell(Some(n), "heartbeat goes out".to_owned()),
                _ => {}
            }
        }
    }

    fn tell(&mut self, node: Option<usize>, what: String) {
        self.last_news = self.cluster.now;
        let after = Duration::from_micros(self.cluster.now - self.begin);
        self.run.actions.push(Action { after, node, what });
    }

    /// What an operator wants to read of a happening.
    fn words(&mut self, happening: &Happening) -> Option<(usize, String)> {
        let live = self.live;
        let resource = |index: &usize| live.resource(*index);
        Some(match happening {
            Happening::Fault(_) | Happening::Healed => return None,
            Happening::Verdict { node, peer, liveness } => {
                let peer = live.name(*peer);
                if *liveness == Liveness::Alive {
                    self.answers.retain(|(asking, _), _| asking != node);
                }
                let what = match liveness {
                    Liveness::Alive => format!("hears {peer}"),
                    Liveness::Suspect => format!("misses heartbeats of {peer} and asks for them"),
                    Liveness::Dead => format!("takes {peer} for dead"),
                    Liveness::Absent => format!("hears that {peer} has gone"),
                    Liveness::Unheard => format!("has not heard {peer}"),
                };
                (*node, what)
            }
            Happening::Noted { node, note } => (*node, self.note(*node, note)?),
            Happening::Called { node, resource: index, call } => match call {
                Call::Start => (*node, format!("starts {}", resource(index))),
                Call::Stop => (*node, format!("stops {}", resource(index))),
                Call::Restore => (*node, format!("puts {} back in place", resource(index))),
                Call::Keep => (*node, format!("makes {} stay up without pha", resource(index))),
                Call::Probe if self.answers.contains_key(&(*node, *index)) => return None,
                Call::Probe => (*node, format!("asks the wire for {}", resource(index))),
                Call::Check | Call::Announce | Call::Watch => return None,
            },
            Happening::Ended { node, resource: index, call, outcome, .. } => match (call, outcome) {
                (
                    Call::Start | Call::Stop | Call::Keep | Call::Restore,
                    Outcome::Failed | Outcome::TimedOut | Outcome::NotRun,
                ) => (*node, format!("{} of {} fails", call.verb(), resource(index))),
                (Call::Probe, outcome) if self.answers.insert((*node, *index), *outcome) != Some(*outcome) => {
                    let held = if *outcome == Outcome::Succeeded { "is held" } else { "answers nowhere" };
                    (*node, format!("hears that {} {held}", resource(index)))
                }
                _ => return None,
            },
            Happening::Expired { node, resource: index } => {
                (*node, format!("kernel takes {} away: nobody renewed its lease", resource(index)))
            }
        })
    }

    fn note(&mut self, n: usize, note: &Note) -> Option<String> {
        Some(match note {
            Note::Transition(change) => {
                let role = if same_word(change.from, change.to) { format!(", {}", change.role) } else { String::new() };
                let why = self.news(n, change.reason).map(|why| format!(": {why}")).unwrap_or_default();
                format!("{}{role}{why}", change.to)
            }
            // It has become active, and has said why.
            Note::Reason(Reason::Active) => return None,
            Note::Reason(reason) => format!("decides: {}", self.news(n, *reason)?),
            Note::CallFailed { .. } | Note::Overrun { .. } => return None,
            Note::ResourceLost { resource } => {
                format!("finds that {} is not up any more", self.live.resource(*resource))
            }
            Note::Fitness { fit: true } => "is fit again".to_owned(),
            Note::Fitness { fit: false } => "is unfit: a resource failed too often".to_owned(),
            Note::Gateway(Gateway::Lost) => "finds that its gateway does not answer".to_owned(),
            Note::Gateway(Gateway::Off | Gateway::Testing | Gateway::Reachable) => "gateway answers again".to_owned(),
            Note::Restored { resource, .. } => {
                format!("has {} back after somebody else removed it", self.live.resource(*resource))
            }
            Note::OfflineGivenUp(why) => format!("does not hand over: {why}"),
            Note::TermNotStored => "cannot store its term: starts nothing".to_owned(),
            Note::ConflictEnded(lasted) => {
                format!("two nodes may have been active for {}; this is over", period(*lasted))
            }
            Note::WasAway(away) => format!("notices that it did not run for {}", period(*away)),
        })
    }

    /// A reason in words, unless it is the one that the node gave last.
    fn news(&mut self, n: usize, reason: Reason) -> Option<String> {
        if self.reasons[n].replace(reason) == Some(reason) {
            return None;
        }
        let peers = &self.cluster.nodes[n].record.receiver.peers;
        let (cause, _) = because(self.session, self.live.name(n), peers, reason);
        Some(reason.rule().map_or_else(|| cause.clone(), |rule| format!("{cause} (rule {rule})")))
    }

    fn finish(mut self) -> Run {
        self.run.end = end(&self.cluster, self.live.resources());
        let split = self.run.end.owners.iter().find(|owners| owners.len() > 1);
        if let Some(owners) = split {
            self.run.remedies.push(self.end_of_two(owners));
        }
        if !self.run.end.served {
            let ways: Vec<_> = (0..self.cluster.nodes.len()).map(|n| self.way_out(n)).collect();
            self.run.remedies.extend(ways);
        }
        self.run
    }

    fn end_of_two(&self, owners: &[usize]) -> String {
        let those = |are: &dyn Fn(&usize) -> bool| {
            let names: Vec<_> = owners.iter().filter(|n| are(n)).map(|n| self.live.name(*n)).collect();
            Some(listed(&names)).filter(|names| !names.is_empty())
        };
        // Maintenance stops nothing, whoever is heard.
        let kept = those(&|n| self.cluster.nodes[*n].record.operator.wishes.maintenance);
        if !meet(&self.cluster, owners) {
            let stays = owners.iter().copied().max_by_key(|n| self.cluster.nodes[*n].term()).map(|n| self.live.name(n));
            let stays = stays.unwrap_or("the later decision");
            let first = kept.map(|names| format!(", once 'maintenance off' was typed on {names}")).unwrap_or_default();
            return format!("they are cut off from each other; when they hear each other again, {stays} stays{first}");
        }
        if let Some(names) = those(&|n| !self.cluster.nodes[*n].runs(Program::Supervise)) {
            return format!("'start' on {names} ends it: what is left over there is then stopped");
        }
        if let Some(names) = kept {
            return format!("'maintenance off' on {names} ends it: until then nothing is stopped there");
        }
        "the one with the earlier decision stops when it hears the other".to_owned()
    }

    /// What a node waits for.
    fn way_out(&self, n: usize) -> String {
        let (node, name) = (&self.cluster.nodes[n], self.live.name(n));
        if !node.powered {
            return format!("{name} is off");
        }
        let Some(report) = node.report().filter(|_| node.runs(Program::Supervise)) else {
            return format!("{name}: pha-supervise does not run; 'start' starts it");
        };
        let (cause, remedy) = stated(self.session, name, &node.record.receiver.peers, report);
        let now = node.local(self.cluster.now);
        let rest = report.until.or(report.unfit_until).filter(|until| *until > now);
        let rest = rest.map(|until| format!(" (by itself in {})", period(until.since(now)))).unwrap_or_default();
        format!("{name}: {cause}; {remedy}{rest}")
    }
}

/// Names as a sentence has them: `a, b and c`.
pub(super) fn listed(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// Whether some of these see each other's addresses.
fn meet(cluster: &Cluster, owners: &[usize]) -> bool {
    owners.iter().enumerate().any(|(i, a)| owners[..i].iter().any(|b| cluster.network.same_wire(*a, *b)))
}

fn beat(cluster: &Cluster, n: usize) -> Option<bool> {
    cluster.nodes[n].sender.core.as_ref().map(|sender| sender.core.is_running())
}

/// How things stand now.
fn end(cluster: &Cluster, resources: usize) -> End {
    let up = |n: usize, r: usize| cluster.nodes[n].is_awake() && cluster.nodes[n].agents[r].up;
    let count = cluster.nodes.len();
    let served = |n: &usize| {
        let node = &cluster.nodes[*n];
        let held = |r: usize| node.record.operator.wishes.held.contains(&node.settings.resources[r].name);
        node.is_awake() && (0..resources).all(|r| up(*n, r) || held(r)) && (resources == 0 || node.anything_up())
    };
    End {
        active: cluster.active().into_iter().filter(|n| cluster.nodes[*n].is_awake()).collect(),
        served: (0..count).any(|n| served(&n)),
        owners: (0..resources).map(|r| (0..count).filter(|n| up(*n, r)).collect()).collect(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use crate::samples;
    use crate::what_if::question::Names;
    use crate::what_if::sample::session;

    /// The question, asked of the active lb1 with lb2 standing by.
    fn ask(question: &str) -> Run {
        let ((_folder, session), view) = (session(), samples::active_with_standby());
        let live = Live::read(&session, &view).unwrap();
        let steps = Names::of(live.config(), live.links()).parse(question).unwrap();
        run(&session, &live, live.cluster(1), &steps)
    }

    fn told(run: &Run) -> Vec<(Option<usize>, &str)> {
        run.actions.iter().map(|action| (action.node, action.what.as_str())).collect()
    }

    #[test]
    fn a_dead_node_is_replaced_as_the_simulated_pair_shows_it() {
        let run = ask("lb1 dies");
        assert_eq!((run.end.active.as_slice(), run.end.served, run.settled), (&[1][..], true, true));
        let mut cluster = Cluster::running();
        cluster.apply(&pha_sim::Fault::Crash { node: 0 });
        let took = Duration::from_millis(cluster.until(2000, "lb2 serves", |c| c.nodes[1].served()));
        let spread = Duration::from_millis(250);
        assert!(run.away < took + spread && took < run.away + spread, "{:?}, {took:?}", run.away);
        let told = told(&run);
        assert_eq!(told[0], (None, "lb1 dies"));
        let order = ["takes lb1 for dead", "starts service", "starts ipaddr", "ONLINE"];
        let at = order.map(|what| told.iter().position(|(n, text)| *n == Some(1) && text.starts_with(what)).unwrap());
        assert!(at.is_sorted(), "{told:?}");
    }

    #[test]
    fn a_split_ends_with_two_owners_and_says_what_ends_it() {
        let run = ask("network cut");
        assert_eq!((run.end.active.as_slice(), run.away), (&[0, 1][..], Duration::ZERO));
        assert!(run.two.iter().all(|two| two.apart > Duration::from_secs(5) && two.together.is_zero()));
        assert_eq!(
            run.remedies,
            ["they are cut off from each other; when they hear each other again, lb2 stays".to_owned()]
        );
        let healed = ask("network cut then network back");
        assert_eq!(healed.end.active, [1]);
        assert!(healed.two.iter().all(|two| two.together < Duration::from_secs(1)), "{:?}", healed.two);
    }

    #[test]
    fn maintenance_is_what_keeps_a_second_owner() {
        let run = ask("maintenance on lb1 then ipaddr fails on lb1");
        assert!(run.end.owners.contains(&vec![0, 1]), "{:?}", run.end);
        assert_eq!(run.remedies, ["'maintenance off' on lb1 ends it: until then nothing is stopped there"]);
        assert!(ask("maintenance on lb1 then ipaddr fails on lb1 then maintenance off on lb1").remedies.is_empty());
    }

    #[test]
    fn names_are_listed_as_in_a_sentence() {
        assert_eq!(listed(&["a", "b", "c"]), "a, b and c");
        assert_eq!((listed(&["a", "b"]), listed(&["a"])), ("a and b".to_owned(), "a".to_owned()));
    }

    #[test]
    fn a_service_that_nobody_can_start_ends_without_an_owner() {
        let run = ask("httpd is broken on lb1 and httpd is broken on lb2");
        assert!(!run.end.served && run.end.owners[0].is_empty());
        assert!(
            run.remedies.len() == 2 && run.remedies.iter().all(|way| way.contains("'online'")),
            "{:?}",
            run.remedies
        );
    }

    #[test]
    fn a_resource_that_fails_is_restarted_in_place() {
        let run = ask("httpd fails on lb1");
        assert_eq!((run.end.active.as_slice(), run.end.served), (&[0][..], true));
        assert!(run.away < Duration::from_millis(2100), "{:?}", run.away);
        assert!(told(&run).contains(&(Some(0), "finds that service is not up any more")), "{:?}", told(&run));
    }

    #[test]
    fn what_comes_later_comes_later() {
        let run = ask("lb1 dies then after 5s lb1 comes back");
        let back = run.actions.iter().find(|action| action.what == "lb1 comes back").unwrap();
        assert_eq!((back.after, run.end.active.as_slice()), (Duration::from_secs(5), &[1][..]));
        assert_eq!(told(&run).iter().filter(|(_, what)| *what == "heartbeat rests").count(), 0);
        assert!(told(&ask("offline on lb1")).contains(&(Some(0), "heartbeat rests")));
    }
}
