//! Built-in checks: what `CHECK_<resource>` looks at, without a child and without waiting.
//!
//! A process is kept in sight by its descriptor, so its end is an event and not the next check's news. What a check found
//! is said here; what that means is the core's to decide.

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::Path;
use std::time::Duration;

use pha_config::BuiltInCheck;
use pha_core::BootTime;
use pha_core::resource::Outcome;
use pha_sys::interfaces;
use pha_sys::pidfd::ProcessHandle;
use pha_sys::tcp::Connecting;

/// A file with a process id is not longer than this; more of it is not read.
const LONGEST_PID_FILE: u64 = 64;

/// The built-in check of one resource, with what it keeps in sight.
#[derive(Debug)]
pub struct BuiltIn {
    check: BuiltInCheck,
    process: Option<ProcessHandle>,
}

/// What a look came to.
#[derive(Debug)]
pub enum Found {
    /// It is known: succeeded is up, failed is down, not run is nobody knows.
    Answer(Outcome, String),
    /// It will be.
    Waits(Connection),
}

impl Found {
    /// The core asks only where there is a built-in check.
    pub fn nothing_to_look_at() -> Self {
        Self::unknown("there is no built-in check")
    }

    fn up() -> Self {
        Self::Answer(Outcome::Succeeded, String::new())
    }

    fn down(why: impl ToString) -> Self {
        Self::Answer(Outcome::Failed, why.to_string())
    }

    fn unknown(why: impl ToString) -> Self {
        Self::Answer(Outcome::NotRun, why.to_string())
    }
}

impl BuiltIn {
    pub const fn new(check: BuiltInCheck) -> Self {
        Self { check, process: None }
    }

    /// Looks now; what takes time has until `limit`.
    pub fn look(&mut self, limit: Duration, now: BootTime) -> Found {
        match &self.check {
            BuiltInCheck::Process(file) => look_at_process(file, &mut self.process),
            BuiltInCheck::Tcp(address) => Connection::begin(*address, limit, now),
            BuiltInCheck::Link(device) => look_at_link(device),
        }
    }

    /// The process in sight has ended: what is known is not waited for again.
    pub fn forget(&mut self) {
        self.process = None;
    }

    /// Readable when the process in sight has ended.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.process.as_ref().map(ProcessHandle::as_fd)
    }
}

/// Whether the process whose id stands in `file` lives; `seen` is the one that was found last.
fn look_at_process(file: &Path, seen: &mut Option<ProcessHandle>) -> Found {
    let shown = file.display();
    let pid = match read_pid(file) {
        Ok(Some(pid)) => pid,
        Ok(None) => return Found::down(format!("there is no process id in {shown}")),
        Err(error) if error.kind() == ErrorKind::NotFound => return Found::down(format!("{shown}: {error}")),
        Err(error) => return Found::unknown(format!("{shown}: {error}")),
    };
    // The id of a process that has ended may be another process's by now: who was seen must still live.
    if let Some(process) = seen.as_ref().filter(|process| process.pid() == pid) {
        let lives = process.lives().unwrap_or(true);
        return if lives { Found::up() } else { Found::down(format!("process {pid} of {shown} has ended")) };
    }
    match ProcessHandle::find(pid) {
        Ok(Some(process)) => {
            *seen = Some(process);
            Found::up()
        }
        Ok(None) => Found::down(format!("process {pid} of {shown} does not run")),
        Err(error) => Found::unknown(format!("process {pid} of {shown}: {error}")),
    }
}

/// The first word of the file, if it can be a process id.
fn read_pid(file: &Path) -> std::io::Result<Option<i32>> {
    let mut text = Vec::new();
    File::open(file)?.take(LONGEST_PID_FILE).read_to_end(&mut text)?;
    let text = String::from_utf8_lossy(&text);
    Ok(text.split_whitespace().next().and_then(|word| word.parse().ok()).filter(|pid| *pid > 0))
}

fn look_at_link(device: &str) -> Found {
    match interfaces::has_carrier(device) {
        Ok(Some(true)) => Found::up(),
        Ok(Some(false)) => Found::down(format!("{device} is down or has no carrier")),
        Ok(None) => Found::down(format!("there is no device {device}")),
        Err(error) => Found::unknown(error),
    }
}

/// A port that is being asked for a connection.
#[derive(Debug)]
pub struct Connection {
    address: SocketAddr,
    /// `None` once it was cancelled.
    connecting: Option<Connecting>,
    began: BootTime,
    until: BootTime,
}

impl Connection {
    fn begin(address: SocketAddr, limit: Duration, now: BootTime) -> Found {
        let connecting = match Connecting::start(address) {
            Ok(connecting) => Some(connecting),
            Err(error) => return Self::refused(address, &error),
        };
        let mut connection = Self { address, connecting, began: now, until: now + limit };
        match connection.advance(now) {
            Some((outcome, message, _)) => Found::Answer(outcome, message),
            None => Found::Waits(connection),
        }
    }

    /// What the network says is an answer; a machine without a descriptor or a port left knows nothing of the other end.
    fn refused(address: SocketAddr, error: &std::io::Error) -> Found {
        let message = format!("{address}: {error}");
        let answered = matches!(
            error.kind(),
            ErrorKind::ConnectionRefused
                | ErrorKind::ConnectionReset
                | ErrorKind::HostUnreachable
                | ErrorKind::NetworkUnreachable
                | ErrorKind::NetworkDown
                | ErrorKind::TimedOut
        );
        if answered { Found::down(message) } else { Found::unknown(message) }
    }

