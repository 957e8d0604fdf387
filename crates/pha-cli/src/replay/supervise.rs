//! What the supervisor tells: what it learns, what it decides and why, what it has done.

use pha_core::Reason;
use pha_core::decide::{Action, Decision};
use pha_core::report::Transition;
use pha_core::resource::{Call, Outcome};
use pha_core::supervisor::{Command, Event, Note, Outside, Supervisor};
use pha_trace::SuperviseInput;

use super::player::{Names, Teller, Told};
use super::receiver::verdict;
use crate::times::{milliseconds, period};

impl Teller for Supervisor {
    fn beginning(&self, _: &Names) -> String {
        let report = self.report();
        let term = report.saying.term;
        format!("role {}, {}, term {term}, decision: {}", report.role, report.saying.word, why(self.decision()))
    }

    fn tell(&self, names: &Names, before: &Self, input: &SuperviseInput, output: &Vec<Command>) -> Vec<Told> {
        let mut told = learned(self, names, before, input);
        told.extend(decisions(before.decision(), self.decision(), output));
        told.extend(output.iter().filter_map(|command| ordered(self, command)));
        told
    }
}

/// One input may bring several: a takeover because the peer is dead, then staying active because this node is.
fn decisions(before: Decision, now: Decision, commands: &[Command]) -> Vec<Told> {
    let noted = commands.iter().filter_map(|command| {
        let Command::Note(Note::Reason(reason)) = command else { return None };
        (*reason != now.reason).then_some(*reason)
    });
    let fact = |line: Told, reason: Reason| line.with("reason", reason.to_string()).with("rule", reason.rule());
    let mut told: Vec<_> =
        noted.map(|reason| fact(Told::new("decision", format!("decides, {}", because(reason))), reason)).collect();
    if before != now {
        let line = Told::new("decision", format!("decides: {}", why(now)));
        told.push(fact(line, now.reason).with("action", act(now)));
    }
    told
}

/// The decision with its reason and rule.
fn why(decision: Decision) -> String {
    format!("{}, {}", act(decision), because(decision.reason))
}

fn because(reason: Reason) -> String {
    let rule = reason.rule().map(|rule| format!(" (rule {rule})")).unwrap_or_default();
    format!("because: {reason}{rule}")
}

const fn act(decision: Decision) -> &'static str {
    match decision.action {
        Action::Keep => "change nothing",
        Action::Pause => "change nothing, announce nothing",
        Action::BeActive => "be active",
        Action::Release => "be standby",
        Action::ReleaseAndRest => "be standby and rest",
    }
}

fn learned(machine: &Supervisor, names: &Names, before: &Supervisor, input: &SuperviseInput) -> Vec<Told> {
    let event = match input {
        SuperviseInput::Happened(event) => event,
        SuperviseInput::Reconfigured(_) => return vec![Told::new("input", "the configuration was read again")],
    };
    match event {
        Event::OutsideChanged(outside) => news(names, before.outside(), outside),
        Event::CallFinished { resource, call, outcome, message, duration } => {
            let said = if message.is_empty() { String::new() } else { format!(": {message}") };
            let name = resource_name(machine, *resource);
            let text = format!("{} of {name} {} after {}{said}", verb(*call), ended(*outcome), period(*duration));
            let told = match (call, outcome) {
                // A silent wire is the rule.
                (Call::Check | Call::Announce | Call::Watch, _) | (Call::Probe, Outcome::Failed) => {
                    Told::routine("ended", text)
                }
                (Call::Start | Call::Stop | Call::Probe | Call::Keep | Call::Restore, _) => Told::new("ended", text),
            };
            vec![told.with("resource", name).with("call", verb(*call)).with("outcome", ended(*outcome))]
        }
        Event::WatchTripped { resource } => {
            let name = resource_name(machine, *resource);
            let text = format!("the built-in check of {name} has something to look at");
            vec![Told::new("input", text).with("resource", name)]
        }
        Event::GatewayAnswered => vec![Told::routine("input", "a gateway answered")],
        Event::ResourceRemoved { resource } => {
            let name = resource_name(machine, *resource);
            vec![Told::new("input", format!("somebody else removed {name}")).with("resource", name)]
        }
        Event::CarrierChanged => vec![Told::new("input", "the carrier of a heartbeat interface changed")],
        Event::TermStored(true) => vec![Told::new("input", "the term is on disk")],
        Event::TermStored(false) => vec![Told::new("input", "the term could not be stored")],
        Event::TermReserved(true) => vec![Told::routine("input", "the next term is on disk")],
        Event::TermReserved(false) => vec![Told::new("input", "the next term could not be stored beforehand")],
        Event::Published(true) => vec![Told::new("input", "the status database can be written again")],
        Event::Published(false) => vec![Told::new("input", "the status database could not be written")],
        Event::StopRequested => vec![Told::new("input", "the program is to end")],
        Event::DeadlinePassed => vec![Told::routine("input", "a deadline passed")],
    }
}

