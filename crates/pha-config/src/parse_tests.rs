//! The whole way from text to a configuration or its problems.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;

use crate::config::{Auth, Config, Split};
use crate::keys::PLAIN;
use crate::parse::assemble;
use crate::problem::Problem;
use crate::source::decode;

/// The documented example, byte for byte.
const EXAMPLE: &str = "#
# Globales #
#
DEBUG=0
INSTALLDIR=/opt/pha
LOGPATH=/opt/pha/var/log
DAEMON=1
PINGTIMEOUT=2.1
PORT=4711
# supervise loop intervall in ms
SUPERVISE_INT=2000

# Cluster Nodes and ID's (ID 1 ^= 1. position in the list)
NODES=lb1 lb2

# ICMP Test IP, possible the Default Gateway
GW=192.168.42.1

#RES_test=/ONLINE
RES_service=httpd
RES_ipaddr=192.168.42.20/24 eth0
";

fn parse(text: &str) -> Config {
    Config::parse(text, Path::new("config")).unwrap()
}

fn problems(text: &str) -> Vec<Problem> {
    Config::parse(text, Path::new("config")).unwrap_err().0
}

fn told(text: &str) -> Vec<String> {
    problems(text).iter().map(ToString::to_string).collect()
}

// P25 P28-P39 P71
#[test]
fn the_documented_example_is_valid_as_it_stands() {
    let config = parse(EXAMPLE);
    assert!(!config.debug);
    assert!(config.daemon);
    assert_eq!(config.install_dir.as_deref(), Some(Path::new("/opt/pha")));
    assert_eq!(config.log_path.as_deref(), Some(Path::new("/opt/pha/var/log")));
    assert_eq!(config.ping_timeout, Duration::from_millis(2100));
    assert_eq!(config.port, 4711);
    assert_eq!(config.supervise_interval, Duration::from_millis(2000));
    let nodes: Vec<_> = config.nodes.iter().map(|node| (node.id.number(), node.name.as_str())).collect();
    assert_eq!(nodes, [(1, "lb1"), (2, "lb2")]);
    assert_eq!(config.gateways, ["192.168.42.1".parse::<std::net::IpAddr>().unwrap()]);
    let resources: Vec<_> = config.resources.iter().map(|one| (one.agent.as_str(), one.arguments.join("|"))).collect();
    assert_eq!(resources, [("service", "httpd".into()), ("ipaddr", "192.168.42.20/24|eth0".into())]);
    assert_eq!(config.warnings(), []);
}

#[test]
fn what_a_file_does_not_say_has_its_documented_default() {
    let config = parse("NODES=a b");
    let ms = Duration::from_millis;
    assert_eq!((config.debug, config.daemon, config.witness), (false, true, true));
    assert_eq!((config.port, config.restarts), (4711, 1));
    assert_eq!((config.ping_timeout, config.supervise_interval), (ms(2100), ms(2000)));
    assert_eq!((config.heartbeat_interval, config.dead_time, config.init_dead), (ms(200), ms(600), ms(1200)));
    assert_eq!((config.lease, config.offline_time), (ms(3000), ms(30_000)));
    assert_eq!((config.start_timeout, config.stop_timeout, config.check_timeout), (ms(60_000), ms(60_000), ms(10_000)));
    assert_eq!((config.restart_window, config.unfit_time, config.failback), (ms(60_000), ms(60_000), None));
    assert_eq!((config.cluster.as_str(), config.auth, config.split), ("pha", Auth::Auto, Split::Service));
    assert_eq!((config.install_dir, config.log_path, config.var_dir), (None, None, None));
}

#[test]
fn times_that_depend_on_others_follow_them() {
    let ms = Duration::from_millis;
    let config = parse("NODES=a b\nHEARTBEAT_INT=50");
    assert_eq!((config.dead_time, config.init_dead), (ms(150), ms(1000)));
    let config = parse("NODES=a b\nDEADTIME=900");
    assert_eq!((config.dead_time, config.init_dead), (ms(900), ms(1800)));
    let config = parse("NODES=a b\nFAILBACK_AFTER=7\nFAILBACK=on");
    assert_eq!(config.failback, Some(ms(7000)));
}