    /// The answer, and how long it took.
    pub fn advance(&mut self, now: BootTime) -> Option<(Outcome, String, Duration)> {
        let took = now.since(self.began);
        let Some(connecting) = &self.connecting else {
            return Some((Outcome::Cancelled, "cancelled".to_owned(), took));
        };
        match connecting.advance() {
            Some(Ok(())) => Some((Outcome::Succeeded, String::new(), took)),
            Some(Err(error)) => match Self::refused(self.address, &error) {
                Found::Answer(outcome, message) => Some((outcome, message, took)),
                Found::Waits(_) => None,
            },
            None if now >= self.until => {
                Some((Outcome::TimedOut, format!("{}: no answer within its limit", self.address), took))
            }
            None => None,
        }
    }

    /// The next [`Connection::advance`] says so.
    pub fn cancel(&mut self) {
        self.connecting = None;
        self.until = BootTime::ZERO;
    }

    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.connecting.as_ref().map(Connecting::as_fd)
    }

    /// When it must be looked at, as time since boot.
    pub fn next_deadline(&self) -> Duration {
        self.until.since(BootTime::ZERO)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use std::net::TcpListener;
    use std::process::{Command, Stdio};

    use pha_sys::poll;

    const LIMIT: Duration = Duration::from_secs(30);

    fn outcome(found: Found) -> Outcome {
        match found {
            Found::Answer(outcome, _) => outcome,
            Found::Waits(mut connection) => loop {
                poll::wait(&[connection.fd().unwrap()], Some(LIMIT)).unwrap();
                if let Some((outcome, ..)) = connection.advance(BootTime::ZERO) {
                    return outcome;
                }
            },
        }
    }

    fn look(built_in: &mut BuiltIn) -> Outcome {
        outcome(built_in.look(LIMIT, BootTime::ZERO))
    }

    #[test]
    fn the_end_of_a_process_is_an_event_and_down() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("pid");
        let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let mut built_in = BuiltIn::new(BuiltInCheck::Process(file.clone()));
        assert_eq!(look(&mut built_in), Outcome::Failed, "no file");
        std::fs::write(&file, format!("{}\n", child.id())).unwrap();
        assert_eq!(look(&mut built_in), Outcome::Succeeded);
        assert_eq!(poll::wait(&[built_in.fd().unwrap()], Some(Duration::ZERO)).unwrap(), [false]);
        drop(child.stdin.take());
        assert_eq!(poll::wait(&[built_in.fd().unwrap()], Some(LIMIT)).unwrap(), [true]);
        built_in.forget();
        assert!(built_in.fd().is_none());
        assert_eq!(look(&mut built_in), Outcome::Failed);
        child.wait().unwrap();
    }

    #[test]
    fn a_file_without_a_process_id_is_down_and_one_that_cannot_be_read_is_unknown() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("pid");
        let mut built_in = BuiltIn::new(BuiltInCheck::Process(file.clone()));
        for text in ["", "-1", "0", "nginx", "99999999999999999999", "\u{0}1"] {
            std::fs::write(&file, text).unwrap();
            assert_eq!(look(&mut built_in), Outcome::Failed, "{text:?}");
        }
        std::fs::write(&file, format!(" {}  and more\n", std::process::id())).unwrap();
        assert_eq!(look(&mut built_in), Outcome::Succeeded);
        assert_eq!(look(&mut BuiltIn::new(BuiltInCheck::Process(dir.path().to_owned()))), Outcome::NotRun);
    }

    #[test]
    fn a_process_that_wrote_its_id_anew_is_the_one_that_is_watched() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("pid");
        let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let mut built_in = BuiltIn::new(BuiltInCheck::Process(file.clone()));
        std::fs::write(&file, child.id().to_string()).unwrap();
        assert_eq!(look(&mut built_in), Outcome::Succeeded);
        std::fs::write(&file, std::process::id().to_string()).unwrap();
        assert_eq!(look(&mut built_in), Outcome::Succeeded);
        drop(child.stdin.take());
        child.wait().unwrap();
        assert_eq!(poll::wait(&[built_in.fd().unwrap()], Some(Duration::ZERO)).unwrap(), [false]);
        assert_eq!(look(&mut built_in), Outcome::Succeeded);
    }

    #[test]
    fn a_port_is_up_while_it_listens_and_a_device_while_it_has_a_carrier() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut port = BuiltIn::new(BuiltInCheck::Tcp(listener.local_addr().unwrap()));
        assert_eq!(look(&mut port), Outcome::Succeeded);
        drop(listener);
        assert_eq!(look(&mut port), Outcome::Failed);
        assert_eq!(look(&mut BuiltIn::new(BuiltInCheck::Link("lo".to_owned()))), Outcome::Succeeded);
        assert_eq!(look(&mut BuiltIn::new(BuiltInCheck::Link("no-such-device".to_owned()))), Outcome::Failed);
    }

    #[test]
    fn a_cancelled_connection_ends_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let start =
            |connecting| Connection { address, connecting, began: BootTime::ZERO, until: BootTime::ZERO + LIMIT };
        let mut cancelled = start(Some(Connecting::start(address).unwrap()));
        cancelled.cancel();
        assert!(cancelled.fd().is_none() && cancelled.next_deadline() == Duration::ZERO);
        assert_eq!(cancelled.advance(BootTime::ZERO).unwrap().0, Outcome::Cancelled);
    }
}
