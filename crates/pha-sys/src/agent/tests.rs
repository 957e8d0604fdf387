//! Real children: short shell scripts.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use super::*;
use crate::clock::boot_time;
use crate::poll;
use std::fs;
use std::thread;
use std::time::Instant;

const LONG: Duration = Duration::from_secs(60);

fn call(script: &str, limit: Duration) -> AgentCall {
    AgentCall {
        program: "/bin/sh".into(),
        arguments: vec!["-c".into(), script.into(), "agent".into(), "an argument".into()],
        environment: vec![("PHA_NODE".into(), "lb1".into())],
        limit,
        dies_with_caller: false,
        note: None,
    }
}

fn start(script: &str, limit: Duration) -> RunningAgent {
    RunningAgent::start(call(script, limit), &Writer::at_once(), boot_time()).unwrap()
}

/// Drives one call as a loop without a signal descriptor would.
fn finish(agent: &mut RunningAgent) -> Finished {
    let start = Instant::now();
    while start.elapsed() < LONG {
        if let Some(finished) = agent.advance(boot_time()) {
            return finished;
        }
        let fds: Vec<_> = agent.fd().into_iter().collect();
        poll::wait(&fds, Some(Duration::from_millis(2))).unwrap();
    }
    panic!("the agent does not finish");
}

fn run(script: &str, limit: Duration) -> Finished {
    finish(&mut start(script, limit))
}

/// Waits for an agent's first words.
fn await_output(agent: &mut RunningAgent) {
    poll::wait(&[agent.fd().unwrap()], Some(LONG)).unwrap();
    assert!(agent.advance(boot_time()).is_none());
}

fn is_alive(pid: &str) -> bool {
    let state = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    state.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(" Z"))
}

fn dies(pid: &str) -> bool {
    let start = Instant::now();
    while is_alive(pid) && start.elapsed() < Duration::from_secs(10) {
        thread::sleep(Duration::from_millis(2));
    }
    !is_alive(pid)
}

// P40, P41: the exit status alone decides; arguments are passed without a shell.
#[test]
fn the_exit_code_the_output_and_the_environment_come_through() {
    let finished = run("echo \"$1 $PHA_NODE $PWD\"; echo err >&2; cat; exit 7", LONG);
    assert_eq!(finished.outcome, Outcome::Exited(7));
    assert_eq!(finished.output, "an argument lb1 /\nerr\n");
    assert!(finished.leftover.is_none());
    assert!(finished.duration < LONG);
}

#[test]
fn a_signal_that_is_not_ours_is_told_as_such() {
    for number in [9, 34] {
        assert_eq!(run(&format!("kill -{number} $$"), LONG).outcome, Outcome::Signalled(number));
    }
}

#[test]
fn a_program_that_cannot_be_executed_has_ended_with_the_reason() {
    let plain_file = tempfile::NamedTempFile::new().unwrap();
    for (program, error) in [("/no/such/agent".into(), Errno::ENOENT), (plain_file.path().to_owned(), Errno::EACCES)] {
        let call = AgentCall { program, ..call("", LONG) };
        let mut agent = RunningAgent::start(call, &Writer::at_once(), boot_time()).unwrap();
        assert_eq!(finish(&mut agent).outcome, Outcome::NotExecuted(error as i32));
    }
}

/// A thread that can begin nothing before it is thawed.
fn frozen_starter() -> (Writer, mpsc::Sender<()>) {
    let starter = Writer::start("test").unwrap();
    let (thaw, frozen) = mpsc::channel();
    assert!(starter.take(move || frozen.recv().unwrap()));
    (starter, thaw)
}

