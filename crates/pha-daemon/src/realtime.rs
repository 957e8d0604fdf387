//! Real-time scheduling for the daemons: who asks for how much, and what to say if it is not to be had.

use pha_config::Config;
use pha_sys::realtime;
use pha_sys::writer::Writer;

use crate::start::Program;

/// What a heartbeat below 50 ms needs and does not get, with the remedy; `None` if all is well. For `check`: nothing is kept.
#[must_use]
pub fn problem(config: &Config) -> Option<String> {
    (config.needs_realtime() && !realtime::is_permitted()).then(|| refusal(config))
}

/// For `check`: what the daemons will get, if this program's user and limits are theirs.
#[must_use]
pub fn outlook(config: &Config) -> &'static str {
    if !config.realtime {
        "off (REALTIME=off)"
    } else if realtime::is_permitted() {
        "permitted"
    } else {
        "not permitted: under load, heartbeats may be late"
    }
}

/// Takes what `program` may have, for this thread and the one that writes the database.
///
/// # Errors
/// The heartbeat is so short that it cannot be kept without.
pub(crate) fn take(program: Program, config: &Config, database: &Writer) -> Result<(), String> {
    if !config.realtime {
        return Ok(());
    }
    let got = realtime::take(priority(program));
    if config.needs_realtime() && !got.scheduling {
        return Err(refusal(config));
    }
    // Every verdict goes through the database. The log can wait for ordinary programs.
    lend(program, config, database);
    let word = |got| if got { "yes" } else { "not permitted" };
    log::debug!("real-time scheduling: {}, locked memory: {}", word(got.scheduling), word(got.memory));
    Ok(())
}

/// Lets a thread of `program` run as `program` itself may.
pub fn lend(program: Program, config: &Config, thread: &Writer) {
    if config.realtime {
        // Without it the thread works as well, if later.
        let _ = thread.take(move || {
            let _ = realtime::take(priority(program));
        });
    }
}

/// Whoever speaks and hears goes before whoever decides, and all before ordinary programs.
pub(crate) const fn priority(program: Program) -> u8 {
    match program {
        Program::Sender | Program::Receiver => 10,
        Program::Supervise => 5,
    }
}

fn refusal(config: &Config) -> String {
    format!(
        "{}: HEARTBEAT_INT={} needs real-time scheduling, which is not permitted: run as root, or with LimitRTPRIO=10 in the \
         systemd units, or setcap cap_sys_nice+ep on the programs; or write HEARTBEAT_INT=50 or more",
        config.file.display(),
        config.heartbeat_interval.as_millis()
    )
}
