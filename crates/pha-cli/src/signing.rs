//! What the operator should know of how heartbeats are signed: what is missing, and the next step of a change of keys.

use pha_core::Dialect;
use pha_core::report::{Liveness, PeerReport};
use pha_status::ReceiverSection;
use pha_wire::VERSION;

use crate::session::Session;

/// A peer that cannot be spoken to as this node would like to.
pub(crate) fn peer_note(receiver: &ReceiverSection, peer: &PeerReport, name: &str) -> Option<String> {
    let heard = matches!(peer.liveness, Liveness::Alive | Liveness::Suspect);
    let Dialect { version, signer: key } = receiver.contacts.get(&peer.node).filter(|_| heard)?.dialect;
    let best = *receiver.signers.first().unwrap_or(&key);
    if version < VERSION {
        return Some(format!("{name} runs an older version of pha: upgrade it, too"));
    }
    match key {
        _ if key == best => None,
        0 => Some(format!("{name} does not sign its heartbeats: copy etc/authkey there, then 'reload' it")),
        _ => Some(format!("{name} signs with key {key:02x}, not {best:02x}: copy etc/authkey there, then 'reload' it")),
    }
}

/// This node: no key in use, or the next step.
pub(crate) fn own_note(session: &Session, receiver: &ReceiverSection) -> Option<String> {
    let every_peer_signs_with = |id: u8| receiver.contacts.values().all(|contact| contact.dialect.signer == id);
    let text = match receiver.signers.as_slice() {
        [] if receiver.pid == 0 && session.has_key() => return None,
        [] if session.has_key() => {
            "heartbeats are not authenticated: the key in etc/authkey is not in use yet, 'reload' reads it; with AUTH=rollout on \
             every node nothing is interrupted"
        }
        [] => "heartbeats are not authenticated: 'keygen' writes a key and says how to bring it to every node",
        [id, ..] if !receiver.authentic && every_peer_signs_with(*id) => {
            "every peer signs, and yet AUTH=rollout hears who does not: remove it from etc/config everywhere, and 'reload'"
        }
        [_, ..] if !receiver.authentic => {
            "heartbeats without a key are heard, too (AUTH=rollout): anybody can forge them"
        }
        [id, old, ..] if every_peer_signs_with(*id) => {
            return Some(format!(
                "every peer signs with key {id:02x}: 'keygen --retire' removes the older one, {old:02x}"
            ));
        }
        [_, ..] => return None,
    };
    Some(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{self, KEY};

    fn said(change: impl FnOnce(&mut ReceiverSection)) -> (Option<String>, Option<String>) {
        let mut receiver = samples::active_with_standby().record.receiver;
        change(&mut receiver);
        (own_note(&Session::sample(), &receiver), peer_note(&receiver, &receiver.peers[0], "lb2"))
    }

    fn speaks(receiver: &mut ReceiverSection, version: u8, key: u8) {
        receiver.contacts.values_mut().for_each(|contact| contact.dialect = Dialect { version, signer: key });
    }

    #[test]
    fn a_pair_that_signs_with_one_key_has_nothing_to_do() {
        assert_eq!(said(|_| ()), (None, None));
    }

    #[test]
    fn missing_keys_name_their_remedy() {
        let (own, peer) = said(|receiver| (receiver.signers, receiver.authentic) = (Vec::new(), false));
        assert!(own.is_some_and(|note| note.contains("'keygen'")) && peer.is_none());
    }

    #[test]
    fn each_step_of_a_change_of_keys_says_what_is_next() {
        let rollout = |key| {
            said(move |receiver| {
                receiver.authentic = false;
                speaks(receiver, VERSION, key);
            })
        };
        assert!(rollout(0).0.is_some_and(|note| note.contains("forge")));
        assert!(rollout(0).1.is_some_and(|note| note.contains("does not sign")));
        assert!(rollout(KEY).0.is_some_and(|note| note.contains("remove it")));
        assert_eq!(rollout(KEY).1, None);
        let rotation = |key| {
            said(move |receiver| {
                receiver.signers = vec![KEY, 0xa7];
                speaks(receiver, VERSION, key);
            })
        };
        assert_eq!(rotation(0xa7).0, None);
        assert!(rotation(0xa7).1.is_some_and(|note| note.contains("signs with key a7, not 3f")));
        assert!(rotation(KEY).0.is_some_and(|note| note.contains("'keygen --retire' removes the older one, a7")));
    }

    #[test]
    fn an_older_peer_is_to_be_upgraded_unless_it_is_gone() {
        let old = |receiver: &mut ReceiverSection| speaks(receiver, VERSION - 1, KEY);
        assert!(said(old).1.is_some_and(|note| note.contains("older version")));
        let gone = |receiver: &mut ReceiverSection| {
            old(receiver);
            receiver.peers[0].liveness = Liveness::Dead;
        };
        assert_eq!(said(gone).1, None);
    }
}
