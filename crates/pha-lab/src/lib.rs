//! The laboratory: two or three real nodes on one machine, a client, and faults.
//!
//! It is the one implementation under the demo, the node tests and the benchmark. Nodes are network namespaces on a
//! bridge, each with its own tree (`bin/ res/ etc/ var/`) and the real programs; the client stands on the bridge and
//! sees what a user would see. Everything lives in private namespaces ([`world`]) that die with the process.
//!
//! Nothing here is installed, and nothing here is trusted by the daemons: the lab uses their documented interfaces
//! (programs, configuration, status database) and the kernel's own tables.

pub mod bench;
pub mod chaos;
pub mod client;
pub mod command;
pub mod demo;
pub mod disturb;
pub mod flood;
pub mod flooder;
pub mod holders;
pub mod home;
pub mod keepalived;
pub mod lab;
pub mod many;
pub mod network;
pub mod node;
pub mod old_peer;
pub mod onlookers;
pub mod pressure;
pub mod scripts;
pub mod server;
pub mod usage;
pub mod world;

pub use client::{Client, Gap, Probe};
pub use holders::HolderWatch;
pub use lab::{Lab, LabOptions};
pub use node::{Disk, Node, Program, Spoilt};
pub use onlookers::Onlookers;
