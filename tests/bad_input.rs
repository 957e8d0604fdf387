//! Bad input and broken surroundings: each is answered with a clear message, the safe state, and nothing lost. Plain
//! labs, so that most of it runs as an ordinary user; what needs a small disk or an address runs in a world.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use pha_core::{Reason, Status};
use pha_lab::world::scenario;
use pha_lab::{Disk, Lab, LabOptions, Node, Onlookers, Program, Spoilt, command, home};

const SOON: Duration = Duration::from_secs(20);

/// sysexits
const SOFTWARE: i32 = 70;
const CANT_CREATE: i32 = 73;
const TEMP_FAIL: i32 = 75;
const CONFIG: i32 = 78;

/// An agent whose resource is a file outside of `var/`: up while there is a file `up` in the node's tree.
const KEEP: &str = r#"#!/bin/sh
case $1 in
start) : >"$PHA_HOME/up" ;;
stop) rm -f "$PHA_HOME/up" ;;
check) [ -e "$PHA_HOME/up" ] ;;
esac
"#;

/// A plain lab of two nodes that keep the resource of `agent`.
fn lab_with(agent: &str, lines: &[&str]) -> Result<Lab> {
    let lines = ["SUPERVISE_INT=300"].iter().chain(lines).copied();
    let lab = Lab::new(LabOptions::default().plain().resources(["RES_keep="]).config(lines))?;
    lab.nodes().iter().try_for_each(|node| home::write(&node.home().join("res/keep"), agent, 0o755))?;
    Ok(lab)
}

fn keeping() -> Result<Lab> {
    lab_with(KEEP, &[])
}

fn holds(node: &Node) -> bool {
    node.home().join("up").exists()
}

fn is_online(node: &Node) -> bool {
    node.status() == Some(Status::Online) && holds(node)
}

fn is_offline(node: &Node) -> bool {
    node.status() == Some(Status::Offline) && !holds(node)
}

/// lb1 is active and lb2 stands by.
fn start_both(lab: &Lab) -> Result<()> {
    lab.node(1).start()?;
    lab.wait(SOON, "lb1 is online", || is_online(lab.node(1)))?;
    lab.node(2).start()?;
    lab.wait(SOON, "lb2 is offline", || is_offline(lab.node(2))).map(drop)
}

/// lb1 holds the resource and lb2 does not, for so long.
fn nothing_moves(lab: &Lab, time: Duration) -> Result<()> {
    lab.stays(time, "lb1 holds it and lb2 does not", || holds(lab.node(1)) && !holds(lab.node(2)))
}

/// How `program` ended with these arguments, and what it said.
fn run(node: &Node, program: &str, arguments: &[&str]) -> Result<(Option<i32>, String)> {
    let mut command = node.command("timeout");
    let output = command::finish(command.arg("10").arg(node.home().join("bin").join(program)).args(arguments))?;
    Ok((output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned()))
}

/// Every daemon refuses to start with this exit code; all say the same, and that is returned.
fn refused(node: &Node, code: i32) -> Result<String> {
    let mut said = Vec::new();
    for program in Program::ALL {
        let (ended, text) = run(node, program.name(), &[])?;
        ensure!(ended == Some(code), "{program:?} ended with {ended:?}, not {code}: {text}");
        said.push(text.replace(&format!("{}: ", program.name()), "").trim_end().to_owned());
    }
    ensure!(said.iter().all(|text| *text == said[0]), "the daemons differ: {said:?}");
    Ok(said.remove(0))
}

fn log(node: &Node, program: &str) -> String {
    fs::read_to_string(node.home().join(format!("var/log/{program}.log"))).unwrap_or_default()
}

