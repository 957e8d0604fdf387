//! The status file as a whole: first line, text, record.
//!
//! The first line is `#pha-status 2 <bytes of text> <bytes of record> <crc32 of record>`; the text counts from behind
//! it up to and with the line `--`. Programs use the record only. A file is taken if every number is exactly right,
//! and else refused: there is no repairing.

use crate::codec;
use crate::error::Defect;
use crate::head;
use crate::record::Record;
use crate::version_1;

/// The version this crate writes. Raise it whenever the types in [`Record`] change, and keep reading the one before.
pub const VERSION: u32 = 2;

/// The version before, which is still read.
const BEFORE: u32 = 1;

/// Bytes a status file may have; more is not even read.
pub(crate) const FILE_LIMIT: usize = 4 * codec::RECORD_LIMIT;

const MAGIC: &str = "#pha-status";

/// The line that ends the text.
const END: &str = "--\n";

/// Bytes within which the first line ends.
const FIRST_LINE_LIMIT: usize = 80;

/// The file that holds `record`.
pub(crate) fn render(record: &Record) -> Result<Vec<u8>, Defect> {
    let bytes = codec::encode(record)?;
    let text = head::text(record) + END;
    let mut file = first_line(VERSION, text.len(), &bytes);
    file.push_str(&text);
    let mut file = file.into_bytes();
    file.extend_from_slice(&bytes);
    if file.len() > FILE_LIMIT { Err(Defect::TooLarge) } else { Ok(file) }
}

/// The record in a file.
pub(crate) fn parse(file: &[u8]) -> Result<Record, Defect> {
    if file.len() > FILE_LIMIT {
        return Err(Defect::TooLarge);
    }
    let line_end = file.iter().take(FIRST_LINE_LIMIT).position(|byte| *byte == b'\n').ok_or(Defect::NotOurs)?;
    let (line, rest) = file.split_at(line_end + 1);
    let (version, text_length, record_length) = numbers(line)?;
    let (text, record) = rest.split_at_checked(text_length).ok_or(Defect::Length)?;
    if record.len() != record_length || !text.ends_with(END.as_bytes()) {
        return Err(Defect::Length);
    }
    if line != first_line(version, text_length, record).as_bytes() {
        return Err(Defect::Checksum);
    }
    match version {
        BEFORE => codec::decode::<version_1::Record>(record).map(Record::from),
        _ => codec::decode(record),
    }
}

fn first_line(version: u32, text_length: usize, record: &[u8]) -> String {
    format!("{MAGIC} {version} {text_length} {} {:08x}\n", record.len(), crc32fast::hash(record))
}

