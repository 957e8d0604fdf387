//! What happens in a cluster, as invariants watch it and as a story tells it.

use std::fmt;

use pha_core::report::Liveness;
use pha_core::resource::{Call, Outcome};
use pha_core::supervisor::Note;

use crate::clock::Micros;
use crate::fault::{Fault, name};

/// One thing that happened.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each variant says what its fields are")]
pub enum Happening {
    /// From outside.
    Fault(Fault),
    /// Everything is whole again, and the operator's wishes are taken back.
    Healed,
    /// A receiver changed its mind about a peer.
    Verdict { node: usize, peer: usize, liveness: Liveness },
    /// Supervise wrote a line into its log.
    Noted { node: usize, note: Note },
    /// An agent's call began.
    Called { node: usize, resource: usize, call: Call },
    /// An agent's call ended; `orphaned` if the supervise that began it is dead.
    Ended { node: usize, resource: usize, call: Call, outcome: Outcome, orphaned: bool },
    /// The kernel took an address away because nobody renewed its lease.
    Expired { node: usize, resource: usize },
}

impl Happening {
    /// Whether a short story mentions it.
    #[must_use]
    pub const fn is_news(&self) -> bool {
        match self {
            Self::Fault(_) | Self::Healed | Self::Verdict { .. } | Self::Noted { .. } | Self::Expired { .. } => true,
            Self::Called { call, .. } | Self::Ended { call, .. } => {
                matches!(call, Call::Start | Call::Stop | Call::Keep | Call::Restore)
            }
        }
    }
}

impl fmt::Display for Happening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fault(fault) => write!(f, "--- {fault}"),
            Self::Healed => f.write_str("--- all is healed"),
            Self::Verdict { node, peer, liveness } => write!(f, "{} {} is {liveness:?}", name(*node), name(*peer)),
            Self::Noted { node, note } => {
                let text = note.text(|resource| format!("resource {resource}"));
                write!(f, "{} {}{text}", name(*node), if matches!(note, Note::Reason(_)) { "decides: " } else { "" })
            }
            Self::Called { node, resource, call } => write!(f, "{} {} {resource} begins", name(*node), call.verb()),
            Self::Ended { node, resource, call, outcome, orphaned } => {
                let orphaned = if *orphaned { ", nobody waits for it" } else { "" };
                write!(f, "{} {} {resource} ends: {outcome:?}{orphaned}", name(*node), call.verb())
            }
            Self::Expired { node, resource } => write!(f, "{} kernel takes resource {resource} away", name(*node)),
        }
    }
}

/// A line of a story: seconds since the beginning, and what happened.
#[must_use]
pub fn line(at: Micros, happening: &Happening) -> String {
    format!("{:>10.4} {happening}", std::time::Duration::from_micros(at).as_secs_f64())
}
