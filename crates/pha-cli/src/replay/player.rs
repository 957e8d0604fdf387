//! Plays the segments of one program of one node, one input at a time.

use std::collections::VecDeque;

use pha_core::{BootTime, NodeId};
use pha_trace::{End, Entry, Head, Machine, Segment};
use serde_json::Value;

/// One line of the story.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Line {
    /// The writer's local time, in RFC 3339.
    pub(crate) time: String,
    /// The writer's time since boot.
    pub(crate) boot: BootTime,
    /// The node.
    pub(crate) node: String,
    /// The program.
    pub(crate) program: &'static str,
    /// What sort of line: `decision`, `transition`, `command`, `input`, ….
    pub(crate) kind: &'static str,
    /// The line.
    pub(crate) text: String,
    /// Happens all the time, and changes nothing.
    pub(crate) routine: bool,
    /// The same for programs.
    pub(crate) facts: Vec<(&'static str, Value)>,
}

/// What a machine has to tell about one input.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Told {
    kind: &'static str,
    text: String,
    routine: bool,
    facts: Vec<(&'static str, Value)>,
}

impl Told {
    /// Something that is part of the story.
    pub(crate) fn new(kind: &'static str, text: impl Into<String>) -> Self {
        Self { kind, text: text.into(), routine: false, facts: Vec::new() }
    }

    /// Something that happens all the time.
    pub(crate) fn routine(kind: &'static str, text: impl Into<String>) -> Self {
        Self { routine: true, ..Self::new(kind, text) }
    }

    /// With something for programs.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.facts.push((name, value.into()));
        self
    }
}

/// The nodes of a trace.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names(Vec<(NodeId, String)>);

impl Names {
    /// A node's name, or its number.
    pub(crate) fn of(&self, id: NodeId) -> String {
        let known = self.0.iter().find(|(node, _)| *node == id);
        known.map_or_else(|| format!("node {id}"), |(_, name)| name.clone())
    }
}

/// A machine that can tell what it does.
pub(crate) trait Teller: Machine {
    /// What it is like before the first input.
    fn beginning(&self, names: &Names) -> String;

    /// What `input` changed from `before` to this.
    fn tell(&self, names: &Names, before: &Self, input: &Self::Input, output: &Self::Output) -> Vec<Told>;
}

/// What can be played together with others, by the clock on the wall.
pub(crate) trait Timeline {
    /// When the next step happened, in nanoseconds since 1970; `None` at the end.
    fn next_at(&self) -> Option<i64>;

    /// Plays it.
    fn step(&mut self) -> Vec<Line>;
}

/// The next thing in a segment.
#[derive(Debug, Clone)]
enum Item<M: Machine> {
    Begin(Box<(Head, M)>),
    Entry(BootTime, Box<Entry<M>>),
    Torn(String),
}

/// The segments of one program of one node.
pub(crate) struct Player<M: Machine> {
    items: VecDeque<(i64, Item<M>)>,
    playing: Option<(Head, M)>,
    now: BootTime,
}

impl<M: Teller> Player<M> {
    /// `segments` in the order in which they were written, each with the name of its file.
    pub(crate) fn new(segments: Vec<(String, Segment<M>)>) -> Self {
        let mut items = VecDeque::new();
        for (file, Segment { head, state, entries, end }) in segments {
            let clocks = head.clocks;
            let mut last = clocks.wall;
            items.push_back((last, Item::Begin(Box::new((head, state)))));
            for (at, entry) in entries {
                last = clocks.wall(at);
                items.push_back((last, Item::Entry(at, Box::new(entry))));
            }
            if let End::Torn { at, left } = end {
                let text = format!("{file} is cut off at byte {at}: what follows ({left} bytes) cannot be read");
                items.push_back((last, Item::Torn(text)));
            }
        }
        Self { items, playing: None, now: BootTime::ZERO }
    }

    fn play(&mut self, item: Item<M>) -> Vec<Told> {
        match item {
            Item::Begin(begin) => {
                let (head, state) = *begin;
                self.now = head.clocks.boot;
                self.begin(head, state)
            }
            Item::Torn(text) => vec![Told::new("torn", text)],
            Item::Entry(at, entry) => {
                self.now = at;
                let Some((head, machine)) = &mut self.playing else { return Vec::new() };
                match *entry {
                    Entry::State(state) => {
                        let text = "the program ended here, in the state that the replay has arrived at";
                        let arrived = (*state == *machine).then(|| Told::new("end", text));
                        vec![arrived.unwrap_or_else(|| otherwise(head))]
                    }
                    Entry::Input(input) => {
                        let before = machine.clone();
                        let output = machine.feed(input.clone(), at);
                        machine.tell(&Names(head.nodes.clone()), &before, &input, &output)
                    }
                }
            }
        }
    }