/// Version, length of the text and length of the record that a first line names; the checksum is left to the caller.
fn numbers(line: &[u8]) -> Result<(u32, usize, usize), Defect> {
    let line = std::str::from_utf8(line).map_err(|_| Defect::NotOurs)?;
    let words = line.strip_prefix(MAGIC).and_then(|line| line.strip_prefix(' ')).ok_or(Defect::NotOurs)?;
    let mut words = words.trim_end().split(' ');
    let mut number = || words.next().and_then(|word| word.parse::<u32>().ok()).ok_or(Defect::NotOurs);
    let found = number()?;
    if !(BEFORE..=VERSION).contains(&found) {
        return Err(Defect::Version { found });
    }
    let size = |number: u32| usize::try_from(number).map_err(|_| Defect::TooLarge);
    Ok((found, size(number()?)?, size(number()?)?))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use proptest::prelude::*;

    use pha_core::Dialect;

    use super::*;
    use crate::record::Contact;
    use crate::record::tests::full_record;

    /// Never to be changed.
    const VERSION_1: &[u8] = include_bytes!("../tests/data/status-1.dat");
    const VERSION_2: &[u8] = include_bytes!("../tests/data/status-2.dat");

    #[test]
    fn the_golden_file_of_this_version_is_still_read() {
        assert_eq!(
            parse(VERSION_2),
            Ok(full_record()),
            "the record's types changed: raise VERSION, keep the old reader"
        );
    }

    #[test]
    fn the_golden_file_of_the_version_before_is_read_and_its_peers_are_spoken_to_as_they_spoke() {
        let mut expected = full_record();
        let receiver = &mut expected.receiver;
        let dialect = Dialect { version: 1, signer: 0 };
        let heard = receiver.peers.iter().filter(|peer| peer.heard_at.is_some());
        receiver.contacts = heard.map(|peer| (peer.node, Contact { serial: peer.serial, dialect })).collect();
        receiver.signers.clear();
        assert!(!receiver.contacts.is_empty());
        assert_eq!(parse(VERSION_1), Ok(expected));
    }

    #[test]
    fn the_record_of_this_version_is_still_written_byte_for_byte() {
        assert!(VERSION_2.ends_with(&[END.as_bytes(), &codec::encode(&full_record()).unwrap()].concat()));
    }

    #[test]
    #[ignore = "writes the golden file of a new version, with PHA_WRITE_GOLDEN set"]
    fn write_the_golden_file() {
        if std::env::var_os("PHA_WRITE_GOLDEN").is_none() {
            return;
        }
        let path = format!("{}/tests/data/status-{VERSION}.dat", env!("CARGO_MANIFEST_DIR"));
        std::fs::write(path, render(&full_record()).unwrap()).unwrap();
    }

    #[test]
    fn a_file_cut_at_any_byte_is_refused() {
        let file = render(&full_record()).unwrap();
        for length in 0..file.len() {
            assert!(parse(&file[..length]).is_err(), "cut to {length} bytes");
        }
        assert!(parse(&[&file[..], b"\n"].concat()).is_err(), "one byte more");
    }

    #[test]
    fn a_single_flipped_bit_of_first_line_or_record_is_refused() {
        let file = render(&full_record()).unwrap();
        let line = file.iter().position(|byte| *byte == b'\n').unwrap();
        let text = numbers(&file[..=line]).unwrap().1;
        for at in (0..=line).chain(line + 1 + text..file.len()) {
            for bit in 0..8 {
                let mut damaged = file.clone();
                damaged[at] ^= 1 << bit;
                assert!(parse(&damaged).is_err(), "bit {bit} of byte {at}");
            }
        }
    }

    #[test]
    fn a_foreign_file_is_told_from_another_version() {
        assert_eq!(parse(b""), Err(Defect::NotOurs));
        assert_eq!(parse(b"$VAR1 = {\n"), Err(Defect::NotOurs));
        assert_eq!(parse(&[0; 4096]), Err(Defect::NotOurs));
        assert_eq!(parse(b"#pha-status\n--\n"), Err(Defect::NotOurs));
        assert_eq!(parse(b"#pha-status 3 some other layout\n"), Err(Defect::Version { found: 3 }));
        assert_eq!(parse(b"#pha-status 1 4294967295 4294967295 00000000\n--\n"), Err(Defect::Length));
        assert_eq!(parse(&vec![b'\n'; FILE_LIMIT + 1]), Err(Defect::TooLarge));
    }

    #[test]
    fn numbers_written_in_another_way_are_refused() {
        let file = String::from_utf8_lossy(VERSION_1).into_owned();
        for (from, to) in [("#pha-status 1 ", "#pha-status 1 +"), ("#pha-status 1 ", "#pha-status 01 ")] {
            let line_end = VERSION_1.iter().position(|byte| *byte == b'\n').unwrap();
            let line = file.lines().next().unwrap().replace(from, to);
            let changed = [line.as_bytes(), &VERSION_1[line_end..]].concat();
            assert!(parse(&changed).is_err(), "{line}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(start in 0..40_usize, bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(parse(&bytes).is_err());
            let _ = parse(&[&VERSION_1[..start], &bytes].concat());
        }
    }
}