#[test]
fn nobody_waits_until_a_child_has_begun_and_what_it_is_told_meanwhile_comes_through() {
    let (starter, thaw) = frozen_starter();
    let begin = |script: &str| RunningAgent::start(call(script, LONG), &starter, boot_time()).unwrap();
    let (mut patient, mut asked) = (begin("exit 3"), begin("sleep 1000"));
    asked.cancel(boot_time());
    for agent in [&mut patient, &mut asked] {
        assert!(agent.advance(boot_time()).is_none());
        assert_eq!(agent.pid(), None);
    }
    thaw.send(()).unwrap();
    let outcomes = [&mut patient, &mut asked].map(|agent| finish(agent).outcome);
    assert_eq!(outcomes, [Outcome::Exited(3), Outcome::Cancelled]);
}

#[test]
fn a_call_that_cannot_begin_keeps_its_limit_and_never_begins_later() {
    let (starter, thaw) = frozen_starter();
    let dir = tempfile::tempdir().unwrap();
    let note = CallNote::new(dir.path().join("began"), Writer::at_once());
    let noted = || AgentCall { note: Some(note.clone()), ..call("sleep 1000", LONG) };
    let begin = || RunningAgent::start(noted(), &starter, boot_time()).unwrap();
    let (mut limited, mut killed, dropped) = (begin(), begin(), begin());
    let limit = limited.next_deadline().unwrap();
    assert!(limited.advance(limit).is_none());
    assert_eq!(limited.advance(limit + GRACE).unwrap().outcome, Outcome::TimedOut);
    killed.kill();
    assert_eq!(killed.advance(boot_time()).unwrap().outcome, Outcome::Cancelled);
    drop(dropped);
    let mut last = RunningAgent::start(call("exit 0", LONG), &starter, boot_time()).unwrap();
    thaw.send(()).unwrap();
    assert_eq!(finish(&mut last).outcome, Outcome::Exited(0));
    assert!(fs::read_dir(dir.path()).unwrap().next().is_none(), "one of them began");
}

#[test]
fn a_process_that_nobody_takes_on_is_killed() {
    let agent = start("sleep 1000", LONG);
    let Process::Begins(begins, _) = &agent.process else { panic!("it was taken on") };
    let begun = begins.try_recv().unwrap().unwrap();
    let pid = begun.0.unwrap().to_string();
    assert!(is_alive(&pid));
    drop(begun);
    assert!(dies(&pid));
}

#[test]
fn an_agent_over_its_limit_is_asked_to_end_and_may_clean_up() {
    let finished = run("trap 'echo cleaned; exit 0' TERM; sleep 60 & wait", Duration::from_millis(100));
    assert_eq!(finished.outcome, Outcome::TimedOut);
    assert_eq!(finished.output, "cleaned\n");
    assert!(finished.duration >= Duration::from_millis(100) && finished.duration < GRACE);
}

#[test]
fn an_agent_that_ignores_the_request_is_killed_with_all_its_children() {
    let mut agent = start("trap '' TERM; sleep 1000 & echo $!; wait; wait", LONG);
    await_output(&mut agent);
    // Time is an argument, so nobody has to wait for it.
    let limit = agent.next_deadline().unwrap();
    assert!(agent.advance(limit).is_none());
    assert_eq!(agent.next_deadline(), Some(limit + GRACE));
    thread::sleep(Duration::from_millis(50));
    assert!(agent.advance(limit + GRACE / 2).is_none());
    assert!(agent.advance(limit + GRACE).is_none());
    assert_eq!(agent.next_deadline(), None);
    let finished = finish(&mut agent);
    assert_eq!(finished.outcome, Outcome::TimedOut);
    assert!(dies(&finished.output));
}

#[test]
fn cancelling_ends_the_group_once_and_keeps_its_deadline() {
    let mut agent = start("sleep 1000 & echo $!; wait", LONG);
    await_output(&mut agent);
    let now = boot_time();
    agent.cancel(now);
    agent.cancel(now + Duration::from_secs(1));
    assert_eq!(agent.next_deadline(), Some(now + GRACE));
    let finished = finish(&mut agent);
    assert_eq!(finished.outcome, Outcome::Cancelled);
    assert!(dies(&finished.output));
}

