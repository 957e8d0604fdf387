//! The secret that all nodes of a cluster share (`etc/authkey`), and the tag it makes.
//!
//! This is the only file that names the hash crates. The key is never shown: not by `Debug`, not in an error. Who may
//! read its file is the business of the one who opens it; where a new key comes from, of the one who makes it.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// Bytes of a key and of a tag.
pub(crate) const TAG: usize = 32;

/// Hexadecimal digits of a key in its file.
const DIGITS: usize = 2 * TAG;

/// A secret of 256 bits.
#[derive(Clone, PartialEq, Eq)]
pub struct Key([u8; TAG]);

/// Why a text is not a key. None of the variants repeats what the text says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Something other than hexadecimal digits, blanks and comments.
    #[error("line {line}: only hexadecimal digits and # comments may stand here")]
    NotHexadecimal {
        /// Counted from 1.
        line: usize,
    },
    /// Too few or too many digits.
    #[error("{found} hexadecimal digits instead of {DIGITS}")]
    WrongLength {
        /// Digits found.
        found: usize,
    },
}

impl Key {
    /// From bytes that nobody can guess.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; TAG]) -> Self {
        Self(bytes)
    }

    /// From the text of a key file: 64 hexadecimal digits. Blanks, line ends and what follows a `#` do not count.
    ///
    /// # Errors
    /// [`KeyError`] if there is anything else, or more or less.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let mut digits = Vec::with_capacity(DIGITS);
        for (index, line) in text.lines().enumerate() {
            let code = line.split('#').next().unwrap_or_default();
            for character in code.chars().filter(|character| !character.is_whitespace()) {
                let digit = character.to_digit(16).ok_or(KeyError::NotHexadecimal { line: index + 1 })?;
                digits.push(u8::try_from(digit).unwrap_or_default());
            }
        }
        let mut bytes = [0; TAG];
        if digits.len() != DIGITS {
            return Err(KeyError::WrongLength { found: digits.len() });
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
            *byte = pair.iter().fold(0, |value, digit| value << 4 | digit);
        }
        Ok(Self(bytes))
    }

    /// The text of a key file; [`Key::parse`] reads it back.
    #[must_use]
    pub fn to_text(&self) -> String {
        let digits: String = self.0.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("# pha cluster key: the same file on every node, readable by root only (mode 0600)\n{digits}\n")
    }

    /// HMAC-SHA-256 of `message` (RFC 2104).
    pub(crate) fn tag(&self, message: &[u8]) -> [u8; TAG] {
        self.mac(message).finalize().into_bytes().into()
    }

    /// Whether `tag` is the tag of `message`; takes the same time whatever the answer is.
    pub(crate) fn verifies(&self, message: &[u8], tag: &[u8]) -> bool {
        self.mac(message).verify_slice(tag).is_ok()
    }

    fn mac(&self, message: &[u8]) -> Hmac<Sha256> {
        let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        mac.chain_update(message)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

/// Eight bytes that tell clusters apart: the first ones of the name's SHA-256. Not a secret.
#[must_use]
pub fn name_hash(name: &str) -> [u8; 8] {
    let digest: [u8; TAG] = Sha256::digest(name).into();
    let mut hash = [0; 8];
    hash.copy_from_slice(&digest[..8]);
    hash
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_its_text() {
        let key = Key::from_bytes(std::array::from_fn(|index| (index as u8).wrapping_mul(37)));
        assert_eq!(Key::parse(&key.to_text()).unwrap(), key);
        assert_eq!(Key::parse(&key.to_text().to_uppercase()).unwrap(), key);
    }

    #[test]
    fn digits_may_stand_on_several_lines_between_comments() {
        let text = format!("# cluster one\n  {}  # first half\n\n{}\n", "00".repeat(16), "ff".repeat(16));
        let bytes = Key::parse(&text).unwrap().0;
        assert_eq!((bytes[0], bytes[15], bytes[16], bytes[31]), (0, 0, 255, 255));
    }

    #[test]
    fn a_text_that_is_no_key_is_refused_with_its_line() {
        assert_eq!(Key::parse(""), Err(KeyError::WrongLength { found: 0 }));
        assert_eq!(Key::parse(&"a".repeat(63)), Err(KeyError::WrongLength { found: 63 }));
        assert_eq!(Key::parse(&"a".repeat(65)), Err(KeyError::WrongLength { found: 65 }));
        assert_eq!(Key::parse("# key\n\nsecret"), Err(KeyError::NotHexadecimal { line: 3 }));
        assert_eq!(Key::parse("0x11"), Err(KeyError::NotHexadecimal { line: 1 }));
    }

    #[test]
    fn no_error_and_no_debug_output_repeats_the_secret() {
        // H50
        let key = Key::parse(&"5e".repeat(32)).unwrap();
        assert_eq!(format!("{key:?}"), "Key(…)");
        let error = Key::parse("hunter2").unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }

    #[test]
    fn the_tag_is_that_of_rfc_4231() {
        // Test case 2, its key filled with zeros as RFC 2104 does itself.
        let mut bytes = [0; TAG];
        bytes[..4].copy_from_slice(b"Jefe");
        let tag = Key::from_bytes(bytes).tag(b"what do ya want for nothing?");
        let text: String = tag.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(text, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }
}
