//! The tables and the diagram of `docs/state-machine.md`, made from the code: what the decision table answers, what the
//! small machines do, and how a node's states were seen to follow each other.
//!
//! The document is written by hand around blocks between `<!-- generated: NAME -->` and `<!-- end -->`.
//! `tests/state_machine.rs` makes the blocks again and compares.

mod decisions;
mod event;
mod machines;
mod node_state;
mod nodes;

pub use decisions::reasons as decided_reasons;
pub use event::Event;
pub use machines::{Machine, machines};
pub use node_state::NodeState;
pub use nodes::{Observed, Outcome, observe};

/// Before the name of a block.
const BEGIN: &str = "<!-- generated: ";
/// Behind a block.
const END: &str = "<!-- end -->";

/// Every block: its name, and what stands in it.
#[must_use]
pub fn blocks(observed: &Observed) -> Vec<(&'static str, String)> {
    let mut all = vec![
        ("decisions", decisions::by_peer()),
        ("deviations", decisions::by_deviation()),
        ("node states", node_state::states()),
        ("node diagram", observed.diagram()),
        ("node transitions", observed.table()),
    ];
    all.extend(machines().iter().map(|machine| (machine.name, machine.table())));
    all
}

/// `document` with every block made anew; an error names a block that has no place in it.
///
/// # Errors
/// The name of the block, if its two lines are missing.
pub fn written_into(document: &str, blocks: &[(&'static str, String)]) -> Result<String, &'static str> {
    let mut written = document.to_owned();
    for (name, block) in blocks {
        let begin = format!("{BEGIN}{name} -->\n");
        let from = written.find(&begin).ok_or(*name)? + begin.len();
        let to = from + written[from..].find(END).ok_or(*name)?;
        written.replace_range(from..to, &format!("\n{}\n\n", block.trim_end()));
    }
    Ok(written)
}

/// A table in Markdown.
fn table(heading: &[String], rows: &[Vec<String>]) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let rule = line(&vec!["---".to_owned(); heading.len()]);
    let rows: String = rows.iter().map(|row| line(row)).collect();
    line(heading) + &rule + &rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_the_marks_is_replaced() {
        let document = "by hand\n<!-- generated: a -->\nold\n<!-- end -->\nby hand too\n";
        let written = written_into(document, &[("a", "new\n".to_owned())]);
        let expected = "by hand\n<!-- generated: a -->\n\nnew\n\n<!-- end -->\nby hand too\n";
        assert_eq!(written.as_deref(), Ok(expected));
        assert_eq!(written_into(expected, &[("a", "new\n".to_owned())]).as_deref(), Ok(expected));
        assert_eq!(written_into(document, &[("b", String::new())]), Err("b"));
    }
}
