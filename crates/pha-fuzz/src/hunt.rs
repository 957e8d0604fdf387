//! A search for an input that breaks something, for as long as one wants, on stable Rust.

use std::fmt;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::mutate::mutated;
use crate::targets::Target;

/// How a search ended.
#[derive(Debug)]
pub struct Hunt {
    /// Inputs that were tried.
    pub tried: u64,
    /// Those that were taken for good.
    pub accepted: u64,
    /// Where the input is that broke something.
    pub broke: Option<PathBuf>,
}

impl fmt::Display for Hunt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} inputs, {} of them good", self.tried, self.accepted)?;
        match &self.broke {
            Some(path) => write!(f, "; BROKEN by {}", path.display()),
            None => Ok(()),
        }
    }
}

/// Feeds `target` for `time`, at first with what broke it before; the seeds themselves are always tried. What is accepted
/// becomes a seed now and then. Ends with the first panic.
///
/// # Errors
/// If an input cannot be saved.
pub fn hunt(target: &Target, seed: u64, time: Duration, found: &Path) -> Result<Hunt> {
    let began = Instant::now();
    let mut chance = fastrand::Rng::with_seed(seed);
    let mut seeds = (target.seeds)();
    let mut hunt = Hunt { tried: 0, accepted: 0, broke: None };
    let folder = found.join(target.name);
    let before = fs::read_dir(&folder).into_iter().flatten().flatten().filter_map(|file| fs::read(file.path()).ok());
    let mut waiting: Vec<Vec<u8>> = before.chain(seeds.iter().cloned()).collect();
    while !waiting.is_empty() || began.elapsed() < time {
        let input = waiting.pop().unwrap_or_else(|| mutated(&seeds, &mut chance));
        hunt.tried += 1;
        match catch_unwind(AssertUnwindSafe(|| (target.feed)(&input))) {
            Ok(true) => {
                hunt.accepted += 1;
                if seeds.len() < 1000 && chance.u8(..64) == 0 {
                    seeds.push(input);
                }
            }
            Ok(false) => {}
            Err(_) => {
                hunt.broke = Some(saved(&folder, &input)?);
                break;
            }
        }
    }
    Ok(hunt)
}

fn saved(folder: &Path, input: &[u8]) -> Result<PathBuf> {
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let path = folder.join(format!("{:08x}", crc32fast::hash(input)));
    fs::write(&path, input).with_context(|| path.display().to_string())?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::targets::all;

    #[test]
    fn every_target_takes_its_seeds_and_some_thousand_changes_of_them() -> Result<()> {
        let folder = tempfile::tempdir()?;
        for target in all() {
            assert!((target.seeds)().iter().any(|seed| (target.feed)(seed)), "{}: no seed is good", target.name);
            let hunt = hunt(&target, 1, Duration::from_millis(500), folder.path())?;
            assert!(hunt.broke.is_none() && hunt.tried > 0, "{}: {hunt}", target.name);
        }
        Ok(())
    }

    #[test]
    fn what_breaks_something_is_saved_and_tried_again_first() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let feed = |bytes: &[u8]| {
            assert!(bytes.len() < 10, "too long for it");
            true
        };
        let target = Target { name: "weak", seeds: || vec![vec![1; 9]], feed };
        let (first, second) = (
            hunt(&target, 1, Duration::from_secs(60), folder.path())?,
            hunt(&target, 1, Duration::ZERO, folder.path())?,
        );
        let path = first.broke.context("it does not break")?;
        assert!(fs::read(&path)?.len() >= 10);
        assert_eq!(second.broke, Some(path));
        Ok(())
    }
}
