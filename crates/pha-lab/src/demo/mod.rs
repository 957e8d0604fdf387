//! The demo: two real nodes and a client, played as a story or by hand.
//!
//! `auto` plays the promises of pha once and measures them; otherwise a live screen shows both nodes and what the
//! client sees, and keys inject faults.

mod live;
mod screen;
mod snapshot;
mod story;
mod terminal;

use std::io::IsTerminal;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::lab::{Lab, LabOptions};
use crate::world::{self, CtrlC};

/// Set in a demo that goes without namespaces.
const PLAIN: &str = "PHA_LAB_PLAIN";

/// Runs the demo. Without a terminal it is `auto`; where namespaces cannot be made it is `plain`.
///
/// # Errors
/// The lab could not be built. A broken promise is no error but exit code 1.
pub fn run(auto: bool, plain: bool) -> Result<ExitCode> {
    let auto = auto || !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal();
    let ctrl_c = if auto { CtrlC::Ends } else { CtrlC::Ignored };
    if world::inside() {
        world::furnish()?;
    } else if std::env::var_os(PLAIN).is_none() {
        let missing = if plain { None } else { world::available().err() };
        if !plain && missing.is_none() {
            return Err(world::enter(ctrl_c));
        }
        if let Some(reason) = missing {
            println!("{reason:#}");
            println!("So the demo goes on without them: loopback addresses, and a file instead of an address.");
        }
        return Err(enter_plain(ctrl_c));
    }
    // Short enough to watch the return from `offline`; all else is as documented.
    let options = LabOptions::default().config(["OFFLINE_TIME=5"]);
    let lab = Lab::new(if world::inside() { options } else { options.plain() })?;
    if auto { story::play(&lab) } else { live::play(lab).map(|()| ExitCode::SUCCESS) }
}

/// Becomes this same program, remembering that it is plain.
fn enter_plain(ctrl_c: CtrlC) -> anyhow::Error {
    let shield = if ctrl_c == CtrlC::Ignored { "trap '' INT; " } else { "" };
    let own = std::env::current_exe().context("own file");
    own.map_or_else(std::convert::identity, |own| {
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("{shield}exec \"$@\"")).arg("plain").arg(own);
        command.args(std::env::args_os().skip(1)).env(PLAIN, "1").exec().into()
    })
}
