//! The table: one row for each figure and rival, as Markdown that can be read on a terminal too.

use super::experiments::{Experiment, Figure};
use super::series::{Reading, Series, Unit};
use super::system::System;

/// What an experiment yielded on one system.
pub(super) struct Outcome {
    pub(super) system: System,
    /// One entry for each run: a reading for each figure.
    pub(super) runs: Vec<Vec<Reading>>,
    /// Why there are fewer runs than there should be.
    pub(super) note: Option<String>,
}

/// One figure of pha beside that of one rival.
pub(super) struct Row {
    title: String,
    unit: Unit,
    ours: Option<Series>,
    theirs: Option<Series>,
    bars: String,
    /// `None` if no bar could be judged.
    pub(super) kept: Option<bool>,
    pub(super) on_first_page: bool,
}

/// The rows of `experiment`. `outcomes` begin with pha's; bars count in the rows of the first rival.
pub(super) fn rows(experiment: &Experiment, outcomes: &[Outcome]) -> Vec<Row> {
    let Some((ours, rivals)) = outcomes.split_first() else { return Vec::new() };
    let mut rows = Vec::new();
    for (index, figure) in experiment.figures.iter().enumerate() {
        rows.push(judged(figure, series(ours, index), rivals.first().and_then(|rival| series(rival, index))));
        let others = rivals.iter().skip(1).filter_map(|rival| Some((rival, series(rival, index)?)));
        rows.extend(others.map(|(rival, theirs)| beside(figure, series(ours, index), rival.system, theirs)));
    }
    rows
}

fn series(outcome: &Outcome, index: usize) -> Option<Series> {
    Series::new(outcome.runs.iter().map(|run| run.get(index).copied().flatten()))
}

fn judged(figure: &Figure, ours: Option<Series>, theirs: Option<Series>) -> Row {
    let verdicts = figure.bars.iter().filter_map(|bar| bar.kept(ours.as_ref()?, theirs.as_ref()));
    let kept = verdicts.reduce(|all, one| all && one);
    let bars: Vec<String> = figure.bars.iter().map(|bar| bar.text(figure.unit)).collect();
    let on_first_page = figure.on_first_page;
    Row { title: figure.title.to_owned(), unit: figure.unit, ours, theirs, bars: bars.join(", "), kept, on_first_page }
}

fn beside(figure: &Figure, ours: Option<Series>, rival: System, theirs: Series) -> Row {
    let title = format!("– beside {}", rival.name());
    let theirs = Some(theirs);
    Row { title, unit: figure.unit, ours, theirs, bars: String::new(), kept: None, on_first_page: false }
}

impl Row {
    fn ratio(&self) -> String {
        let ratio = self.ours.as_ref().zip(self.theirs.as_ref()).and_then(|(ours, theirs)| ours.ratio(theirs));
        ratio.map_or("–".to_owned(), |ratio| format!("{ratio:.2}"))
    }

    fn cells(&self) -> Vec<String> {
        let text = |series: &Option<Series>| series.as_ref().map_or("–".to_owned(), |series| series.text(self.unit));
        let runs =
            |series: &Option<Series>| series.as_ref().map_or("–".to_owned(), |series| series.runs().to_string());
        let verdict = match self.kept {
            Some(true) => "kept",
            Some(false) => "**missed**",
            None => "",
        };
        let runs = format!("{}, {}", runs(&self.ours), runs(&self.theirs));
        let [ours, theirs] = [text(&self.ours), text(&self.theirs)];
        [&self.title, &runs, &ours, &theirs, &self.ratio(), &self.bars, verdict].map(str::to_owned).to_vec()
    }

    fn short_cells(&self) -> Vec<String> {
        let text = |series: &Option<Series>| {
            let number = |series: &Series| self.unit.number(series.median());
            series.as_ref().map_or("–".to_owned(), number)
        };
        vec![self.title.clone(), text(&self.ours), text(&self.theirs), self.ratio()]
    }
}

/// The whole table.
pub(super) fn full(rows: &[Row]) -> String {
    let head = ["figure (ms if nothing is said)", "runs", "pha", "keepalived", "ratio", "bar", ""];
    grid(&head, &rows.iter().map(Row::cells).collect::<Vec<_>>())
}

/// The medians for the first page.
pub(super) fn short(rows: &[Row]) -> String {
    let head = ["median (ms if nothing is said)", "pha", "keepalived", "ratio"];
    grid(&head, &rows.iter().filter(|row| row.on_first_page).map(Row::short_cells).collect::<Vec<_>>())
}

/// A Markdown table with columns of even width.
fn grid(head: &[&str], rows: &[Vec<String>]) -> String {
    let head: Vec<String> = head.iter().map(|&cell| cell.to_owned()).collect();
    let width = |column: usize| {
        let cells = rows.iter().chain([&head]).filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or_default().max(3)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |cells: &[String]| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!(" {cell:<width$} |"));
        format!("|{}\n", padded.collect::<String>())
    };
    let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
    [line(&head), line(&rule)].into_iter().chain(rows.iter().map(|row| line(row))).collect()
}

#[cfg(test)]
mod tests {
    use super::super::experiments::ALL_EXPERIMENTS;
    use super::*;

    fn outcome(readings: &[f64]) -> Outcome {
        let runs = readings.iter().map(|reading| vec![Some(*reading)]).collect();
        Outcome { system: System::Pha, runs, note: None }
    }

    #[test]
    fn a_missed_bar_is_said_and_a_rival_that_is_not_there_is_a_dash() {
        let crash = &ALL_EXPERIMENTS[0];
        let rows = rows(crash, &[outcome(&[500.0, 700.0, 510.0])]);
        let text = full(&rows);
        assert!(text.contains("| 500 / **510** / 700 | –"), "{text}");
        assert!(text.contains("≤ 620 ms, ≤ 0.7 ×") && text.contains("**missed**"), "{text}");
        assert_eq!(rows[0].kept, Some(false));
        assert_eq!(rows[1].kept, None, "nothing was read for the second figure");
    }

    #[test]
    fn bars_count_against_the_first_rival_only() {
        let crash = &ALL_EXPERIMENTS[0];
        let rows = rows(crash, &[outcome(&[300.0]), outcome(&[600.0]), outcome(&[100.0])]);
        assert_eq!(rows.iter().filter_map(|row| row.kept).collect::<Vec<_>>(), [true]);
        let (full, short) = (full(&rows), short(&rows));
        assert!(full.contains("0.50") && full.contains("3.00"), "{full}");
        assert!(short.contains("0.50") && !short.contains("3.00"), "{short}");
        assert!(full.lines().all(|line| line.chars().count() == full.lines().next().unwrap_or("").chars().count()));
    }
}
