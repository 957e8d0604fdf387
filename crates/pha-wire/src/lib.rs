//! The heartbeat datagram: encode, decode, authenticate, reject replays.
//!
//! [`Codec`] turns a [`pha_core::Heartbeat`] into [`LENGTH`] bytes and back, [`Key`] is the cluster's shared secret,
//! [`ReplayGuard`] remembers what a peer has said already. No socket, file or clock is used here, and whatever the
//! network delivers ends as a heartbeat or as a [`pha_core::DropReason`] to be counted: nothing here panics on input
//! and nothing is ever answered.

mod codec;
mod key;
mod replay;

pub use codec::{Codec, LENGTH, OLDEST, Trust, VERSION};
pub use key::{Key, KeyError, Keyring, MOST_KEYS, name_hash};
pub use replay::{Accept, ReplayGuard};
