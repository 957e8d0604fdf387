//! Starting, stopping and switching real daemons, and what a home made for it shows better: a refusal, a takeover that
//! does not come.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};
use std::thread;
use std::time::Duration;

use pha_core::report::OfflineWish;
use pha_core::{Reason, Role, Word};

use crate::homes::{AWAY, FakeHome};
use crate::pair::{Pair, await_that, said};
use crate::{PROGRAM, input_into, text};

fn cli(home: &FakeHome, words: &str) -> Output {
    let mut command = Command::new(PROGRAM);
    command.args(["--home".as_ref(), home.root().as_os_str()]).args(["--node", "lb1"]).args(words.split_whitespace());
    input_into(&mut command, "")
}

/// P50, P51, P63, P64.
#[test]
fn start_prints_nothing_and_stop_ends_all_three() {
    let pair = Pair::new();
    let start = pair.cli("lb1", "start", "");
    assert_eq!((start.status.code(), said(&start)), (Some(0), String::new()));
    let pids = pair.running("lb1");
    assert_eq!(pids.len(), 3);
    let stat = said(&pair.cli("lb1", "stat", ""));
    for pid in &pids {
        assert!(stat.contains(&format!(" {pid}\n")), "{pid} in {stat}");
    }
    let again = pair.cli("lb1", "start", "");
    assert_eq!((again.status.code(), said(&again)), (Some(0), "pha-cli: already running\n".to_owned()));
    assert_eq!(pair.running("lb1"), pids);
    let stop = pair.cli("lb1", "stop", "");
    assert_eq!((stop.status.code(), said(&stop)), (Some(0), String::new()));
    assert_eq!(pair.running("lb1"), Vec::<u32>::new());
    let stat = said(&pair.cli("lb1", "stat", ""));
    assert!(stat.ends_with("sender:         0\nreceiver:       0\nsupervise:      0\n"), "{stat}");
}

/// P50, P75: the exit code of a pipe tells whether the daemons run, and they outlive it.
#[test]
fn start_from_a_pipe_succeeds_only_if_the_daemons_run() {
    let pair = Pair::new();
    let start = pair.cli("lb1", "", "start\nq\n");
    assert_eq!((start.status.code(), said(&start)), (Some(0), String::new()));
    assert_eq!(pair.running("lb1").len(), 3);
    let config = pair.home("lb2").join("etc/config");
    fs::write(&config, fs::read_to_string(&config).unwrap() + "COLOUR=red\n").unwrap();
    let start = pair.cli("lb2", "", "start\nq\n");
    assert_eq!(start.status.code(), Some(78), "{}", said(&start));
    assert_eq!(pair.running("lb2").len(), 0);
}

/// P69: the old names of single daemons. On the active node a missing sender has consequences.
#[test]
fn one_daemon_is_started_and_stopped_alone() {
    let pair = Pair::new();
    assert!(pair.cli("lb1", "re_sta", "").status.success());
    assert_eq!(pair.running("lb1").len(), 1);
    assert!(pair.cli("lb1", "re_sto", "").status.success());
    assert_eq!(pair.running("lb1").len(), 0);
    assert_eq!(said(&pair.cli("lb1", "re_stop", "")), "pha-cli: pha-receiver does not run here\n");
    pair.cli("lb1", "start", "");
    pair.await_state("lb1", "Active");
    let stop = said(&pair.cli("lb1", "se_sto", ""));
    assert!(stop.starts_with("pha-cli: lb1 is active and silent: after 2 s a peer"), "{stop}");
}

#[test]
fn a_daemon_that_refuses_fails_the_start_with_its_exit_code() {
    let home = FakeHome::empty();
    let receiver = home.root().join("bin/pha-receiver");
    fs::create_dir_all(receiver.parent().unwrap()).unwrap();
    fs::write(&receiver, "#!/bin/sh\necho 'pha-receiver: refused for the test' >&2\nexit 77\n").unwrap();
    fs::set_permissions(&receiver, fs::Permissions::from_mode(0o755)).unwrap();
    let start = cli(&home, "start");
    assert_eq!(start.status.code(), Some(77));
    let told = said(&start);
    assert!(
        told.contains("pha-receiver: refused for the test\n")
            && told.contains("did not start (exit code 77); its log is "),
        "{told}"
    );
}

