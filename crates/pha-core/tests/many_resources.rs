//! Several resources: which calls run side by side, which checks need no agent, and when each is checked.

use std::time::Duration;

use pha_core::report::ResourceState;
use pha_core::resource::{Call, Outcome, ResourceSettings};
use pha_core::supervisor::{Command, Event, Note, Outside, Restored, Settings, Supervisor};
use pha_core::{BootTime, NodeId, Role, Status};

const START_TIMEOUT: u64 = 5_000;
const INTERVAL: u64 = 2_000;

fn at(ms: u64) -> BootTime {
    BootTime::ZERO + Duration::from_millis(ms)
}

/// A lone node, with what it was told to do.
struct Node {
    s: Supervisor,
    now: u64,
    commands: Vec<Command>,
}

fn resource(name: &str) -> ResourceSettings {
    ResourceSettings {
        name: name.into(),
        start_timeout: Duration::from_millis(START_TIMEOUT),
        stop_timeout: Duration::from_secs(7),
        check_timeout: Duration::from_secs(2),
        leased: false,
        probes: false,
        announces: false,
        watched: false,
        beside_previous: false,
    }
}

impl Node {
    /// Everything is down, and the term is stored: it begins to start.
    fn starting(resources: Vec<ResourceSettings>) -> Self {
        let count = resources.len();
        let settings = Settings {
            me: NodeId::new(1).expect("1 is a node id"),
            heartbeat_interval: Duration::from_millis(200),
            dead_time: Duration::from_millis(600),
            supervise_interval: Duration::from_millis(INTERVAL),
            ping_timeout: Duration::from_millis(2100),
            gateway: false,
            lease: Duration::from_secs(3),
            restarts: 1,
            restart_window: Duration::from_secs(60),
            unfit_time: Duration::from_secs(60),
            failback: None,
            witness: false,
            config_hash: 1,
            resources,
        };
        let s = Supervisor::new(settings, Restored::default(), at(1));
        let mut node = Self { s, now: 1, commands: Vec::new() };
        node.feed(Event::OutsideChanged(Box::default()));
        (0..count).for_each(|index| node.ends(index, Call::Check, Outcome::Failed));
        // It looks around for an interval first.
        node.now += 200;
        node.feed(Event::DeadlinePassed);
        node.feed(Event::TermStored(true));
        node
    }

    /// All of them are up and have been found up.
    fn online(resources: Vec<ResourceSettings>) -> Self {
        let mut node = Self::starting(resources);
        for _ in 0..1000 {
            for (index, call) in node.running() {
                node.ends(index, call, Outcome::Succeeded);
            }
        }
        assert_eq!(node.s.report().saying.word.status(), Some(Status::Online));
        node
    }

    fn feed(&mut self, event: Event) {
        self.now += 1;
        self.commands = self.s.handle(event, at(self.now));
    }

    fn ends(&mut self, resource: usize, call: Call, outcome: Outcome) {
        let (message, duration) = (String::new(), Duration::from_millis(1));
        self.feed(Event::CallFinished { resource, call, outcome, message, duration });
    }

    /// Lets time pass, with every check that runs meanwhile saying so; how many there were of each kind.
    fn pass(&mut self, ms: u64, watch: Outcome, check: Outcome) -> (usize, usize) {
        let until = self.now + ms;
        let mut seen = (0, 0);
        while self.now < until {
            for (index, call) in self.running() {
                match call {
                    Call::Watch => {
                        seen.0 += 1;
                        self.ends(index, call, watch);
                    }
                    Call::Check => {
                        seen.1 += 1;
                        self.ends(index, call, check);
                    }
                    Call::Start | Call::Stop | Call::Keep | Call::Restore | Call::Probe | Call::Announce => {
                        return seen;
                    }
                }
            }
            let due = self.s.next_deadline().since(BootTime::ZERO).as_nanos().div_ceil(1_000_000);
            self.now = u64::try_from(due).expect("a short time").min(until).max(self.now) - 1;
            self.feed(Event::DeadlinePassed);
        }
        seen
    }

    fn running(&self) -> Vec<(usize, Call)> {
        let resources = self.s.resources().iter().enumerate();
        resources.filter_map(|(index, resource)| resource.running.map(|call| (index, call))).collect()
    }

    fn state(&self, index: usize) -> ResourceState {
        self.s.resources()[index].state
    }

    fn lost(&self) -> bool {
        self.commands.iter().any(|command| matches!(command, Command::Note(Note::ResourceLost { .. })))
    }
}

/// `a`, then `b` and `c` together, then `d`.
fn grouped() -> Vec<ResourceSettings> {
    let beside = |name| ResourceSettings { beside_previous: true, ..resource(name) };
    vec![resource("a"), resource("b"), beside("c"), resource("d")]
}

fn watched() -> Vec<ResourceSettings> {
    vec![ResourceSettings { watched: true, ..resource("a") }]
}