#[test]
fn the_lan_profile_is_a_heartbeat_of_10_ms_and_whatever_follows() {
    let ms = Duration::from_millis;
    let config = parse("NODES=a b\nPROFILE=lan");
    assert_eq!((config.heartbeat_interval, config.dead_time, config.init_dead), (ms(10), ms(30), ms(1000)));
    assert!(config.needs_realtime());
    assert_eq!(parse("NODES=a b\nPROFILE=lan\nHEARTBEAT_INT=20").heartbeat_interval, ms(20));
    assert!(!parse("NODES=a b\nHEARTBEAT_INT=50\nREALTIME=off").needs_realtime());
}

#[test]
fn a_heartbeat_that_needs_real_time_is_refused_without() {
    for (line, number) in [("HEARTBEAT_INT=49", 3), ("PROFILE=lan", 3)] {
        let text = format!("NODES=a b\nREALTIME=off\n{line}\n");
        let errors = Config::parse(&text, Path::new("config")).unwrap_err();
        let [problem] = &errors.0[..] else { panic!("{errors}") };
        assert_eq!((problem.line, problem.what.contains("REALTIME=off")), (Some(number), true), "{problem}");
    }
}

/// A bad value for every key, and what the message has to contain.
const WRONG: [(&str, &str); 78] = [
    ("DEBUG=2", "write 0 or 1"),
    ("DEBUG=", "there is no value"),
    ("INSTALLDIR=opt/pha", "begin it with /"),
    ("LOGPATH=log", "begin it with /"),
    ("DAEMON=yes", "write 0 or 1"),
    ("PINGTIMEOUT=0", "from 0.1 to 60 s"),
    ("PINGTIMEOUT=61", "from 0.1 to 60 s"),
    ("PINGTIMEOUT=2,1", "such as 2 or 2.1"),
    ("PORT=0", "from 1 to 65535"),
    ("PORT=65536", "from 1 to 65535"),
    ("PORT=4711 # udp", "put the comment on a line of its own"),
    ("SUPERVISE_INT=99", "from 100 to 600000 ms"),
    ("SUPERVISE_INT=600001", "from 100 to 600000 ms"),
    ("NODES=lb1", "at least two nodes, not 1"),
    ("NODES=", "at least two nodes, not 0"),
    ("NODES=lb1 LB1", "'LB1' stands here twice"),
    ("NODES=lb1 10.0.0.2", "ADDR_<name>="),
    ("NODES=lb1,lb2", "is no host name"),
    ("NODES=a b c d e f g h i j k l m n o p q", "at most 16 nodes, not 17"),
    ("GW=gateway", "'gateway' is no IP address"),
    ("GW=10.0.0.1 10.0.0.1", "stands here twice"),
    ("GW=0.0.0.0", "no single machine's address"),
    ("HEARTBEAT_INT=4", "from 5 to 10000 ms"),
    ("PROFILE=wan", "write usual or lan"),
    ("REALTIME=on", "write auto or off"),
    ("DAEMON_USER=1000", "this is no name of a user"),
    ("HEARTBEAT_INT=10001", "from 5 to 10000 ms"),
    ("DEADTIME=9", "from 10 to 58500 ms"),
    ("DEADTIME=58501", "from 10 to 58500 ms"),
    ("DEADTIME=399", "DEADTIME >= 2 × HEARTBEAT_INT does not hold: 399 ms >= 2 × 200 ms"),
    ("INITDEAD=9", "from 10 to 600000 ms"),
    ("INITDEAD=600001", "from 10 to 600000 ms"),
    ("INITDEAD=599", "INITDEAD >= DEADTIME does not hold: 599 ms >= 600 ms"),
    ("OFFLINE_TIME=0", "from 1 to 86400 s"),
    ("OFFLINE_TIME=1", "OFFLINE_TIME >= 2 × DEADTIME does not hold: 1 s >= 2 × 600 ms"),
    ("OFFLINE_TIME=86401", "from 1 to 86400 s"),
    ("LEASE=1", "from 2 to 60 s"),
    ("LEASE=61", "from 2 to 60 s"),
    ("LEASE=2.5", "a whole number"),
    ("LEASE=2", "LEASE >= DEADTIME + 1.5 s does not hold: 2 s >= 600 ms + 1.5 s; the sender would fall silent"),
    ("START_TIMEOUT=0", "from 1 to 3600 s"),
    ("START_TIMEOUT=3601", "from 1 to 3600 s"),
    ("STOP_TIMEOUT=0", "from 1 to 3600 s"),
    ("STOP_TIMEOUT=1.5", "from 1 to 3600 s"),
    ("CHECK_TIMEOUT=0", "from 1 to 3600 s"),
    ("CHECK_TIMEOUT=x", "from 1 to 3600 s"),
    ("RESTARTS=-1", "from 0 to 100"),
    ("RESTARTS=101", "from 0 to 100"),
    ("RESTART_WINDOW=0", "from 1 to 86400 s"),
    ("RESTART_WINDOW=14", "RESTART_WINDOW >= max(RESTARTS, 1) × (SUPERVISE_INT + CHECK_TIMEOUT + 3 s) does not hold"),
    ("UNFIT_TIME=1", "UNFIT_TIME >= 2 × DEADTIME does not hold: 1 s >= 2 × 600 ms"),
    ("UNFIT_TIME=0", "from 1 to 86400 s"),
    ("FAILBACK=yes", "write on or off"),
    ("FAILBACK_AFTER=0", "from 1 to 86400 s"),
    ("CLUSTER=a b", "no cluster name"),
    ("CLUSTER=", "there is no value"),
    ("AUTH=on", "write auto or rollout or required or off"),
    ("WITNESS=1", "write on or off"),
    ("SPLIT=safe", "needs a quorum to ask"),
    ("SPLIT=brain", "write service or safe"),
    ("VARDIR=var", "begin it with /"),
    ("TRACE_SIZE=65", "from 0 to 64 MiB"),
    ("ADDR_lb1=", "there is no address"),
    ("ADDR_lb1=10.0.0.1/24", "neither an IP address nor a host name"),
    ("ADDR_lb1=::1 0::1", "stands here twice"),
    ("ADDR_lb1=1.1.1.1 1.1.1.2 1.1.1.3 1.1.1.4 1.1.1.5 1.1.1.6 1.1.1.7 1.1.1.8 1.1.1.9", "at most 8 addresses, not 9"),
    ("ADDR_lb3=10.0.0.3", "'lb3' is no node of NODES: did you mean ADDR_lb1?"),
    ("START_TIMEOUT_tes=5", "'tes' is no resource: did you mean START_TIMEOUT_test?"),
    ("STOP_TIMEOUT_test=0", "from 1 to 3600 s"),
    ("CHECK_TIMEOUT_web=5", "'web' is no resource: remove the line, or use one of these: test"),
    ("RES_=x", "not complete"),
    ("RES_.web=x", "not complete"),
    ("RES_test.=x", "not complete"),
    ("RES_a/b=x", "this is not KEY=value"),
    ("res_web=x", "did you mean RES_web?"),
    ("PROT=1", "there is no such key: did you mean PORT?"),
    ("NODE=lb1 lb2", "did you mean NODES?"),
    ("MASTER_NAME=lb1", "begin it with # to keep it as a comment"),
];

