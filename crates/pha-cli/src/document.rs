//! `--json`: the record of the status database with what can be derived from it, for programs.
//!
//! Names and meanings here are an interface: fields are added, not renamed. No secret stands in the database, so none
//! can stand here.

use serde_json::{Value, json};

use crate::notes::notes;
use crate::programs::{DISPLAY_ORDER, Program};
use crate::session::Session;
use crate::times::milliseconds;
use crate::view::View;

/// The document of `stat --json` and `status --json`.
///
/// `record` holds times in nanoseconds of `CLOCK_BOOTTIME` and durations as `{secs, nanos}`; `moves` holds microseconds;
/// everything else is in milliseconds.
pub(crate) fn status(session: &Session, view: &View) -> Value {
    let programs: serde_json::Map<String, Value> =
        DISPLAY_ORDER.iter().map(|program| (program.word().to_owned(), program_entry(view, *program))).collect();
    json!({
        "node": session.node,
        "state": view.record.prompt_state(),
        "status": view.status().map(|status| status.to_string()),
        "receiver_in": view.receiver_in().map(|status| status.to_string()),
        "reason": view.report().map(|report| report.reason.to_string()),
        "ever_started": view.ever_started(),
        "programs": programs,
        "resources": resources(view, None),
        "peers": peers(session, view),
        "notes": notes(session, view),
        "moves": moves(view),
        "record": serde_json::to_value(&view.record).unwrap_or_default(),
    })
}

fn program_entry(view: &View, program: Program) -> Value {
    json!({
        "running": view.pid(program) != 0,
        "pid": view.pid(program),
        "stale": view.is_stale(program),
        "age_ms": view.age(program).map(milliseconds),
    })
}

/// Resources by name and state; all, or those of `names`.
pub(crate) fn resources(view: &View, names: Option<&[String]>) -> Value {
    let resources = view.last_report().map(|report| report.resources.as_slice()).unwrap_or_default();
    let entry = |resource: &pha_core::report::ResourceReport| {
        json!({
            "name": resource.name,
            "state": crate::stat::state_word(resource.state),
            "since_ms": milliseconds(view.now.since(resource.since)),
            "held": resource.held,
            "failures": resource.failures,
            "restored": resource.restored,
            "last_error": resource.last_error,
            "current": view.is_running(),
        })
    };
    let wanted = |name: &String| names.is_none_or(|names| names.contains(name));
    resources.iter().filter(|resource| wanted(&resource.name)).map(entry).collect()
}

/// The latest takeovers and releases, oldest first.
fn moves(view: &View) -> Value {
    let Some(report) = view.last_report() else { return json!([]) };
    let names: Vec<_> = report.resources.iter().map(|resource| resource.name.clone()).collect();
    let wall = crate::times::wall_clock();
    report.moves.iter().map(|stages| crate::stages::json(stages, &wall, view, &names)).collect()
}

fn peers(session: &Session, view: &View) -> Value {
    let entry = |peer: &pha_core::report::PeerReport| {
        json!({
            "id": peer.node.number(),
            "name": session.name_of(peer.node),
            "liveness": crate::table::liveness(peer.liveness),
            "says": peer.saying.map(|saying| saying.word.to_string()),
            "heard_ms_ago": peer.heard_at.map(|at| milliseconds(view.silence(at))),
        })
    };
    view.record.receiver.peers.iter().map(entry).collect()
}

#[cfg(test)]
mod tests {
    use pha_core::BootTime;

    use super::*;
    use crate::samples;

    #[test]
    fn the_document_holds_record_and_derived_facts() {
        let mut view = samples::standby();
        view.record.receiver.tick = BootTime::ZERO;
        let document = status(&Session::sample(), &view);
        assert_eq!(document["status"], "OFFLINE");
        assert_eq!(document["receiver_in"], "ONLINE");
        assert_eq!(
            document["programs"]["receiver"],
            json!({"running": true, "pid": 16470, "stale": true, "age_ms": 1_000_000})
        );
        assert_eq!(document["peers"][0]["name"], "lb2");
        assert_eq!(document["record"]["sender"]["incarnation"], 9);
    }

    #[test]
    fn before_the_first_start_everything_is_null_or_empty() {
        let document = status(&Session::sample(), &samples::never_started());
        assert_eq!(document["status"], Value::Null);
        assert_eq!(document["resources"], json!([]));
        assert_eq!(document["ever_started"], false);
    }
}