/// Lines of which each is wrong; the words that its message must have follow behind `|`.
const WRONG_LINES: &str = "DEBUG=2|write 0 or 1
INSTALLDIR=relative|absolute
LOGPATH=|no value
DAEMON=yes|write 0 or 1
PINGTIMEOUT=1e3|from 0.1 to 60 s
PORT=65536|from 1 to 65535
PORT=0x10|whole number
SUPERVISE_INT=0|from 100
NODES=lb1|at least two nodes
NODES=lb1 LB1|twice
GW=router|no IP address
GW=224.0.0.1|no single machine
HEARTBEAT_INT=4|from 5 to
DEADTIME=10|DEADTIME >= 2 × HEARTBEAT_INT
INITDEAD=10|INITDEAD >= DEADTIME
OFFLINE_TIME=0|from 1
ADDR_lb1=127.0.77.2|belongs to
ADDR_lb3=10.0.0.1|no node of NODES
CLUSTER=a b|no cluster name
AUTH=yes|write auto or rollout or required or off
LEASE=0.1|from 2 to 60 s
START_TIMEOUT=0|from 1
STOP_TIMEOUT=3601|to 3600
CHECK_TIMEOUT_keep=x|whole number
CHECK_TIMEOUT_nothing=1|no resource
RESTARTS=-1|whole number
RESTART_WINDOW=0|from 1
UNFIT_TIME=x|whole number
FAILBACK=1|write on or off
FAILBACK_AFTER=|no value
VARDIR=var|absolute
WITNESS=maybe|write on or off
SPLIT=safe|quorum
RES_=x|not complete
RES_nothing=x|there is no
RES_../x=1|not KEY=value
port=4711|did you mean PORT
PORT 4711|not KEY=value";

// P3, P25, P36; promise 5
#[test]
fn each_wrong_key_is_told_alike_by_check_and_every_daemon() -> Result<()> {
    let lab = keeping()?;
    let node = lab.node(1);
    let file = node.home().join("etc/config");
    let good = fs::read_to_string(&file)?;
    for (line, expected) in WRONG_LINES.lines().filter_map(|line| line.split_once('|')) {
        let key = format!("{}=", line.split('=').next().unwrap());
        let others: Vec<&str> = good.lines().filter(|other| !other.starts_with(&key)).collect();
        home::write(&file, &format!("{}\n{line}\n", others.join("\n")), 0o644)?;
        let told = refused(node, CONFIG).with_context(|| line.to_owned())?;
        ensure!(told.starts_with(&format!("{}:", file.display())) && told.contains(expected), "{line}: {told}");
        let check = node.cli(&["check"])?;
        ensure!(check.status.code() == Some(CONFIG) && check.stdout.trim_end() == told, "{line}: {}", check.stdout);
        let start = node.cli(&["start"])?;
        ensure!(start.status.code() == Some(CONFIG) && start.stderr.contains(&told), "{line}: {}", start.stderr);
    }
    ensure!(node.processes().is_empty());
    Ok(())
}

// Promise 5
#[test]
fn a_key_that_is_none_keeps_every_daemon_from_starting() -> Result<()> {
    let lab = keeping()?;
    let node = lab.node(1);
    home::write(&node.home().join("etc/authkey"), "garbage\n", 0o600)?;
    let told = refused(node, CONFIG)?;
    ensure!(told.contains("etc/authkey holds no key") && told.contains("keygen --force"), "{told}");
    Ok(())
}

// P16
#[test]
fn an_agent_that_prints_without_end_costs_neither_memory_nor_the_service() -> Result<()> {
    let flood = KEEP.replacen("case", "[ $1 = stop ] || head -c 300000000 /dev/zero\ncase", 1);
    let lab = lab_with(&flood, &["SUPERVISE_INT=2000"])?;
    let node = lab.node(1);
    node.start()?;
    lab.wait(SOON, "the node is online", || is_online(node))?;
    let status = fs::read_to_string(format!("/proc/{}/status", node.pid(Program::Supervise)?))?;
    let peak: Option<u32> =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
    ensure!(peak.context("no VmHWM")? < 32 * 1024, "{status}");
    Ok(())
}

// P2
#[test]
fn a_process_left_behind_with_the_agents_output_holds_up_nothing() -> Result<()> {
    let leaving = KEEP.replacen("start) ", "start) (while [ -d \"$PHA_HOME\" ]; do echo x; sleep 0.1; done) & ", 1);
    let lab = lab_with(&leaving, &[])?;
    let node = lab.node(1);
    node.start()?;
    lab.wait(Duration::from_secs(4), "the node is online", || is_online(node))?;
    let started = Instant::now();
    node.stop()?;
    ensure!(started.elapsed() < Duration::from_secs(2), "stopped after {:?}", started.elapsed());
    Ok(())
}