#[test]
fn members_of_a_group_start_together_and_groups_in_their_order() {
    let mut node = Node::starting(grouped());
    assert_eq!(node.running(), [(0, Call::Start)]);
    node.ends(0, Call::Start, Outcome::Succeeded);
    assert_eq!(node.running(), [(1, Call::Start), (2, Call::Start)]);
    node.ends(2, Call::Start, Outcome::Succeeded);
    assert_eq!(node.running(), [(1, Call::Start)], "the next group waits for the slowest");
    node.ends(1, Call::Start, Outcome::Succeeded);
    assert_eq!(node.running(), [(3, Call::Start)]);
    node.ends(3, Call::Start, Outcome::Succeeded);
    assert_eq!(node.running().len(), 4, "all are verified together");
}

#[test]
fn groups_stop_in_the_reverse_order_their_members_together() {
    let mut node = Node::online(grouped());
    let wishes = pha_core::report::Wishes { held: ["a", "b", "c", "d"].map(Into::into).to_vec(), ..<_>::default() };
    node.feed(Event::OutsideChanged(Box::new(Outside { wishes, ..Outside::default() })));
    for group in [vec![3], vec![1, 2], vec![0]] {
        assert_eq!(node.running(), group.iter().map(|index| (*index, Call::Stop)).collect::<Vec<_>>());
        group.into_iter().for_each(|index| node.ends(index, Call::Stop, Outcome::Succeeded));
    }
}

#[test]
fn a_group_is_announced_for_as_long_as_its_slowest_member_may_take() {
    let mut longer = grouped();
    longer[2].start_timeout = Duration::from_secs(40);
    let until = |resources| {
        let node = Node::starting(resources);
        node.s.report().progress_until.expect("it is starting").since(at(node.now)).as_secs_f64().round()
    };
    // 5 + 40 + 5 s for the starts and 2 s for the checks, with 2 s of grace for each of them and for what runs already.
    assert!((until(longer.clone()) - 62.0).abs() < 1.5, "{}", until(longer.clone()));
    longer[2].beside_previous = false;
    assert!((until(longer.clone()) - 69.0).abs() < 1.5, "{}", until(longer));
}

#[test]
fn a_member_that_does_not_start_takes_the_others_back_at_once() {
    let mut node = Node::starting(grouped());
    node.ends(0, Call::Start, Outcome::Succeeded);
    node.ends(1, Call::Start, Outcome::Failed);
    assert!(node.commands.contains(&Command::Cancel { resource: 2 }), "{:?}", node.commands);
    assert!(node.running().contains(&(2, Call::Start)) && !node.running().contains(&(2, Call::Stop)));
    node.ends(2, Call::Start, Outcome::Cancelled);
    assert_eq!(node.running(), [(1, Call::Stop), (2, Call::Stop)]);
    assert_eq!(node.s.resources()[2].failures.len(), 0, "it has not failed");
}

#[test]
fn a_takeover_of_what_is_found_down_after_its_start_is_given_up() {
    let mut node = Node::starting(vec![resource("a")]);
    node.ends(0, Call::Start, Outcome::Succeeded);
    node.ends(0, Call::Check, Outcome::Failed);
    assert_eq!((node.s.role(), node.s.resources()[0].failures.len()), (Role::Standby, 1));
}

#[test]
fn a_check_that_was_cancelled_confirms_nothing() {
    let mut node = Node::starting(vec![resource("a")]);
    node.ends(0, Call::Start, Outcome::Succeeded);
    node.ends(0, Call::Check, Outcome::Cancelled);
    assert_eq!((node.running(), node.s.role()), (vec![(0, Call::Check)], Role::Active));
}

#[test]
fn the_others_are_checked_on_while_one_that_was_restarted_is_being_confirmed() {
    let mut node = Node::online(vec![resource("a"), resource("b")]);
    node.pass(INTERVAL, Outcome::Succeeded, Outcome::Succeeded);
    while node.running().is_empty() {
        node.feed(Event::DeadlinePassed);
    }
    let lost = node.running()[0].0;
    node.ends(lost, Call::Check, Outcome::Failed);
    node.ends(lost, Call::Stop, Outcome::Succeeded);
    node.ends(lost, Call::Start, Outcome::Succeeded);
    assert_eq!(node.running(), [(lost, Call::Check)], "it takes its time");
    (0..INTERVAL).for_each(|_| node.feed(Event::DeadlinePassed));
    assert_eq!(node.running(), [(0, Call::Check), (1, Call::Check)]);
}

#[test]
fn what_is_held_while_its_group_waits_is_not_started() {
    let mut node = Node::starting(grouped());
    let wishes = pha_core::report::Wishes { held: vec!["b".into()], ..<_>::default() };
    node.feed(Event::OutsideChanged(Box::new(Outside { wishes, ..Outside::default() })));
    node.ends(0, Call::Start, Outcome::Succeeded);
    assert_eq!(node.running(), [(2, Call::Start)]);
}