    /// A new segment: the same run, whose state must be the one that the last segment led to, or another.
    fn begin(&mut self, head: Head, state: M) -> Vec<Told> {
        let before = self.playing.replace((head.clone(), state.clone()));
        let mut told = Vec::new();
        if let Some((old, machine)) = before
            && (&old.boot_id, old.pid, old.number + 1) == (&head.boot_id, head.pid, head.number)
            && old.lost == head.lost
        {
            return if machine == state { told } else { vec![otherwise(&head)] };
        }
        if head.lost > 0 {
            told.push(Told::new("lost", format!("{} inputs could not be recorded before this", head.lost)));
        }
        let (version, pid) = (&head.version, head.pid);
        let text = format!("pha {version}, pid {pid}: {}", state.beginning(&Names(head.nodes.clone())));
        told.push(Told::new("begin", text).with("version", version.as_str()).with("pid", pid));
        told
    }
}

/// A version that decides otherwise, or a defect: what is told from here on need not be what happened.
fn otherwise(head: &Head) -> Told {
    let own = env!("CARGO_PKG_VERSION");
    let text = format!(
        "the replay has come to another state than pha {} had here: this is pha {own}, or an input is missing",
        head.version
    );
    Told::new("differs", text)
}

impl<M: Teller> Timeline for Player<M> {
    fn next_at(&self) -> Option<i64> {
        self.items.front().map(|(at, _)| *at)
    }

    fn step(&mut self) -> Vec<Line> {
        let Some((_, item)) = self.items.pop_front() else { return Vec::new() };
        let told = self.play(item);
        let Some((head, _)) = &self.playing else { return Vec::new() };
        let line = |told: Told| Line {
            time: head.clocks.local(self.now),
            boot: self.now,
            node: head.node.clone(),
            program: M::PROGRAM,
            kind: told.kind,
            text: told.text,
            routine: told.routine,
            facts: told.facts,
        };
        told.into_iter().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use pha_core::beat::{Beat, BeatSettings};
    use pha_trace::{BeatInput, Clocks};

    use super::*;

    fn at(ms: u64) -> BootTime {
        BootTime::ZERO + Duration::from_millis(ms)
    }

    fn beat(interval: u64) -> Beat {
        let ms = Duration::from_millis;
        Beat::new(BeatSettings::new(ms(interval), ms(600), ms(3000)), at(0))
    }

    fn segment(number: u32, lost: u64, state: Beat, entries: Vec<(BootTime, Entry<Beat>)>) -> (String, Segment<Beat>) {
        let clocks = Clocks { boot: at(u64::from(number) * 1000), wall: i64::from(number) * 1_000_000_000, offset: 0 };
        let head = Head {
            version: "0.1.0".to_owned(),
            node: "lb1".to_owned(),
            nodes: Vec::new(),
            boot_id: String::new(),
            pid: 1,
            number,
            lost,
            clocks,
        };
        (String::from("x"), Segment { head, state, entries, end: End::Whole })
    }

    fn kinds(segments: Vec<(String, Segment<Beat>)>) -> Vec<&'static str> {
        let mut player = Player::new(segments);
        let mut kinds = Vec::new();
        while player.next_at().is_some() {
            kinds.extend(player.step().iter().map(|line| line.kind));
        }
        kinds
    }

    #[test]
    fn a_state_that_the_replay_does_not_arrive_at_is_told() {
        let changed = || {
            let input = BeatInput::RecordChanged { said: None, peers: Vec::new() };
            (at(1001), Entry::Input(input))
        };
        let end = |interval| (at(1002), Entry::State(Box::new(beat(interval))));
        assert_eq!(kinds(vec![segment(1, 0, beat(200), vec![changed(), end(200)])]), ["begin", "input", "end"]);
        assert_eq!(kinds(vec![segment(1, 0, beat(200), vec![changed(), end(201)])]), ["begin", "input", "differs"]);
    }

    #[test]
    fn a_segment_must_begin_where_the_one_before_led_unless_inputs_were_lost() {
        let two = |lost, interval| {
            kinds(vec![segment(1, 0, beat(200), Vec::new()), segment(2, lost, beat(interval), Vec::new())])
        };
        assert_eq!(two(0, 200), ["begin"]);
        assert_eq!(two(0, 201), ["begin", "differs"]);
        assert_eq!(two(3, 201), ["begin", "lost", "begin"]);
    }
}
