//! What was asked: a line of plain words as faults of the simulator.
//!
//! The grammar forgives: case, quotes, articles and small words do not matter, and most things may be said in two ways.
//! Names are those of `NODES` and `RES_`; a resource may also be called by a word of its `RES_` line (`httpd`).

use std::time::Duration;

use pha_config::{Config, nearest};
use pha_core::resource::Call;
use pha_sim::{Behaviour, Fault, Program};
use pha_sys::exit;

use crate::commands::duration;
use crate::failure::Failure;

/// What can be asked, as an error and `help` say it.
pub(crate) const HELP: &str = "what can be asked:
  NODE dies | NODE comes back | NODE is suspended for 5s
  gateway lost on NODE | gateway lost everywhere | gateway back on NODE
  RES fails on NODE | RES is broken on NODE
  link cut | link 2 cut | link from NODE to NODE cut | link back | network cut | network back
  supervise|sender|receiver dies on NODE | supervise|sender|receiver starts on NODE | all daemons die on NODE
  offline on NODE | switchover to NODE | online on NODE | stop on NODE | maintenance on NODE | res stop RES on NODE
several with 'and' (at once), 'after 5s', or 'then' (when everything has settled)";

/// Words that carry no meaning here.
const FILLERS: [&str; 22] = [
    "the", "a", "is", "are", "was", "were", "has", "have", "been", "gets", "goes", "on", "at", "of", "its", "for",
    "in", "from", "to", "comes", "come", "what-if",
];

/// Words that mean the same as the first of their row.
const SAME: [&[&str]; 14] = [
    &["dies", "die", "died", "crashes", "crash", "crashed", "killed", "dead"],
    &["fails", "fail", "failed", "down"],
    &["loses", "lose", "without"],
    &["lost", "gone", "unreachable"],
    &["back", "returns", "return", "heals", "healed", "answers", "connected"],
    &["starts", "start", "started", "boots"],
    &["stops", "stop", "stopped"],
    &["cut", "breaks", "disconnected"],
    &["link", "links", "heartbeat", "heartbeats"],
    &["daemons", "daemon"],
    &["suspended", "suspend", "sleeps", "freezes", "frozen", "hangs"],
    &["supervise", "pha-supervise"],
    &["receiver", "pha-receiver"],
    &["sender", "pha-sender"],
];

/// How long a node stands still if nothing is said about it.
const SUSPENDED: Duration = Duration::from_secs(5);

/// The longest that all steps together may wait: the simulator lives through every heartbeat of it.
const LONGEST: Duration = Duration::from_secs(600);

/// More things than this are no question: everything may have to settle after each of them.
const MOST: usize = 16;

/// When a step comes after the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// At the same moment.
    Together,
    /// So much later.
    After(Duration),
    /// When everything has settled.
    Settled,
}

/// One thing that is to happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    /// When.
    pub(super) when: When,
    /// In the asker's words.
    pub(super) text: String,
    /// For the simulator.
    pub(super) faults: Vec<Fault>,
}

/// What names may mean.
pub(super) struct Names {
    nodes: Vec<String>,
    resources: Vec<(String, Vec<String>)>,
    /// Heartbeat links between two nodes.
    links: usize,
    /// `OFFLINE_TIME`.
    offline: Duration,
}

impl Names {
    /// Those of a configuration; `links` is how many heartbeat links there are.
    pub(super) fn of(config: &Config, links: usize) -> Self {
        let resource = |r: &pha_config::ResourceConfig| {
            (r.name.to_lowercase(), r.arguments.iter().map(|word| word.to_lowercase()).collect())
        };
        Self {
            nodes: config.nodes.iter().map(|node| node.name.to_lowercase()).collect(),
            resources: config.resources.iter().map(resource).collect(),
            links,
            offline: config.offline_time,
        }
    }

