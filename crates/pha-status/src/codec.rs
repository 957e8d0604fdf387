//! Values as bytes: the record here, the entries of a trace elsewhere. The only file that names bincode, so that
//! replacing it means editing this file.
//!
//! bincode does not describe itself: what it reads must have been written with the same types. Who stores such bytes
//! keeps a version beside them that says so, and a checksum that says that nothing changed since; here every byte has to
//! be used and the size is limited.

use bincode::config::{Configuration, Limit, LittleEndian, Varint};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Defect;

/// Bytes a value may have. Some kilobytes are usual for a record.
pub const RECORD_LIMIT: usize = 1 << 20;

const FORMAT: Configuration<LittleEndian, Varint, Limit<RECORD_LIMIT>> =
    bincode::config::standard().with_limit::<RECORD_LIMIT>();

/// The bytes of `value`.
///
/// # Errors
/// [`Defect::TooLarge`] above [`RECORD_LIMIT`]; [`Defect::Record`] for a type that bincode cannot write.
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, Defect> {
    let bytes = bincode::serde::encode_to_vec(value, FORMAT).map_err(|_| Defect::Record)?;
    if bytes.len() > RECORD_LIMIT { Err(Defect::TooLarge) } else { Ok(bytes) }
}

/// The value in `bytes`, all of them.
///
/// # Errors
/// [`Defect::TooLarge`] above [`RECORD_LIMIT`]; [`Defect::Record`] if they are no `T`, or more than one.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Defect> {
    if bytes.len() > RECORD_LIMIT {
        return Err(Defect::TooLarge);
    }
    let (value, consumed) = bincode::serde::decode_from_slice(bytes, FORMAT).map_err(|_| Defect::Record)?;
    if consumed == bytes.len() { Ok(value) } else { Err(Defect::Record) }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::record::tests::full_record;
    use crate::record::{Record, SendError};

    #[test]
    fn a_record_survives_its_bytes() {
        for record in [Record::default(), full_record()] {
            assert_eq!(decode::<Record>(&encode(&record).unwrap()).unwrap(), record);
        }
    }

    #[test]
    fn a_byte_too_many_or_too_few_is_refused() {
        let mut bytes = encode(&full_record()).unwrap();
        for length in 0..bytes.len() {
            assert_eq!(decode::<Record>(&bytes[..length]), Err(Defect::Record), "{length}");
        }
        bytes.push(0);
        assert_eq!(decode::<Record>(&bytes), Err(Defect::Record));
    }

    #[test]
    fn a_record_above_the_limit_is_neither_written_nor_read() {
        let mut record = Record::default();
        record.sender.errors.push(SendError { last: "x".repeat(RECORD_LIMIT), ..SendError::default() });
        assert_eq!(encode(&record), Err(Defect::TooLarge));
        assert_eq!(decode::<Record>(&vec![0; RECORD_LIMIT + 1]), Err(Defect::TooLarge));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = decode::<Record>(&bytes);
        }
    }
}