/// P65, P66: the agents run at once, in reverse order, and the peer takes over because it was told.
#[test]
fn res_stop_without_daemons_runs_the_agents_and_says_farewell() {
    let pair = Pair::new();
    pair.cli("lb1", "start", "");
    pair.await_state("lb1", "Active");
    pair.cli("lb2", "start", "");
    pair.await_state("lb2", "Standby");
    pair.cli("lb1", "stop", "");
    assert!(pair.is_up("lb1", "ipaddr") && pair.is_up("lb1", "service"));
    let stop = pair.cli("lb1", "res stop", "");
    assert_eq!((stop.status.code(), said(&stop)), (Some(0), String::new()));
    assert!(!pair.is_up("lb1", "ipaddr") && !pair.is_up("lb1", "service"));
    pair.await_state("lb2", "Active");
    let history = said(&pair.cli("lb2", "history", ""));
    assert!(history.contains("ONLINE: peer left"), "{history}");
}

/// As `keygen` prints it: nothing moves.
#[test]
fn a_key_that_is_lost_is_replaced_under_maintenance_only() {
    let pair = Pair::new();
    let copy = || fs::copy(pair.home("lb1").join("etc/authkey"), pair.home("lb2").join("etc/authkey")).unwrap();
    assert!(pair.cli("lb1", "keygen", "").status.success());
    copy();
    pair.cli("lb1", "start", "");
    pair.await_state("lb1", "Active");
    pair.cli("lb2", "start", "");
    pair.await_state("lb2", "Standby");
    let early = pair.cli("lb1", "keygen --force", "");
    assert!(said(&early).contains("'maintenance on' on every node first"), "{}", said(&early));
    let both = |command: &str| {
        for node in ["lb1", "lb2"] {
            let done = pair.cli(node, command, "");
            assert_eq!(done.status.code(), Some(0), "{command} on {node}: {}", said(&done));
            assert!(pair.is_up("lb1", "ipaddr") && !pair.is_up("lb2", "ipaddr"), "{command} on {node}");
        }
    };
    both("maintenance on");
    assert!(pair.cli("lb1", "keygen --force", "").status.success());
    copy();
    both("reload");
    await_that("the nodes hear each other", || ["lb1", "lb2"].iter().all(|node| pair.hears_its_peer(node)));
    both("maintenance off");
    assert_eq!((pair.state("lb1"), pair.state("lb2")), ("Active".to_owned(), "Standby".to_owned()));
    let history = said(&pair.cli("lb2", "history", ""));
    assert!(!history.contains("Active"), "{history}");
    let notes = said(&pair.cli("lb2", "explain", ""));
    assert!(!notes.contains("authenticated"), "{notes}");
}

/// P57: the peer fails to take over, so this node does again, and both say so.
#[test]
fn offline_says_when_this_node_took_back() {
    let home = FakeHome::named("active");
    let output = thread::scope(|scope| {
        let typed = scope.spawn(|| cli(&home, "offline --for 5m"));
        let wish = await_wish(&home);
        assert_eq!(wish.until.since(wish.since), Duration::from_secs(300));
        home.decide(Role::Standby, AWAY, Reason::Operator);
        thread::sleep(Duration::from_millis(300));
        home.decide(Role::Active, Word::Online, Reason::PeerDead);
        typed.join().unwrap()
    });
    assert_eq!(output.status.code(), Some(75));
    assert!(text(&output.stderr).contains("no peer took over, so lb1 is active again"), "{}", text(&output.stderr));
}

/// P62: the wish of `stop --release` does not outlive it.
#[test]
fn stop_release_waits_until_all_is_down_and_takes_its_wish_back() {
    let pair = Pair::new();
    pair.cli("lb1", "start", "");
    pair.await_state("lb1", "Active");
    let stop = pair.cli("lb1", "stop --release", "");
    assert_eq!((stop.status.code(), said(&stop)), (Some(0), String::new()));
    assert_eq!(pair.running("lb1").len(), 0);
    assert!(!pair.is_up("lb1", "ipaddr") && !pair.is_up("lb1", "service"));
    pair.cli("lb1", "start", "");
    pair.await_state("lb1", "Active");
}

/// P75.
#[test]
fn a_reader_that_goes_away_is_no_error() {
    let home = FakeHome::named("active");
    let script = format!("{PROGRAM} --home {} help | head -c 1; exit ${{PIPESTATUS[0]}}", home.root().display());
    let output = Command::new("bash").args(["-c", &script]).output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
}

fn await_wish(home: &FakeHome) -> OfflineWish {
    let mut wish = None;
    await_that("a wish is written", || {
        wish = home.database().read().unwrap().operator.wishes.offline;
        wish.is_some()
    });
    wish.unwrap()
}