    /// The steps of a question, in their order.
    ///
    /// # Errors
    /// [`exit::USAGE`] with what can be asked, or with the names that there are.
    pub(super) fn parse(&self, question: &str) -> Result<Vec<Step>, Failure> {
        let clauses = clauses(&split(question))?;
        if clauses.len() > MOST {
            let text = format!("{} things at once are too many: at most {MOST} can be asked", clauses.len());
            return Err(Failure::new(exit::USAGE, text));
        }
        let waits = clauses.iter().map(|(when, _)| if let When::After(time) = when { *time } else { Duration::ZERO });
        if waits.fold(Duration::ZERO, Duration::saturating_add) > LONGEST {
            let text = "'after' waits at most 10 min altogether; 'then' waits as long as it takes";
            return Err(Failure::new(exit::USAGE, text));
        }
        let steps: Vec<_> =
            clauses.iter().map(|(when, words)| self.step(*when, words)).collect::<Result<_, Failure>>()?;
        if steps.is_empty() { Err(unknown(question)) } else { Ok(steps) }
    }

    fn step(&self, when: When, words: &[String]) -> Result<Step, Failure> {
        let text = words.join(" ");
        let plain: Vec<String> = words.iter().map(|word| self.plain(word)).collect();
        let without_fillers = |keep: &dyn Fn(&str) -> bool| -> Vec<&str> {
            plain.iter().map(String::as_str).filter(|word| keep(word) || !FILLERS.contains(word)).collect()
        };
        // A node may be called 'a'.
        let (named, bare) = (without_fillers(&|word| self.is_name(word)), without_fillers(&|_| false));
        let faults = self.faults(&named).or_else(|| self.faults(&bare));
        let faults = faults.unwrap_or_else(|| Err(self.not_understood(&text, &bare)))?;
        Ok(Step { when, text, faults })
    }

    /// A word in small letters, as the first of those that mean the same; names stay.
    fn plain(&self, word: &str) -> String {
        let word = word.to_lowercase();
        if self.is_name(&word) {
            return word;
        }
        SAME.iter().find(|row| row.contains(&word.as_str())).map_or(word, |row| row[0].to_owned())
    }

    fn is_name(&self, word: &str) -> bool {
        self.nodes.iter().any(|node| node == word) || self.find_resource(word).is_some()
    }

    /// `None` if this is no question.
    fn faults(&self, words: &[&str]) -> Option<Result<Vec<Fault>, Failure>> {
        Some(match *words {
            ["gateway", ref rest @ ..] => return self.gateway(rest),
            ["link", ref rest @ ..] => return self.link(rest),
            ["network", "cut" | "lost" | "fails" | "dies"] => Ok(self.network(true)),
            ["network", "back"] => Ok(self.network(false)),
            ["all", "daemons", "dies" | "fails", node] | ["daemons", "dies" | "fails", node] => {
                self.at(node, |node| Fault::KillAll { node })
            }
            ["offline", node] | [node, "offline"] => {
                let seconds = self.offline.as_secs().max(1);
                self.at(node, |node| Fault::Offline { node, seconds, force: false })
            }
            // Who is active is known when it happens: whoever is not, hands nothing over.
            ["switchover", to] => self.node(to).map(|to| {
                let others = (0..self.nodes.len()).filter(|node| *node != to);
                others.map(|node| Fault::Switchover { node, to: Some(to) }).collect()
            }),
            ["switchover"] => Ok((0..self.nodes.len()).map(|node| Fault::Switchover { node, to: None }).collect()),
            ["online", node] | [node, "online"] => self.at(node, |node| Fault::Online { node }),
            ["stops", node] | [node, "stops"] => self.at(node, |node| Fault::Stop { node }),
            ["maintenance", node] => self.at(node, |node| Fault::Maintenance { node, on: true }),
            ["maintenance", "off", node] => self.at(node, |node| Fault::Maintenance { node, on: false }),
            ["res", verb @ ("stops" | "starts"), resource, node] => {
                self.both(resource, node, |resource, node| vec![Fault::Hold { node, resource, on: verb == "stops" }])
            }
            [node, "loses", "gateway"] => self.at(node, |node| Fault::Gateway { node, answers: false }),
            [node, "dies"] | [node, "loses" | "lost", "power"] | ["power", "lost" | "fails", node] => {
                self.at(node, |node| Fault::Crash { node })
            }
            [node, "back" | "starts"] | ["starts", node] => self.at(node, |node| Fault::Start { node }),
            [node, "suspended"] => self.suspended(node, SUSPENDED),
            [node, "suspended", time] => match duration(time) {
                Ok(time) => self.suspended(node, time),
                Err(why) => Err(Failure::new(exit::USAGE, format!("'{time}': {why}"))),
            },
            [what, verb, node] => return self.on_node(what, verb, node),
            _ => return None,
        })
    }