/// A start that fails as `agent` does is told with `how`, and the resource is never taken for up.
fn start_fails(agent: &str, how: &str) -> Result<()> {
    let lab = lab_with(agent, &["START_TIMEOUT=1", "CHECK_TIMEOUT=1", "STOP_TIMEOUT=1", "RESTARTS=0"])?;
    let node = lab.node(1);
    node.start()?;
    lab.wait(SOON, &format!("'{how}' is told"), || log(node, "supervise").contains(how))?;
    lab.wait(SOON, "the node is unfit", || node.reason() == Some(Reason::Unfit))?;
    let text = log(node, "supervise");
    ensure!(!text.contains("-> ONLINE"), "{text}");
    Ok(())
}

// P16
#[test]
fn an_agent_that_hangs_in_start_and_ignores_sigterm_is_killed_and_told() -> Result<()> {
    start_fails(
        "#!/bin/sh\ncase $1 in check) exit 1 ;; stop) exit 0 ;; esac\ntrap '' TERM\nwhile :; do sleep 1; done\n",
        "timed out",
    )
}

// P16
#[test]
fn an_agent_killed_by_a_signal_is_told() -> Result<()> {
    start_fails(&KEEP.replacen("start) ", "start) kill -9 $$; ", 1), "keep start failed: killed by signal 9")
}

// P16
#[test]
fn an_agent_that_stops_itself_in_a_check_is_told() -> Result<()> {
    start_fails(&KEEP.replacen("check) ", "check) kill -STOP $$; ", 1), "keep check timed out")
}

// P16
#[test]
fn what_an_agent_prints_never_comes_to_a_terminal_as_it_is() -> Result<()> {
    let evil = KEEP.replacen("start) ", "start) printf 'gone \\033[2J\\007\\377\\n' >&2; exit 1; ", 1);
    let lab = lab_with(&evil, &["RESTARTS=0"])?;
    let node = lab.node(1);
    node.start()?;
    lab.wait(SOON, "it is told", || log(node, "supervise").contains("keep start failed"))?;
    let kept = || {
        let report = node.record().supervise.report;
        report.and_then(|report| report.resources.first()?.last_error.clone()).unwrap_or_default()
    };
    lab.wait(SOON, "it is kept for the screen", || kept().contains("gone"))?;
    for text in [kept(), log(node, "supervise"), node.cli(&["status"])?.stdout, node.cli(&["explain"])?.stdout] {
        ensure!(!text.contains(['\u{1b}', '\u{7}']), "{text}");
    }
    Ok(())
}

// P6; promise 5
#[test]
fn a_second_copy_says_that_there_is_a_first() -> Result<()> {
    let lab = keeping()?;
    let node = lab.node(1);
    node.start()?;
    for program in Program::ALL {
        let pid = node.pid(program)?;
        for arguments in [&["--detach"][..], &["--foreground"]] {
            let (code, told) = run(node, program.name(), arguments)?;
            ensure!(code == Some(TEMP_FAIL), "{program:?}: {code:?}");
            ensure!(told.contains(&format!("already running with process id {pid}")), "{told}");
        }
    }
    let (code, _) = run(node, "pha-supervise", &["--resources", "stop"])?;
    ensure!(code == Some(TEMP_FAIL), "{code:?}");
    Ok(())
}

/// `pha-cli start` finds a supervise that seems to run, and runs no more when the others have started. Whether it runs then.
fn starts_beside_a_lock(node: &Node) -> Result<bool> {
    node.signal("KILL", &Program::ALL)?;
    let lock = fs::File::open(node.home().join("var/run/supervise.pid"))?;
    lock.lock()?;
    let mut start = node.command(node.home().join("bin/pha-cli")).arg("start").spawn()?;
    let began = Instant::now();
    while node.pids(Program::Receiver).is_empty() && began.elapsed() < SOON {
        std::thread::sleep(Duration::from_millis(1));
    }
    drop(lock);
    let status = start.wait()?;
    ensure!(status.success(), "{status}");
    Ok(node.pid(Program::Supervise).is_ok())
}

