//! `stat`: the old toolkit's block, byte for byte what Perl's `Data::Dumper` printed with `Indent=2` and `Sortkeys`.
//!
//! Other programs parse it: its layout does not change. New facts go to `status --json`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use pha_core::Status;
use pha_core::report::ResourceState;

use crate::programs::DISPLAY_ORDER;
use crate::view::View;

/// One value as Perl writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    Undef,
    Integer(u32),
    Word(String),
}

/// The block and the three process ids.
pub(crate) fn block(view: &View) -> String {
    let mut text = dump(&keys(view));
    for program in DISPLAY_ORDER {
        let _ = writeln!(text, "{:<16}{}", format!("{}:", program.word()), view.pid(program));
    }
    text
}

/// Before the first start there is nothing to say but that a CLI runs.
fn keys(view: &View) -> BTreeMap<String, Value> {
    let mut keys = BTreeMap::from([("CLI".to_owned(), Value::Integer(1))]);
    if !view.ever_started() {
        return keys;
    }
    keys.insert("STATUS".to_owned(), status(view.status()));
    keys.insert("RECEIVER_IN".to_owned(), status(view.receiver_in()));
    keys.insert("SENDER_RUN".to_owned(), Value::Integer(view.record.sender.running.into()));
    keys.insert("SUPERVISE".to_owned(), Value::Integer(view.is_running().into()));
    for resource in view.last_report().into_iter().flat_map(|report| &report.resources) {
        keys.insert(format!("RES_{}", resource.name), Value::Word(state_word(resource.state).to_owned()));
    }
    keys
}

fn status(status: Option<Status>) -> Value {
    status.map_or(Value::Undef, |status| Value::Word(status.to_string()))
}

/// A resource's state in every display.
pub(crate) const fn state_word(state: ResourceState) -> &'static str {
    match state {
        ResourceState::Up => "UP",
        ResourceState::Down => "DOWN",
        ResourceState::Unknown => "UNKNOWN",
    }
}

fn dump(keys: &BTreeMap<String, Value>) -> String {
    let entries: Vec<_> =
        keys.iter().map(|(key, value)| format!("          {} => {}", quoted(key), perl(value))).collect();
    format!("$VAR1 = {{\n{}\n        }};\n", entries.join(",\n"))
}

fn perl(value: &Value) -> String {
    match value {
        Value::Undef => "undef".to_owned(),
        Value::Integer(number) => number.to_string(),
        Value::Word(word) => quoted(word),
    }
}

/// Perl's single quotes know two escapes and expand nothing.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\\', "\\\\").replace('\'', "\\'"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use std::process::Command;

    use super::*;
    use crate::samples;

    /// P47.
    #[test]
    fn before_the_first_start_only_the_cli_shows() {
        let expected =
            "$VAR1 = {\n          'CLI' => 1\n        };\nsender:         0\nreceiver:       0\nsupervise:      0\n";
        assert_eq!(block(&samples::never_started()), expected);
    }

    /// P48, P49, P51, P54: the documented block of an active node.
    #[test]
    fn an_active_node_shows_the_documented_block() {
        let expected = "\
$VAR1 = {
          'CLI' => 1,
          'RECEIVER_IN' => undef,
          'RES_ipaddr' => 'UP',
          'RES_service' => 'UP',
          'SENDER_RUN' => 1,
          'STATUS' => 'ONLINE',
          'SUPERVISE' => 1
        };
sender:         16468
receiver:       16470
supervise:      16472
";
        assert_eq!(block(&samples::active_alone()), expected);
    }

    /// P53.
    #[test]
    fn a_standby_beside_an_active_peer_shows_it() {
        let text = block(&samples::standby());
        for line in ["'RECEIVER_IN' => 'ONLINE',", "'RES_ipaddr' => 'DOWN',", "'STATUS' => 'OFFLINE',"] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }

    /// P57–P60: supervise still runs.
    #[test]
    fn a_node_that_rests_is_offline() {
        let mut view = samples::active_with_standby();
        let left = pha_core::Word::Left { cause: pha_core::LeaveCause::Operator };
        view.record.supervise.report.as_mut().unwrap().saying.word = left;
        assert!(block(&view).contains("'STATUS' => 'OFFLINE',"));
    }

    /// P63: also after a kill -9, which lets no daemon take back its words.
    #[test]
    fn without_daemons_the_words_are_undef_and_the_pids_zero() {
        let text = block(&samples::stopped());
        for line in [
            "'RECEIVER_IN' => undef,",
            "'STATUS' => undef,",
            "'SUPERVISE' => 0\n",
            "'SENDER_RUN' => 0,",
            "sender:         0\n",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }

    #[test]
    fn quotes_and_backslashes_are_escaped() {
        assert_eq!(quoted(r"a'b\c"), r"'a\'b\\c'");
    }

    /// P48.
    #[test]
    fn perl_evaluates_the_block() {
        let mut text = dump(&BTreeMap::from([
            ("RES_it's".to_owned(), Value::Word(r"a\'$x@y".to_owned())),
            ("A".to_owned(), Value::Undef),
        ]));
        text += r#"print defined $VAR1->{A} ? 1 : 0, $VAR1->{"RES_it's"};"#;
        match Command::new("perl").args(["-e", &format!("my $VAR1; {text}")]).output() {
            Ok(output) => assert_eq!(String::from_utf8(output.stdout).unwrap(), r"0a\'$x@y"),
            Err(error) => eprintln!("skipped: perl does not run here: {error}"),
        }
    }
}
