//! The pure heart of pha: failure detector, decision table, resource plan.
//!
//! Nothing here knows a clock, socket, file, process, thread or log. The machines are fed and asked, time is an
//! argument, and what they want done they return as commands that a shell carries out. Everything is `Clone + Eq +
//! Hash`, so that it can be simulated, searched and replayed.

pub mod beat;
pub mod decide;
pub mod detector;
pub mod gateway;
pub mod handover;
pub mod heartbeat;
pub mod node;
pub mod reason;
pub mod report;
pub mod resource;
pub mod stages;
pub mod supervisor;
pub mod time;
pub mod word;

pub use handover::{Answer, Ask, GaveUp, Handover, Unready};
pub use heartbeat::{Dialect, DropReason, Heartbeat, Saying, Serial};
pub use node::{MAX_NODES, NodeId, Term};
pub use reason::Reason;
pub use stages::{CallSpan, Stages};
pub use time::BootTime;
pub use word::{Direction, Gateway, LeaveCause, Role, Status, Word};
