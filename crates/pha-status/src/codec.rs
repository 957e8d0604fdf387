//! The record as bytes. The only file that names bincode, so that replacing it means editing this file.
//!
//! bincode does not describe itself: what it reads must have been written with the same types. The head's version says
//! so, its checksum says that nothing changed since, and here every byte has to be used and the size is limited.

use bincode::config::{Configuration, Limit, LittleEndian, Varint};

use crate::error::Defect;
use crate::record::Record;

/// Bytes a record may have. Some kilobytes are usual.
pub const RECORD_LIMIT: usize = 1 << 20;

const FORMAT: Configuration<LittleEndian, Varint, Limit<RECORD_LIMIT>> =
    bincode::config::standard().with_limit::<RECORD_LIMIT>();

/// The record's bytes.
pub(crate) fn encode(record: &Record) -> Result<Vec<u8>, Defect> {
    let bytes = bincode::serde::encode_to_vec(record, FORMAT).map_err(|_| Defect::Record)?;
    if bytes.len() > RECORD_LIMIT { Err(Defect::TooLarge) } else { Ok(bytes) }
}

/// The record in `bytes`, all of them.
pub(crate) fn decode(bytes: &[u8]) -> Result<Record, Defect> {
    if bytes.len() > RECORD_LIMIT {
        return Err(Defect::TooLarge);
    }
    let (record, consumed) = bincode::serde::decode_from_slice(bytes, FORMAT).map_err(|_| Defect::Record)?;
    if consumed == bytes.len() { Ok(record) } else { Err(Defect::Record) }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::record::SendError;
    use crate::record::tests::full_record;

    #[test]
    fn a_record_survives_its_bytes() {
        for record in [Record::default(), full_record()] {
            assert_eq!(decode(&encode(&record).unwrap()).unwrap(), record);
        }
    }

    #[test]
    fn a_byte_too_many_or_too_few_is_refused() {
        let mut bytes = encode(&full_record()).unwrap();
        for length in 0..bytes.len() {
            assert_eq!(decode(&bytes[..length]), Err(Defect::Record), "{length}");
        }
        bytes.push(0);
        assert_eq!(decode(&bytes), Err(Defect::Record));
    }

    #[test]
    fn a_record_above_the_limit_is_neither_written_nor_read() {
        let mut record = Record::default();
        record.sender.errors.push(SendError { last: "x".repeat(RECORD_LIMIT), ..SendError::default() });
        assert_eq!(encode(&record), Err(Defect::TooLarge));
        assert_eq!(decode(&vec![0; RECORD_LIMIT + 1]), Err(Defect::TooLarge));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = decode(&bytes);
        }
    }
}
