//! Behaviours that need real daemons but no network of their own: what a wire carries, how many checks fit, what a
//! person sees while things happen. Plain labs: loopback addresses, files as resources.

use std::collections::BTreeSet;
use std::fs;
use std::net::UdpSocket;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use pha_core::Status;
use pha_lab::{Lab, LabOptions, Node, Program, home};

const SOON: Duration = Duration::from_secs(20);

/// An agent that writes down every check and stop: `RES_count.<name>=<name> <seconds a check takes>`. Its checks hang
/// while there is a file `hang`.
const COUNT: &str = r#"#!/bin/sh
dir=$PHA_HOME/var/count
mkdir -p "$dir"
case $1 in
start) : >"$dir/$2.up" ;;
stop)
	printf . >>"$dir/$2.stops"
	rm -f "$dir/$2.up"
	;;
check)
	printf . >>"$dir/$2"
	[ "$3" = 0 ] || sleep "$3"
	[ ! -e "$dir/hang" ] || sleep 60
	[ -e "$dir/$2.up" ]
	;;
esac
"#;

/// A lab whose first node keeps `count` resources of the agent above and checks them every `interval` milliseconds.
fn counting(count: usize, seconds: &str, interval: u32) -> Result<Lab> {
    let resources = (1..=count).map(|number| format!("RES_count.n{number}=n{number} {seconds}"));
    let config = [format!("SUPERVISE_INT={interval}"), "CHECK_TIMEOUT=2".to_owned()];
    let options = LabOptions::default().plain().resources(resources).config(config);
    let lab = Lab::new(options)?;
    home::write(&lab.node(1).home().join("res/count"), COUNT, 0o755)?;
    // The peer is never started, but its tree is the same.
    home::write(&lab.node(2).home().join("res/count"), COUNT, 0o755)?;
    Ok(lab)
}

fn is_online(node: &Node) -> bool {
    node.status() == Some(Status::Online)
}

/// How often each of the resources has been checked so far.
fn checks(node: &Node, count: usize) -> Vec<usize> {
    let file = |number| node.home().join(format!("var/count/n{number}"));
    (1..=count).map(|number| fs::read(file(number)).map_or(0, |written| written.len())).collect()
}

fn log(node: &Node, program: &str) -> PathBuf {
    node.home().join(format!("var/log/{program}.log"))
}

// P7
#[test]
fn ten_seconds_on_the_wire_hold_fifty_heartbeats() -> Result<()> {
    let lab = Lab::new(LabOptions::default().plain())?;
    // In the place of the peer's receiver.
    let wire = UdpSocket::bind(("127.0.77.2", lab.port())).context("the peer's address")?;
    wire.set_read_timeout(Some(Duration::from_millis(100)))?;
    let node = lab.node(1);
    node.start()?;
    lab.wait(SOON, "the first is online", || is_online(node))?;
    let mut datagram = [0; 512];
    let settled = Instant::now() + Duration::from_secs(1);
    while Instant::now() < settled {
        let _ = wire.recv(&mut datagram);
    }
    let (mut heard, end) = (0, Instant::now() + Duration::from_secs(10));
    while Instant::now() < end {
        if let Ok(length) = wire.recv(&mut datagram) {
            ensure!(length <= 256, "a heartbeat of {length} bytes");
            heard += 1;
        }
    }
    ensure!((48..=52).contains(&heard), "{heard} datagrams in 10 s");
    Ok(())
}

// P15, P27: also with a hundred resources, and without an overrun.
#[test]
fn a_hundred_resources_keep_their_period() -> Result<()> {
    const COUNT: usize = 100;
    let lab = counting(COUNT, "0", 2000)?;
    let node = lab.node(1);
    node.start()?;
    lab.wait(SOON, "all hundred are up", || is_online(node))?;
    std::thread::sleep(Duration::from_secs(1));
    let before = checks(node, COUNT);
    std::thread::sleep(Duration::from_secs(10));
    let in_ten_seconds: Vec<usize> =
        checks(node, COUNT).iter().zip(&before).map(|(after, before)| after - before).collect();
    ensure!(in_ten_seconds.iter().all(|checks| (4..=6).contains(checks)), "{in_ten_seconds:?}");
    let log = fs::read_to_string(log(node, "supervise"))?;
    ensure!(!log.contains("longer than its interval"), "{log}");
    Ok(())
}

// P27
#[test]
fn a_check_that_outlives_its_period_is_warned_about_with_the_key_to_change() -> Result<()> {
    let lab = counting(1, "1.5", 1000)?;
    let node = lab.node(1);
    node.start()?;
    let warned = || {
        fs::read_to_string(log(node, "supervise"))
            .is_ok_and(|log| log.contains("longer than its interval: make it quicker or write SUPERVISE_INT=2000"))
    };
    lab.wait(SOON, "the overrun is warned about", warned).map(drop)
}

