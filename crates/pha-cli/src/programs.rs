//! The three daemons as the CLI names and orders them.

pub(crate) use pha_daemon::Program;

/// In the order of every display.
pub(crate) const DISPLAY_ORDER: [Program; 3] = [Program::Sender, Program::Receiver, Program::Supervise];

/// Ears first, so that supervise decides on what is heard.
pub(crate) const START_ORDER: [Program; 3] = Program::ALL;

/// supervise first: its last word still has to be sent.
pub(crate) const STOP_ORDER: [Program; 3] = [Program::Supervise, Program::Sender, Program::Receiver];

/// `pha-sender`: the program's file name.
pub(crate) fn file_name(program: Program) -> String {
    format!("pha-{}", program.word())
}
