//! Makes a status database one that an earlier boot of the machine left behind.
//!
//! The lab cannot boot the machine, so it puts another boot id into the file, as long as the real one, and mends the
//! checksum. The file's first line is documented: `#pha-status 1 <bytes of text> <bytes of record> <crc32 of record>`.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, Result};

/// The boot id of every earlier boot.
const EARLIER: &[u8; 36] = b"00000000-0000-4000-8000-000000000001";

/// Ages the file `path` by one boot. Without a file, or with something else in its place, there is nothing to do.
pub(super) fn leave_for_next_boot(path: &Path) -> Result<()> {
    let file = match fs::read(path) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::IsADirectory) => return Ok(()),
        Err(error) => return Err(error).context("status database"),
    };
    let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").context("boot id")?;
    let Some(aged) = aged(&file, boot_id.trim().as_bytes()) else { return Ok(()) };
    fs::write(path, aged).context("status database")
}

/// `file` with [`EARLIER`] instead of `boot_id`, wherever it stands.
fn aged(file: &[u8], boot_id: &[u8]) -> Option<Vec<u8>> {
    let line_end = file.iter().position(|byte| *byte == b'\n')?;
    let (line, rest) = file.split_at_checked(line_end + 1)?;
    let mut rest = rest.to_vec();
    let places: Vec<usize> =
        rest.windows(boot_id.len()).enumerate().filter(|(_, w)| *w == boot_id).map(|p| p.0).collect();
    for place in places {
        rest.get_mut(place..place + EARLIER.len())?.copy_from_slice(EARLIER);
    }
    let words: Vec<&str> = std::str::from_utf8(line).ok()?.split_whitespace().collect();
    let [magic, version, text, record, _] = words[..] else { return None };
    let checksum = crc32fast::hash(rest.get(text.parse().ok()?..)?);
    let mut aged = format!("{magic} {version} {text} {record} {checksum:08x}\n").into_bytes();
    aged.extend(rest);
    Some(aged)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_aged_file_differs_in_boot_id_and_checksum_only() {
        let id = b"48e67790-9f0c-428e-ac12-afed7e41e178";
        let body = [b"BOOT_ID='", &id[..], b"'\n--\n", b"\x24", id, b"\x07"].concat();
        let file = [b"#pha-status 1 50 38 00000000\n", &body[..]].concat();
        let aged = aged(&file, id).unwrap_or_default();
        let record = [b"\x24", &EARLIER[..], b"\x07"].concat();
        assert_eq!(aged.len(), file.len());
        assert!(aged.ends_with(&record));
        assert!(aged.starts_with(format!("#pha-status 1 50 38 {:08x}\n", crc32fast::hash(&record)).as_bytes()));
    }

    #[test]
    fn what_is_no_status_database_is_left_alone() {
        assert_eq!(aged(b"junk", b"48e67790-9f0c-428e-ac12-afed7e41e178"), None);
        assert_eq!(aged(b"junk\nmore", b"48e67790-9f0c-428e-ac12-afed7e41e178"), None);
    }
}
