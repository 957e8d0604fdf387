//! `bin/bench micro`: the medians of `cargo bench`, as a table.
//!
//! The benches print a tree: a line without figures opens a group, a line with four columns is a benchmark.

use std::process::ExitCode;

use anyhow::{Result, ensure};

use super::{document, machine};

/// Reads what the benches print from standard input and prints their medians; with `write` also into
/// docs/benchmarks.md.
///
/// # Errors
/// There was no benchmark in it, or the document could not be written.
pub fn run(write: bool) -> Result<ExitCode> {
    let text = std::io::read_to_string(std::io::stdin())?;
    let medians = medians(&text);
    ensure!(!medians.is_empty(), "no benchmark was run");
    let mut table = "| what | median |\n| --- | --- |\n".to_owned();
    medians.iter().for_each(|(name, median)| table.push_str(&format!("| {name} | {median} |\n")));
    println!("{table}");
    if write {
        let about = format!("{}- {}\n", machine::describe(&std::env::temp_dir()), machine::date());
        document::write(document::BENCHMARKS, "micro", &format!("{about}\n{table}"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Name and median of each benchmark.
fn medians(text: &str) -> Vec<(String, String)> {
    let mut group = String::new();
    let mut found = Vec::new();
    for line in text.lines() {
        let columns: Vec<&str> = line.split('│').collect();
        let name = line.trim_start_matches(['│', ' ']).trim_start_matches(['├', '╰', '─', ' ']);
        let name = name.split("  ").next().unwrap_or_default().trim();
        let is_nested = line.starts_with(['├', '╰']);
        match columns.iter().rev().nth(3).map(|median| median.trim()) {
            Some(median) if is_nested && median.starts_with(|c: char| c.is_ascii_digit()) => {
                found.push((format!("{group}: {name}"), median.to_owned()));
            }
            _ if line.contains("fastest") => name.split(' ').next().unwrap_or_default().clone_into(&mut group),
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_found_with_their_group() {
        let text = "\
Timer precision: 20 ns
wire         fastest       │ slowest       │ median        │ mean          │ samples │ iters
├─ decode    1.2 µs        │ 3 µs          │ 1.3 µs        │ 1.4 µs        │ 100     │ 1600
╰─ encode    600 ns        │ 900 ns        │ 612.3 ns      │ 700 ns        │ 100     │ 1600
";
        let expected = [("wire: decode", "1.3 µs"), ("wire: encode", "612.3 ns")];
        assert_eq!(medians(text), expected.map(|(name, median)| (name.to_owned(), median.to_owned())));
    }
}
