//! Built-in checks and groups: what is accepted, what is refused, and what a group does to times.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;
use std::time::Duration;

use crate::config::{BuiltInCheck, Config};

const BASE: &str = "NODES=a b\nRES_service.web=nginx\nRES_service.db=postgresql\nRES_ipaddr=10.0.0.20/24 eth0\n";

fn parse(more: &str) -> Config {
    Config::parse(&format!("{BASE}{more}\n"), Path::new("etc/config")).unwrap()
}

fn told(more: &str) -> String {
    Config::parse(&format!("{BASE}{more}\n"), Path::new("etc/config")).unwrap_err().to_string()
}

#[test]
fn a_built_in_check_is_a_process_a_port_or_a_link() {
    let check = |value: &str| parse(&format!("CHECK_service.web={value}")).resources[0].built_in_check.clone().unwrap();
    assert_eq!(check("process /run/nginx.pid"), BuiltInCheck::Process("/run/nginx.pid".into()));
    assert_eq!(check("tcp 127.0.0.1:80"), BuiltInCheck::Tcp("127.0.0.1:80".parse().unwrap()));
    assert_eq!(check("tcp [::1]:80").to_string(), "tcp [::1]:80");
    assert_eq!(check("link  eth0"), BuiltInCheck::Link("eth0".to_owned()));
    assert_eq!(parse("CHECK_service.db=link lo").resources[0].built_in_check, None, "each has its own");
}

#[test]
fn a_built_in_check_that_cannot_be_is_refused_with_its_line_and_what_to_write() {
    for (value, part) in [
        ("process nginx.pid", "absolute path"),
        ("tcp localhost:80", "write tcp 127.0.0.1:80"),
        ("tcp 127.0.0.1", "write tcp 127.0.0.1:80"),
        ("tcp 127.0.0.1:0", "write tcp 127.0.0.1:80"),
        ("tcp ::1:80x", "write tcp 127.0.0.1:80"),
        ("link a/b", "no network device"),
        ("link a-name-that-is-too-long", "no network device"),
        ("link", "no such built-in check"),
        ("http 127.0.0.1:80", "no such built-in check"),
        ("tcp 127.0.0.1:80 now", "no such built-in check"),
        ("", "no value"),
    ] {
        let told = told(&format!("CHECK_service.web={value}"));
        assert!(told.starts_with("etc/config:5: 'CHECK_service.web=") && told.contains(part), "{told}");
    }
    assert!(told("CHECK_service.wbe=link lo").contains("did you mean CHECK_service.web?"));
    assert!(told("CHECK_TIMEOUT_service.wbe=3").contains("did you mean CHECK_TIMEOUT_service.web?"));
}

#[test]
fn neighbours_may_start_together_in_any_number_of_groups() {
    let beside = |more: &str| parse(more).resources.iter().map(|one| one.beside_previous).collect::<Vec<_>>();
    assert_eq!(beside(""), [false; 3]);
    assert_eq!(beside("RES_PARALLEL=service.db  service.web"), [false, true, false]);
    assert_eq!(beside("RES_PARALLEL=ipaddr service.db service.web"), [false, true, true]);
    assert_eq!(beside("RES_test.x=/x\nRES_PARALLEL=service.web service.db, test.x ipaddr"), [false, true, false, true]);
}

#[test]
fn groups_that_would_leave_the_order_open_are_refused() {
    for (value, part) in [
        ("service.web ipaddr", "service.db stands between service.web and ipaddr"),
        ("service.web", "the group 'service.web' has not two members"),
        ("service.web service.db,", "the group '' has not two members"),
        ("service.web service.db, service.db ipaddr", "service.db stands here twice"),
        ("service.web nginx", "'nginx' is no resource"),
    ] {
        let told = told(&format!("RES_PARALLEL={value}"));
        assert!(told.starts_with("etc/config:5: 'RES_PARALLEL=") && told.contains(part), "{told}");
    }
}

#[test]
fn a_group_takes_as_long_as_its_slowest_member() {
    let limits = "START_TIMEOUT=10\nSTART_TIMEOUT_service.db=30\n";
    let second = Duration::from_secs(1);
    assert_eq!(parse(limits).start_limits(), second * 50);
    assert_eq!(parse(&format!("{limits}RES_PARALLEL=service.web service.db")).start_limits(), second * 40);
}

#[test]
fn both_are_in_force_and_shared_by_all_nodes() {
    let more = "CHECK_service.web=tcp [0::1]:80\nRES_PARALLEL=service.db service.web";
    let config = parse(more);
    let value = |key: &str| config.effective().into_iter().find(|(other, _)| other == key).map(|(_, value)| value);
    assert_eq!(value("CHECK_service.web").unwrap(), "tcp [::1]:80");
    assert_eq!(value("RES_PARALLEL").unwrap(), "service.web service.db");
    let text: String = config
        .effective()
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .fold(String::new(), |text, (key, value)| format!("{text}{key}={value}\n"));
    let again = Config::parse(&text, Path::new("etc/config")).unwrap();
    assert_eq!(again.effective(), config.effective());
    for one in more.lines() {
        assert_ne!(parse(one).shared_hash(), parse("").shared_hash(), "{one}");
    }
}
