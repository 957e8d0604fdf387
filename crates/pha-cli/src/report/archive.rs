//! The parts as a tar archive. The only file that writes one.

use std::io::{self, Write};

use jiff::Timestamp;
use tar::{Builder, Header};

use super::parts::Part;

/// Writes every part that could be read into `output`, in a folder called `folder`.
///
/// # Errors
/// Those of `output`.
pub(super) fn write(output: impl Write, folder: &str, parts: &[Part]) -> io::Result<()> {
    let mut archive = Builder::new(output);
    let now = u64::try_from(Timestamp::now().as_second()).unwrap_or_default();
    for part in parts {
        let Ok(bytes) = &part.content else { continue };
        let mut header = Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(now);
        archive.append_data(&mut header, format!("{folder}/{}", part.name), bytes.as_slice())?;
    }
    archive.into_inner()?.flush()
}
