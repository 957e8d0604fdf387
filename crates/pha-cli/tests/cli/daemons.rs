//! Starting and stopping, with stand-ins for the daemons that hold their pid files as the real ones do.

use std::fs;
use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};

use crate::PROGRAM;
use crate::homes::{AWAY, FakeHome, peer};
use pha_core::report::Liveness;
use pha_core::{Reason, Role, Word};
use pha_sys::pidfile;

fn cli(home: &FakeHome, words: &str) -> Output {
    let mut command = Command::new(PROGRAM);
    command.args(["--home".as_ref(), home.root().as_os_str()]).args(["--node", "lb1"]).args(words.split_whitespace());
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn running(home: &FakeHome) -> Vec<u32> {
    let pid = |program| pidfile::running(&home.root().join(format!("var/run/{program}.pid")));
    ["sender", "receiver", "supervise"].into_iter().filter_map(pid).collect()
}

fn perl_is_missing() -> bool {
    let missing = Command::new("perl").arg("-v").output().is_err();
    if missing {
        eprintln!("skipped: the stand-ins need perl");
    }
    missing
}

/// P50, P51, P63, P64.
#[test]
fn start_prints_nothing_and_stop_ends_all_three() {
    if perl_is_missing() {
        return;
    }
    let home = FakeHome::empty();
    let start = cli(&home, "start");
    assert_eq!(
        (start.status.code(), text(&start.stdout), text(&start.stderr)),
        (Some(0), String::new(), String::new())
    );
    let pids = running(&home);
    assert_eq!(pids.len(), 3);
    let stat = text(&cli(&home, "stat").stdout);
    for pid in &pids {
        assert!(stat.contains(&format!(" {pid}\n")), "{pid} in {stat}");
    }
    let again = cli(&home, "start");
    assert_eq!((again.status.code(), text(&again.stderr)), (Some(0), "pha-cli: already running\n".to_owned()));
    assert_eq!(running(&home), pids);
    let stop = cli(&home, "stop");
    assert_eq!((stop.status.code(), text(&stop.stdout), text(&stop.stderr)), (Some(0), String::new(), String::new()));
    assert_eq!(running(&home), Vec::<u32>::new());
    assert!(text(&cli(&home, "stat").stdout).ends_with("sender:         0\nreceiver:       0\nsupervise:      0\n"));
}

/// P69: the old names of single daemons.
#[test]
fn one_daemon_is_started_and_stopped_alone() {
    if perl_is_missing() {
        return;
    }
    let home = FakeHome::empty();
    assert!(cli(&home, "re_sta").status.success());
    assert_eq!(running(&home).len(), 1);
    assert!(cli(&home, "re_sto").status.success());
    assert_eq!(running(&home).len(), 0);
    assert_eq!(text(&cli(&home, "re_stop").stderr), "pha-cli: pha-receiver does not run here\n");
}

#[test]
fn a_daemon_that_refuses_fails_the_start_with_its_exit_code() {
    if perl_is_missing() {
        return;
    }
    let home = FakeHome::empty();
    fs::write(home.root().join("var/refuse-supervise"), "").unwrap();
    let start = cli(&home, "start");
    assert_eq!(start.status.code(), Some(77));
    let told = text(&start.stderr);
    assert!(
        told.contains("pha-supervise: refused for the test\n")
            && told.contains("did not start (exit code 77); its log is "),
        "{told}"
    );
    cli(&home, "stop");
}

/// P62, P67.
#[test]
fn stopping_an_active_node_warns_that_its_resources_stay() {
    if perl_is_missing() {
        return;
    }
    let home = FakeHome::empty();
    cli(&home, "start");
    home.decide(Role::Active, Word::Online, Reason::Active);
    let stop = cli(&home, "stop");
    assert_eq!(stop.status.code(), Some(0));
    assert!(
        text(&stop.stderr).starts_with("pha-cli: lb1 is active: its resources are left running"),
        "{}",
        text(&stop.stderr)
    );
}

/// P65: the agents run at once, and the peers are told when nothing is up any more.
#[test]
fn res_stop_without_daemons_runs_the_agents_and_says_farewell() {
    if perl_is_missing() {
        return;
    }
    let home = FakeHome::empty();
    assert!(cli(&home, "res stop").status.success());
    let calls = fs::read_to_string(home.root().join("var/log/calls")).unwrap();
    let root = home.root().display();
    assert_eq!(
        calls,
        format!(
            "pha-supervise --home {root} --node lb1 --resources stop\npha-sender --home {root} --node lb1 --farewell\n"
        )
    );
}

/// P57–P60.
#[test]
fn offline_waits_for_the_peer_and_says_how_long_it_took() {
    let home = FakeHome::named("active");
    let output = thread::scope(|scope| {
        let typed = scope.spawn(|| cli(&home, "offline --for 5m"));
        let wish = await_wish(&home);
        assert_eq!(wish.until.since(wish.since), Duration::from_secs(300));
        home.decide(Role::Standby, AWAY, Reason::Operator);
        home.receive(peer(Liveness::Alive, Word::Online));
        typed.join().unwrap()
    });
    let told = text(&output.stdout);
    assert!(told.starts_with("switched over to lb2 in ") && told.ends_with(" ms\n"), "{told}{}", text(&output.stderr));
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn offline_says_when_this_node_took_back() {
    let home = FakeHome::named("active");
    let output = thread::scope(|scope| {
        let typed = scope.spawn(|| cli(&home, "offline"));
        await_wish(&home);
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
    if perl_is_missing() {
        return;
    }
    let home = FakeHome::empty();
    cli(&home, "start");
    home.decide(Role::Active, Word::Online, Reason::Active);
    let output = thread::scope(|scope| {
        let typed = scope.spawn(|| cli(&home, "stop --release"));
        assert!(await_wish(&home).force);
        assert_eq!(running(&home).len(), 3);
        home.decide(Role::Standby, AWAY, Reason::Operator);
        typed.join().unwrap()
    });
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
    assert_eq!(running(&home).len(), 0);
    assert_eq!(home.database().read().unwrap().operator.wishes.offline, None);
}

/// P75.
#[test]
fn a_reader_that_goes_away_is_no_error() {
    let home = FakeHome::named("active");
    let script = format!("{PROGRAM} --home {} help | head -c 1; exit ${{PIPESTATUS[0]}}", home.root().display());
    let output = Command::new("bash").args(["-c", &script]).output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
}

fn await_wish(home: &FakeHome) -> pha_core::report::OfflineWish {
    let begin = Instant::now();
    loop {
        if let Some(wish) = home.database().read().unwrap().operator.wishes.offline {
            return wish;
        }
        assert!(begin.elapsed() < Duration::from_secs(10), "no wish was written");
        thread::sleep(Duration::from_millis(2));
    }
}
