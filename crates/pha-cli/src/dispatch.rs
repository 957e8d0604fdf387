//! From a parsed command to what carries it out.

use std::io::{self, BufRead};

use pha_sys::exit;

use crate::commands::{Command, Global, Line, ResAction, Shown, help, parse_words};
use crate::failure::Failure;
use crate::programs::{Program, START_ORDER};
use crate::replay::Detail;
use crate::screen::{print, print_json, warn};
use crate::session::Session;
use crate::view::View;
use crate::{
    check, daemons, document, explain, history, keygen, replay, report, resources, stat, switchover, table, times,
    watch, what_if, wishes, words,
};

/// Whether another line is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    /// Yes.
    Next,
    /// `quit` was typed.
    Quit,
}

/// Runs one line of the REPL or of a pipe; an empty one does nothing. Options on the line count for that line only.
pub(crate) fn run_line(global: &Global, line: &str) -> Result<Flow, Failure> {
    let words = words::split(line)?;
    if words.is_empty() {
        return Ok(Flow::Next);
    }
    let Line { global: own, command } = parse_words(&words)?;
    let global = Global {
        home: own.home.or_else(|| global.home.clone()),
        node: own.node.or_else(|| global.node.clone()),
        json: own.json || global.json,
    };
    run(&Session::open(&global), &command)
}

/// Reads commands from `input`, one a line, until its end or `quit`.
///
/// # Errors
/// That of the last command that failed; each one has been told already.
pub(crate) fn run_lines(global: &Global, input: impl BufRead) -> Result<(), i32> {
    let mut result = Ok(());
    let mut lines = BoundedLines { input };
    while let Some(line) = lines.next_line() {
        let outcome = match &line {
            Ok(line) => run_line(global, &String::from_utf8_lossy(line)),
            Err(error) => Err(Failure::new(exit::IO_ERR, format!("cannot read standard input: {error}"))),
        };
        match outcome {
            Ok(Flow::Next) => {}
            Ok(Flow::Quit) => break,
            Err(failure) => {
                warn(&failure.to_string());
                result = Err(failure.code());
            }
        }
        if line.is_err() {
            break;
        }
    }
    result
}

/// Lines of which no more is kept than shows that they are too long.
struct BoundedLines<I> {
    input: I,
}

impl<I: BufRead> BoundedLines<I> {
    fn next_line(&mut self) -> Option<io::Result<Vec<u8>>> {
        let mut line = Vec::new();
        let read = io::Read::take(&mut self.input, words::LONGEST as u64 + 1).read_until(b'\n', &mut line);
        let passed = match read {
            Ok(0) => return None,
            Ok(_) if line.len() > words::LONGEST && !line.ends_with(b"\n") => self.input.skip_until(b'\n'),
            other => other,
        };
        if line.ends_with(b"\n") {
            line.pop();
        }
        Some(passed.map(|_| line))
    }
}

/// Runs one command.
///
/// # Errors
/// Whatever keeps it from succeeding; not told yet.
pub(crate) fn run(session: &Session, command: &Command) -> Result<Flow, Failure> {
    match command {
        Command::Help { command } => print(&help(command.as_deref())?)?,
        Command::Start => daemons::start(session, &START_ORDER)?,
        Command::Stop { release } => daemons::stop(session, *release)?,
        Command::Restart => daemons::restart(session)?,
        Command::SenderStart => daemons::start(session, &[Program::Sender])?,
        Command::SenderStop => daemons::stop_one(session, Program::Sender)?,
        Command::ReceiverStart => daemons::start(session, &[Program::Receiver])?,
        Command::ReceiverStop => daemons::stop_one(session, Program::Receiver)?,
        Command::SuperviseStart => daemons::start(session, &[Program::Supervise])?,
        Command::SuperviseStop => daemons::stop_one(session, Program::Supervise)?,
        Command::Res { action: Some(action) } => resources::run(session, action)?,
        Command::Res { action: None } => resources::run(session, &ResAction::List { name: None })?,
        Command::Offline { period, force } => switchover::offline(session, *period, *force)?,
        Command::Switchover { to } => switchover::switchover(session, to)?,
        Command::Online => switchover::online(session)?,
        Command::Maintenance { switch } => wishes::maintenance(session, *switch)?,
        Command::Check => check::run(session)?,
        Command::Reload => daemons::reload(session)?,
        Command::WhatIf { question } => what_if::run(session, &question.join(" "))?,
        Command::Keygen { rotate: true, .. } => keygen::rotate(session)?,
        Command::Keygen { retire: true, force, .. } => keygen::retire(session, *force)?,
        Command::Keygen { force, .. } => keygen::create(session, *force)?,
        Command::Replay { files, all } => replay::run(session, files, if *all { Detail::All } else { Detail::Story })?,
        Command::Report { file } => report::run(session, file.as_deref())?,
        Command::Watch => watch::run(session)?,
        Command::Config | Command::Show { what: Shown::Conf } => check::show(session)?,
        Command::Stat
        | Command::Status
        | Command::Show { what: Shown::Status }
        | Command::Explain
        | Command::History => {
            display(session, command)?;
        }
        Command::Quit => return Ok(Flow::Quit),
    }
    Ok(Flow::Next)
}

/// The commands that show one view of the state.
fn display(session: &Session, command: &Command) -> Result<(), Failure> {
    let view = View::take(session)?;
    match (command, session.json) {
        (Command::Explain, false) => print(&explain::text(session, &view)),
        (Command::Explain, true) => print_json(&explain::json(session, &view)),
        (Command::History, false) => print(&history::text(&view, &times::wall_clock())),
        (Command::History, true) => print_json(&history::json(&view, &times::wall_clock())),
        (_, true) => print_json(&document::status(session, &view)),
        (Command::Status | Command::Show { .. }, false) if session.terminal => print(&table::table(session, &view)),
        (_, false) => print(&stat::block(&view)),
    }
}
