//! What a report holds: files as they are or without their secrets, and what the commands would print.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::process::{Command, Stdio};

use pha_status::STATUS_FILE;
use pha_sys::guarded;

use super::mask;
use crate::failure::Failure;
use crate::programs::DISPLAY_ORDER;
use crate::session::Session;
use crate::view::View;
use crate::{check, document, explain, history, stat, table, times};

/// The newest part of a log that is packed; also the most of any other text.
const NEWEST: u64 = 1 << 20;

/// The most of a file that is packed whole; a trace is smaller whatever `TRACE_SIZE` says.
const LARGEST: u64 = 80 << 20;

/// Damaged databases that are packed, newest first.
const DAMAGED: usize = 2;

/// What is said of a part whose secrets are not removed.
const UNMASKED: &str = "NOT MASKED: agents' last lines stand in it";

/// What is asked about the machine, where these programs exist.
const QUESTIONS: [&[&str]; 5] =
    [&["uname", "-a"], &["uptime"], &["ip", "-brief", "address"], &["ip", "route"], &["ip", "-6", "route"]];

/// One file of the archive, or why it is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) name: String,
    pub(super) remark: String,
    pub(super) content: Result<Vec<u8>, String>,
}

impl Part {
    /// A text that is known.
    pub(super) fn text(name: &str, remark: &str, text: String) -> Self {
        Self { name: name.to_owned(), remark: remark.to_owned(), content: Ok(text.into_bytes()) }
    }

    /// A file, whole: a binary one, in which nothing can be masked.
    fn file(name: String, path: &Path) -> Self {
        let read = open(path).and_then(|file| {
            let mut bytes = Vec::new();
            file.take(LARGEST).read_to_end(&mut bytes).map(|_| bytes)
        });
        let content = read.map_err(|error| unreadable(path, &error));
        Self { name, remark: format!("{}, {UNMASKED}", path.display()), content }
    }

    /// The newest part of a text file, without its secrets.
    fn newest(name: String, path: &Path) -> Self {
        let content = tail(path).map(|text| mask::text(&text).into_bytes()).map_err(|error| unreadable(path, &error));
        Self { name, remark: format!("{}, secrets removed", path.display()), content }
    }

    /// What a command prints, without its secrets.
    fn printed(name: &str, text: Result<String, Failure>) -> Self {
        let content = text.map(|text| mask::text(&text).into_bytes()).map_err(|failure| failure.to_string());
        Self { name: name.to_owned(), remark: String::new(), content }
    }
}

/// Everything, in the order in which it is read.
pub(super) fn gather(session: &Session) -> Vec<Part> {
    let mut parts = vec![
        Part::text("system.txt", "versions, addresses, routes, files", system(session)),
        Part::newest("config".to_owned(), &session.home.config()),
        Part { name: "authkey".to_owned(), remark: String::new(), content: Err("the key is never packed".to_owned()) },
    ];
    parts.extend(displays(session));
    parts.extend(database(&session.var_dir()));
    for program in DISPLAY_ORDER {
        let path = session.log_path(program);
        parts.push(Part::newest(format!("{}.log", program.word()), &path));
        let [newer, older] = session.trace_files(program);
        parts.push(Part::file(format!("{}.trace", program.word()), &newer));
        if older.exists() {
            parts.push(Part::file(format!("{}.trace.1", program.word()), &older));
        }
    }
    parts
}

/// What the commands of these names print.
fn displays(session: &Session) -> Vec<Part> {
    let view = View::take(session);
    let shown =
        |name, show: &dyn Fn(&View) -> String| Part::printed(name, view.as_ref().map(show).map_err(Clone::clone));
    vec![
        Part::printed("check.txt", Ok(check::report(session))),
        shown("stat.txt", &stat::block),
        shown("status.txt", &|view| table::table(session, view)),
        shown("status.json", &|view| format!("{:#}\n", document::status(session, view))),
        shown("explain.txt", &|view| explain::text(session, view)),
        shown("history.txt", &|view| history::text(view, &times::wall_clock())),
    ]
}

/// The status database, and what was set aside of it.
fn database(var_dir: &Path) -> Vec<Part> {
    let damaged = format!("{STATUS_FILE}.bad-");
    let mut names: Vec<_> = fs::read_dir(var_dir)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with(&damaged))
        .collect();
    names.sort_by(|one, other| other.cmp(one));
    names.truncate(DAMAGED);
    names.insert(0, STATUS_FILE.to_owned());
    names.into_iter().map(|name| Part::file(name.clone(), &var_dir.join(&name))).collect()
}

/// The machine and the installation.
fn system(session: &Session) -> String {
    let mut text = format!("pha-cli {}\nhome {}\n", env!("CARGO_PKG_VERSION"), session.home.root().display());
    text += &fs::read_to_string("/etc/os-release").unwrap_or_default();
    for question in QUESTIONS {
        text += &format!("\n$ {}\n{}", question.join(" "), answer(question));
    }
    for folder in [session.home.bin(), session.home.etc(), session.home.res(), session.var_dir()] {
        text += &format!("\n$ ls -l {}\n{}", folder.display(), answer(&["ls", "-l", &folder.display().to_string()]));
    }
    text
}

fn answer(question: &[&str]) -> String {
    let output = Command::new(question[0]).args(&question[1..]).stdin(Stdio::null()).output();
    match output {
        Ok(output) => String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned(),
        Err(error) => format!("({error})\n"),
    }
}

/// A file that somebody else's link leads to must not get into a report of root's.
fn open(path: &Path) -> io::Result<File> {
    guarded::open(OpenOptions::new().read(true), path)
}

fn tail(path: &Path) -> io::Result<String> {
    let mut file = open(path)?;
    let skipped = file.metadata()?.len().saturating_sub(NEWEST);
    file.seek(SeekFrom::Start(skipped))?;
    let mut bytes = Vec::new();
    file.take(NEWEST).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    // The first line is not whole.
    let begin = if skipped == 0 { 0 } else { text.find('\n').map_or(0, |end| end + 1) };
    Ok(text[begin..].to_owned())
}

fn unreadable(path: &Path, error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::NotFound {
        return format!("{} is not there", path.display());
    }
    Failure::from_io("read", path, error).to_string()
}
