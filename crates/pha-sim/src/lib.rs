//! Virtual nodes of the real core in virtual time.
//!
//! Every node has the real failure detector, beat and supervisor, the real database record and the real datagrams; this
//! crate plays the shells around them (in the shells' order of steps), the agents, the kernel that takes a leased address
//! away, the network between the nodes, and fate. One seed decides everything that chance decides, so every story can be
//! told again.

mod agents;
mod apply;
mod audit;
mod campaign;
mod clock;
mod cluster;
mod fault;
mod fingerprint;
mod happening;
pub mod invariants;
mod network;
mod node;
mod playable;
mod programs;
mod schedule;
pub mod search;
mod shrink;
pub mod state_table;
mod trial;

pub use agents::{Agent, Takes};
pub use audit::Audit;
pub use campaign::{Findings, Worst, run};
pub use clock::{Clock, Micros, micros};
pub use cluster::{Cluster, Making};
pub use fault::{Behaviour, Fault, Program, name};
pub use fingerprint::fingerprint;
pub use happening::{Happening, line};
pub use network::Network;
pub use node::{Hearing, Node, Process, Receiver, Sender, Supervise, settings};
pub use schedule::{Class, Schedule, Step};
pub use shrink::shrink;
pub use trial::{Broken, Measured, Trial, play, recovery_bound};
