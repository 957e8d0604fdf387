//! A private world: mount, network and process namespaces that vanish with the process that made them.
//!
//! As root they are plain namespaces, for an ordinary user they lie in a user namespace. `unshare(2)` fails in a
//! program with threads, so the world is entered by running a program anew under `unshare(1)`:
//!
//! ```text
//! sh ── setpriv --pdeathsig, becomes unshare --kill-child ── sh (pid 1, reaps) ── the program
//! ```
//!
//! Whichever of them dies, also by `kill -9`, takes the rest with it: the parent-death signal reaches `unshare`, its
//! child is the first process of a process namespace, and the kernel ends that namespace with it.

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::{Condvar, Mutex, PoisonError};

use anyhow::{Context, Result, bail};

use crate::command;
use crate::lab::{Lab, LabOptions};

/// Set inside a world.
const MARK: &str = "PHA_LAB_WORLD";

/// If set, names a file to which every skipped test adds a line `NAME: REASON`.
const SKIPS: &str = "PHA_LAB_SKIPS";

/// How a line about a skipped test begins.
const SKIPPED: &str = "SKIPPED";

/// Where a world keeps its files: a tmpfs that only this world sees.
pub const ROOT: &str = "/run";

/// Worlds that tests of one program run at a time.
const AT_ONCE: usize = 3;

/// Ends with the status of the program it wraps, which keeps the terminal (file 3) as standard input.
const FIRST_PROCESS: &str = r#"exec 3<&0
"$@" <&3 3<&- &
trap 'exit 143' TERM
wait $!"#;

/// Whether the terminal's Ctrl-C ends the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CtrlC {
    /// It does.
    Ends,
    /// The program inside reads it as a key.
    Ignored,
}

/// How long a world may live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    /// As long as the program inside.
    Own,
    /// Not longer than the thread that started it.
    OfCaller,
}

/// Whether this process is inside a world.
#[must_use]
pub fn inside() -> bool {
    std::env::var_os(MARK).is_some()
}

/// The command that runs `program` in a new world.
fn wrapped(program: &OsStr, ctrl_c: CtrlC, life: Life) -> Command {
    let mut words = vec!["setpriv", "--pdeathsig", "KILL", "unshare"];
    if command::run("id", ["-u"]).is_ok_and(|id| id.trim() != "0") {
        words.extend(["--user", "--map-root-user"]);
    }
    words.extend(["--mount", "--net", "--pid", "--mount-proc", "--fork", "--kill-child"]);
    let ignore = if ctrl_c == CtrlC::Ignored { "trap '' INT; " } else { "" };
    let mut command = Command::new("setpriv");
    // Who becomes the world must not depend on who called; who only started it must.
    if life == Life::OfCaller {
        command.args(["--pdeathsig", "KILL"]);
    }
    command.args(["--", "sh", "-c", &format!("{ignore}\"$@\"; exit $?"), "world"]).args(words);
    command.args(["sh", "-c", &format!("{ignore}{FIRST_PROCESS}"), "first"]).arg(program);
    command.env(MARK, "1");
    command
}

/// Whether a world can be made here, and if not, why. Tries everything that a lab needs first.
pub fn available() -> Result<()> {
    for program in ["ip", "unshare", "setpriv"] {
        if !command::exists(program) {
            bail!("`{program}` is not installed (packages iproute2, util-linux)");
        }
    }
    let script = "mount -t tmpfs pha /run && ip link add br0 type bridge && ip netns add try \
                  && ip link add v0 type veth peer name eth0 netns try && ip netns exec try true";
    let mut command = wrapped(OsStr::new("sh"), CtrlC::Ends, Life::OfCaller);
    let output = command::finish(command.args(["-c", script]))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    bail!("namespaces cannot be made here: {}", text.lines().next().unwrap_or("no reason given").trim())
}

/// Becomes this same program, with the same arguments, in a new world. Returns only if that fails.
pub fn enter(ctrl_c: CtrlC) -> anyhow::Error {
    match std::env::current_exe() {
        Ok(program) => {
            let error = wrapped(program.as_os_str(), ctrl_c, Life::Own).args(std::env::args_os().skip(1)).exec();
            anyhow::Error::new(error).context("the world cannot be entered")
        }
        Err(error) => anyhow::Error::new(error).context("this program's own file is not known"),
    }
}

