//! Ctrl-C while something runs: in the REPL and in `watch` it ends the wait, not the program.

use std::sync::OnceLock;

use pha_sys::interrupt::Interrupt;

static INTERRUPT: OnceLock<Option<Interrupt>> = OnceLock::new();

/// From now on Ctrl-C is noted instead of ending the program; where that cannot be had it goes on ending it.
pub(crate) fn arm() {
    INTERRUPT.get_or_init(|| Interrupt::install().ok());
}

/// Ctrl-C was pressed since the last call.
pub(crate) fn requested() -> bool {
    INTERRUPT.get().and_then(Option::as_ref).is_some_and(Interrupt::pending)
}
