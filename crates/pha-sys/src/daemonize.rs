//! Detach from the terminal: the only file that names the `daemonize` crate.
//!
//! The program that was called stays until the daemon is ready, and ends with the daemon's own verdict: whoever
//! starts a daemon learns whether it runs, on the terminal and as an exit code. Until that moment the daemon keeps
//! the terminal as its standard error. Afterwards it has its own session, nothing open that it inherited, and no way
//! to be ended by the terminal (P75).
//!
//! ```text
//!   caller ──fork──▶ session leader ──fork──▶ daemon ── … takes its port, its files … ── Ready::tell
//!     └──────────── waits for one byte, the exit code, through a pipe ◀──────────────────────┘
//! ```

use std::fs::{self, File};
use std::io::{self, PipeReader, PipeWriter, Read as _, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, RawFd};
use std::path::Path;
use std::process;
use std::time::Duration;

use nix::libc;
use nix::unistd::{dup2_stderr, dup2_stdin, dup2_stdout};

use crate::{exit, poll};

/// How long the caller waits for a daemon that neither gets ready nor fails.
const START_PATIENCE: Duration = Duration::from_secs(60);

/// The duty to say how the start went. Dropping it unsaid tells the caller [`exit::SOFTWARE`].
#[derive(Debug)]
#[must_use = "the caller waits for `tell` or `fail`"]
pub struct Ready {
    /// `None` in the foreground: nobody waits.
    caller: Option<Caller>,
}

#[derive(Debug)]
struct Caller {
    verdict: PipeWriter,
    null: File,
}

/// Becomes a daemon that works in `work_dir`, with umask 022.
///
/// Only the daemon returns from this; the calling process ends with the code the daemon reports, with
/// [`exit::SOFTWARE`] if the daemon dies without a word, or with [`exit::TEMP_FAIL`] after 60 s of silence.
/// Call it before the first thread, file and socket: every descriptor above 2 is closed.
///
/// # Errors
/// If no process can be created or `work_dir` cannot be entered. The caller, if it is another process by then,
/// ends with [`exit::OS_ERR`].
pub fn detach(work_dir: &Path) -> io::Result<Ready> {
    let null = File::options().read(true).write(true).open("/dev/null")?;
    let (answer, verdict) = io::pipe()?;
    let work_dir = fs::canonicalize(work_dir)?;
    let daemon = daemonize::Daemonize::new().working_directory(work_dir).umask(0o022).stderr(daemonize::Stdio::keep());
    match daemon.execute() {
        daemonize::Outcome::Parent(Ok(_)) => {
            drop(verdict);
            process::exit(await_verdict(answer));
        }
        daemonize::Outcome::Parent(Err(error)) => Err(io::Error::other(error)),
        daemonize::Outcome::Child(Ok(_)) => {
            drop(answer);
            close_inherited(&[verdict.as_raw_fd(), null.as_raw_fd()])?;
            Ok(Ready { caller: Some(Caller { verdict, null }) })
        }
        daemonize::Outcome::Child(Err(error)) => {
            report(verdict, exit::OS_ERR);
            Err(io::Error::other(error))
        }
    }
}

impl Ready {
    /// For a program that stays in the foreground: saying it has no effect, standard error stays.
    pub fn foreground() -> Self {
        Ready { caller: None }
    }

    /// The daemon works: lets go of the terminal and ends the caller with [`exit::OK`].
    pub fn tell(self) {
        if let Some(Caller { verdict, null }) = self.caller {
            // The terminal first, so that a caller's end means that it is free. These cannot fail: both ends are open.
            let _ = dup2_stdin(&null).and(dup2_stdout(&null)).and(dup2_stderr(&null));
            report(verdict, exit::OK);
        }
    }

    /// The start failed: ends the caller and this process with `code`. Say why on standard error first.
    pub fn fail(self, code: i32) -> ! {
        if let Some(Caller { verdict, .. }) = self.caller {
            report(verdict, code);
        }
        process::exit(code)
    }
}

/// Codes that do not fit an exit status are told as [`exit::SOFTWARE`]. A caller that is gone needs no answer.
fn report(mut verdict: PipeWriter, code: i32) {
    let code = u8::try_from(code).unwrap_or(exit::SOFTWARE as u8);
    let _ = verdict.write_all(&[code]);
}

