//! The operator's wishes: the only section of the status database that the CLI writes.

use std::env;
use std::os::unix::fs::MetadataExt;

use pha_core::BootTime;
use pha_core::report::Wishes;
use pha_status::{Durability, OperatorSection, Patience};
use pha_sys::clock;

use crate::commands::Switch;
use crate::failure::Failure;
use crate::screen::{print, warn};
use crate::session::Session;
use crate::view::{View, status_failure};

/// Changes the wishes under the database's lock and notes who did it.
///
/// # Errors
/// Nothing was written: no permission, or somebody holds the lock for longer than an operator waits.
pub(crate) fn change(session: &Session, change: impl FnOnce(&mut Wishes)) -> Result<(), Failure> {
    let written =
        session.database().update(Durability::Lasting, Patience::Operator, |section: &mut OperatorSection| {
            change(&mut section.wishes);
            section.by = operator();
            section.at = now();
        });
    let updated = written.map_err(|error| status_failure(&error))?;
    if let Some(path) = updated.set_aside {
        warn(&format!("the status database could not be read and was set aside as {}", path.display()));
    }
    Ok(())
}

/// `maintenance [on|off]`.
pub(crate) fn maintenance(session: &Session, switch: Option<Switch>) -> Result<(), Failure> {
    match switch {
        Some(Switch::On) => change(session, |wishes| wishes.maintenance = true),
        Some(Switch::Off) => change(session, |wishes| wishes.maintenance = false),
        None => {
            let is_on = View::take(session)?.record.operator.wishes.maintenance;
            print(if is_on { "maintenance is on" } else { "maintenance is off" })
        }
    }
}

/// Now, as the daemons count.
pub(crate) fn now() -> BootTime {
    BootTime::since_boot(clock::boot_time())
}

/// Who types: the name before sudo, else the user's, else the user id.
fn operator() -> String {
    let named = ["SUDO_USER", "USER"].iter().find_map(|name| env::var(name).ok().filter(|user| !user.is_empty()));
    let numbered =
        || std::fs::metadata("/proc/self").map_or_else(|_| "?".to_owned(), |own| format!("uid {}", own.uid()));
    named.unwrap_or_else(numbered)
}