// P3 P25 P29-P39
#[test]
fn every_key_wrong_in_turn_is_one_problem_in_its_line() {
    for (line, reason) in WRONG {
        let nodes = if line.starts_with("NODES=") { "# nodes" } else { "NODES=lb1 lb2" };
        let problems = problems(&format!("{nodes}\nRES_test=/ONLINE\n{line}\n"));
        assert_eq!(problems.len(), 1, "{line}: {problems:?}");
        assert_eq!(problems[0].line, Some(3), "{line}");
        assert!(problems[0].to_string().contains(reason), "{line}: {}", problems[0]);
        assert!(!problems[0].remedy.is_empty(), "{line}");
    }
}

#[test]
fn the_table_of_wrong_values_has_every_key() {
    for key in PLAIN {
        assert!(WRONG.iter().any(|(line, _)| line.starts_with(&format!("{key}="))), "{key}");
    }
}

#[test]
fn all_problems_are_told_at_once_in_the_order_of_the_lines() {
    let told = told("PORT=x\nhello\nNODES=a\nPROT=1\nLEASE=9\nADDR_b=1\nLEASE=8\nRES_x=\nRES_x=2\n");
    let lines: Vec<_> = told.iter().map(|line| line.split(": ").next().unwrap()).collect();
    assert_eq!(lines, ["config:1", "config:2", "config:3", "config:4", "config:7", "config:9"]);
    assert!(told[4].ends_with("LEASE stands in line 5 already: remove one of the two"), "{}", told[4]);
    let further =
        "RES_x stands in line 8 already: write RES_x.<name>= for a further resource of this agent, or remove one line";
    assert!(told[5].ends_with(further), "{}", told[5]);
}