// P6: the child that a killed supervise was about to make an agent of still has its lock.
#[test]
fn a_supervise_that_was_killed_while_it_began_an_agent_is_started_all_the_same() -> Result<()> {
    let lab = keeping()?;
    let node = lab.node(1);
    node.start()?;
    // On a busy machine the lock may be held for longer than the start takes.
    for _ in 0..10 {
        if starts_beside_a_lock(node)? {
            return Ok(());
        }
    }
    anyhow::bail!("it was never started")
}

// P63, P64: only the lock says that a daemon runs.
#[test]
fn a_pid_file_of_somebody_else_means_nothing() -> Result<()> {
    let lab = keeping()?;
    let node = lab.node(1);
    for content in ["1\n", "garbage\n", "99999999999\n", ""] {
        for program in ["sender", "receiver", "supervise"] {
            fs::write(node.home().join(format!("var/run/{program}.pid")), content)?;
        }
        let stat = node.order(&["stat"])?;
        ensure!(stat.contains("sender:         0"), "{stat}");
        node.start()?;
        node.stop()?;
    }
    let victim = node.home().join("victim");
    fs::write(&victim, "precious")?;
    let pid_file = node.home().join("var/run/receiver.pid");
    fs::remove_file(&pid_file)?;
    std::os::unix::fs::symlink(&victim, &pid_file)?;
    let (code, told) = run(node, "pha-receiver", &[])?;
    ensure!(code == Some(CANT_CREATE) && told.contains("remove it"), "{code:?}: {told}");
    ensure!(fs::read(&victim)? == b"precious");
    Ok(())
}

#[test]
fn a_taken_port_is_told() -> Result<()> {
    let lab = keeping()?;
    let _taken = UdpSocket::bind(("127.0.77.1", lab.port()))?;
    let (code, told) = run(lab.node(1), "pha-receiver", &[])?;
    ensure!(code.is_some_and(|code| code != 0) && told.contains("is the port (PORT) taken?"), "{code:?}: {told}");
    Ok(())
}

fn kept_aside(node: &Node) -> usize {
    let entries = fs::read_dir(node.home().join("var")).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("status.dat.bad-")).count()
}

// P10; promise 5
#[test]
fn a_spoiled_database_is_kept_aside_and_moves_nothing() -> Result<()> {
    let lab = keeping()?;
    for what in [Spoilt::Empty, Spoilt::Garbage, Spoilt::Newer, Spoilt::Link] {
        lab.node(2).spoil(what, lab.node(1))?;
        ensure!(lab.node(2).cli(&["stat"])?.status.code() != Some(SOFTWARE), "{what:?}");
    }
    start_both(&lab)?;
    ensure!(kept_aside(lab.node(2)) == 1, "the spoiled file was not kept");
    for what in [Spoilt::Garbage, Spoilt::Newer, Spoilt::Truncated, Spoilt::Deleted] {
        for node in lab.nodes() {
            node.spoil(what, node)?;
        }
        nothing_moves(&lab, Duration::from_millis(1500)).with_context(|| format!("{what:?}"))?;
        lab.wait(SOON, "both are well", || is_online(lab.node(1)) && is_offline(lab.node(2)))?;
    }
    ensure!(lab.nodes().iter().all(|node| kept_aside(node) >= 3), "a spoiled file was not kept");
    Ok(())
}

#[test]
fn something_else_in_the_place_of_the_database_is_told_with_its_remedy() -> Result<()> {
    let lab = keeping()?;
    fs::create_dir_all(lab.node(1).home().join("var/status.dat"))?;
    for program in ["pha-sender", "pha-receiver"] {
        let (code, told) = run(lab.node(1), program, &[])?;
        ensure!(code == Some(CANT_CREATE) && told.contains("remove it"), "{program}: {code:?}: {told}");
        ensure!(told.contains("var/status.dat: cannot be read: Is a directory"), "{program}: {told}");
    }
    ensure!(run(lab.node(1), "pha-supervise", &[])?.0 != Some(0));
    Ok(())
}

