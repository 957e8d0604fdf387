//! `etc/config`: from text to a checked [`Config`], or to every [`Problem`] in it at once.
//!
//! ```text
//!  bytes ──source──▶ lines ──reader──▶ keys ──parse, nodes, resources──▶ Config ──times──▶ checked
//!                                                                          └──files (load only)──▶ agents, key, modes
//! ```
//!
//! [`Config::parse`] is pure; [`Config::load`] also reads the file and looks at the files it names. No error stops
//! the search for further ones: an operator corrects the whole file in one go. Nothing in a file is ever run, and no
//! file, however broken, makes a panic. The reference of all keys is `docs/configuration.md`; a test compares it.

mod agent;
mod config;
mod effective;
mod files;
mod home;
mod keys;
mod nodes;
mod parse;
mod problem;
mod reader;
mod resources;
mod source;
pub mod times;
mod value;
mod warnings;

#[cfg(test)]
mod parse_tests;
#[cfg(test)]
mod resources_tests;
#[cfg(test)]
mod times_tests;

pub use agent::{AgentFeatures, agent_features};
pub use config::{Auth, BuiltInCheck, Config, Node, Profile, ResourceConfig, Split};
pub use home::Home;
pub use keys::nearest;
pub use problem::{ConfigErrors, Problem};