#[test]
fn without_nodes_there_is_no_configuration() {
    assert_eq!(told(""), ["config: NODES is missing: write NODES=lb1 lb2 with the host names of your machines"]);
}

#[test]
fn a_rule_between_values_is_told_in_the_line_that_can_be_changed() {
    for (text, line) in [
        ("NODES=a b\nHEARTBEAT_INT=400\nDEADTIME=600\n", 3),
        ("NODES=a b\nHEARTBEAT_INT=5000\nLEASE=3\n", 3),
        ("NODES=a b\nFAILBACK=on\nDEADTIME=600\nFAILBACK_AFTER=1\n", 4),
        ("NODES=a b\nLEASE=3\nDEADTIME=2000\n", 2),
    ] {
        let problems = problems(text);
        assert_eq!(problems.len(), 1, "{text}");
        assert_eq!(problems[0].line, Some(line), "{text}");
    }
}

#[test]
fn a_bad_value_does_not_make_rules_complain_about_its_default() {
    assert_eq!(problems("NODES=a b\nHEARTBEAT_INT=x\nDEADTIME=100\nLEASE=2\n").len(), 1);
}

#[test]
fn values_at_their_bounds_are_accepted() {
    parse("NODES=a b\nHEARTBEAT_INT=50\nDEADTIME=100\nINITDEAD=100\nLEASE=2\nSUPERVISE_INT=100\nPORT=1\nRESTARTS=0\n");
    parse("NODES=a b\nHEARTBEAT_INT=10000\nDEADTIME=58500\nINITDEAD=600000\nLEASE=60\nPORT=65535\nPINGTIMEOUT=60\n");
    parse("NODES=a b c d e f g h i j k l m n o p\nGW=\nPINGTIMEOUT=0.1\nOFFLINE_TIME=86400\nSTART_TIMEOUT=3600\n");
}

// P28 P38
#[test]
fn an_agent_may_have_several_resources_each_with_its_own_limits() {
    let text = "NODES=a b\nSTART_TIMEOUT=5\nRES_service.web=httpd\nRES_service=  x   y\nSTART_TIMEOUT_service.web=7\n\
                STOP_TIMEOUT_service.web=8\nCHECK_TIMEOUT_service=9\nRES_empty=\n";
    let config = parse(text);
    let seconds = |time: Duration| time.as_secs();
    let limits = |i: usize| {
        let one = &config.resources[i];
        [one.start_timeout, one.stop_timeout, one.check_timeout].map(seconds)
    };
    assert_eq!(config.resources[0].name, "service.web");
    assert_eq!(config.resources[0].agent, "service");
    assert_eq!(config.resources[0].line, 3);
    assert_eq!(limits(0), [7, 8, 10]);
    assert_eq!(config.resources[1].arguments, ["x", "y"]);
    assert_eq!(limits(1), [5, 60, 9]);
    assert!(config.resources[2].arguments.is_empty());
}

