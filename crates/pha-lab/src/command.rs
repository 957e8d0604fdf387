//! Running other programs: `ip`, `mount`, `kill` and friends.
//!
//! Each helper waits for the end and turns a failure into an error that names the command and what it said.

use std::ffi::OsStr;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// Runs `program` and returns what it wrote to standard output. Anything but exit status 0 is an error.
pub fn run<S: AsRef<OsStr>>(program: &str, arguments: impl IntoIterator<Item = S>) -> Result<String> {
    let mut command = Command::new(program);
    command.args(arguments);
    let output = finish(&mut command)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    bail!("{command:?}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim())
}

/// `ip` with the words of `line` as arguments.
pub fn ip(line: &str) -> Result<String> {
    run("ip", line.split_whitespace())
}

/// Whether `program` can be found in `PATH` or the usual system directories.
#[must_use]
pub fn exists(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(Into::into))
        .any(|dir| dir.join(program).is_file())
}

/// Sends `signal` (`KILL`, `STOP`, `CONT`, `TERM`) to every process; those that have gone already are no error. After
/// `KILL` it returns when they are gone.
pub fn signal(signal: &str, pids: &[u32]) -> Result<()> {
    if pids.is_empty() {
        return Ok(());
    }
    // The shell's own `kill` goes on after a pid that is gone.
    let list = pids.iter().map(u32::to_string).collect::<Vec<_>>().join(" ");
    let script = format!("for p in {list}; do kill -{signal} $p; done 2>/dev/null; exit 0");
    run("sh", ["-c", &script])?;
    // A killed process still holds its locks and ports until the kernel has taken it apart.
    for _ in 0..if signal == "KILL" { 2000 } else { 0 } {
        if !pids.iter().any(|pid| is_alive(*pid)) {
            break;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// Whether a process is there, and not all of its threads are zombies: the last one closes its files.
fn is_alive(pid: u32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    threads.into_iter().any(|thread| {
        let stat = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        // `PID (NAME) STATE …`, and the name may hold anything.
        stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
    })
}

/// Runs a prepared command with captured output.
pub fn finish(command: &mut Command) -> Result<Output> {
    command.stdin(Stdio::null()).output().with_context(|| format!("{command:?} cannot be run"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_command_is_an_error_that_says_why() {
        let error = run("sh", ["-c", "echo sorry >&2; exit 3"]).map_or_else(|e| e.to_string(), |_| String::new());
        assert!(error.contains("sorry") && error.contains('3'), "{error}");
    }

    #[test]
    fn programs_are_found_or_not() {
        assert!(exists("sh"));
        assert!(!exists("no-such-program-anywhere"));
    }

    #[test]
    fn a_process_that_has_gone_is_no_error_for_a_signal() {
        assert!(signal("KILL", &[u32::MAX / 2]).is_ok());
        assert!(signal("KILL", &[]).is_ok());
    }

    #[test]
    fn after_a_kill_the_process_is_gone() -> Result<()> {
        let mut child = Command::new("sleep").arg("600").spawn()?;
        assert!(is_alive(child.id()));
        signal("KILL", &[child.id()])?;
        assert!(!is_alive(child.id()));
        child.wait()?;
        Ok(())
    }
}
