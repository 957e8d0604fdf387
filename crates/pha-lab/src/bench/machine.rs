//! The machine that figures were taken on, in words: without it they mean nothing.

use std::fs;
use std::path::Path;

use crate::command;
use crate::keepalived::Keepalived;

/// Markdown lines about the machine, and about the directory the nodes' trees lie in.
pub(super) fn describe(trees: &Path) -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let cpu = find("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown processor".to_owned());
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let system = find("/etc/os-release", "PRETTY_NAME").unwrap_or_else(|| "unknown system".to_owned());
    let file_system = said("stat", &["-f", "-c", "%T", &trees.display().to_string()]);
    let keepalived = Keepalived::version().unwrap_or_else(|why| format!("not measured: {why}"));
    format!(
        "- {} on {cores} cores of {cpu}, Linux {}\n- pha {}, `var/` on {file_system}; keepalived {keepalived}\n",
        system.trim_matches('"'),
        kernel.trim(),
        env!("CARGO_PKG_VERSION"),
    )
}

/// The load averages, which tell what else the machine had to do.
pub(super) fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}

/// Said of figures that were taken while each core already had something to do; empty on a quiet machine.
pub(super) fn warning() -> &'static str {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let busy = load().split(' ').next().and_then(|load| load.parse().ok()).is_some_and(|load: f64| load > cores as f64);
    if busy { "- **The machine was busy: these figures show the shape and are worth nothing else.**\n" } else { "" }
}

/// Today, as everywhere.
pub(super) fn date() -> String {
    said("date", &["-u", "+%Y-%m-%d"])
}

/// The value in the first line of `file` that begins with `name`.
fn find(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(rest.trim_start_matches([' ', '\t', ':', '=']).to_owned())
}

fn said(program: &str, arguments: &[&str]) -> String {
    command::run(program, arguments).map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
}