/// Makes a fresh world usable: its own `/run`, its own loopback.
pub fn furnish() -> Result<()> {
    command::run("mount", ["-t", "tmpfs", "-o", "mode=755", "pha-lab", ROOT])?;
    command::ip("link set lo up")?;
    Ok(())
}

/// Runs `scenario` with a lab in a world of its own; the body of a node test.
///
/// `scenario` must be a closure written inside the test function itself: the test's name is taken from the closure's
/// type. The test starts its own program again, in a world, for this one test. Where no world can be made the test is
/// skipped: the reason goes to standard error and to the file named by `PHA_LAB_SKIPS`.
///
/// # Panics
/// When the scenario fails; the message tells what every node last thought and logged.
pub fn scenario<F: FnOnce(&mut Lab) -> Result<()>>(options: LabOptions, scenario: F) {
    if inside() {
        let result = furnish()
            .and_then(|()| Lab::new(options))
            .and_then(|mut lab| scenario(&mut lab).map_err(|error| anyhow::anyhow!("{error:#}\n{}", lab.story())));
        if let Err(error) = result {
            panic!("{error:#}");
        }
        return;
    }
    let name = test_name(std::any::type_name::<F>());
    if let Err(reason) = available() {
        skip(&name, &format!("{reason:#}"));
        return;
    }
    let _place = Place::take();
    let output = run_test(&name).unwrap_or_else(|error| panic!("{error:#}"));
    assert!(output.status.success(), "{name} failed in its world ({}):\n{}", output.status, text_of(&output));
    let said = String::from_utf8_lossy(&output.stderr);
    said.lines().filter(|line| line.starts_with(SKIPPED)).for_each(tell);
}

/// Says visibly that the test `name`, or a part of it, is skipped and why.
pub fn skip(name: &str, reason: &str) {
    tell(&format!("{SKIPPED} {name}: {reason}"));
    if let Some(file) = std::env::var_os(SKIPS) {
        let open = std::fs::OpenOptions::new().append(true).create(true).open(file);
        let _ = open.and_then(|mut file| writeln!(file, "{name}: {reason}"));
    }
}

/// Not `eprintln!`: the test harness swallows that.
fn tell(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// `crate::module::test::{{closure}}` → `module::test`.
fn test_name(closure: &str) -> String {
    let path = closure.trim_end_matches("::{{closure}}");
    path.split_once("::").map_or(path, |(_, rest)| rest).to_owned()
}

fn run_test(name: &str) -> Result<std::process::Output> {
    let program = std::env::current_exe().context("the test's own file is not known")?;
    let mut command = wrapped(program.as_os_str(), CtrlC::Ends, Life::OfCaller);
    command.args(["--exact", name, "--nocapture", "--test-threads=1"]).stdin(Stdio::null());
    command.output().context("the world cannot be started")
}

/// Indented, so that nobody takes the inner test's results for the outer one's.
fn text_of(output: &std::process::Output) -> String {
    let text = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    String::from_utf8_lossy(&text).lines().map(|line| format!("  | {line}\n")).collect()
}

/// One of the few places for worlds that run at the same time.
struct Place;

static TAKEN: Mutex<usize> = Mutex::new(0);
static FREED: Condvar = Condvar::new();

impl Place {
    fn take() -> Self {
        let taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken = FREED.wait_while(taken, |taken| *taken >= AT_ONCE).unwrap_or_else(PoisonError::into_inner);
        *taken += 1;
        Self
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        *TAKEN.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        FREED.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_is_found_by_the_type_of_its_closure() {
        assert_eq!(test_name("start::a_node_starts::{{closure}}"), "a_node_starts");
        assert_eq!(test_name("start::order::a_node_starts::{{closure}}"), "order::a_node_starts");
    }

    #[test]
    fn the_exit_status_of_the_program_inside_comes_out() {
        if let Err(reason) = available() {
            skip("the_exit_status_of_the_program_inside_comes_out", &reason.to_string());
            return;
        }
        let status = wrapped(OsStr::new("sh"), CtrlC::Ends, Life::OfCaller).args(["-c", "exit 7"]).status();
        assert_eq!(status.ok().and_then(|s| s.code()), Some(7));
    }
}