// P10, P75
#[test]
fn run_time_files_that_are_removed_come_back_and_nothing_moves() -> Result<()> {
    let lab = keeping()?;
    start_both(&lab)?;
    let node = lab.node(1);
    let pids = Program::ALL.map(|program| node.pid(program).ok());
    let var = node.home().join("var");
    // The daemons put files back meanwhile.
    lab.wait(SOON, "everything is removed", || !var.join("log").exists() || fs::remove_dir_all(&var).is_err())?;
    nothing_moves(&lab, Duration::from_millis(1200))?;
    lab.wait(SOON, "stat sees three daemons again", || {
        let stat = node.order(&["stat"]).unwrap_or_default();
        pids.iter().flatten().all(|pid| stat.contains(&pid.to_string()))
    })?;
    ensure!(run(node, "pha-supervise", &[])?.0 == Some(TEMP_FAIL), "a second supervise started");
    node.order(&["reload"])?;
    lab.wait(SOON, "the log is there again", || log(node, "supervise").contains("reloaded"))?;
    ensure!(Program::ALL.map(|program| node.pid(program).ok()) == pids, "a daemon died");
    node.stop()
}

// P26; promise 5: who cannot be heard is not dead.
#[test]
fn a_peer_without_an_address_is_not_taken_for_dead() -> Result<()> {
    let lab = lab_with(KEEP, &["ADDR_lb2=no-such-host.invalid"])?;
    let node = lab.node(1);
    node.start()?;
    lab.wait(SOON, "the resource is known to be down", || is_offline(node))?;
    lab.stays(Duration::from_secs(4), "nothing is taken over", || !holds(node))?;
    ensure!(log(node, "receiver").contains("no-such-host.invalid cannot be resolved"), "not told");
    Ok(())
}

/// Everything that one byte can change in `datagram`, everything that is too short, too long or foreign.
fn forgeries(datagram: &[u8]) -> Vec<Vec<u8>> {
    let cut = (0..datagram.len()).map(|length| datagram[..length].to_vec());
    let changed = (0..datagram.len()).map(|index| {
        let mut changed = datagram.to_vec();
        changed[index] ^= 0x40;
        changed
    });
    let long = [[datagram, b"x"].concat(), vec![0x5a; 60_000], datagram.repeat(3)];
    cut.chain(changed).chain(long).collect()
}

// P8, P14
#[test]
fn forged_datagrams_are_counted_and_a_replay_keeps_nobody_alive() -> Result<()> {
    let lab = keeping()?;
    let (one, two) = (lab.node(1), lab.node(2));
    start_both(&lab)?;
    let stolen = {
        one.signal("KILL", &[Program::Receiver])?;
        let ear = UdpSocket::bind(("127.0.77.1", lab.port()))?;
        let mut buffer = [0; 512];
        let length = ear.recv(&mut buffer)?;
        buffer[..length].to_vec()
    };
    ensure!(run(one, "pha-receiver", &[])?.0 == Some(0));
    let receiver = one.pid(Program::Receiver)?;
    lab.wait(SOON, "lb2 is heard", || one.record().receiver_in() == Some(Status::Offline))?;
    let [peer, stranger] = ["127.0.77.2:0", "127.0.0.1:0"].map(|at| UdpSocket::bind(at).unwrap());
    let target = ("127.0.77.1", lab.port());
    let forged = forgeries(&stolen);
    let flood = Instant::now();
    for number in 0..20_000_usize {
        let from = if number % 3 == 0 { &stranger } else { &peer };
        from.send_to(&forged[number % forged.len()], target)?;
        ensure!(number % 1000 > 0 || !holds(two), "lb2 took over");
    }
    ensure!(flood.elapsed() < SOON);
    let dropped = || one.record().receiver.drops.values().sum::<u64>();
    lab.wait(SOON, "they are counted", || dropped() > 1000)?;
    ensure!(one.record().receiver_in() == Some(Status::Offline) && one.pid(Program::Receiver)? == receiver);
    nothing_moves(&lab, Duration::from_secs(1))?;
    two.signal("KILL", &Program::ALL)?;
    lab.wait(SOON, "lb2 is dead for lb1", || {
        let _ = peer.send_to(&stolen, target);
        one.record().receiver_in().is_none()
    })?;
    Ok(())
}

/// What somebody may paste, or a broken script sends.
fn hostile_lines() -> Vec<(&'static str, Vec<u8>)> {
    let mut number = 7_u32;
    let mut noise = || {
        number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (number >> 24) as u8
    };
    vec![
        ("every byte", (0..=255).collect()),
        ("zeros", vec![0; 100_000]),
        ("one huge word", vec![b'a'; 4 << 20]),
        ("one huge line of words", b"explain ".repeat(100_000)),
        ("open quotes and escapes", b"explain \"\n'\n\\\n\"\\\n\xff'\xfe\n".to_vec()),
        ("noise", (0..200_000).map(|_| noise()).collect()),
        ("many empty lines", b"\r\n\n \t\n".repeat(5000)),
    ]
}

