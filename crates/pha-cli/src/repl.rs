//! The prompt: line editing, history and completion. The only file that names `rustyline`.

use std::borrow::Cow;
use std::env;
use std::path::PathBuf;

use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::DefaultHistory;
use rustyline::validate::Validator;
use rustyline::{CompletionType, Config, Context, Editor, Helper};

use crate::commands::Global;
use crate::completion::{Names, candidates};
use crate::dispatch::{Flow, run_line};
use crate::failure::Failure;
use crate::screen::warn;
use crate::session::Session;
use crate::view::View;
use crate::wait;
use pha_sys::exit;

/// Lines that the history file keeps.
const HISTORY: usize = 1000;

/// Reads and runs lines until `quit` or Ctrl-D. A command that fails says so and the prompt comes back.
///
/// # Errors
/// The terminal cannot be used.
pub(crate) fn run(global: &Global) -> Result<(), Failure> {
    let no_terminal = |error: ReadlineError| Failure::new(exit::IO_ERR, format!("cannot use the terminal: {error}"));
    let mut editor = editor().map_err(no_terminal)?;
    let history = env::var_os("HOME").map(|home| PathBuf::from(home).join(".pha_history"));
    if let Some(path) = &history {
        // The first time there is none.
        let _ = editor.load_history(path);
    }
    wait::arm_interrupt();
    loop {
        // A Ctrl-C of the last command is not one of the next.
        wait::interrupted();
        let session = Session::open(global);
        if let Some(words) = editor.helper_mut() {
            words.0 = Names { resources: session.resource_names(), nodes: session.node_names() };
        }
        let lines = match editor.readline(&prompt(&session)) {
            Ok(lines) => lines,
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => return Ok(()),
            Err(error) => return Err(no_terminal(error)),
        };
        if let Some(path) = &history {
            // At once, for the next prompt beside this one; a history that cannot be kept is no reason to stop.
            let _ = editor.append_history(path);
        }
        // A terminal hands over what was pasted in one piece.
        for line in lines.lines() {
            match run_line(global, line) {
                Ok(Flow::Quit) => return Ok(()),
                Ok(Flow::Next) => {}
                Err(failure) => warn(&failure.to_string()),
            }
        }
    }
}

fn editor() -> rustyline::Result<Editor<Words, DefaultHistory>> {
    let config =
        Config::builder().max_history_size(HISTORY)?.completion_type(CompletionType::List).auto_add_history(true);
    let mut editor = Editor::with_config(config.build())?;
    editor.set_helper(Some(Words::default()));
    Ok(editor)
}

/// `[lb1:Active] > `; a database that cannot be read shows as NOTRUNNING, and every command says why.
fn prompt(session: &Session) -> String {
    let state = View::take(session).map_or("NOTRUNNING", |view| view.record.prompt_state());
    format!("[{}:{state}] > ", session.node)
}

/// What Tab can offer for the next line.
#[derive(Default)]
struct Words(Names);

impl Completer for Words {
    type Candidate = String;

    fn complete(&self, line: &str, cursor: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(candidates(line.get(..cursor).unwrap_or(line), &self.0))
    }
}

impl Hinter for Words {
    type Hint = String;
}

impl Highlighter for Words {
    fn highlight<'line>(&self, line: &'line str, _: usize) -> Cow<'line, str> {
        Cow::Borrowed(line)
    }
}

impl Validator for Words {}

impl Helper for Words {}

#[cfg(test)]
mod tests {
    use super::*;

    /// P46.
    #[test]
    fn the_prompt_before_the_first_start_says_notrunning() {
        assert_eq!(prompt(&Session::sample()), "[lb1:NOTRUNNING] > ");
    }
}
