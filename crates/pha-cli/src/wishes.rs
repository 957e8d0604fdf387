//! The operator's wishes: the only section of the status database that the CLI writes.

use std::env;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use pha_core::report::{SuperviseReport, Wishes};
use pha_core::{BootTime, Reason};
use pha_status::{Durability, OperatorSection, Patience};
use pha_sys::{clock, exit, privilege, shared};
use serde_json::json;

use crate::commands::Switch;
use crate::failure::Failure;
use crate::screen::{print, print_json, warn};
use crate::session::Session;
use crate::view::{View, status_failure};
use crate::wait;

/// supervise follows a wish within milliseconds; after this long something is wrong with it.
const ATTENTION: Duration = Duration::from_secs(1);

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
    let updated = written.map_err(|error| refusal(session, status_failure(&error)))?;
    if let Some(path) = updated.set_aside {
        warn(&format!("the status database could not be read and was set aside as {}", path.display()));
    }
    Ok(())
}

/// Where a group may give orders, whoever is not in it is told how he gets there.
fn refusal(session: &Session, failure: Failure) -> Failure {
    let group = shared::group_of(&session.var_dir()).filter(|_| failure.code() == exit::NO_PERM);
    let Some(group) = group.map(privilege::group_name) else { return failure };
    let user = privilege::own_name();
    let text = format!(
        "only root and members of group {group} may give orders here, and {user} is neither: usermod -aG {group} {user}, then \
         log in anew; or sudo pha-cli"
    );
    Failure::new(exit::NO_PERM, text)
}

/// Waits until supervise has followed, so that the next command meets what this one asked for.
pub(crate) fn await_followed(session: &Session, followed: impl Fn(&SuperviseReport) -> bool) -> Result<(), Failure> {
    // Without supervise the wish waits for its start.
    let is_done = |view: &View| view.report().is_none_or(&followed).then_some(());
    if wait::until(session, ATTENTION, is_done)?.is_none() {
        warn("written down, but pha-supervise has not followed yet: 'status' says whether it works");
    }
    Ok(())
}

/// `maintenance [on|off]`.
pub(crate) fn maintenance(session: &Session, switch: Option<Switch>) -> Result<(), Failure> {
    if let Some(switch) = switch {
        let on = switch == Switch::On;
        change(session, |wishes| wishes.maintenance = on)?;
        return await_followed(session, |report| (report.reason == Reason::Maintenance) == on);
    }
    let on = View::take(session)?.record.operator.wishes.maintenance;
    if session.json {
        return print_json(&json!({ "maintenance": on }));
    }
    print(if on { "maintenance is on" } else { "maintenance is off" })
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