/// What others do, as the status database has it.
fn news(names: &Names, old: &Outside, new: &Outside) -> Vec<Told> {
    let mut told = Vec::new();
    for peer in &new.peers {
        match old.peers.iter().find(|before| before.node == peer.node) {
            Some(before) => told.extend(verdict(names, before, peer)),
            None => {
                let text = format!("{}: {}", names.of(peer.node), crate::table::liveness(peer.liveness));
                told.push(Told::new("peer", text).with("peer", names.of(peer.node)));
            }
        }
    }
    if old.deaf != new.deaf {
        let text = if new.deaf { "the receiver does not work: deaf" } else { "the receiver works" };
        told.push(Told::new("input", text));
    }
    told.extend(wishes(names, old, new).into_iter().map(|text| Told::new("wish", text)));
    if told.is_empty() {
        told.push(Told::routine("input", "figures of the receiver changed"));
    }
    told
}

fn wishes(names: &Names, old: &Outside, new: &Outside) -> Vec<String> {
    let (old, new) = (&old.wishes, &new.wishes);
    let mut texts = Vec::new();
    if old.offline != new.offline {
        texts.push(match new.offline {
            Some(wish) if wish.force => format!("offline --force for {}", period(wish.until.since(wish.since))),
            Some(wish) => format!("offline for {}", period(wish.until.since(wish.since))),
            None => "the end of offline".to_owned(),
        });
    }
    if old.switchover != new.switchover {
        texts.push(match new.switchover {
            Some(pha_core::report::SwitchoverWish { to: Some(to), .. }) => format!("switchover to {}", names.of(to)),
            Some(_) => "switchover".to_owned(),
            None => "the end of switchover".to_owned(),
        });
    }
    if old.maintenance != new.maintenance {
        texts.push(format!("maintenance {}", if new.maintenance { "on" } else { "off" }));
    }
    if old.held != new.held {
        texts.push(format!("held resources: {}", if new.held.is_empty() { "none".into() } else { new.held.join(" ") }));
    }
    if old.forgiven != new.forgiven {
        texts.push("failures forgiven".to_owned());
    }
    texts.into_iter().map(|text| format!("the operator wishes: {text}")).collect()
}

/// A command, unless it has been told as a decision.
fn ordered(machine: &Supervisor, command: &Command) -> Option<Told> {
    Some(match command {
        Command::Publish => Told::routine("command", "publish"),
        Command::Ping => Told::routine("command", "ask the gateways"),
        Command::StoreTerm => Told::new("command", format!("store term {}", machine.report().saying.term)),
        Command::ReserveTerm => {
            Told::routine("command", format!("store the next term beforehand: {}", machine.report().highest_term))
        }
        Command::PublishTerm => {
            Told::new("command", format!("publish term {}, stored beforehand", machine.report().saying.term))
        }
        Command::Exit => Told::new("command", "end"),
        Command::Cancel { resource } => Told::new("command", format!("cancel {}", resource_name(machine, *resource))),
        Command::Run { resource, call, limit, reason, term, lease, sole } => {
            let name = resource_name(machine, *resource);
            let lease = if *lease { ", with a lease" } else { "" };
            let sole = if *sole { ", nobody else can have it" } else { "" };
            let limit_text = period(*limit);
            let text = format!("run {} {name}: {reason}, term {term}, limit {limit_text}{lease}{sole}", verb(*call));
            let told = match call {
                Call::Check | Call::Announce | Call::Probe | Call::Watch => Told::routine("command", text),
                Call::Start | Call::Stop | Call::Keep | Call::Restore => Told::new("command", text),
            };
            told.with("call", verb(*call)).with("resource", name).with("limit_ms", milliseconds(*limit))
        }
        Command::Note(Note::Reason(_)) => return None,
        Command::Note(note @ Note::Transition(change)) => transition(note, change),
        Command::Note(note) => Told::new("note", note.text(|index| resource_name(machine, index))),
    })
}

fn transition(note: &Note, change: &Transition) -> Told {
    Told::new("transition", note.text(|_| String::new()))
        .with("from", change.from.to_string())
        .with("to", change.to.to_string())
        .with("role", change.role.to_string())
        .with("reason", change.reason.to_string())
        .with("rule", change.reason.rule())
        .with("term", change.term.value())
}

fn resource_name(machine: &Supervisor, index: usize) -> String {
    let known = machine.resources().get(index);
    known.map_or_else(|| format!("resource {index}"), |resource| resource.settings.name.clone())
}

/// `keep` is `start` without a lease.
const fn verb(call: Call) -> &'static str {
    match call {
        Call::Keep => "start (to stay)",
        Call::Restore => "start (again)",
        Call::Start | Call::Stop | Call::Check | Call::Probe | Call::Announce | Call::Watch => call.verb(),
    }
}

const fn ended(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Succeeded => "succeeded",
        Outcome::Failed => "failed",
        Outcome::TimedOut => "timed out",
        Outcome::NotRun => "could not be run",
        Outcome::Cancelled => "was cancelled",
    }
}
