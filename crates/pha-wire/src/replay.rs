//! What a peer has said already, so that nobody can say it again for it.
//!
//! A peer sends the same heartbeat over every link. The first copy is news; the later ones only prove their link. On
//! one link serials must grow: what was delayed until a newer one overtook it is dropped like a replay. An older
//! incarnation than the newest is never accepted, on any link: a stale one does not revive a dead peer.

use pha_core::{DropReason, Serial};

/// What an accepted heartbeat is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accept {
    /// News: the newest heartbeat of this peer.
    Newest,
    /// A copy of what another link has delivered already: only its link's figures may use it. It says nothing about
    /// whether the peer is alive now.
    OtherLink,
}

/// The highest serials of one peer: overall, and on each of its links.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReplayGuard {
    newest: Option<Serial>,
    links: Vec<Option<Serial>>,
}

impl ReplayGuard {
    /// A guard that has already heard `newest`: a restarted receiver goes on where its predecessor stopped, and what
    /// was recorded meanwhile cannot be played to it.
    #[must_use]
    pub const fn resumed(newest: Serial) -> Self {
        Self { newest: Some(newest), links: Vec::new() }
    }

    /// Takes an authentic heartbeat that arrived on `link`, an index into the peer's configured addresses (never a
    /// number from the network: one entry is kept for each up to the highest).
    ///
    /// # Errors
    /// [`DropReason::Replayed`] if it is of an older incarnation, or not newer than what this link has delivered.
    pub fn accept(&mut self, link: usize, serial: Serial) -> Result<Accept, DropReason> {
        let stale = self.newest.is_some_and(|newest| serial.incarnation < newest.incarnation);
        let repeated = self.links.get(link).copied().flatten().is_some_and(|last| serial <= last);
        if stale || repeated {
            return Err(DropReason::Replayed);
        }
        if self.links.len() <= link {
            self.links.resize(link + 1, None);
        }
        self.links[link] = Some(serial);
        if self.newest.is_some_and(|newest| serial <= newest) {
            return Ok(Accept::OtherLink);
        }
        self.newest = Some(serial);
        Ok(Accept::Newest)
    }

    /// The newest heartbeat accepted so far.
    #[must_use]
    pub const fn newest(&self) -> Option<Serial> {
        self.newest
    }

    /// Forgets everything: for a peer that was installed anew and counts from the beginning. What was recorded before
    /// can be replayed from here on, so only an operator's wish is reason enough.
    pub fn forget(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn serial(incarnation: u64, sequence: u64) -> Serial {
        Serial { incarnation, sequence }
    }

    #[test]
    fn the_same_heartbeat_is_news_once_and_then_proves_each_other_link_once() {
        let mut guard = ReplayGuard::default();
        assert_eq!(guard.accept(0, serial(1, 1)), Ok(Accept::Newest));
        assert_eq!(guard.accept(1, serial(1, 1)), Ok(Accept::OtherLink));
        assert_eq!(guard.accept(0, serial(1, 1)), Err(DropReason::Replayed));
        assert_eq!(guard.accept(1, serial(1, 1)), Err(DropReason::Replayed));
        assert_eq!(guard.accept(1, serial(1, 2)), Ok(Accept::Newest));
        assert_eq!(guard.accept(0, serial(1, 2)), Ok(Accept::OtherLink));
    }

    #[test]
    fn an_older_heartbeat_on_the_same_link_is_a_replay() {
        let mut guard = ReplayGuard::default();
        assert_eq!(guard.accept(0, serial(1, 5)), Ok(Accept::Newest));
        for sequence in 0..=5 {
            assert_eq!(guard.accept(0, serial(1, sequence)), Err(DropReason::Replayed));
        }
        assert_eq!(guard.newest(), Some(serial(1, 5)));
    }

    #[test]
    fn a_stale_incarnation_is_refused_even_on_a_link_that_never_delivered() {
        let mut guard = ReplayGuard::default();
        assert_eq!(guard.accept(0, serial(7, 1)), Ok(Accept::Newest));
        assert_eq!(guard.accept(1, serial(6, 999)), Err(DropReason::Replayed));
        assert_eq!(guard.accept(0, serial(6, 999)), Err(DropReason::Replayed));
        assert_eq!(guard.accept(1, serial(8, 1)), Ok(Accept::Newest));
        assert_eq!(guard.accept(0, serial(7, 2)), Err(DropReason::Replayed));
    }

    #[test]
    fn a_link_that_lags_behind_is_never_news() {
        let mut guard = ReplayGuard::default();
        for sequence in 1..=10 {
            assert_eq!(guard.accept(0, serial(1, sequence)), Ok(Accept::Newest));
        }
        for sequence in 1..=10 {
            assert_eq!(guard.accept(1, serial(1, sequence)), Ok(Accept::OtherLink));
        }
    }

    #[test]
    fn a_resumed_guard_refuses_what_its_predecessor_heard() {
        let mut guard = ReplayGuard::resumed(serial(3, 10));
        assert_eq!(guard.accept(0, serial(2, 99)), Err(DropReason::Replayed));
        assert_eq!(guard.accept(0, serial(3, 10)), Ok(Accept::OtherLink), "perhaps the first copy on this link");
        assert_eq!(guard.accept(0, serial(3, 11)), Ok(Accept::Newest));
    }

    #[test]
    fn a_forgetful_guard_starts_from_the_beginning() {
        let mut guard = ReplayGuard::resumed(serial(9, 9));
        guard.forget();
        assert_eq!(guard.accept(0, serial(1, 1)), Ok(Accept::Newest));
    }
}
