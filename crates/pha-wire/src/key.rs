//! The secrets that all nodes of a cluster share (`etc/authkey`), and the tags they make.
//!
//! Usually it is one. While a key is being replaced there are two: the first one is what this node would like to sign with,
//! heartbeats signed with any of them are authentic. In a datagram a key is named by its [`Key::id`].
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

/// Keys in a file: the one in use, and the one that it replaces or that replaces it.
pub const MOST_KEYS: usize = 2;

/// A secret of 256 bits.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    secret: [u8; TAG],
    id: u8,
}

/// Why a text is not a key. None of the variants repeats what the text says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Something other than hexadecimal digits, blanks and comments.
    #[error("line {line}: only hexadecimal digits and # comments may stand here")]
    NotHexadecimal {
        /// Counted from 1.
        line: usize,
    },
    /// Not one key or two, each of 64 digits.
    #[error("{found} hexadecimal digits instead of {DIGITS}, or twice as many for two keys")]
    WrongLength {
        /// Digits found.
        found: usize,
    },
    /// Both keys have one id (so do equal ones): a datagram could not say which one it is signed with.
    #[error("both keys are named {id:02x}: `pha-cli keygen` makes one that has a name of its own")]
    SameId {
        /// The id.
        id: u8,
    },
}

impl Key {
    /// From bytes that nobody can guess.
    #[must_use]
    pub fn from_bytes(secret: [u8; TAG]) -> Self {
        let digest: [u8; TAG] = Sha256::new().chain_update("pha key id").chain_update(secret).finalize().into();
        let id = digest.into_iter().find(|byte| *byte != 0).unwrap_or(1);
        Self { secret, id }
    }

    /// What datagrams and people call it: 1 to 255, from its SHA-256. It tells nothing about the secret.
    #[must_use]
    pub const fn id(&self) -> u8 {
        self.id
    }

    fn to_line(&self) -> String {
        let digits: String = self.secret.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{digits}  # {:02x}\n", self.id)
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
        let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&self.secret).expect("HMAC takes a key of any length");
        mac.chain_update(message)
    }
}

/// The keys of one node: at least one, and no two with one id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keyring(Vec<Key>);

impl Keyring {
    /// `first` is signed with; what is signed with `second` is authentic, too.
    ///
    /// # Errors
    /// [`KeyError::SameId`].
    pub fn new(first: Key, second: Option<Key>) -> Result<Self, KeyError> {
        match second {
            Some(second) if second.id() == first.id() => Err(KeyError::SameId { id: first.id() }),
            second => Ok(Self(std::iter::once(first).chain(second).collect())),
        }
    }

    /// From the text of a key file: 64 hexadecimal digits for each key. Blanks, line ends and what follows a `#` do not count.
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
        let (keys, rest) = digits.as_chunks::<DIGITS>();
        let byte = |digits: &[u8; DIGITS], at: usize| digits[2 * at] << 4 | digits[2 * at + 1];
        let key = |digits| Key::from_bytes(std::array::from_fn(|at| byte(digits, at)));
        match keys {
            [first, second @ ..] if second.len() < MOST_KEYS && rest.is_empty() => {
                Self::new(key(first), second.first().map(key))
            }
            _ => Err(KeyError::WrongLength { found: digits.len() }),
        }
    }

    /// The text of a key file; [`Keyring::parse`] reads it back.
    #[must_use]
    pub fn to_text(&self) -> String {
        let lines: String = self.0.iter().map(Key::to_line).collect();
        format!("# pha cluster key: the same file on every node, for its owner only (mode 0600)\n{lines}")
    }

    /// The key that this node would like to sign with.
    #[must_use]
    pub fn first(&self) -> &Key {
        &self.0[0]
    }

    /// The key that is on its way in or out.
    #[must_use]
    pub fn second(&self) -> Option<&Key> {
        self.0.get(1)
    }

    /// What the keys are called, in their order.
    #[must_use]
    pub fn ids(&self) -> Vec<u8> {
        self.iter().map(Key::id).collect()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Key> {
        self.0.iter()
    }

    /// The key of this id.
    pub(crate) fn named(&self, id: u8) -> Option<&Key> {
        self.iter().find(|key| key.id() == id)
    }

    /// The key that `tag` was made with; for a version whose datagrams do not name it.
    pub(crate) fn verifier(&self, message: &[u8], tag: &[u8]) -> Option<&Key> {
        self.iter().find(|key| key.verifies(message, tag))
    }
}

impl From<Key> for Keyring {
    fn from(only: Key) -> Self {
        Self(vec![only])
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
        for second in [None, Some(Key::from_bytes([7; TAG]))] {
            let keys = Keyring::new(key.clone(), second).unwrap();
            assert_eq!(Keyring::parse(&keys.to_text()).unwrap(), keys);
            assert_eq!(Keyring::parse(&keys.to_text().to_uppercase()).unwrap(), keys);
        }
    }

    #[test]
    fn two_keys_are_told_apart_by_their_ids_and_none_has_the_id_of_no_key() {
        let key = |byte: usize| Key::from_bytes(std::array::from_fn(|index| (byte >> (index % 2 * 8)) as u8));
        assert!((0..3000).all(|byte| key(byte).id() != 0));
        let namesake = (1..3000).map(key).find(|other| other.id() == key(0).id()).unwrap();
        for second in [key(0), namesake] {
            let refused = KeyError::SameId { id: key(0).id() };
            assert_eq!(Keyring::new(key(0), Some(second.clone())), Err(refused));
            assert_eq!(Keyring::parse(&format!("{}{}", key(0).to_line(), second.to_line())), Err(refused));
        }
        let ring = Keyring::new(key(1), Some(key(2))).unwrap();
        for key in [key(1), key(2)] {
            assert_eq!(ring.named(key.id()), Some(&key));
            assert_eq!(ring.verifier(b"x", &key.tag(b"x")), Some(&key));
        }
        assert_eq!(ring.verifier(b"x", &key(3).tag(b"x")), None);
    }

    #[test]
    fn digits_may_stand_on_several_lines_between_comments() {
        let text = format!("# cluster one\n  {}  # first half\n\n{}\n", "00".repeat(16), "ff".repeat(16));
        let bytes = Keyring::parse(&text).unwrap().first().secret;
        assert_eq!((bytes[0], bytes[15], bytes[16], bytes[31]), (0, 0, 255, 255));
    }

    #[test]
    fn a_text_that_is_no_key_is_refused_with_its_line() {
        for found in [0, 63, 65, 127, 129, 192] {
            assert_eq!(Keyring::parse(&"a".repeat(found)), Err(KeyError::WrongLength { found }));
        }
        assert_eq!(Keyring::parse("# key\n\nsecret"), Err(KeyError::NotHexadecimal { line: 3 }));
        assert_eq!(Keyring::parse("0x11"), Err(KeyError::NotHexadecimal { line: 1 }));
    }

    #[test]
    fn no_error_and_no_debug_output_repeats_the_secret() {
        // H50
        let key = Keyring::parse(&"5e".repeat(32)).unwrap();
        assert_eq!(format!("{key:?}"), "Keyring([Key(…)])");
        let error = Keyring::parse("hunter2").unwrap_err();
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
