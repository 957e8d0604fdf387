//! Waiting until the status database shows what was asked for. Woken by its replacement, always bounded, and ended by
//! Ctrl-C: in the REPL and in `watch` that ends the wait, not the program.

use std::os::fd::AsFd;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use pha_sys::interrupt::Interrupt;
use pha_sys::poll;

use crate::failure::Failure;
use crate::session::Session;
use crate::view::View;

/// Looked at again at least this often: a daemon that dies replaces no file.
const STEP: Duration = Duration::from_millis(100);

/// What the shell reports for a program that Ctrl-C ended.
const INTERRUPTED: i32 = 130;

static INTERRUPT: OnceLock<Option<Interrupt>> = OnceLock::new();

/// From now on Ctrl-C is noted instead of ending the program; where that cannot be had it goes on ending it.
pub(crate) fn arm_interrupt() {
    INTERRUPT.get_or_init(|| Interrupt::install().ok());
}

/// Ctrl-C was pressed since the last call.
pub(crate) fn interrupted() -> bool {
    INTERRUPT.get().and_then(Option::as_ref).is_some_and(Interrupt::pending)
}

/// The first answer of `look`; `None` if there was none within `limit`.
///
/// # Errors
/// The database cannot be read or watched, or Ctrl-C was pressed.
pub(crate) fn until<T>(
    session: &Session,
    limit: Duration,
    mut look: impl FnMut(&View) -> Option<T>,
) -> Result<Option<T>, Failure> {
    let begin = Instant::now();
    let cannot_watch = |error| Failure::from_io("watch", &session.var_dir(), &error);
    let mut watch = session.database().watch().map_err(cannot_watch)?;
    loop {
        if let Some(answer) = look(&View::take(session)?) {
            return Ok(Some(answer));
        }
        let rest = limit.saturating_sub(begin.elapsed());
        if rest.is_zero() {
            return Ok(None);
        }
        if interrupted() {
            return Err(Failure::new(INTERRUPTED, "not waited for any longer; 'status' shows how it goes on"));
        }
        poll::wait(&[watch.as_fd()], Some(rest.min(STEP))).map_err(cannot_watch)?;
        watch.changed().map_err(cannot_watch)?;
    }
}