fn await_verdict(mut answer: PipeReader) -> i32 {
    let start = crate::clock::boot_time();
    let mut code = [0];
    loop {
        let left = START_PATIENCE.saturating_sub(crate::clock::boot_time().saturating_sub(start));
        match poll::wait(&[answer.as_fd()], Some(left)).as_deref() {
            Ok([true]) => break,
            Ok(_) if !left.is_zero() => {}
            _ => return exit::TEMP_FAIL,
        }
    }
    match answer.read(&mut code) {
        Ok(1) => i32::from(code[0]),
        _ => exit::SOFTWARE,
    }
}

/// Closes what the daemon inherited beyond the three standard streams, except `kept`.
fn close_inherited(kept: &[RawFd]) -> io::Result<()> {
    let mut open: Vec<RawFd> = Vec::new();
    for entry in fs::read_dir("/proc/self/fd")? {
        open.extend(entry?.file_name().to_str().and_then(|name| name.parse::<RawFd>().ok()));
    }
    for descriptor in open.into_iter().filter(|descriptor| *descriptor > 2 && !kept.contains(descriptor)) {
        // SAFETY: `detach` is documented to be called before anything is opened, so no owner of the descriptor exists;
        // closing one that is closed already (that of the directory just read) only fails.
        #[expect(unsafe_code, reason = "an inherited descriptor has no owner that could close it")]
        unsafe {
            libc::close(descriptor);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use nix::unistd::{Pid, getsid};
    use std::os::fd::IntoRawFd as _;
    use std::os::unix::process::CommandExt as _;
    use std::process::{Command, Output};
    use std::time::Instant;

    /// What the daemon in a test does; read from the environment by the test program when it is run again.
    const PLAY: &str = "PHA_TEST_DETACH";

    /// Runs this test program again, as the caller of a daemon that plays `play` in `dir`.
    fn call(play: &str, dir: &Path) -> Output {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "daemonize::tests::the_daemon_itself", "--nocapture"]).env(PLAY, play);
        command.current_dir(dir).process_group(0).output().unwrap()
    }

    #[test]
    fn the_daemon_itself() {
        let Ok(play) = std::env::var(PLAY) else { return };
        let dir = std::env::current_dir().unwrap();
        let callers_session = getsid(None).unwrap();
        // Stands for a descriptor that a careless parent left open.
        let _ = File::open("/dev/zero").unwrap().into_raw_fd();
        let ready = match detach(&dir.join(if play == "nowhere" { "nowhere" } else { "." })) {
            Ok(ready) => ready,
            Err(_) => process::exit(9),
        };
        match play.as_str() {
            "works" => {
                eprintln!("still the terminal");
                ready.tell();
                eprintln!("lost");
                fs::write("report.tmp", describe(callers_session)).unwrap();
                fs::rename("report.tmp", "report").unwrap();
            }
            "fails" => ready.fail(exit::CONFIG),
            _ => process::abort(),
        }
        process::exit(0)
    }

    fn describe(callers_session: Pid) -> String {
        let own_session = getsid(None).unwrap() != callers_session;
        let open: Vec<String> = fs::read_dir("/proc/self/fd")
            .unwrap()
            .filter_map(|entry| fs::read_link(entry.unwrap().path()).ok())
            .map(|target| target.display().to_string())
            .filter(|target| target != "/dev/null" && !target.starts_with("/proc/"))
            .collect();
        let umask = fs::read_to_string("/proc/self/status").unwrap();
        let umask = umask.lines().find(|line| line.starts_with("Umask")).unwrap().to_owned();
        format!("own session {own_session}\nopen {open:?}\n{umask}\n")
    }

    // P35, P50, P75.
    #[test]
    fn the_caller_returns_when_the_daemon_is_ready_and_the_daemon_is_detached() {
        let dir = tempfile::tempdir().unwrap();
        let output = call("works", dir.path());
        assert_eq!(output.status.code(), Some(exit::OK));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("still the terminal") && !said.contains("lost"), "{said}");
        let report = dir.path().join("report");
        let start = Instant::now();
        while !report.exists() && start.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(2));
        }
        assert_eq!(fs::read_to_string(report).unwrap(), "own session true\nopen []\nUmask:\t0022\n");
    }

    #[test]
    fn the_caller_ends_with_the_code_of_a_daemon_that_fails() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(call("fails", dir.path()).status.code(), Some(exit::CONFIG));
        assert_eq!(call("dies", dir.path()).status.code(), Some(exit::SOFTWARE));
        assert_eq!(call("nowhere", dir.path()).status.code(), Some(9));
    }
}