    fn gateway(&self, rest: &[&str]) -> Option<Result<Vec<Fault>, Failure>> {
        let (answers, place) = match *rest {
            ["lost" | "fails" | "dies", place] | [place, "lost" | "fails" | "dies"] => (false, place),
            ["back", place] | [place, "back"] => (true, place),
            ["lost" | "fails" | "dies"] => (false, "everywhere"),
            ["back"] => (true, "everywhere"),
            _ => return None,
        };
        if place == "everywhere" || place == "all" {
            return Some(Ok((0..self.nodes.len()).map(|node| Fault::Gateway { node, answers }).collect()));
        }
        Some(self.at(place, |node| Fault::Gateway { node, answers }))
    }

    fn link(&self, rest: &[&str]) -> Option<Result<Vec<Fault>, Failure>> {
        let cut = !rest.contains(&"back");
        let rest: Vec<&str> =
            rest.iter().copied().filter(|word| !["cut", "lost", "fails", "dies", "back"].contains(word)).collect();
        Some(match rest[..] {
            [] => Ok(self.pairs(None, cut)),
            [link] => self.link_number(link).map(|link| self.pairs(Some(link), cut)),
            [from, to] => self.node(from).and_then(|from| {
                let to = self.node(to)?;
                if from == to {
                    let text = format!("a link has two ends: there is none from {0} to {0}", self.nodes[from]);
                    return Err(Failure::new(exit::USAGE, text));
                }
                Ok(vec![Fault::Cut { from, to, link: None, cut }])
            }),
            _ => return None,
        })
    }

    fn link_number(&self, word: &str) -> Result<usize, Failure> {
        let number = word.parse().ok().filter(|number| (1..=self.links).contains(number));
        let why = || format!("there is no link '{word}': ADDR_ lines make links 1 to {}", self.links);
        number.map(|number: usize| number - 1).ok_or_else(|| Failure::new(exit::USAGE, why()))
    }

    /// Heartbeats between every two nodes, both ways.
    fn pairs(&self, link: Option<usize>, cut: bool) -> Vec<Fault> {
        let count = self.nodes.len();
        let pairs = (0..count).flat_map(|from| (0..count).map(move |to| (from, to))).filter(|(from, to)| from != to);
        pairs.map(|(from, to)| Fault::Cut { from, to, link, cut }).collect()
    }

    fn network(&self, cut: bool) -> Vec<Fault> {
        (0..self.nodes.len()).map(|node| Fault::Isolate { node, cut }).collect()
    }

    fn suspended(&self, node: &str, time: Duration) -> Result<Vec<Fault>, Failure> {
        let ms = crate::times::milliseconds(time);
        self.at(node, |node| Fault::Suspend { node, ms })
    }

    /// What happens to a program or a resource on a node.
    fn on_node(&self, what: &str, verb: &str, node: &str) -> Option<Result<Vec<Fault>, Failure>> {
        let program = match what {
            "supervise" => Some(Program::Supervise),
            "receiver" => Some(Program::Receiver),
            "sender" => Some(Program::Sender),
            _ => None,
        };
        Some(match (program, verb) {
            (Some(program), "dies" | "fails") => self.at(node, |node| Fault::Kill { node, program }),
            (Some(program), "starts" | "back") => self.at(node, |node| Fault::StartProgram { node, program }),
            (None, "fails" | "dies" | "stops") => {
                self.both(what, node, |resource, node| vec![Fault::ResourceDies { node, resource }])
            }
            (None, "broken") => self.both(what, node, |resource, node| {
                let broken = Fault::Agent { node, resource, call: Call::Start, behaviour: Behaviour::Fails };
                vec![broken, Fault::ResourceDies { node, resource }]
            }),
            _ => return None,
        })
    }