#[test]
fn whatever_comes_through_a_pipe_to_the_prompt_ends_it_orderly_and_changes_nothing() -> Result<()> {
    let lab = keeping()?;
    let node = lab.node(1);
    let file = node.home().join("lines");
    for (what, lines) in hostile_lines() {
        fs::write(&file, lines)?;
        let mut command = node.command("timeout");
        command.arg("60").arg(node.home().join("bin/pha-cli")).stdin(fs::File::open(&file)?);
        let output = command.output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        // 124 is that of `timeout`, 101 that of a panic.
        let orderly = output.status.code().is_some_and(|code| ![101, 124, SOFTWARE].contains(&code));
        ensure!(orderly && !said.contains("panicked"), "{what}: {}: {said:.500}", output.status);
        ensure!(!node.home().join("var/status.dat").exists() && node.processes().is_empty(), "{what}: {said:.500}");
    }
    Ok(())
}

// P29–P35
#[test]
fn a_broken_configuration_is_not_reloaded() -> Result<()> {
    let lab = keeping()?;
    let node = lab.node(1);
    node.start()?;
    lab.wait(SOON, "the node is online", || is_online(node))?;
    let file = node.home().join("etc/config");
    fs::write(&file, fs::read_to_string(&file)? + "BROKEN\n")?;
    let reload = node.cli(&["reload"])?;
    ensure!(reload.status.code() == Some(CONFIG) && reload.stderr.contains("'BROKEN'"), "{}", reload.stderr);
    node.signal("HUP", &Program::ALL)?;
    for program in ["sender", "receiver", "supervise"] {
        lab.wait(SOON, "it is told", || {
            log(node, program).contains("not reloaded: ") && log(node, program).contains("BROKEN")
        })?;
    }
    lab.stays(Duration::from_secs(1), "the node is online", || is_online(node))?;
    node.stop()
}

// P42
#[test]
fn a_log_that_was_moved_or_removed_is_begun_anew_by_a_reload() -> Result<()> {
    let lab = keeping()?;
    let node = lab.node(1);
    node.start()?;
    let path = |name: &str| node.home().join("var/log").join(name);
    fs::rename(path("sender.log"), path("sender.log.1"))?;
    fs::remove_file(path("receiver.log"))?;
    node.order(&["reload"])?;
    lab.wait(SOON, "both logs are there", || path("sender.log").exists() && path("receiver.log").exists())?;
    fs::remove_dir_all(path(""))?;
    node.order(&["reload"])?;
    lab.wait(SOON, "the folder is there", || path("supervise.log").exists())?;
    fs::remove_dir_all(path(""))?;
    fs::write(node.home().join("var/log"), "in the way")?;
    node.order(&["reload"])?;
    lab.wait(SOON, "the node is online", || is_online(node))?;
    lab.stays(Duration::from_secs(1), "the node is online", || is_online(node))
}

/// Starts all daemons as the shell does after `before`, and stops them; how that ended, and what was said.
fn start_in_shell(node: &Node, before: &str) -> Result<(Option<i32>, String)> {
    let mut shell = node.command("sh");
    let script = format!("cli=$PHA_HOME/bin/pha-cli\n{before}");
    let output = command::finish(shell.arg("-c").arg(script))?;
    Ok((output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned()))
}

