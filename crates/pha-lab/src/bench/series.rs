//! Figures of many runs, what they are measured in, and the bars they are held against.

use std::fmt;

/// One figure of one run: infinite if it did not end; `None` where the system has no such figure.
pub(super) type Reading = Option<f64>;

/// Why something cannot be measured here. It is no failure.
#[derive(Debug, Clone)]
pub(super) struct Skip(pub(super) String);

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Skip {}

/// What a figure is measured in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Ms,
    Percent,
    Mib,
    PerSecond,
    Count,
}

impl Unit {
    /// A figure without its unit.
    pub(super) fn number(self, value: f64) -> String {
        let digits = match self {
            Self::Ms if value >= 10.0 || value == 0.0 => 0,
            Self::Ms | Self::Mib | Self::PerSecond => 1,
            Self::Percent => 2,
            Self::Count => 0,
        };
        if value.is_infinite() { "∞".to_owned() } else { format!("{value:.digits$}") }
    }

    /// What stands behind the number of a bar.
    pub(super) const fn suffix(self) -> &'static str {
        match self {
            Self::Ms => " ms",
            Self::Percent => " %",
            Self::Mib => " MiB",
            Self::PerSecond => "/s",
            Self::Count => "",
        }
    }
}

/// At least one reading, sorted.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Series(Vec<f64>);

impl Series {
    /// The readings that there are; `None` if there are none.
    pub(super) fn new(readings: impl Iterator<Item = Reading>) -> Option<Self> {
        let mut values: Vec<f64> = readings.flatten().collect();
        values.sort_unstable_by(f64::total_cmp);
        (!values.is_empty()).then_some(Self(values))
    }

    pub(super) fn runs(&self) -> usize {
        self.0.len()
    }

    fn least(&self) -> f64 {
        self.0[0]
    }

    /// Of an even number of runs, the larger of the two in the middle.
    pub(super) fn median(&self) -> f64 {
        self.0[self.0.len() / 2]
    }

    fn most(&self) -> f64 {
        self.0[self.0.len() - 1]
    }

    /// Median by median; `None` where that says nothing.
    pub(super) fn ratio(&self, to: &Self) -> Option<f64> {
        let ratio = self.median() / to.median();
        (!ratio.is_nan() && to.median() > 0.0).then_some(ratio)
    }

    /// Least, median and most; a single reading stands alone.
    pub(super) fn text(&self, unit: Unit) -> String {
        let [least, median, most] = [self.least(), self.median(), self.most()].map(|value| unit.number(value));
        if self.runs() == 1 { format!("**{median}**") } else { format!("{least} / **{median}** / {most}") }
    }
}

/// What a figure of pha is held against.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Bar {
    /// The median is at most this.
    Median(f64),
    /// No run is above this.
    Most(f64),
    /// No run is below this.
    Least(f64),
    /// The median is at most this part of keepalived's.
    Ratio(f64),
}

impl Bar {
    /// Whether it is kept; `None` if there is nothing to compare with.
    pub(super) fn kept(self, ours: &Series, theirs: Option<&Series>) -> Option<bool> {
        match self {
            Self::Median(bar) => Some(ours.median() <= bar),
            Self::Most(bar) => Some(ours.most() <= bar),
            Self::Least(bar) => Some(ours.least() >= bar),
            Self::Ratio(bar) => theirs.and_then(|theirs| ours.ratio(theirs)).map(|ratio| ratio <= bar),
        }
    }

    pub(super) fn text(self, unit: Unit) -> String {
        let suffix = unit.suffix();
        match self {
            Self::Median(bar) => format!("median ≤ {bar}{suffix}"),
            Self::Most(bar) => format!("≤ {bar}{suffix}"),
            Self::Least(bar) => format!("≥ {bar}{suffix}"),
            Self::Ratio(bar) => format!("≤ {bar} ×"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    fn series(values: &[f64]) -> Series {
        Series::new(values.iter().copied().map(Some)).unwrap()
    }

    #[test]
    fn what_never_ended_is_the_most_and_no_number() {
        let three = series(&[f64::INFINITY, 3.0, 20.0]);
        assert_eq!(three.text(Unit::Ms), "3.0 / **20** / ∞");
        assert_eq!(Bar::Most(1e9).kept(&three, None), Some(false));
        assert_eq!(series(&[1.0]).ratio(&series(&[f64::INFINITY])), Some(0.0));
    }

    #[test]
    fn a_ratio_to_nothing_is_none() {
        let (ours, nothing) = (series(&[1.0]), series(&[0.0]));
        assert_eq!(Bar::Ratio(1.0).kept(&ours, None), None);
        assert_eq!(Bar::Ratio(1.0).kept(&ours, Some(&nothing)), None);
        assert_eq!(nothing.ratio(&nothing), None);
        assert_eq!(series(&[f64::INFINITY]).ratio(&series(&[f64::INFINITY])), None);
        assert!(Series::new([None, None].into_iter()).is_none());
    }

    #[test]
    fn a_bar_is_kept_or_missed() {
        let (ours, theirs) = (series(&[1.0, 2.0, 9.0]), series(&[4.0]));
        for (bar, kept) in [
            (Bar::Median(2.0), true),
            (Bar::Most(8.0), false),
            (Bar::Least(1.0), true),
            (Bar::Least(2.0), false),
            (Bar::Ratio(0.5), true),
            (Bar::Ratio(0.4), false),
        ] {
            assert_eq!(bar.kept(&ours, Some(&theirs)), Some(kept), "{bar:?}");
        }
    }
}
