//! What a search has found, and how it is told.

use std::fmt;
use std::time::Duration;

/// One level of the search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level {
    /// Choices that lead here.
    pub depth: usize,
    /// Clusters that were looked at.
    pub visited: u64,
    /// Those that had not been seen before.
    pub distinct: u64,
    /// No time limit cut it short.
    pub complete: bool,
}

/// A broken promise, with the shortest way to it.
#[derive(Debug, Clone)]
pub struct Violation {
    /// What was promised.
    pub what: String,
    /// The choices that lead there.
    pub choices: Vec<String>,
    /// What happened on the way.
    pub story: String,
}

/// What a search has found.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// Level by level; the first one holds the beginnings.
    pub levels: Vec<Level>,
    /// Clusters that were healed and had to serve again.
    pub healed: u64,
    /// The first broken promise; the search ends there.
    pub violation: Option<Violation>,
    /// How long it took.
    pub took: Duration,
}

impl Found {
    /// Different states seen.
    #[must_use]
    pub fn distinct(&self) -> u64 {
        self.levels.iter().map(|level| level.distinct).sum()
    }

    /// Clusters looked at.
    #[must_use]
    pub fn visited(&self) -> u64 {
        self.levels.iter().map(|level| level.visited).sum()
    }

    /// The last level that is complete.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.levels.iter().take_while(|level| level.complete).last().map_or(0, |level| level.depth)
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cut_short = if self.complete { "" } else { " (cut short)" };
        write!(f, "depth {}: {} visited, {} new states{cut_short}", self.depth, self.visited, self.distinct)
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.took.as_secs_f64();
        let (distinct, visited) = (self.distinct(), self.visited());
        write!(f, "{distinct} distinct states, {visited} visited, depth {} complete, ", self.depth())?;
        write!(f, "{} healed and served again, {seconds:.1} s", self.healed)?;
        self.violation.as_ref().map_or(Ok(()), |violation| write!(f, "\n{violation}"))
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}, after:", self.what)?;
        self.choices.iter().try_for_each(|choice| writeln!(f, "  {choice}"))?;
        write!(f, "{}", self.story)
    }
}