// P43, P75
#[test]
fn closed_streams_a_removed_folder_and_few_descriptors_do_not_matter() -> Result<()> {
    let lab = keeping()?;
    let node = lab.node(1);
    for before in [
        "\"$cli\" start <&- >&- 2>&-",
        "for p in receiver sender supervise; do \"$PHA_HOME/bin/pha-$p\" <&- >&- 2>&- || exit; done",
        "mkdir -p \"$PHA_HOME/gone\"; cd \"$PHA_HOME/gone\"; rmdir \"$PHA_HOME/gone\"; \"$cli\" start",
        "ulimit -n 20; \"$cli\" start",
    ] {
        let (code, told) = start_in_shell(node, before)?;
        ensure!(code == Some(0), "{before}: {code:?}: {told}");
        lab.wait(SOON, "the node is online", || is_online(node)).context(before)?;
        for program in Program::ALL {
            let input = fs::read_link(format!("/proc/{}/fd/0", node.pid(program)?))?;
            ensure!(input == Path::new("/dev/null"), "{before}: {program:?} reads {}", input.display());
        }
        node.stop()?;
    }
    let (code, told) = start_in_shell(node, "ulimit -n 7; \"$cli\" start")?;
    ensure!(code.is_some_and(|code| code != 0) && told.contains("ulimit -n"), "{code:?}: {told}");
    ensure!(node.processes().is_empty());
    Ok(())
}

// P62, P75
#[test]
fn a_stop_in_the_middle_of_a_start_script_ends_it() -> Result<()> {
    let slow = KEEP.replacen("start) ", "start) : >\"$PHA_HOME/starting\"; sleep 30; ", 1);
    let lab = lab_with(&slow, &[])?;
    let node = lab.node(1);
    node.start()?;
    lab.wait(SOON, "the script runs", || node.home().join("starting").exists())?;
    node.stop()?;
    lab.wait(SOON, "nothing is left behind", || node.processes().is_empty())?;
    ensure!(!holds(node) && node.status().is_none());
    Ok(())
}

#[test]
fn many_starts_and_stops_leave_nothing_behind() -> Result<()> {
    let lab = keeping()?;
    let node = lab.node(1);
    for _ in 0..25 {
        node.start()?;
        node.stop()?;
    }
    ensure!(node.processes().is_empty());
    let mut left: Vec<String> = fs::read_dir(node.home().join("var"))?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<Result<_>>()?;
    left.sort();
    ensure!(left == ["log", "run", "status.dat", "status.dat.kept", "status.dat.reserve", "status.lock"], "{left:?}");
    Ok(())
}

// P3, P27
#[test]
fn as_many_nodes_and_resources_as_are_allowed_work() -> Result<()> {
    let resources = (1..=256).map(|number| format!("RES_fault.r{number}=r{number}"));
    let lab = Lab::new(LabOptions::default().plain().resources(resources))?;
    let node = lab.node(1);
    let file = node.home().join("etc/config");
    let names: Vec<String> = (1..=16).map(|number| format!("lb{number}")).collect();
    let lines = fs::read_to_string(&file)?.replacen("NODES=lb1 lb2", &format!("NODES={}", names.join(" ")), 1);
    let paths = |id: usize| (100..108).map(|net| format!(" 127.0.{net}.{id}")).collect::<String>();
    let others: String = (3..=16).map(|id| format!("ADDR_lb{id}={}\n", paths(id))).collect();
    fs::write(&file, lines + &others)?;
    node.order(&["check"])?;
    node.start()?;
    lab.wait(6 * SOON, "all 256 are up", || node.status() == Some(Status::Online))?;
    ensure!(node.order(&["stat"])?.matches("=> 'UP'").count() == 256);
    node.stop()
}

/// Gives every node a disk of its own for `var/`, of this many KiB.
fn small_disks(lab: &Lab, size: u32) -> Result<Vec<Disk>> {
    lab.nodes().iter().map(|node| node.small_disk(size)).collect()
}

// P10, P53
#[test]
fn a_full_disk_takes_nothing_from_an_active_node() {
    scenario(LabOptions::default(), |_| {
        let lab = keeping()?;
        let _disks = small_disks(&lab, 256)?;
        start_both(&lab)?;
        let fills: Vec<PathBuf> = lab.nodes().iter().map(Node::fill_disk).collect();
        nothing_moves(&lab, Duration::from_secs(6))?;
        lab.node(1).order(&["maintenance", "on"])?;
        lab.node(1).order(&["maintenance", "off"])?;
        fills.iter().try_for_each(fs::remove_file)?;
        lab.wait(SOON, "the room is noticed", || log(lab.node(1), "supervise").contains("has room again"))?;
        nothing_moves(&lab, Duration::from_secs(1))
    });
}

