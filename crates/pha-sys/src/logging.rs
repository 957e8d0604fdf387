//! The log of a program: one line to a record, to its own file or to standard error (P42). The only file that
//! names `env_logger`.
//!
//! ```text
//! 2026-01-31T12:00:00.123+01:00 INFO  pha-sender[123] message
//! ```
//!
//! A log that cannot be written must never stop a daemon: what the disk does not take is counted, and the number is
//! told when there is room again. Nor must one that is written slowly: a [`Writer`] does it, and what does not fit into
//! `BACKLOG` meanwhile is counted too. Control characters in a message (it may quote hostile input) are escaped, so
//! nobody can forge a line. What is logged does not depend on the environment.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use env_logger::{Builder, Target};
use log::{LevelFilter, Record};

use crate::guarded;
use crate::writer::Writer;

/// Bytes of lines that wait for a slow disk at most.
const BACKLOG: usize = 256 * 1024;

/// The log of this process; clones nothing, owns nothing that ends with it: logging goes on if it is dropped.
#[derive(Debug)]
pub struct Log {
    path: Option<PathBuf>,
    sink: Sink,
}

/// Starts logging to `file` (appended to, created with mode 0640) or to standard error, all of it through `writer`; `debug`
/// adds debug records.
///
/// # Errors
/// If the file cannot be opened (its directory must exist), or `AlreadyExists` on a second call in one process.
pub fn init(file: Option<&Path>, debug: bool, writer: Writer) -> io::Result<Log> {
    let sink = Sink::new(file.map(open).transpose()?, writer);
    let program = program_name();
    let mut builder = Builder::new();
    builder
        .filter_level(if debug { LevelFilter::Debug } else { LevelFilter::Info })
        .target(Target::Pipe(Box::new(sink.clone())))
        .format(move |out, record| out.write_all(line(&program, record).as_bytes()));
    builder.try_init().map_err(|error| io::Error::new(io::ErrorKind::AlreadyExists, error))?;
    Ok(Log { path: file.map(Path::to_owned), sink })
}

impl Log {
    /// Opens the file anew by its name, after somebody has moved or removed it (`SIGHUP`), its directory included. Nothing
    /// for standard error. If it cannot be opened, logging goes on into the old file, and says so there.
    pub fn reopen(&self) {
        let Some(path) = self.path.clone() else { return };
        let sink = self.sink.clone();
        let opening = move || {
            let dir = path.parent().map_or(Ok(()), std::fs::create_dir_all);
            match dir.and_then(|()| open(&path)) {
                Ok(file) => sink.outlet().file = Some(file),
                Err(error) => log::error!("the log cannot be opened again: {error}"),
            }
        };
        if !self.sink.writer.take(opening) {
            log::error!("the log cannot be opened again: its disk does not answer");
        }
    }
}

/// Where lines go; shared by the logger and [`Log`].
#[derive(Debug, Clone)]
struct Sink {
    writer: Writer,
    backlog: Arc<Mutex<Backlog>>,
    outlet: Arc<Mutex<Outlet>>,
}

/// Lines on their way to the disk.
#[derive(Debug, Default)]
struct Backlog {
    lines: Vec<u8>,
    /// The writer has been asked to fetch them.
    awaited: bool,
    /// Lines that did not fit in.
    lost: u64,
}

#[derive(Debug)]
struct Outlet {
    /// `None` is standard error.
    file: Option<File>,
    /// Lines that could not be written, in whole or in part, since the last that could.
    lost: u64,
}

impl Sink {
    fn new(file: Option<File>, writer: Writer) -> Self {
        Sink { writer, backlog: Arc::default(), outlet: Arc::new(Mutex::new(Outlet { file, lost: 0 })) }
    }

    fn outlet(&self) -> MutexGuard<'_, Outlet> {
        // A thread that panicked while it wrote left nothing half done but a line.
        self.outlet.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn backlog(&self) -> MutexGuard<'_, Backlog> {
        self.backlog.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the writer has to be asked to [`Self::fetch`].
    fn queue(&self, line: &[u8]) -> bool {
        let mut backlog = self.backlog();
        if backlog.lines.len() + line.len() > BACKLOG {
            backlog.lost += 1;
        } else {
            backlog.lines.extend_from_slice(line);
        }
        !std::mem::replace(&mut backlog.awaited, true)
    }

    /// Writes what waits. In a panic of the very thread that writes nobody can be waited for, and the lines are lost.
    fn fetch(&self) {
        let backlog = std::mem::take(&mut *self.backlog());
        if let Ok(mut outlet) = self.outlet.try_lock() {
            outlet.take(&backlog.lines);
            outlet.lost += backlog.lost;
        }
    }
}