    fn at(&self, node: &str, fault: impl FnOnce(usize) -> Fault) -> Result<Vec<Fault>, Failure> {
        self.node(node).map(|node| vec![fault(node)])
    }

    fn both(
        &self,
        resource: &str,
        node: &str,
        faults: impl FnOnce(usize, usize) -> Vec<Fault>,
    ) -> Result<Vec<Fault>, Failure> {
        let resource = self.find_resource(resource).ok_or_else(|| {
            let names = || self.resources.iter().map(|(name, _)| name.as_str());
            no_such("resource", resource, names())
        })?;
        Ok(faults(resource, self.node(node)?))
    }

    fn node(&self, word: &str) -> Result<usize, Failure> {
        let found = self.nodes.iter().position(|node| node == word);
        found.ok_or_else(|| no_such("node", word, self.nodes.iter().map(String::as_str)))
    }

    /// By its name, or by a word that stands in one `RES_` line only.
    fn find_resource(&self, word: &str) -> Option<usize> {
        self.resources.iter().position(|(name, _)| name == word).or_else(|| {
            let mut found =
                (0..self.resources.len()).filter(|index| self.resources[*index].1.iter().any(|w| w == word));
            found.next().filter(|_| found.next().is_none())
        })
    }

    fn not_understood(&self, text: &str, words: &[&str]) -> Failure {
        let named = words.first().is_some_and(|first| {
            self.find_resource(first).is_some() || ["supervise", "receiver", "sender", "daemons"].contains(first)
        });
        if let ([.., "fails" | "dies" | "broken" | "starts"], true) = (words, named) {
            let node = self.nodes.first().map_or("lb1", String::as_str);
            return Failure::new(exit::USAGE, format!("on which node? As in '{text} on {node}'"));
        }
        unknown(text)
    }
}

fn no_such<'a>(what: &str, word: &str, known: impl Iterator<Item = &'a str> + Clone) -> Failure {
    let advice = nearest(word, known.clone()).map_or_else(
        || format!("there are: {}", known.collect::<Vec<_>>().join(", ")),
        |meant| format!("did you mean '{meant}'?"),
    );
    Failure::new(exit::USAGE, format!("no {what} '{word}'; {advice}"))
}

fn unknown(text: &str) -> Failure {
    let what = if text.is_empty() { "say what is to happen".to_owned() } else { format!("'{text}' cannot be asked") };
    Failure::new(exit::USAGE, format!("{what}; {HELP}"))
}

/// The words, without punctuation; a number and its unit are one word.
fn split(question: &str) -> Vec<String> {
    let blank = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ',' | ';' | '?' | '!');
    let mut words: Vec<String> = Vec::new();
    for word in question.split(blank).map(|word| word.strip_suffix('.').unwrap_or(word)).filter(|w| !w.is_empty()) {
        let unit = match word.to_lowercase().as_str() {
            "ms" | "milliseconds" => "ms",
            "s" | "second" | "seconds" => "s",
            "min" | "minute" | "minutes" => "m",
            _ => "",
        };
        match words.last_mut().filter(|last| !unit.is_empty() && last.chars().all(|c| c.is_ascii_digit())) {
            Some(number) => number.push_str(unit),
            None => words.push(word.to_owned()),
        }
    }
    words
}

