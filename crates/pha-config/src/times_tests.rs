//! Times that keep their promise: what is refused has a remedy that works, and what is accepted holds.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;

use crate::config::Config;
use crate::problem::ConfigErrors;
use crate::resources::MAX_RESOURCES;
use crate::times::{INEQUALITIES, TIGHTEST, edges, table};

/// A DEADTIME that is raised may break what held before; then nothing is left.
const ROUNDS: usize = 2;

/// Keys with their bounds.
const BOUNDS: [(&str, u64, u64); 13] = [
    ("HEARTBEAT_INT", 5, 10_000),
    ("DEADTIME", 10, 58_500),
    ("INITDEAD", 10, 600_000),
    ("LEASE", 2, 60),
    ("OFFLINE_TIME", 1, 86_400),
    ("UNFIT_TIME", 1, 86_400),
    ("FAILBACK_AFTER", 1, 86_400),
    ("SUPERVISE_INT", 100, 600_000),
    ("CHECK_TIMEOUT", 1, 3600),
    ("CHECK_TIMEOUT_x", 1, 3600),
    ("RESTARTS", 0, 100),
    ("RESTART_WINDOW", 1, 86_400),
    ("STOP_TIMEOUT", 1, 3600),
];

type Lines = BTreeMap<&'static str, u64>;

fn parse(text: &str) -> Result<Config, ConfigErrors> {
    Config::parse(text, Path::new("config"))
}

fn read(lines: &Lines) -> Result<Config, ConfigErrors> {
    let said = lines.iter().map(|(key, value)| format!("{key}={value}\n"));
    parse(&said.fold("NODES=a b\nRES_x=\nFAILBACK=on\n".to_owned(), |text, line| text + &line))
}

/// What the remedy says: `write KEY=VALUE or more`.
fn obey(remedy: &str, lines: &mut Lines) {
    let (key, value) = remedy.split(' ').nth(1).unwrap().split_once('=').unwrap();
    let (key, ..) = BOUNDS.iter().find(|(known, ..)| *known == key).unwrap();
    lines.insert(key, value.parse().unwrap());
}

/// Mostly small values, because that is where inequalities break; some anywhere within the bounds.
fn line() -> impl Strategy<Value = (&'static str, u64)> {
    prop::sample::select(BOUNDS.to_vec()).prop_flat_map(|(key, least, most)| {
        let few = most.min(least * 20 + 20);
        (Just(key), prop_oneof![least..=few, least..=most])
    })
}

fn lines() -> impl Strategy<Value = Lines> {
    prop::collection::vec(line(), 0..14).prop_map(|lines| lines.into_iter().collect())
}

proptest! {
    #[test]
    fn whatever_is_refused_is_accepted_once_its_remedies_are_obeyed(mut lines in lines()) {
        for _ in 0..ROUNDS {
            let Err(errors) = read(&lines) else { break };
            errors.0.iter().for_each(|problem| obey(&problem.remedy, &mut lines));
        }
        prop_assert!(read(&lines).is_ok(), "{lines:?}: {}", read(&lines).unwrap_err());
    }

    #[test]
    fn whatever_is_accepted_keeps_every_inequality_and_what_follows_from_them(lines in lines()) {
        if let Ok(config) = read(&lines) {
            prop_assert!(INEQUALITIES.iter().all(|one| one.holds(&config)));
            prop_assert!(follows(&config));
        }
    }
}

/// What the code takes for granted, and needs no inequality of its own.
fn follows(config: &Config) -> bool {
    let (interval, dead, tick) = (config.heartbeat_interval, config.dead_time, Duration::from_secs(1));
    let suspected_first = interval * 3 / 2 < dead;
    let farewell_within_the_handover = interval * 3 < dead * 2;
    let one_lost_word_makes_nobody_deaf = (tick + interval) * 2 <= dead + tick * 2;
    let ticks_within_the_silence_limit = tick < config.lease - dead;
    suspected_first && farewell_within_the_handover && one_lost_word_makes_nobody_deaf && ticks_within_the_silence_limit
}

#[test]
fn defaults_keep_every_inequality_whatever_the_heartbeat() {
    for interval in 5..=10_000 {
        let config = parse(&format!("NODES=a b\nFAILBACK=on\nHEARTBEAT_INT={interval}\n")).unwrap();
        assert!(INEQUALITIES.iter().all(|one| one.holds(&config)), "{interval}");
    }
}

