//! A bad file is kept, under a name that says when it was found, so that somebody can look at it.

use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::error::StatusError;

/// Bad files that are kept; the oldest go first.
const KEPT: usize = 8;

const MARK: &str = "bad-";

/// Keeps `file` as `file.bad-<time>` too, and returns that name. The file itself stays in its place until it is
/// replaced, so that there is no moment without one.
pub(crate) fn set_aside(file: &Path) -> Result<PathBuf, StatusError> {
    let aside = file.with_added_extension(format!("{MARK}{}", Timestamp::now().strftime("%Y%m%dT%H%M%S.%6fZ")));
    fs::hard_link(file, &aside).or_else(|_| fs::rename(file, &aside)).map_err(|source| StatusError::Io {
        path: file.to_owned(),
        doing: "cannot be set aside",
        source,
    })?;
    forget_oldest(file);
    Ok(aside)
}

/// Best effort: an old file that cannot be removed harms nobody.
fn forget_oldest(file: &Path) {
    let start = file.with_added_extension(MARK).into_os_string();
    let Some(entries) = file.parent().and_then(|dir| fs::read_dir(dir).ok()) else { return };
    let is_aside = |path: &PathBuf| path.as_os_str().as_encoded_bytes().starts_with(start.as_encoded_bytes());
    let mut found: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(is_aside).collect();
    found.sort();
    for oldest in found.iter().take(found.len().saturating_sub(KEPT)) {
        let _ = fs::remove_file(oldest);
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_bad_file_is_kept_under_the_time_it_was_found() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("status.dat");
        fs::write(&file, "bad").unwrap();
        let aside = set_aside(&file).unwrap();
        assert_eq!(fs::read(&aside).unwrap(), b"bad");
        assert!(file.exists());
        let name = aside.file_name().unwrap().to_str().unwrap();
        let time = name.strip_prefix("status.dat.bad-20").unwrap();
        assert!(time.len() == "260131T120000.123456Z".len() && time.ends_with('Z'), "{name}");
    }

    #[test]
    fn only_the_newest_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("status.dat");
        fs::write(dir.path().join("status.dat.bad-2020"), "oldest").unwrap();
        fs::write(&file, "bad").unwrap();
        let asides: Vec<PathBuf> = (0..KEPT).map(|_| set_aside(&file).unwrap()).collect();
        assert!(asides.iter().all(|aside| aside.exists()));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), KEPT + 1);
    }
}
