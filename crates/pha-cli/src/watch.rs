//! `watch`: the state, kept current until Ctrl-C.
//!
//! On a terminal it draws on the second screen, which leaves the first as it was. Elsewhere it prints the state once
//! and again at every change.

use std::env;
use std::os::fd::AsFd;
use std::time::Duration;

use pha_sys::poll;

use crate::failure::Failure;
use crate::screen::{print, printable, write_raw};
use crate::session::Session;
use crate::table::table;
use crate::view::View;
use crate::{document, stat, wait};

/// Ages are drawn anew this often, and Ctrl-C is seen within it.
const STEP: Duration = Duration::from_millis(250);

const SECOND_SCREEN: &str = "\x1b[?1049h\x1b[?25l";
const FIRST_SCREEN: &str = "\x1b[?25h\x1b[?1049l";
const HOME_AND_CLEAR: &str = "\x1b[H\x1b[J";

/// Runs until Ctrl-C or until nobody reads any more.
pub(crate) fn run(session: &Session) -> Result<(), Failure> {
    // TERM=dumb and no TERM know no second screen.
    let draws =
        session.terminal && !session.json && env::var("TERM").is_ok_and(|term| !term.is_empty() && term != "dumb");
    let cannot_watch = |error| Failure::from_io("watch", &session.var_dir(), &error);
    let mut watch = session.database().watch().map_err(cannot_watch)?;
    wait::arm_interrupt();
    let _restored = if draws { Some(SecondScreen::enter()?) } else { None };
    let mut shown = String::new();
    while !wait::interrupted() {
        draw(session, draws, &mut shown)?;
        poll::wait(&[watch.as_fd()], Some(STEP)).map_err(cannot_watch)?;
        watch.changed().map_err(cannot_watch)?;
    }
    Ok(())
}

/// Shows the state if it is not what is `shown` already.
fn draw(session: &Session, draws: bool, shown: &mut String) -> Result<(), Failure> {
    let view = View::take(session);
    let (key, text) = match &view {
        Err(failure) => (failure.to_string(), failure.to_string()),
        Ok(view) if draws => (table(session, view), table(session, view)),
        Ok(view) if session.json => (essence(view), document::status(session, view).to_string()),
        Ok(view) => (stat::block(view), stat::block(view)),
    };
    if key == *shown {
        return Ok(());
    }
    *shown = key;
    if draws { write_raw(&format!("{HOME_AND_CLEAR}{}\nCtrl-C ends this\n", printable(&text))) } else { print(&text) }
}

/// What is worth another line of JSON: everything but ages and counters.
fn essence(view: &View) -> String {
    let peers = view.record.receiver.peers.iter().map(|peer| (peer.node, peer.liveness, peer.saying));
    let reason = view.report().map(|report| (report.reason, report.role));
    format!("{}{reason:?}{:?}{:?}", stat::block(view), peers.collect::<Vec<_>>(), view.record.operator)
}

/// The terminal's second screen; dropped, the first is back with its content and cursor.
struct SecondScreen;

impl SecondScreen {
    fn enter() -> Result<Self, Failure> {
        write_raw(SECOND_SCREEN)?;
        Ok(Self)
    }
}

impl Drop for SecondScreen {
    fn drop(&mut self) {
        // A terminal that is gone needs no restoring.
        let _ = write_raw(FIRST_SCREEN);
    }
}
