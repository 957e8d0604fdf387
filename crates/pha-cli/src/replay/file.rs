//! From files to what can be played: traces, or an archive of `report` with traces in it.

use std::fs::File;
use std::io::{self, Cursor, Read as _};
use std::path::{Path, PathBuf};

use pha_core::beat::Beat;
use pha_core::supervisor::Supervisor;
use pha_sys::exit;
use pha_trace::{Detectors, Machine, Segment, TraceError, program};

use super::player::{Player, Teller, Timeline};
use crate::failure::Failure;

/// More is no file of ours.
const LIMIT: u64 = 1 << 30;

/// Within these many bytes a file says what it is.
const BEGINNING: u64 = 512;

/// Where a tar archive says that it is one.
const TAR_MAGIC: (usize, &[u8]) = (257, b"ustar");

/// A file in memory, and how to name it in messages.
struct Content {
    name: String,
    bytes: Vec<u8>,
}

/// One timeline for each program of each node.
///
/// # Errors
/// If a file cannot be read, or holds nothing that can be played; the message names it.
pub(crate) fn timelines(files: &[PathBuf]) -> Result<Vec<Box<dyn Timeline>>, Failure> {
    let mut contents = Vec::new();
    for file in files {
        contents.extend(traces(file)?);
    }
    let mut timelines: Vec<Box<dyn Timeline>> = Vec::new();
    add::<Detectors>(&mut timelines, &contents)?;
    add::<Supervisor>(&mut timelines, &contents)?;
    add::<Beat>(&mut timelines, &contents)?;
    match contents.iter().find(|content| !is_played(content)) {
        Some(content) => Err(unplayable(&content.name, TraceError::Program)),
        None => Ok(timelines),
    }
}

fn is_played(content: &Content) -> bool {
    program(&content.bytes).is_ok_and(|name| [Detectors::PROGRAM, Supervisor::PROGRAM, Beat::PROGRAM].contains(&name))
}

/// The traces of machine `M` among `contents`, in a timeline for each node.
fn add<M: Teller + 'static>(timelines: &mut Vec<Box<dyn Timeline>>, contents: &[Content]) -> Result<(), Failure> {
    let mut segments: Vec<(String, Segment<M>)> = Vec::new();
    for content in contents {
        let bad = |error| unplayable(&content.name, error);
        if program(&content.bytes).map_err(bad)? == M::PROGRAM {
            let segment = Segment::parse(&content.bytes).map_err(bad)?;
            // The same file may come twice, by itself and in an archive.
            if segments.iter().all(|(_, other)| *other != segment) {
                segments.push((content.name.clone(), segment));
            }
        }
    }
    segments.sort_by_key(|(_, segment)| (segment.head.node.clone(), segment.head.clocks.wall));
    let by_node = segments.chunk_by(|(_, one), (_, other)| one.head.node == other.head.node);
    timelines.extend(by_node.map(|of_node| Box::new(Player::new(of_node.to_vec())) as Box<dyn Timeline>));
    Ok(())
}

/// The traces that `path` is or holds. Its beginning tells whether the rest is worth reading.
fn traces(path: &Path) -> Result<Vec<Content>, Failure> {
    let unreadable = |error: io::Error| Failure::from_io("read", path, &error);
    let name = path.display().to_string();
    let mut file = File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    (&mut file).take(BEGINNING).read_to_end(&mut bytes).map_err(unreadable)?;
    let (at, magic) = TAR_MAGIC;
    let is_archive = bytes.get(at..at + magic.len()) == Some(magic);
    if !is_archive {
        program(&bytes).map_err(|error| unplayable(&name, error))?;
    }
    file.take(LIMIT).read_to_end(&mut bytes).map_err(unreadable)?;
    if !is_archive {
        return Ok(vec![Content { name, bytes }]);
    }
    let found = packed(&name, &bytes)
        .map_err(|error| Failure::new(exit::IO_ERR, format!("{name}: the archive is damaged: {error}")))?;
    if found.is_empty() {
        return Err(Failure::new(exit::IO_ERR, format!("{name}: this archive holds no trace")));
    }
    Ok(found)
}

fn packed(archive: &str, bytes: &[u8]) -> io::Result<Vec<Content>> {
    let mut found = Vec::new();
    for member in tar::Archive::new(Cursor::new(bytes)).entries()? {
        let mut member = member?;
        let name = member.path()?.display().to_string();
        if name.ends_with(".trace") || name.ends_with(".trace.1") {
            let mut bytes = Vec::new();
            member.read_to_end(&mut bytes)?;
            found.push(Content { name: format!("{archive}: {name}"), bytes });
        }
    }
    Ok(found)
}

fn unplayable(name: &str, error: TraceError) -> Failure {
    let remedy = match error {
        TraceError::NotOurs | TraceError::Program => {
            ": name a .trace or .trace.1 file of var/log, or an archive made by 'pha-cli report'"
        }
        TraceError::Beginning => ": the other file of this program (.trace or .trace.1) may be whole",
        TraceError::Version { .. } => "",
    };
    Failure::new(exit::IO_ERR, format!("{name}: {error}{remedy}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn what_does_not_begin_as_a_trace_is_refused_without_reading_it_all() {
        // Has no end.
        let refusal = traces(Path::new("/dev/zero")).err().unwrap().to_string();
        assert!(refusal.contains("name a .trace or .trace.1 file"), "{refusal}");
    }
}
