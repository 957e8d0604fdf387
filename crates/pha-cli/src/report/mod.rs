//! `report`: everything a bug report needs, in one archive without the secrets that can be found.
//!
//! Each part stands for itself: what cannot be read or told is named in the archive and on the screen, and the rest is
//! packed all the same. So this works with daemons that are down, a broken configuration and a damaged database, which is
//! when one needs it.

mod archive;
mod mask;
mod parts;

use std::fs::{self, OpenOptions};
use std::io::{self, BufWriter};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use pha_sys::exit;

use crate::failure::Failure;
use crate::grid::Grid;
use crate::screen::print;
use crate::session::Session;
use crate::times::wall_clock;
use parts::Part;

/// Only the owner may read it.
const MODE: u32 = 0o600;

/// Characters from which on a piece of the key file is looked for.
const SHORTEST: usize = 8;

const ADVICE: &str = "\
Look into it before you send it: masking knows words, not programs, and what is marked NOT MASKED holds agents' last lines
as they were printed.
";

/// Packs the archive into `file`, else into `pha-report-<node>-<time>.tar` here, and says what it holds.
///
/// # Errors
/// If the file exists or cannot be written; there is none then.
pub(crate) fn run(session: &Session, file: Option<&Path>) -> Result<(), Failure> {
    let name = format!("pha-report-{}-{}", session.node, wall_clock().strftime("%Y%m%dT%H%M%S"));
    let path = file.map_or_else(|| PathBuf::from(format!("{name}.tar")), Path::to_owned);
    let mut parts = parts::gather(session);
    mask::remove_key(&mut parts, &key(session));
    let list = list(&parts);
    parts.push(Part::text("contents.txt", "what is here and what is not", list.clone()));
    let output = OpenOptions::new().write(true).create_new(true).mode(MODE).open(&path);
    let output = output.map_err(|error| cannot_create(&path, &error))?;
    archive::write(BufWriter::new(output), &name, &parts).map_err(|error| {
        // Half a report is none.
        let _ = fs::remove_file(&path);
        Failure::from_io("write", &path, &error)
    })?;
    print(&format!("{}\n{list}{ADVICE}", path.display()))
}

fn cannot_create(path: &Path, error: &io::Error) -> Failure {
    if error.kind() == io::ErrorKind::AlreadyExists {
        return Failure::new(exit::CANT_CREATE, format!("{} exists and stays: name another file", path.display()));
    }
    Failure::from_io("write", path, error)
}

/// What the key file holds behind its comments, as far as it can be read: no part may have it. Shorter pieces of it than
/// [`SHORTEST`] are in anything.
fn key(session: &Session) -> Vec<String> {
    let text = fs::read_to_string(session.home.authkey()).unwrap_or_default();
    let code = text.lines().filter_map(|line| line.split('#').next()).flat_map(str::split_whitespace);
    code.filter(|word| word.len() >= SHORTEST).map(str::to_owned).collect()
}

fn list(parts: &[Part]) -> String {
    let mut packed = Grid::new(["packed", "bytes", ""]);
    let mut missing = String::new();
    for part in parts {
        match &part.content {
            Ok(bytes) => packed.row([part.name.clone(), bytes.len().to_string(), part.remark.clone()]),
            Err(why) => missing += &format!("not packed: {}: {why}\n", part.name),
        }
    }
    packed.render() + &missing
}
