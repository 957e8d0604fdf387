//! Waiting until the status database shows what was asked for. Woken by its replacement, always bounded.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use pha_sys::poll;

use crate::failure::Failure;
use crate::interrupt;
use crate::session::Session;
use crate::view::View;

/// Looked at again at least this often: a daemon that dies replaces no file.
const STEP: Duration = Duration::from_millis(100);

/// What the shell reports for a program that Ctrl-C ended.
const INTERRUPTED: i32 = 130;

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
        if interrupt::requested() {
            return Err(Failure::new(INTERRUPTED, "not waited for any longer; 'status' shows how it goes on"));
        }
        poll::wait(&[watch.as_fd()], Some(rest.min(STEP))).map_err(cannot_watch)?;
        watch.changed().map_err(cannot_watch)?;
    }
}
