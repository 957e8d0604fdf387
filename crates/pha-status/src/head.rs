//! The part of a status file that a shell and a person can read.
//!
//! `NAME='value'` lines, safe to `eval` whatever nodes, resources, agents and peers are called or print: a value stands
//! in single quotes, a quote in it is written `'\''`, control characters (line ends among them) become blanks; a name
//! consists of letters, digits and `_`. An undefined value is the empty string. Nothing reads this part back.

use std::fmt::{Display, Write as _};

use pha_core::report::{Liveness, PeerReport, ResourceReport, ResourceState};
use pha_core::{BootTime, Gateway, Status};

use crate::record::Record;

/// Characters of a value that are shown; the record keeps them all.
const VALUE_LIMIT: usize = 200;

/// `name` as the end of a shell variable's name: what is not an ASCII letter or digit becomes `_`. Two resources whose
/// names differ in such characters only share a variable; the one configured last is seen.
#[must_use]
pub fn shell_name(name: &str) -> String {
    name.chars().map(|character| if character.is_ascii_alphanumeric() { character } else { '_' }).collect()
}

/// The lines for `record`, without the first line of the file and the end mark.
pub(crate) fn text(record: &Record) -> String {
    let mut lines = Lines(String::with_capacity(1024));
    documented(&mut lines, record);
    decision(&mut lines, record);
    programs(&mut lines, record);
    for peer in &record.receiver.peers {
        lines.put(&format!("PEER_{}", peer.node), peer_state(peer));
    }
    for resource in resources(record) {
        if let Some(error) = &resource.last_error {
            lines.put(&format!("ERROR_{}", shell_name(&resource.name)), error);
        }
    }
    lines.0
}

/// The old toolkit's keys.
fn documented(lines: &mut Lines, record: &Record) {
    lines.put("NODE", &record.node);
    lines.put("ROLE", record.prompt_state());
    lines.put_some("STATUS", record.status());
    lines.put_some("RECEIVER_IN", record.receiver_in());
    lines.put("SENDER_RUN", u8::from(record.sender_runs()));
    lines.put("SUPERVISE", u8::from(record.supervise.pid != 0));
    for resource in resources(record) {
        lines.put(&format!("RES_{}", shell_name(&resource.name)), state(resource.state));
    }
}

/// What was decided and why. `PHA_TERM` is the name agents know, and `TERM` is the terminal's.
fn decision(lines: &mut Lines, record: &Record) {
    let report = record.supervise.report.as_ref();
    let wishes = &record.operator.wishes;
    lines.put_some("PHA_TERM", report.map(|report| report.saying.term));
    lines.put_some("REASON", report.map(|report| report.reason));
    lines.put_some("GATEWAY", report.and_then(|report| gateway(report.gateway())));
    lines.put_some("FIT", report.map(|report| u8::from(report.saying.fit)));
    lines.put("MAINTENANCE", u8::from(wishes.maintenance));
    lines.put_some("OFFLINE_UNTIL", wishes.offline.map(|wish| milliseconds(wish.until)));
    lines.put("HELD", wishes.held.join(" "));
}

/// Who writes: process ids (0 = stopped) and last signs of life, milliseconds since boot.
fn programs(lines: &mut Lines, record: &Record) {
    lines.put("SENDER_PID", record.sender.pid);
    lines.put("SENDER_TICK", milliseconds(record.sender.tick));
    lines.put("RECEIVER_PID", record.receiver.pid);
    lines.put("RECEIVER_TICK", milliseconds(record.receiver.tick));
    lines.put("SUPERVISE_PID", record.supervise.pid);
    lines.put("SUPERVISE_TICK", milliseconds(record.supervise.tick));
    lines.put("AUTHENTIC", u8::from(record.receiver.authentic));
    lines.put("BOOT_ID", &record.boot_id);
    lines.put("GENERATION", record.generation);
}

fn resources(record: &Record) -> &[ResourceReport] {
    record.supervise.report.as_ref().map_or(&[], |report| &report.resources)
}

const fn state(state: ResourceState) -> &'static str {
    match state {
        ResourceState::Up => "UP",
        ResourceState::Down => "DOWN",
        ResourceState::Unknown => "UNKNOWN",
    }
}

const fn gateway(gateway: Gateway) -> Option<&'static str> {
    match gateway {
        Gateway::Off => None,
        Gateway::Testing => Some("testing"),
        Gateway::Reachable => Some("reachable"),
        Gateway::Lost => Some("lost"),
    }
}

/// `alive ONLINE`: the verdict, then the word it said last.
fn peer_state(peer: &PeerReport) -> String {
    let verdict = match peer.liveness {
        Liveness::Unheard => "unheard",
        Liveness::Alive => "alive",
        Liveness::Suspect => "suspect",
        Liveness::Dead => "dead",
        Liveness::Absent => "absent",
    };
    let word: Option<Status> = peer.saying.and_then(|saying| saying.word.status());
    word.map_or_else(|| verdict.to_owned(), |word| format!("{verdict} {word}"))
}

const fn milliseconds(time: BootTime) -> u64 {
    time.as_nanos() / 1_000_000
}

/// Lines that a shell can evaluate.
struct Lines(String);

impl Lines {
    fn put_some(&mut self, name: &str, value: Option<impl Display>) {
        match value {
            Some(value) => self.put(name, value),
            None => self.put(name, ""),
        }
    }

    fn put(&mut self, name: &str, value: impl Display) {
        let value = quoted(&value.to_string());
        writeln!(self.0, "{name}={value}").expect("writing to a String does not fail");
    }
}

/// `value` as one shell word on one line.
fn quoted(value: &str) -> String {
    let mut word = String::from("'");
    for character in value.chars().take(VALUE_LIMIT) {
        match character {
            '\'' => word.push_str(r"'\''"),
            control if control.is_control() => word.push(' '),
            other => word.push(other),
        }
    }
    word.push('\'');
    word
}

#[cfg(test)]
#[path = "head_tests.rs"]
mod tests;
