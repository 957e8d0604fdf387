//! Two pairs of eyes on a running lab: what the client was answered, and who held the address.
//!
//! Tests ask them the same few questions again and again: was anybody disturbed, how long was the outage, were there
//! ever two.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::client::{Client, Gap};
use crate::holders::{HolderWatch, Span};
use crate::lab::Lab;

/// A client and a holder watch that started together.
#[derive(Debug)]
pub struct Onlookers {
    client: Client,
    holders: HolderWatch,
    client_mark: Duration,
    holders_mark: Duration,
}

impl Onlookers {
    /// Starts both and waits until the client is answered.
    pub fn start(lab: &Lab) -> Result<Self> {
        Self::with(lab, lab.client()?)
    }

    /// As [`Self::start`], with this client.
    pub fn with(lab: &Lab, client: Client) -> Result<Self> {
        let holders = lab.watch_holders();
        lab.wait(Duration::from_secs(5), "the client is answered", || client.answer().is_some())?;
        let mut onlookers = Self { client, holders, client_mark: Duration::ZERO, holders_mark: Duration::ZERO };
        onlookers.look_anew();
        Ok(onlookers)
    }

    /// From now on only what happens from now on counts.
    pub fn look_anew(&mut self) {
        self.client_mark = self.client.mark();
        self.holders_mark = self.holders.mark();
    }

    /// The client.
    #[must_use]
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// The watch of holders.
    #[must_use]
    pub const fn holders(&self) -> &HolderWatch {
        &self.holders
    }

    /// Who held the address since the last look anew.
    #[must_use]
    pub fn spans(&self) -> Vec<Span> {
        self.holders.spans().into_iter().filter(|span| span.to >= self.holders_mark).collect()
    }

    /// The longest time without an answer that ended after the last look anew, as far as it lay after it; if there is none
    /// yet, until now.
    #[must_use]
    pub fn longest_outage(&self) -> Duration {
        let since = self.client_mark;
        let gaps = self.client.gaps(since).into_iter().filter(|gap| gap.failed > 0);
        let after = |gap: Gap| gap.to.unwrap_or_else(|| self.client.mark()).saturating_sub(gap.from.max(since));
        gaps.map(after).max().unwrap_or_default()
    }

    /// Not one reply was lost, and the address stayed where it was.
    pub fn saw_nothing_move(&self) -> Result<()> {
        let gaps = self.client.gaps(self.client_mark);
        ensure!(gaps.is_empty(), "the client was disturbed: {gaps:?}");
        let moves = self.holders.moves(self.holders_mark);
        ensure!(moves == 0, "the address moved {moves} times: {:?}", self.holders.spans());
        self.never_saw_two()
    }

    /// No two nodes ever held the address at the same time, since the start.
    pub fn never_saw_two(&self) -> Result<()> {
        let doubles = self.holders.doubles();
        ensure!(doubles.is_empty(), "two nodes held the address: {doubles:?}");
        Ok(())
    }

    /// Waits at most `bound` until `name` answers, and returns the gap before its first answer.
    pub fn saw_change_to(&self, lab: &Lab, name: &str, bound: Duration) -> Result<Gap> {
        lab.wait(bound, &format!("{name} answers the client"), || self.client.answer().as_deref() == Some(name))?;
        let gaps = self.client.gaps(self.client_mark);
        let change = gaps.into_iter().rfind(|gap| gap.after.as_deref() == Some(name) && gap.before != gap.after);
        change.with_context(|| format!("the client saw no change to {name}"))
    }
}