// P61
#[test]
fn a_takeover_on_a_full_disk_has_its_term_on_that_disk_or_does_not_happen() {
    scenario(LabOptions::default(), |_| {
        let lab = keeping()?;
        let _disks = small_disks(&lab, 256)?;
        start_both(&lab)?;
        let two = lab.node(2);
        lab.wait(SOON, "lb2 has heard lb1's term", || two.record().receiver_in() == Some(Status::Online))?;
        let _ = two.fill_disk();
        let term = |node: &Node| node.record().supervise.report.map(|report| report.saying.term).context("no report");
        let before = term(lab.node(1))?;
        lab.node(1).crash()?;
        lab.wait(SOON, "lb2 is online", || is_online(two))?;
        ensure!(term(two)? > before, "the term is not on the disk");
        Ok(())
    });
}

// P61; promise 5
#[test]
fn without_any_room_for_the_term_nothing_is_started() {
    scenario(LabOptions::default(), |_| {
        let lab = keeping()?;
        let _disks = small_disks(&lab, 256)?;
        start_both(&lab)?;
        let two = lab.node(2);
        let reserve = two.home().join("var/status.dat.reserve");
        fs::remove_file(&reserve)?;
        fs::create_dir(&reserve)?;
        let full = two.fill_disk();
        lab.node(1).crash()?;
        fs::remove_file(lab.node(1).home().join("up"))?;
        lab.stays(Duration::from_secs(4), "lb2 starts nothing", || !holds(two))?;
        fs::remove_file(full)?;
        lab.wait(SOON, "lb2 is online", || is_online(two)).map(drop)
    });
}

#[test]
fn a_disk_that_is_full_or_read_only_at_the_start_is_told() {
    scenario(LabOptions::default(), |_| {
        let lab = keeping()?;
        let _disks = small_disks(&lab, 16)?;
        let node = lab.node(1);
        let full = node.fill_disk();
        let told = node.cli(&["start"])?;
        ensure!(told.status.code() == Some(CANT_CREATE) && told.stderr.contains("make room"), "{}", told.stderr);
        fs::remove_file(full)?;
        let _read_only = node.small_disk(16)?;
        command::run("mount", ["-o", "remount,ro", &node.home().join("var").to_string_lossy()])?;
        let told = node.cli(&["start"])?;
        ensure!(told.status.code() == Some(CANT_CREATE) && told.stderr.contains("set VARDIR"), "{}", told.stderr);
        lab.wait(SOON, "nothing is left behind", || node.processes().is_empty()).map(drop)
    });
}

/// Each daemon of the active node is stopped for a while; two never hold the address.
fn stopped_for(lab: &Lab, pauses: &[u64]) -> Result<()> {
    lab.start_all()?;
    let eyes = Onlookers::start(lab)?;
    for program in Program::ALL {
        for pause in pauses {
            let active = lab.wait_settled(SOON)?;
            lab.node(active).signal("STOP", &[program])?;
            std::thread::sleep(Duration::from_millis(*pause));
            lab.node(active).signal("CONT", &[program])?;
            eyes.never_saw_two().with_context(|| format!("{program:?} was stopped for {pause} ms"))?;
        }
    }
    lab.wait_settled(SOON)?;
    eyes.never_saw_two()
}

// Promise 1
#[test]
fn two_never_hold_the_address_when_a_daemon_of_the_active_is_stopped_for_a_moment() {
    scenario(LabOptions::default(), |lab| stopped_for(lab, &[300, 1000]));
}

// Promises 1 and 3
#[test]
fn two_never_hold_the_address_when_a_daemon_of_the_active_is_stopped_for_5_s() {
    scenario(LabOptions::default(), |lab| stopped_for(lab, &[5000]));
}

// Only boot time decides; the wall clock is for people, and for a sender's incarnation, which may only grow.
#[test]
fn no_daemon_asks_for_the_time_of_day() -> Result<()> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for krate in ["pha-core", "pha-wire", "pha-daemon", "pha-receiver", "pha-supervise"] {
        let found = command::finish(
            std::process::Command::new("grep")
                .args(["-rnE", "SystemTime|Timestamp|Zoned"])
                .arg(crates.join(krate).join("src")),
        )?;
        ensure!(found.stdout.is_empty(), "{}", String::from_utf8_lossy(&found.stdout));
    }
    Ok(())
}
