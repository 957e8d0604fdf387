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
        let about = format!("- {}, load after {}\n{}", machine::date(), machine::load(), machine::warning());
        document::write(document::BENCHMARKS, "micro", &format!("{about}\n{table}"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Name and median of each benchmark.
fn medians(text: &str) -> Vec<(String, String)> {
    let (mut file, mut function) = (String::new(), String::new());
    let mut found = Vec::new();
    for line in text.lines() {
        let name = line.trim_start_matches(['│', '├', '╰', '─', ' ']);
        let name = name.split(['│', ' ']).next().unwrap_or_default();
        let median = line.split('│').rev().nth(3).map_or("", str::trim);
        let measured = median.starts_with(|c: char| c.is_ascii_digit());
        match line.chars().next() {
            Some('├' | '╰') if measured => found.push((format!("{file}: {name}"), median.to_owned())),
            Some('├' | '╰') => name.clone_into(&mut function),
            // Indented: one of the arguments that the function above was called with.
            Some('│' | ' ') if measured => found.push((format!("{file}: {function}, {name}"), median.to_owned())),
            _ if line.contains("fastest") => name.clone_into(&mut file),
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
├─ read                    │               │               │               │         │
│  ╰─ Disk   6.5 µs        │ 2 ms          │ 6.7 µs        │ 60 µs         │ 100     │ 100
╰─ encode    600 ns        │ 900 ns        │ 612.3 ns      │ 700 ns        │ 100     │ 1600
";
        let expected = [("wire: decode", "1.3 µs"), ("wire: read, Disk", "6.7 µs"), ("wire: encode", "612.3 ns")];
        assert_eq!(medians(text), expected.map(|(name, median)| (name.to_owned(), median.to_owned())));
    }
}