/// The parts between `and`, `then` and `after TIME`, and when each comes.
///
/// # Errors
/// [`exit::USAGE`] if nothing stands behind the last `then` or `after TIME`.
fn clauses(words: &[String]) -> Result<Vec<(When, Vec<String>)>, Failure> {
    let mut clauses = Vec::new();
    let (mut when, mut clause) = (When::Together, Vec::new());
    let mut words = words.iter().peekable();
    while let Some(word) = words.next() {
        let time = |text: Option<&&String>| text.and_then(|text| duration(text).ok());
        let next = match word.to_lowercase().as_str() {
            "and" => When::Together,
            "then" => When::Settled,
            "after" if time(words.peek()).is_some() => {
                let after = time(words.next().as_ref()).map_or(When::Together, When::After);
                if words.peek().is_none_or(|word| ["and", "then"].contains(&word.to_lowercase().as_str())) {
                    // It stands behind what it is about.
                    when = after;
                    continue;
                }
                after
            }
            _ => {
                clause.push(word.clone());
                continue;
            }
        };
        if clause.is_empty() {
            when = if next == When::Together { when } else { next };
        } else {
            clauses.push((std::mem::replace(&mut when, next), std::mem::take(&mut clause)));
        }
    }
    match when {
        _ if !clause.is_empty() => clauses.push((when, clause)),
        When::Together => {}
        // Alone it is no question at all, and answered as such.
        When::After(_) | When::Settled if clauses.is_empty() => {}
        When::After(_) => return Err(Failure::new(exit::USAGE, "what is to happen after that time? It ends there")),
        When::Settled => return Err(Failure::new(exit::USAGE, "what is to happen then? It ends there")),
    }
    Ok(clauses)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use crate::session::Session;

    fn parse(question: &str) -> Result<Vec<Step>, Failure> {
        Names::of(&Session::sample_config(), 1).parse(question)
    }

    fn faults(question: &str) -> Vec<Fault> {
        parse(question).unwrap().into_iter().flat_map(|step| step.faults).collect()
    }

    fn refusal(question: &str) -> String {
        parse(question).unwrap_err().to_string()
    }

    #[test]
    fn one_thing_may_be_said_in_many_ways() {
        let ways: [(&[&str], Vec<Fault>); 10] = [
            (
                &["lb1 dies", "LB1 crashes", "lb1 loses its power", "power lost on lb1", "\"lb1 dies?\""],
                vec![Fault::Crash { node: 0 }],
            ),
            (&["lb1 comes back", "lb1 starts", "lb1 is back", "start on lb1"], vec![Fault::Start { node: 0 }]),
            (
                &["gateway lost on lb2", "the gateway of lb2 is lost", "lb2 loses its gateway", "gateway fails on lb2"],
                vec![Fault::Gateway { node: 1, answers: false }],
            ),
            (
                &["gateway lost everywhere", "gateway lost", "gateway dies"],
                (0..2).map(|node| Fault::Gateway { node, answers: false }).collect(),
            ),
            (
                &["httpd fails on lb1", "service fails on lb1", "service dies on lb1"],
                vec![Fault::ResourceDies { node: 0, resource: 0 }],
            ),
            (
                &["link cut", "the links are cut", "heartbeats lost", "link 1 cut"],
                [(0, 1), (1, 0)].map(|(from, to)| Fault::Cut { from, to, link: None, cut: true }).to_vec(),
            ),
            (
                &["link from lb1 to lb2 cut", "link lb1 to lb2 is cut"],
                vec![Fault::Cut { from: 0, to: 1, link: None, cut: true }],
            ),
            (&["all daemons die on lb2", "daemons killed on lb2"], vec![Fault::KillAll { node: 1 }]),
            (
                &["lb1 is suspended for 5s", "lb1 is suspended for 5 seconds", "lb1 hangs"],
                vec![Fault::Suspend { node: 0, ms: 5000 }],
            ),
            (&["maintenance on lb2", "maintenance on on lb2"], vec![Fault::Maintenance { node: 1, on: true }]),
        ];
        for (questions, expected) in ways {
            for question in questions {
                let mut found = faults(question);
                for fault in &mut found {
                    // The only link is every link.
                    if let Fault::Cut { link, .. } = fault {
                        *link = None;
                    }
                }
                assert_eq!(found, expected, "{question}");
            }
        }
    }

    #[test]
    fn a_broken_resource_cannot_be_started_and_a_hold_has_its_name() {
        assert_eq!(faults("ipaddr is broken on lb2").len(), 2);
        assert_eq!(faults("res stop ipaddr on lb2"), [Fault::Hold { node: 1, resource: 1, on: true }]);
        assert_eq!(faults("offline on lb1"), [Fault::Offline { node: 0, seconds: 30, force: false }]);
        assert_eq!(faults("supervise dies on lb1"), [Fault::Kill { node: 0, program: Program::Supervise }]);
    }

    #[test]
    fn several_things_come_at_once_later_or_when_all_has_settled() {
        let when = |question: &str| parse(question).unwrap().into_iter().map(|step| step.when).collect::<Vec<_>>();
        let later = When::After(Duration::from_secs(5));
        assert_eq!(when("lb1 dies and gateway lost on lb2"), [When::Together, When::Together]);
        for question in ["lb1 dies then after 5s lb1 comes back", "lb1 dies, after 5 s lb1 comes back"] {
            assert_eq!(when(question), [When::Together, later], "{question}");
        }
        assert_eq!(when("lb1 dies and lb1 comes back after 5s"), [When::Together, later]);
        assert_eq!(when("lb1 dies and then lb1 comes back"), [When::Together, When::Settled]);
    }

    #[test]
    fn a_node_may_be_called_like_a_small_word() {
        let mut config = Session::sample_config();
        config.nodes[0].name = "a".to_owned();
        let names = Names::of(&config, 1);
        let faults = |question: &str| names.parse(question).unwrap().remove(0).faults;
        assert_eq!(faults("a dies"), [Fault::Crash { node: 0 }]);
        assert_eq!(faults("the gateway is lost on a"), [Fault::Gateway { node: 0, answers: false }]);
        assert_eq!(faults("a link is cut").len(), 2);
    }

    #[test]
    fn too_much_at_once_is_refused() {
        let many = |count: usize| vec!["link cut"; count].join(" then ");
        assert_eq!(parse(&many(MOST)).unwrap().len(), MOST);
        assert_eq!(refusal(&many(MOST + 1)), "17 things at once are too many: at most 16 can be asked");
        let waits = refusal("link cut then after 6min link back then after 6min link cut");
        assert!(waits.contains("at most 10 min altogether"), "{waits}");
    }

    #[test]
    fn what_leads_nowhere_is_refused() {
        for question in ["lb1 dies then after 5s", "lb1 dies and lb2 dies then after 5s"] {
            assert!(refusal(question).starts_with("what is to happen after that time?"), "{question}");
        }
        assert!(refusal("lb1 dies then").starts_with("what is to happen then?"));
        assert_eq!(refusal("link from lb1 to lb1 cut"), "a link has two ends: there is none from lb1 to lb1");
    }

    #[test]
    fn whatever_the_help_offers_is_understood() {
        let names = Names::of(&Session::sample_config(), 2);
        let offers = HELP.lines().filter(|line| line.starts_with("  ")).flat_map(|line| line.trim().split(" | "));
        let mut count = 0;
        for offer in offers {
            let question = offer.replacen("NODE", "lb1", 1).replacen("NODE", "lb2", 1).replace("RES", "ipaddr");
            for program in ["supervise", "sender", "receiver"] {
                let question = question.replace("supervise|sender|receiver", program);
                assert!(names.parse(&question).is_ok(), "{question}");
            }
            count += 1;
        }
        assert_eq!(count, 23);
    }

    #[test]
    fn what_is_not_understood_is_answered_with_what_can_be_asked() {
        assert_eq!(refusal("lb3 dies"), "no node 'lb3'; did you mean 'lb1'?");
        assert_eq!(refusal("servcie fails on lb1"), "no resource 'servcie'; did you mean 'service'?");
        assert_eq!(refusal("mysqld fails on lb1"), "no resource 'mysqld'; there are: service, ipaddr");
        assert_eq!(refusal("httpd fails"), "on which node? As in 'httpd fails on lb1'");
        assert_eq!(refusal("link 2 cut"), "there is no link '2': ADDR_ lines make links 1 to 1");
        assert!(refusal("lb1 dies then after 2h lb1 comes back").contains("at most 10 min"));
        for nonsense in ["", "lb1 explodes", "then and", "lb1 is suspended for ever"] {
            let refusal = refusal(nonsense);
            assert!(
                refusal.contains("gateway lost everywhere") || refusal.contains("write a whole number"),
                "{refusal}"
            );
        }
    }
}