// P28: several words as separate arguments, no shell
#[test]
fn arguments_are_split_at_blanks_and_mean_nothing_to_a_shell() {
    let config = parse("NODES=a b\nRES_x=$HOME `id`; a=b\t'q r' *\nRES_y=\"10.0.0.1/24 eth0\"\n");
    assert_eq!(config.resources[0].arguments, ["$HOME", "`id`;", "a=b", "'q", "r'", "*"]);
    assert_eq!(config.resources[1].arguments, ["10.0.0.1/24", "eth0"]);
}

#[test]
fn resources_that_shells_could_not_tell_apart_are_refused() {
    let told = told("NODES=a b\nRES_service.web=x\nRES_service_web=y\n");
    assert_eq!(told.len(), 1);
    assert!(told[0].contains("RES_service.web in line 2 looks the same where shells read the status"), "{}", told[0]);
}

#[test]
fn too_many_resources_are_refused() {
    let lines: String = (0..257).map(|i| format!("RES_test.n{i}=/x\n")).collect();
    assert!(told(&format!("NODES=a b\n{lines}"))[0].contains("there are 257 resources, and at most 256"));
}

#[test]
fn nodes_may_have_several_addresses_of_their_own() {
    let config = parse("NODES=lb1 lb2\nADDR_lb1=10.0.0.1\n");
    assert_eq!(config.nodes[0].addresses, ["10.0.0.1"]);
    assert!(config.nodes[1].addresses.is_empty());
    let config = parse("ADDR_lb2=2001:DB8:0::2 other.host\nNODES=lb1 lb2\n");
    assert_eq!(config.nodes[1].addresses, ["2001:db8::2", "other.host"]);
    let told = told("NODES=lb1 lb2\nADDR_lb1=10.0.0.1\nADDR_lb2=10.0.0.1\n");
    assert!(told[0].contains("10.0.0.1 belongs to ADDR_lb1 in line 2 already"), "{}", told[0]);
}

// P15 P37
#[test]
fn warnings_say_what_a_choice_costs() {
    let text = "NODES=a b\nSUPERVISE_INT=500\nAUTH=off\nFAILBACK_AFTER=9\nRES_x=a # note\n";
    let warnings: Vec<_> = parse(text).warnings().iter().map(ToString::to_string).collect();
    for (part, warning) in ["gateway test", "2000 ms", "forge", "FAILBACK is off", "words from #"].iter().zip(&warnings)
    {
        assert!(warning.contains(part), "{part}: {warning}");
    }
    assert_eq!(warnings.len(), 5);
    assert!(parse("NODES=a b\nGW=10.0.0.1").warnings()[0].what.contains("no resource"));
}

#[test]
fn every_key_is_in_force_with_some_value() {
    let effective = parse(EXAMPLE).effective();
    let keys: Vec<_> = effective.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys[..PLAIN.len()], PLAIN);
    assert_eq!(keys[PLAIN.len()..], ["ADDR_lb1", "ADDR_lb2", "RES_service", "RES_ipaddr"]);
    let value = |key: &str| effective.iter().find(|(other, _)| other == key).unwrap().1.as_str();
    assert_eq!(value("PINGTIMEOUT"), "2.1");
    assert_eq!(value("ADDR_lb2"), "lb2");
    assert_eq!(value("RES_ipaddr"), "192.168.42.20/24 eth0");
}

