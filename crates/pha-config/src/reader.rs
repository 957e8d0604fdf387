//! The keys of one file, handed out by name; what nobody asks for is unknown.
//!
//! Every error is collected and the reading goes on: a bad value leaves the default in its place, so that everything
//! after it is still looked at. [`Reader::sound`] keeps rules from complaining about such a default.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::keys::{self, ADDRESS, CHECK, LIMITS, PLAIN, RESOURCE};
use crate::problem::{Problem, Wrong};
use crate::source::{self, Line};

/// A line that was asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry<'a> {
    pub(crate) line: usize,
    pub(crate) key: &'a str,
    pub(crate) value: &'a str,
}

/// One file being read.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    file: &'a Path,
    unread: BTreeMap<&'a str, Entry<'a>>,
    lines: BTreeMap<String, usize>,
    unsound: BTreeSet<&'a str>,
    problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    /// All keys of `text`; doubled ones are told with both lines, and the first counts.
    pub(crate) fn new(text: &'a str, file: &'a Path) -> Self {
        let mut problems = Vec::new();
        let lines = source::lines(text, file, &mut problems);
        let mut reader =
            Self { file, unread: BTreeMap::new(), lines: BTreeMap::new(), unsound: BTreeSet::new(), problems };
        for line in lines {
            reader.add(line);
        }
        reader
    }

    fn add(&mut self, line: Line<'a>) {
        let entry = Entry { line: line.number, key: line.key, value: line.value };
        let Some(first) = self.lines.get(entry.key) else {
            self.lines.insert(entry.key.to_owned(), entry.line);
            self.unread.insert(entry.key, entry);
            return;
        };
        let remedy = match entry.key.strip_prefix(RESOURCE) {
            Some(name) => {
                format!("write {RESOURCE}{name}.<name>= for a further resource of this agent, or remove one line")
            }
            None => "remove one of the two".to_owned(),
        };
        let wrong = Wrong::new(format!("{} stands in line {first} already", entry.key), remedy);
        self.unsound.insert(entry.key);
        self.refuse(entry, wrong);
    }

    /// The line of `key`, which is known from now on.
    pub(crate) fn take(&mut self, key: &str) -> Option<Entry<'a>> {
        self.unread.remove(key)
    }

    /// Every line whose key begins with `prefix`, in the order of the file; they are known from now on.
    pub(crate) fn take_all(&mut self, prefix: &str) -> Vec<Entry<'a>> {
        let keys: Vec<_> = self.unread.keys().filter(|key| key.starts_with(prefix)).copied().collect();
        let mut entries: Vec<_> = keys.into_iter().filter_map(|key| self.unread.remove(key)).collect();
        entries.sort_by_key(|entry| entry.line);
        entries
    }

    /// Puts what `key` says into `into`, which holds the default.
    pub(crate) fn read<T>(&mut self, key: &str, into: &mut T, meaning: impl FnOnce(&'a str) -> Result<T, Wrong>) {
        let Some(entry) = self.take(key) else { return };
        let value = match entry.value {
            "" if key != "GW" => Err(Wrong::new("there is no value", "write one, or remove the line for the default")),
            value => meaning(value),
        };
        match value {
            Ok(value) => *into = value,
            Err(wrong) => self.refuse(entry, wrong),
        }
    }

    /// The line of every key in the file.
    pub(crate) const fn lines(&self) -> &BTreeMap<String, usize> {
        &self.lines
    }

    /// Something is wrong with `entry`.
    pub(crate) fn refuse(&mut self, entry: Entry<'a>, wrong: Wrong) {
        self.unsound.insert(entry.key);
        self.problems.push(Problem::new(self.file, Some(entry.line), format!("{}={}", entry.key, entry.value), wrong));
    }

    /// Something is wrong, in the line of the first of `keys` that stands in the file.
    pub(crate) fn refuse_rule(&mut self, keys: &[&str], wrong: Wrong) {
        let line = keys.iter().find_map(|key| self.lines.get(*key)).copied();
        self.problems.push(Problem::new(self.file, line, "", wrong));
    }

    /// None of `keys` has a bad value.
    pub(crate) fn sound(&self, keys: &[&str]) -> bool {
        !keys.iter().any(|key| self.unsound.contains(key))
    }

    /// The lines of all keys, and every problem, unknown keys included. `nodes` and `resources` are the names that
    /// may follow `ADDR_` and `START_TIMEOUT_`.
    pub(crate) fn finish(mut self, nodes: &[String], resources: &[String]) -> (BTreeMap<String, usize>, Vec<Problem>) {
        for entry in std::mem::take(&mut self.unread).into_values() {
            let wrong = unknown(entry.key, nodes, resources);
            self.refuse(entry, wrong);
        }
        (self.lines, self.problems)
    }
}

/// Why a key is not known, and what may be meant.
fn unknown(key: &str, nodes: &[String], resources: &[String]) -> Wrong {
    if let Some(name) = key.strip_prefix(ADDRESS) {
        return stranger(key, name, "node of NODES", nodes);
    }
    // `CHECK_` begins a limit, too: the longer word first.
    for one in LIMITS.into_iter().chain([CHECK]) {
        if let Some(name) = key.strip_prefix(one) {
            return stranger(key, name, "resource", resources);
        }
    }
    if key.get(..4).is_some_and(|start| start.eq_ignore_ascii_case(RESOURCE)) {
        return Wrong::new("there is no such key", format!("did you mean {RESOURCE}{}?", &key[4..]));
    }
    let remedy = match keys::nearest(key, PLAIN) {
        Some(meant) => format!("did you mean {meant}?"),
        None => "remove the line, or begin it with # to keep it as a comment".to_owned(),
    };
    Wrong::new("there is no such key", remedy)
}

fn stranger(key: &str, name: &str, kind: &str, known: &[String]) -> Wrong {
    let remedy = match keys::nearest(name, known.iter().map(String::as_str)) {
        Some(meant) => format!("did you mean {}{meant}?", &key[..key.len() - name.len()]),
        None if known.is_empty() => "remove the line".to_owned(),
        None => format!("remove the line, or use one of these: {}", known.join(" ")),
    };
    Wrong::new(format!("'{name}' is no {kind}"), remedy)
}