#[test]
fn defaults_follow_the_times_that_they_depend_on() {
    let seconds = Duration::from_secs;
    let config = parse("NODES=a b\nDEADTIME=40000\nFAILBACK=on\n").unwrap();
    assert_eq!((config.lease, config.offline_time), (seconds(42), seconds(80)));
    assert_eq!((config.unfit_time, config.failback), (seconds(80), Some(seconds(80))));
    let config = parse("NODES=a b\nRES_x=\nCHECK_TIMEOUT_x=100\nRESTARTS=2\n").unwrap();
    assert_eq!(config.restart_window, seconds(210));
}

#[test]
fn the_longest_deadline_of_a_progress_can_be_said() {
    // Restarts of all resources: a stop and a start of each, a check of all, and 2 s for each to be killed.
    let seconds = MAX_RESOURCES as u64 * 2 * (3600 + 2) + 3600 + 2 + 2;
    assert!(u32::try_from(seconds * 1000).is_ok(), "a heartbeat carries 32 bits of milliseconds");
}

#[test]
fn each_edge_is_accepted_and_one_less_is_refused_with_the_inequality_and_the_value_of_the_edge() {
    for edge in edges() {
        let config = parse(&edge.accepted).unwrap();
        assert!(edge.inequality.holds(&config));
        let errors = parse(&edge.refused).unwrap_err();
        let [problem] = &errors.0[..] else { panic!("{errors}") };
        assert!(problem.what.starts_with(&format!("{} does not hold: ", edge.inequality.text())), "{problem}");
        let line = problem.remedy.split(' ').nth(1).unwrap();
        assert!(edge.accepted.ends_with(&format!("\n{line}\n")), "{problem}");
    }
}

#[test]
fn the_tightest_times_are_accepted_and_none_of_them_can_be_less() {
    let tightest = format!("NODES=a b\nRES_x=\n{TIGHTEST}");
    let config = parse(&tightest).unwrap();
    assert_eq!(config.lease, Duration::from_secs(2));
    for (key, value) in TIGHTEST.lines().filter_map(|line| line.split_once('=')) {
        let Ok(value) = value.parse::<u64>() else { continue };
        if key != "RESTARTS" {
            let less = tightest.replace(&format!("\n{key}={value}\n"), &format!("\n{key}={}\n", value - 1));
            assert!(parse(&less).is_err(), "{key}");
        }
    }
}

#[test]
fn too_many_restarts_for_any_window_are_told_how_many_would_do() {
    let errors = parse("NODES=a b\nSUPERVISE_INT=600000\nCHECK_TIMEOUT=3600\nRESTARTS=100\n").unwrap_err();
    let [problem] = &errors.0[..] else { panic!("{errors}") };
    assert_eq!((problem.line, problem.remedy.as_str()), (Some(4), "write RESTARTS=20 or less"));
}

#[test]
fn a_refusal_shows_the_inequality_its_numbers_and_what_would_happen() {
    let errors = parse("NODES=a b\nRESTARTS=5\nRESTART_WINDOW=60\nCHECK_TIMEOUT=30\n").unwrap_err();
    assert_eq!(
        errors.to_string(),
        "config:3: RESTART_WINDOW >= max(RESTARTS, 1) × (SUPERVISE_INT + CHECK_TIMEOUT + 3 s) does not hold: \
         60 s >= max(5, 1) × (2000 ms + 30 s + 3 s); a resource that never works would be restarted in place for ever: \
         write RESTART_WINDOW=175 or more"
    );
}

#[test]
fn remedies_that_stand_on_each_other_work_together() {
    let errors = parse("NODES=a b\nHEARTBEAT_INT=400\nDEADTIME=700\nINITDEAD=650\nOFFLINE_TIME=1\n").unwrap_err();
    let remedies: Vec<_> = errors.0.iter().map(|problem| problem.remedy.as_str()).collect();
    assert_eq!(remedies, ["write DEADTIME=800 or more", "write INITDEAD=800 or more", "write OFFLINE_TIME=2 or more"]);
}

#[test]
fn the_document_has_the_table_of_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/times.md");
    let document = std::fs::read_to_string(path).unwrap();
    let table = table();
    assert!(document.contains(&format!("<!-- inequalities -->\n\n{table}\n<!-- /inequalities -->")), "write:\n{table}");
    assert!(document.contains(TIGHTEST.trim_end()), "write:\n{TIGHTEST}");
}