// P16: nothing is known of a resource whose check hangs, so it is not announced, and stopped before it is started again.
#[test]
fn a_resource_whose_check_hangs_is_not_up_and_perhaps_not_down() -> Result<()> {
    let lab = counting(1, "0", 1000)?;
    let node = lab.node(1);
    node.start()?;
    lab.wait(SOON, "the resource is up", || is_online(node))?;
    ensure!(node.order(&["stat"])?.contains("'RES_count.n1' => 'UP'"), "it does not show");
    let written = node.home().join("var/count");
    ensure!(!written.join("n1.stops").exists(), "it was stopped without a reason");
    fs::write(written.join("hang"), "")?;
    lab.wait(SOON, "the node is not ONLINE any more", || !is_online(node))?;
    ensure!(!node.order(&["stat"])?.contains("'RES_count.n1' => 'UP'"), "it shows as up");
    lab.wait(SOON, "it is stopped before it is started again", || written.join("n1.stops").exists())?;
    fs::remove_file(written.join("hang"))?;
    lab.wait(SOON, "it is up again", || is_online(node)).map(drop)
}

// P26
#[test]
fn a_name_that_cannot_be_resolved_is_reported_and_tried_again() -> Result<()> {
    let lab = Lab::new(LabOptions::default().plain().config(["ADDR_lb2=no-such-host.invalid"]))?;
    let node = lab.node(1);
    let check = node.cli(&["check"])?;
    ensure!(check.stdout.contains("'no-such-host.invalid' has no address"), "{}", check.stdout);
    node.start()?;
    for program in ["sender", "receiver"] {
        let told = || {
            let log = fs::read_to_string(log(node, program)).unwrap_or_default();
            log.contains("no-such-host.invalid cannot be resolved") && log.contains("trying again")
        };
        lab.wait(SOON, &format!("the {program} says so"), told)?;
    }
    Ok(())
}

// P5, P6, P42, P51
#[test]
fn three_programs_have_three_names_three_pids_and_three_logs() -> Result<()> {
    let lab = Lab::new(LabOptions::default().plain())?;
    let node = lab.node(1);
    node.start()?;
    let mut pids = BTreeSet::new();
    for program in Program::ALL {
        let word = program.name().trim_start_matches("pha-");
        let pid = fs::read_to_string(node.home().join(format!("var/run/{word}.pid")))?.trim().to_owned();
        let name = fs::read_to_string(format!("/proc/{pid}/comm"))?;
        ensure!(name.trim() == format!("pha-{word}"), "process {pid} is {name}");
        let written = fs::read_to_string(log(node, word))?;
        ensure!(written.lines().all(|line| line.contains(&format!("pha-{word}[{pid}]"))), "{written}");
        pids.insert(pid);
    }
    ensure!(pids.len() == 3, "{pids:?}");
    let stat = node.order(&["stat"])?;
    ensure!(pids.iter().all(|pid| stat.contains(pid.as_str())), "{stat}");
    Ok(())
}

// P55: many may look and wish at once; each wish is kept.
#[test]
fn several_clis_run_at_once() -> Result<()> {
    let lab = Lab::new(LabOptions::default().plain())?;
    let node = lab.node(1);
    node.start()?;
    lab.wait(SOON, "the first is online", || is_online(node))?;
    let words: [&[&str]; 4] = [&["stat"], &["maintenance", "on"], &["res"], &["explain"]];
    let said: Vec<_> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..12).map(|number| scope.spawn(move || node.cli(words[number % 4]))).collect();
        running.into_iter().map(|cli| cli.join().expect("a thread that runs a command does not panic")).collect()
    });
    for answer in said {
        let answer = answer?;
        ensure!(answer.status.success(), "{}{}", answer.stdout, answer.stderr);
    }
    let stat = node.order(&["stat"])?;
    ensure!(stat.contains("'CLI' => 1"), "{stat}");
    ensure!(node.order(&["maintenance"])?.contains("on"), "the wish was lost");
    Ok(())
}

// P70, P63: what a killed program said of itself does not count any more.
#[test]
fn stat_shows_what_is_true_now() -> Result<()> {
    let lab = Lab::new(LabOptions::default().plain())?;
    let node = lab.node(1);
    node.start()?;
    lab.wait(SOON, "the first is online", || is_online(node))?;
    ensure!(node.order(&["stat"])?.contains("'STATUS' => 'ONLINE'"), "not online");
    node.signal("KILL", &[Program::Supervise])?;
    let gone = || {
        node.order(&["stat"]).is_ok_and(|stat| stat.contains("'STATUS' => undef") && stat.contains("'SUPERVISE' => 0"))
    };
    lab.wait(Duration::from_secs(2), "stat shows it", gone)?;
    node.signal("TERM", &[Program::Sender, Program::Receiver])?;
    let all_zero = || {
        let stat = node.order(&["stat"]).unwrap_or_default();
        ["sender:         0", "receiver:       0", "supervise:      0"].iter().all(|line| stat.contains(line))
    };
    lab.wait(Duration::from_secs(2), "all process ids are 0", all_zero).map(drop)
}