#[test]
fn a_watched_resource_needs_its_agent_no_more_once_it_was_found_up() {
    let mut node = Node::online(watched());
    assert_eq!(node.pass(20_000, Outcome::Succeeded, Outcome::Succeeded), (10, 0));
    assert_eq!(node.state(0), ResourceState::Up);
}

#[test]
fn a_built_in_check_that_has_found_it_up_has_the_last_word() {
    for (outcome, state) in [(Outcome::Failed, ResourceState::Down), (Outcome::TimedOut, ResourceState::Unknown)] {
        let mut node = Node::online(watched());
        node.pass(3_000, Outcome::Succeeded, Outcome::Succeeded);
        node.feed(Event::WatchTripped { resource: 0 });
        assert_eq!(node.running(), [(0, Call::Watch)], "it does not wait for the next check");
        node.ends(0, Call::Watch, outcome);
        assert!(node.lost() && state != ResourceState::Up);
        assert_eq!(node.running(), [(0, Call::Stop)], "restarted in place");
    }
}

#[test]
fn a_port_that_is_not_open_yet_leaves_the_word_to_the_agent_for_the_time_of_a_start() {
    let mut node = Node::starting(watched());
    node.ends(0, Call::Start, Outcome::Succeeded);
    node.ends(0, Call::Check, Outcome::Succeeded);
    assert_eq!(node.running(), [(0, Call::Watch)], "looked at as soon as it is up");
    let (watches, checks) = node.pass(START_TIMEOUT - 1000, Outcome::Failed, Outcome::Succeeded);
    assert!(watches - checks <= 1, "the agent is asked after each: {watches} {checks}");
    assert!(checks >= 2 && node.state(0) == ResourceState::Up);
    node.pass(INTERVAL + 1000, Outcome::Failed, Outcome::Succeeded);
    assert_eq!(node.running(), [(0, Call::Stop)], "the time of a start is over");
    assert_eq!(node.s.resources()[0].failures.len(), 1);
}

#[test]
fn a_port_that_never_opens_makes_the_node_unfit_however_long_each_start_may_take() {
    let mut slow = watched();
    slow[0].start_timeout = Duration::from_secs(600);
    let mut node = Node::starting(slow);
    for _ in 0..2 {
        assert!(node.s.report().saying.fit);
        for call in [Call::Stop, Call::Start, Call::Check] {
            if node.running() == [(0, call)] {
                node.ends(0, call, Outcome::Succeeded);
            }
        }
        node.pass(603_000, Outcome::Failed, Outcome::Succeeded);
    }
    assert!(!node.s.report().saying.fit, "the first failure was not forgotten: {:?}", node.running());
}

#[test]
fn a_built_in_check_that_cannot_be_made_leaves_the_word_to_the_agent() {
    let mut node = Node::online(watched());
    node.pass(3_000, Outcome::Succeeded, Outcome::Succeeded);
    let (watches, checks) = node.pass(20_000, Outcome::NotRun, Outcome::Succeeded);
    assert!(watches - checks <= 1 && checks > 8, "{watches} {checks}");
    node.pass(3_000, Outcome::NotRun, Outcome::Failed);
    assert_eq!(node.running(), [(0, Call::Stop)]);
}

#[test]
fn what_trips_while_it_is_not_watched_is_nothing() {
    let mut node = Node::starting(watched());
    node.feed(Event::WatchTripped { resource: 0 });
    node.feed(Event::WatchTripped { resource: 1 });
    assert_eq!(node.running(), [(0, Call::Start)]);
}

// P27
#[test]
fn checks_of_many_resources_are_spread_over_their_interval_and_none_is_later_than_due() {
    let names: Vec<String> = (0..100).map(|n| format!("r{n}")).collect();
    let mut node = Node::online(names.iter().map(|name| resource(name)).collect());
    node.pass(2 * INTERVAL, Outcome::Succeeded, Outcome::Succeeded);
    let mut due: Vec<BootTime> = node.s.resources().iter().map(|resource| resource.next_check).collect();
    due.sort_unstable();
    let most =
        due.iter().map(|from| due.iter().filter(|at| **at >= *from && at.since(*from) < Duration::from_millis(20)));
    assert!(most.map(Iterator::count).max() <= Some(2), "{due:?}");
    let (_, checks) = node.pass(10 * INTERVAL, Outcome::Succeeded, Outcome::Succeeded);
    assert!((995..=1005).contains(&checks), "{checks}");
}

#[test]
fn within_an_interval_resources_are_checked_in_their_order() {
    let mut node = Node::online(vec![resource("a"), resource("b"), resource("c")]);
    node.pass(2 * INTERVAL, Outcome::Succeeded, Outcome::Succeeded);
    let due = node.s.resources().iter().map(|resource| resource.next_check.as_nanos() / 1_000_000 % INTERVAL);
    assert_eq!(due.collect::<Vec<_>>(), [0, 666, 1333]);
}
