//! The core's notes as lines of the log. A transition is one line, at this one place.

use pha_core::supervisor::{Note, Weight};

/// Logs `note`; `name` gives a resource's name.
pub fn log(note: &Note, name: impl Fn(usize) -> String) {
    let level = match note.weight() {
        Weight::News => log::Level::Info,
        Weight::Warning => log::Level::Warn,
        Weight::Fault => log::Level::Error,
    };
    log::log!(level, "{}", note.text(name));
}