#[test]
fn nodes_share_what_matters_between_them_and_nothing_else() {
    let hash = |more: &str| parse(&format!("{EXAMPLE}{more}\n")).shared_hash();
    let same = hash("");
    let local =
        ["VARDIR=/run/pha", "TRACE_SIZE=0", "ADDR_lb1=10.0.0.1", "# comment", "AUTH=off", "DAEMON_USER=x", "LEASE=3"];
    for local in local {
        assert_eq!(hash(local), same, "{local}");
    }
    for shared in ["LEASE=4", "CLUSTER=x", "RES_test=/x", "STOP_TIMEOUT_ipaddr=3", "FAILBACK=on", "DEADTIME=700"] {
        assert_ne!(hash(shared), same, "{shared}");
    }
    let local = EXAMPLE.replace("DEBUG=0", "DEBUG=1").replace("GW=192.168.42.1", "GW=").replace("DAEMON=1", "DAEMON=0");
    assert_eq!(parse(&local).shared_hash(), same);
    assert_ne!(parse(&EXAMPLE.replace("lb1 lb2", "lb2 lb1")).shared_hash(), same);
    assert_eq!(same, 2_238_166_534, "the hash is part of what two versions say to each other");
}

/// Lines that are nearly right, so that random files get past the first look.
fn line() -> impl Strategy<Value = String> {
    let key = prop::sample::select(
        PLAIN
            .into_iter()
            .chain(["RES_x", "RES_x.y", "ADDR_a", "ADDR_b", "START_TIMEOUT_x", "NODES"])
            .collect::<Vec<_>>(),
    );
    let value = prop_oneof![
        "[0-9]{1,5}",
        "[0-9]\\.[0-9]",
        "\\PC{0,12}",
        prop::sample::select(vec!["a b", "on", "off", "auto", "/x", "10.0.0.1", "service", "1", "\"q\"", "'"])
            .prop_map(str::to_owned),
    ];
    (key, value).prop_map(|(key, value)| format!("{key}={value}"))
}

proptest! {
    #[test]
    fn any_bytes_are_a_configuration_or_problems_and_never_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let mut problems = Vec::new();
        let text = decode(&bytes, Path::new("config"), &mut problems);
        let (config, more) = assemble(&text, Path::new("config"), None);
        prop_assert!(!config.nodes.is_empty() || !problems.is_empty() || !more.is_empty());
        for problem in problems.iter().chain(&more) {
            prop_assert!(!problem.to_string().contains(char::is_control), "{problem}");
        }
    }

    #[test]
    fn nearly_right_lines_are_a_configuration_or_problems_and_never_a_panic(lines in prop::collection::vec(line(), 0..12)) {
        let (_, problems) = assemble(&lines.join("\n"), Path::new("config"), None);
        for problem in problems {
            prop_assert!(problem.line.is_none_or(|line| (1..=lines.len()).contains(&line)));
            prop_assert!(!problem.to_string().contains('\n'));
        }
    }

    #[test]
    fn the_values_in_force_are_a_configuration_with_the_same_meaning(
        interval in 50_u64..1000, factor in 2_u64..5, port in 1_u16.., ping in 100_u64..60_000, start in 1_u64..3600,
    ) {
        let dead = interval * factor;
        let text = format!(
            "NODES=a b\nHEARTBEAT_INT={interval}\nDEADTIME={dead}\nLEASE={}\nPORT={port}\nPINGTIMEOUT={}\nRES_x=a b\n\
             START_TIMEOUT_x={start}\nFAILBACK=on\nINSTALLDIR=/opt/pha\n",
            dead / 1000 + 3, ping as f64 / 1000.0,
        );
        let first = parse(&text);
        let pairs = first.effective().into_iter().filter(|(_, value)| !value.is_empty());
        let again = parse(&pairs.map(|(key, value)| format!("{key}={value}\n")).collect::<String>());
        prop_assert_eq!(first.effective(), again.effective());
        prop_assert_eq!(first.shared_hash(), again.shared_hash());
    }
}