/// Takes every line and never fails.
impl Write for Sink {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.queue(line) {
            let sink = self.clone();
            if !self.writer.take(move || sink.fetch()) {
                self.backlog().awaited = false;
            }
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Outlet {
    fn take(&mut self, lines: &[u8]) {
        let count = lines.iter().filter(|byte| **byte == b'\n').count() as u64;
        if self.lost > 0 && count > 0 {
            // It starts with a line end because the last line may have been cut.
            let note = format!("\n({} lines of this log were lost: they could not be written)\n", self.lost);
            if self.put(note.as_bytes()).is_err() {
                self.lost += count;
                return;
            }
            self.lost = 0;
        }
        if self.put(lines).is_err() {
            self.lost += count;
        }
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.file {
            Some(file) => file.write_all(bytes),
            None => io::stderr().write_all(bytes),
        }
    }
}

/// Neither another file that this name leads to nor a pipe without a reader; that is an error and does not hang the daemon.
fn open(path: &Path) -> io::Result<File> {
    let file = guarded::open_or_make(OpenOptions::new().append(true).mode(0o640), path)?;
    guarded::has_one_name(&file).map(|()| file)
}

fn program_name() -> String {
    let called = std::env::args_os().next().unwrap_or_default();
    Path::new(&called).file_name().unwrap_or(OsStr::new("pha")).to_string_lossy().into_owned()
}

fn line(program: &str, record: &Record<'_>) -> String {
    let time = jiff::Zoned::now().strftime("%Y-%m-%dT%H:%M:%S%.3f%:z").to_string();
    let message = escaped(&record.args().to_string());
    format!("{time} {:<5} {program}[{}] {message}\n", record.level(), std::process::id())
}

/// The text with its control characters (line ends included, tabs not) written as `\n`, `\u{1b}` and the like: no terminal does
/// what somebody else's text tells it.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() && character != '\t' {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use std::fs;

    // P42. The logger is one for the process, so this is one test.
    #[test]
    fn records_become_lines_of_the_file_and_follow_it_when_it_is_moved() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pha-test.log");
        let log = init(Some(&path), false, Writer::at_once()).unwrap();
        log::info!("lb1 is ONLINE");
        log::debug!("not wanted");
        let text = fs::read_to_string(&path).unwrap();
        let mine = text.lines().find(|line| line.ends_with("lb1 is ONLINE")).unwrap();
        let (time, rest) = mine.split_once(' ').unwrap();
        assert!(time.parse::<jiff::Timestamp>().is_ok() && time.len() == 29, "{time}");
        assert_eq!(rest, format!("INFO  {}[{}] lb1 is ONLINE", program_name(), std::process::id()));
        assert!(!text.contains("not wanted"));
        fs::rename(&path, dir.path().join("old")).unwrap();
        log.reopen();
        log::warn!("after rotation");
        assert!(fs::read_to_string(&path).unwrap().contains("WARN  "));
        assert_eq!(init(None, false, Writer::at_once()).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    }

    #[test]
    fn a_full_disk_loses_lines_and_nothing_else_and_the_loss_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut sink = Sink::new(Some(OpenOptions::new().write(true).open("/dev/full").unwrap()), Writer::at_once());
        for _ in 0..3 {
            assert_eq!(sink.write(b"lost\n").unwrap(), 5);
        }
        sink.outlet().file = Some(open(&path).unwrap());
        sink.write_all(b"kept\n").unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text, "\n(3 lines of this log were lost: they could not be written)\nkept\n");
    }

    #[test]
    fn a_stalled_disk_holds_nobody_up_and_what_does_not_fit_meanwhile_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let writer = Writer::start("test").unwrap();
        let (thaw, frozen) = std::sync::mpsc::channel::<()>();
        let mut sink = Sink::new(Some(open(&path).unwrap()), writer.clone());
        assert!(writer.take(move || assert!(frozen.recv().is_err())));
        let line = [&[b'x'; 99][..], b"\n"].concat();
        for _ in 0..BACKLOG / line.len() + 5 {
            sink.write_all(&line).unwrap();
        }
        drop(thaw);
        assert!(writer.drain(std::time::Duration::from_secs(20)));
        sink.write_all(b"kept\n").unwrap();
        assert!(writer.drain(std::time::Duration::from_secs(20)));
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.ends_with("x\n\n(5 lines of this log were lost: they could not be written)\nkept\n"));
    }

    #[test]
    fn a_message_cannot_forge_a_line() {
        assert_eq!(escaped("a\tb\n2026 INFO \u{1b}[31mü"), "a\tb\\n2026 INFO \\u{1b}[31mü");
    }

    #[test]
    fn a_pipe_in_place_of_the_file_does_not_hang() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fifo");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(open(&path).is_err());
        assert!(open(&dir.path().join("missing/log")).is_err());
    }
}
