//! Hostile bytes for everything that reads bytes from outside: datagrams, the status database, traces, configuration, keys.
//!
//! A [`Target`] takes any bytes, and panics if what reads them is wrong about them. [`hunt`] feeds it on stable Rust with what
//! chance makes of a few good inputs; `crates/pha-fuzz/fuzz` hands the same targets to cargo-fuzz, which sees what code an
//! input reaches. Nothing here is installed.

pub mod hunt;
mod mutate;
mod targets;

pub use targets::{Target, all, by_name};
