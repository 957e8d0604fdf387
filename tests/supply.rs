//! What comes in from outside: licences, sources and packages that are not wanted, as `deny.toml` names them, and the list of
//! what the installed programs are made of. `cargo deny` looks deeper where it is installed; this always runs.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use pha_lab::{command, world};
use serde_json::Value;

/// Systems that pha runs on; what others need is not looked at.
const PLATFORM: &str = "x86_64-unknown-linux-gnu";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The packages of the lock file that a build for [`PLATFORM`] uses; `None` where cargo has not all of them at hand.
fn packages(test: &str) -> Result<Option<Vec<Value>>> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--locked", "--offline", "--format-version", "1", "--filter-platform", PLATFORM]);
    let output = command::finish(cargo.current_dir(root()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(!said.contains("needs to be updated"), "Cargo.lock is not that of the Cargo.toml files: {said}");
    if !output.status.success() {
        world::skip(test, &format!("cargo does not tell: {}", said.trim()));
        return Ok(None);
    }
    let mut told: Value = serde_json::from_slice(&output.stdout)?;
    let used: Vec<Value> =
        told["resolve"]["nodes"].as_array().context("no nodes")?.iter().map(|node| node["id"].clone()).collect();
    let Value::Array(packages) = told["packages"].take() else { return Ok(None) };
    Ok(Some(packages.into_iter().filter(|package| used.contains(&package["id"])).collect()))
}

/// Every `"…"` in the part of `deny.toml` between `begin` and the next `]` at the beginning of a line.
fn listed(begin: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join("deny.toml")).unwrap();
    let list = text.split_once(begin).unwrap().1.split_once("\n]").unwrap().0;
    let lines = list.lines().filter(|line| !line.trim_start().starts_with('#'));
    lines.filter_map(|line| line.split('"').nth(1)).map(str::to_owned).collect()
}

/// Whether a licence expression is met by `allowed` ones: one of its alternatives, all of whose parts are.
fn is_met(expression: &str, allowed: &[String]) -> bool {
    let mut depth = 0;
    let mut split = |expression: &str, word: &str| -> Vec<String> {
        let mut parts = vec![Vec::new()];
        for part in expression.split(' ') {
            if depth == 0 && part == word {
                parts.push(Vec::new());
                continue;
            }
            depth += part.matches('(').count();
            depth -= part.matches(')').count();
            parts.last_mut().unwrap().push(part);
        }
        parts.into_iter().map(|part| part.join(" ")).collect()
    };
    let (either, both) = (split(expression, "OR"), split(expression, "AND"));
    let inner = || expression.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
    match (either.len(), both.len(), inner()) {
        (2.., ..) => either.iter().any(|part| is_met(part, allowed)),
        (_, 2.., _) => both.iter().all(|part| is_met(part, allowed)),
        (_, _, Some(inner)) => is_met(inner, allowed),
        _ => allowed.iter().any(|licence| licence == expression),
    }
}

#[test]
fn licence_expressions_are_read_as_they_are_meant() {
    let allowed = ["MIT".to_owned(), "Unicode-3.0".to_owned()];
    for (expression, met) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("GPL-3.0 OR MIT", true),
        ("GPL-3.0 AND MIT", false),
        ("(MIT OR Apache-2.0) AND Unicode-3.0", true),
        ("(GPL-3.0 OR Apache-2.0) AND Unicode-3.0", false),
        ("(GPL-3.0 AND MIT) OR (MIT AND Unicode-3.0)", true),
    ] {
        assert_eq!(is_met(expression, &allowed), met, "{expression}");
    }
}

#[test]
fn every_package_has_a_licence_a_source_and_a_name_that_are_allowed() -> Result<()> {
    let test = "every_package_has_a_licence_a_source_and_a_name_that_are_allowed";
    let Some(packages) = packages(test)? else { return Ok(()) };
    let (licences, banned) = (listed("[licenses]\nallow = ["), listed("\ndeny = ["));
    ensure!(licences.len() > 1 && banned.len() > 1 && packages.len() > 50);
    let outside = packages.iter().filter(|package| !package["source"].is_null());
    for package in outside {
        let name = package["name"].as_str().unwrap_or_default();
        // `/` is an older way to write OR.
        let licence =
            package["license"].as_str().with_context(|| format!("{name} names no licence"))?.replace('/', " OR ");
        ensure!(is_met(&licence, &licences), "{name}: {licence} is not allowed in deny.toml");
        ensure!(!banned.iter().any(|banned| banned == name), "{name} is banned in deny.toml");
        let source = package["source"].as_str().unwrap_or_default();
        ensure!(source.ends_with("github.com/rust-lang/crates.io-index"), "{name} comes from {source}");
    }
    Ok(())
}

#[test]
fn the_list_of_what_programs_are_made_of_is_that_of_the_lock_file_without_what_only_tests_need() -> Result<()> {
    let output = command::finish(&mut Command::new(root().join("bin/sbom")))?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let list: Value = serde_json::from_slice(&output.stdout).context("no JSON")?;
    ensure!(list["bomFormat"] == "CycloneDX" && list["metadata"]["component"]["version"] == env!("CARGO_PKG_VERSION"));
    let components = list["components"].as_array().context("no components")?;
    let lock = fs::read_to_string(root().join("Cargo.lock"))?;
    for component in components {
        let [name, version] = ["name", "version"].map(|key| component[key].as_str().unwrap_or_default());
        let sum = component["hashes"][0]["content"].as_str().context("no checksum")?;
        let entry = format!("name = \"{name}\"\nversion = \"{version}\"\n");
        let rest = lock.split_once(&entry).with_context(|| format!("{name} {version} is not in Cargo.lock"))?.1;
        ensure!(sum.len() == 64 && rest.split("\n\n").next().unwrap_or_default().contains(sum), "{name}: {sum}");
    }
    let has = |name: &str| components.iter().any(|component| component["name"] == name);
    ensure!(has("nix") && has("bincode") && !has("proptest") && !has("snapbox"), "{} components", components.len());
    Ok(())
}