#[test]
fn a_child_that_outlives_its_cancelled_leader_is_killed_before_the_end_is_told() {
    let mut agent = start("trap '' TERM; (sleep 1000; sleep 1000) & trap - TERM; echo $!; wait", LONG);
    await_output(&mut agent);
    let now = boot_time();
    agent.cancel(now);
    thread::sleep(Duration::from_millis(50));
    assert!(agent.advance(now + GRACE / 2).is_none());
    let start = Instant::now();
    let finished = loop {
        if let Some(finished) = agent.advance(now + GRACE) {
            break finished;
        }
        assert!(start.elapsed() < LONG);
    };
    assert!(dies(&finished.output));
}

#[test]
fn killing_ends_a_stopped_agent_at_once_and_dropping_kills_too() {
    let mut agent = start("kill -STOP $$", LONG);
    agent.kill();
    assert_eq!(finish(&mut agent).outcome, Outcome::Cancelled);
    let mut agent = start("echo $$; sleep 1000", LONG);
    await_output(&mut agent);
    let pid = agent.pid().unwrap().to_string();
    drop(agent);
    assert!(dies(&pid));
}

#[test]
fn a_torrent_of_output_costs_neither_memory_nor_the_loop() {
    let mut agent = start("head -c 100000000 /dev/zero | tr '\\0' 'x'", LONG);
    let mut longest = Duration::ZERO;
    let finished = loop {
        let start = Instant::now();
        let finished = agent.advance(boot_time());
        longest = longest.max(start.elapsed());
        assert!(agent.output.kept() <= output::LONGEST_TEXT);
        match finished {
            Some(finished) => break finished,
            None => drop(poll::wait(&agent.fd().into_iter().collect::<Vec<_>>(), Some(Duration::from_millis(2)))),
        }
    };
    assert_eq!(finished.outcome, Outcome::Exited(0));
    assert!(finished.output.ends_with("… 99995944 bytes more"), "{}", &finished.output[4000..]);
    assert!(longest < Duration::from_millis(500), "{longest:?}");
}

#[test]
fn a_process_left_behind_neither_delays_the_end_nor_dies_of_its_pipe() {
    let mut agent = start("(while sleep 0.01; do echo alive || exit; done) & echo $!", LONG);
    let finished = finish(&mut agent);
    assert_eq!(finished.outcome, Outcome::Exited(0));
    let pid = finished.output.lines().next().unwrap().to_owned();
    let mut lingering = Lingering::default();
    lingering.add(finished.leftover.unwrap());
    for _ in 0..20 {
        poll::wait(&lingering.fds(), Some(LONG)).unwrap();
        lingering.drain();
    }
    assert!(is_alive(&pid));
    drop(lingering);
    drop(agent);
    assert!(dies(&pid));
}

#[test]
fn an_agent_that_closes_its_output_is_still_waited_for() {
    let mut agent = start("exec >&- 2>&-; sleep 0.1; exit 3", LONG);
    let finished = finish(&mut agent);
    assert_eq!(agent.fd().map(|_| ()), None);
    assert_eq!(finished.outcome, Outcome::Exited(3));
}

#[test]
fn the_child_inherits_no_blocked_or_ignored_signal_and_no_descriptor() {
    let _signals = crate::signals::Signals::new().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let _lock = crate::lock::LockFile::try_lock(&dir.path().join("lock"), 0o600).unwrap().unwrap();
    let finished = run("grep -E '^Sig(Blk|Ign)' /proc/self/status; ls -l /proc/$$/fd", LONG);
    let set = |name: &str| {
        let mask = finished.output.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        u64::from_str_radix(mask.trim(), 16).unwrap()
    };
    assert_eq!(set("SigBlk:"), 0);
    // Of the ignored ones only the 31 with a name: the C library keeps two of the others for itself.
    assert_eq!(set("SigIgn:") & 0x7fff_ffff, 0, "{}", finished.output);
    assert!(!finished.output.contains("lock"), "{}", finished.output);
}
