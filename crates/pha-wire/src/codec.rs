//! The layout of a heartbeat on the wire, versions 1 and 2. Everything is big-endian, the length never varies.
//!
//! ```text
//!   0  3  magic "PHA"              24  8  sequence
//!   3  1  version                  32  8  term
//!   4  8  cluster name hash        40  8  heard: incarnation
//!  12  1  node id                  48  8  heard: sequence
//!  13  1  word                     56  4  remaining, ms (PROGRESS only, else 0)
//!  14  1  gateway                  60  4  age of the supervise tick, ms
//!  15  1  flags                    64  4  configuration hash
//!  16  8  incarnation              68  1  asks: node id, 0 if nobody is asked
//!                                  69  1  answers: node id, 0 if nobody is answered
//!                                  70  1  answers: 0 ready, else why not
//!                                  71  1  key id, 0 without a key; in version 1 always 0
//!                                  72  8  asks: which request
//!                                  80  8  answers: which request
//!                                  88 32  HMAC-SHA-256 of bytes 0..88, or zeros without a key
//! ```
//!
//! Decoding checks from the outside in: length, magic, version, cluster, tag, fields. So a stranger learns nothing,
//! and no field of a datagram that is not authentic is ever looked at, but for the name of its key. Times are rounded up to the
//! millisecond.
//!
//! Two nodes need not be changed at the same moment: each speaks to its peer in the [`Dialect`] that the peer was heard in, and
//! now and then in the best that it knows itself, in case the peer knows that by now (ADR 0025).

use std::time::Duration;

use pha_core::{
    Answer, Ask, BootTime, Dialect, Direction, DropReason, Gateway, Heartbeat, LeaveCause, NodeId, Saying, Serial,
    Term, Unready, Word,
};

use crate::key::{Key, Keyring, TAG, name_hash};

/// Bytes of every heartbeat.
pub const LENGTH: usize = BODY + TAG;

/// The newest protocol version this crate speaks.
pub const VERSION: u8 = 2;

/// The oldest one it still speaks, so that the nodes of a cluster can be upgraded one by one.
pub const OLDEST: u8 = 1;

const MAGIC: [u8; 3] = *b"PHA";
const BODY: usize = 88;
const KEY: usize = 71;

const FIT: u8 = 1;
const WILLING: u8 = 2;
const REPLY_WANTED: u8 = 4;

/// Whose heartbeats are decoded, and how they are signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// Anybody's. There is no key: tags are left empty and not looked at, so a node without a key hears those that have one.
    Anybody,
    /// Those of holders of a key, and those that carry no tag at all: while keys are brought to the nodes, or taken away.
    Untagged(Keyring),
    /// Those of holders of a key.
    Holders(Keyring),
}

impl Trust {
    const fn keys(&self) -> Option<&Keyring> {
        match self {
            Self::Anybody => None,
            Self::Untagged(keys) | Self::Holders(keys) => Some(keys),
        }
    }
}

/// Encodes and decodes the heartbeats of one cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Codec {
    cluster: [u8; 8],
    trust: Trust,
}

impl Codec {
    /// For the cluster of this name.
    #[must_use]
    pub fn new(cluster: &str, trust: Trust) -> Self {
        Self { cluster: name_hash(cluster), trust }
    }

    /// Whether what [`Codec::decode`] returns is proven to come from a holder of a key.
    #[must_use]
    pub const fn is_authentic(&self) -> bool {
        matches!(self.trust, Trust::Holders(_))
    }

    /// The ids of the keys, first the one that this node would like to sign with.
    #[must_use]
    pub fn signers(&self) -> Vec<u8> {
        self.trust.keys().map(Keyring::ids).unwrap_or_default()
    }

    /// What this node would like to speak.
    #[must_use]
    pub fn best(&self) -> Dialect {
        Dialect { version: VERSION, signer: self.trust.keys().map_or(0, |keys| keys.first().id()) }
    }

    /// What a peer understands that was heard in `heard`; the best for one that was not heard, or only in what this node does not
    /// speak any more.
    #[must_use]
    pub fn answer_to(&self, heard: Dialect) -> Dialect {
        let best = self.best();
        let version = if (OLDEST..=VERSION).contains(&heard.version) { heard.version } else { best.version };
        let key = self.trust.keys().and_then(|keys| keys.named(heard.signer)).map_or(best.signer, Key::id);
        Dialect { version, signer: key }
    }

    /// The best of what one sender was heard in: who speaks something now and then understands it.
    #[must_use]
    pub fn better(&self, one: Dialect, other: Dialect) -> Dialect {
        let rank = |key: &u8| match self.trust.keys() {
            Some(keys) if keys.first().id() == *key => 2,
            Some(keys) if keys.named(*key).is_some() => 1,
            Some(_) | None => 0,
        };
        let key = [one.signer, other.signer].into_iter().max_by_key(rank).unwrap_or_default();
        Dialect { version: one.version.max(other.version), signer: key }
    }

    /// The datagram for `heartbeat` in a dialect that this node speaks; without a tag if it has no such key. Durations above 49
    /// days are sent as 49 days.
    #[must_use]
    pub fn encode(&self, heartbeat: &Heartbeat, dialect: Dialect) -> [u8; LENGTH] {
        let key = self.trust.keys().and_then(|keys| keys.named(dialect.signer));
        let named = key.filter(|_| dialect.version > 1).map_or(0, Key::id);
        let saying = &heartbeat.saying;
        let (word, remaining) = word_to_wire(saying.word);
        let mut writer = Writer { bytes: [0; LENGTH], at: 0 };
        writer.put(MAGIC);
        writer.put([dialect.version]);
        writer.put(self.cluster);
        writer.put([heartbeat.node.number(), word, gateway_to_wire(saying.gateway), flags_to_wire(heartbeat)]);
        writer.put(heartbeat.serial.incarnation.to_be_bytes());
        writer.put(heartbeat.serial.sequence.to_be_bytes());
        writer.put(saying.term.value().to_be_bytes());
        writer.put(heartbeat.heard.incarnation.to_be_bytes());
        writer.put(heartbeat.heard.sequence.to_be_bytes());
        writer.put(milliseconds(remaining).to_be_bytes());
        writer.put(milliseconds(heartbeat.supervise_age).to_be_bytes());
        writer.put(saying.config_hash.to_be_bytes());
        let (asked, answered) = (saying.asks.map(|ask| ask.node), saying.answer.map(|answer| answer.node));
        let unready = saying.answer.and_then(|answer| answer.unready).map_or(0, unready_to_wire);
        writer.put([asked.map_or(0, NodeId::number), answered.map_or(0, NodeId::number), unready, named]);
        writer.put(saying.asks.map_or(0, |ask| ask.at.as_nanos()).to_be_bytes());
        writer.put(saying.answer.map_or(0, |answer| answer.at.as_nanos()).to_be_bytes());
        if let Some(key) = key {
            writer.put(key.tag(&writer.bytes[..BODY]));
        }
        writer.bytes
    }

    /// The heartbeat in `datagram`, which may hold anything, and what it was spoken in.
    ///
    /// # Errors
    /// The first of [`DropReason`]'s `TooShort`, `TooLong`, `BadMagic`, `BadVersion`, `WrongCluster`, `NotAuthentic`,
    /// `Malformed` that applies. `UnknownNode` and `Replayed` are left to those who know the peers.
    pub fn decode(&self, datagram: &[u8]) -> Result<(Heartbeat, Dialect), DropReason> {
        if datagram.len() > LENGTH {
            return Err(DropReason::TooLong);
        }
        let (body, tag) = datagram.split_first_chunk::<BODY>().ok_or(DropReason::TooShort)?;
        if tag.len() < TAG {
            return Err(DropReason::TooShort);
        }
        let mut reader = Reader { bytes: body, at: 0 };
        if reader.take() != MAGIC {
            return Err(DropReason::BadMagic);
        }
        let [version] = reader.take();
        if !(OLDEST..=VERSION).contains(&version) {
            return Err(DropReason::BadVersion);
        }
        if reader.take() != self.cluster {
            return Err(DropReason::WrongCluster);
        }
        let key = self.signer(version, body, tag).ok_or(DropReason::NotAuthentic)?;
        let heartbeat = fields(reader).filter(|_| version > 1 || body[KEY] == 0).ok_or(DropReason::Malformed)?;
        Ok((heartbeat, Dialect { version, signer: key }))
    }

    /// The id of the key that a datagram is signed with; `None` if nobody who is trusted has signed it.
    fn signer(&self, version: u8, body: &[u8; BODY], tag: &[u8]) -> Option<u8> {
        let named = body[KEY];
        let found = |keys: &Keyring| match version {
            1 => keys.verifier(body, tag).map(Key::id),
            _ => keys.named(named).filter(|key| key.verifies(body, tag)).map(Key::id),
        };
        match &self.trust {
            Trust::Anybody => Some(named),
            Trust::Holders(keys) => found(keys),
            Trust::Untagged(keys) => found(keys).or_else(|| (named == 0 && tag == [0; TAG]).then_some(0)),
        }
    }
}

/// The fields after the cluster hash; `None` if one of them holds a value that does not exist.
fn fields(mut reader: Reader<'_>) -> Option<Heartbeat> {
    let [node, word, gateway, flags] = reader.take();
    let serial = reader.serial();
    let term = Term::from_value(reader.u64());
    let heard = reader.serial();
    let remaining = reader.u32();
    let supervise_age = Duration::from_millis(u64::from(reader.u32()));
    let config_hash = reader.u32();
    let (asks, answer) = handshake(&mut reader)?;
    if flags & !(FIT | WILLING | REPLY_WANTED) != 0 {
        return None;
    }
    let saying = Saying {
        word: word_from_wire(word, remaining)?,
        term,
        gateway: gateway_from_wire(gateway)?,
        fit: flags & FIT != 0,
        willing: flags & WILLING != 0,
        config_hash,
        asks,
        answer,
    };
    let reply_wanted = flags & REPLY_WANTED != 0;
    Some(Heartbeat { node: NodeId::new(node.into())?, serial, saying, reply_wanted, heard, supervise_age })
}

/// What is asked and answered; the outer `None` if a field holds a value that does not exist.
fn handshake(reader: &mut Reader<'_>) -> Option<(Option<Ask>, Option<Answer>)> {
    let [asked, answered, unready, _key] = reader.take();
    let [ask_at, answer_at] = [reader.u64(), reader.u64()].map(|at| BootTime::since_boot(Duration::from_nanos(at)));
    let nobody = |node: u8, at: BootTime| node == 0 && at == BootTime::ZERO;
    let ask = match asked {
        0 => None,
        node => Some(Ask { node: NodeId::new(node.into())?, at: ask_at }),
    };
    let answer = match answered {
        0 => None,
        node => Some(Answer { node: NodeId::new(node.into())?, at: answer_at, unready: unready_from_wire(unready)? }),
    };
    let plain = (ask.is_some() || nobody(asked, ask_at)) && (answer.is_some() || nobody(answered | unready, answer_at));
    plain.then_some((ask, answer))
}

/// 0 is "ready".
fn unready_from_wire(code: u8) -> Option<Option<Unready>> {
    match code {
        0 => Some(None),
        code => Unready::ALL.get(usize::from(code) - 1).copied().map(Some),
    }
}

/// 1 and up, in the order of the enum: a new reason goes to its end.
const fn unready_to_wire(unready: Unready) -> u8 {
    unready as u8 + 1
}

const fn word_to_wire(word: Word) -> (u8, Duration) {
    let code = match word {
        Word::Online => 1,
        Word::Offline { clean: false } => 2,
        Word::Offline { clean: true } => 3,
        Word::Progress { direction: Direction::Starting, remaining } => return (4, remaining),
        Word::Progress { direction: Direction::Stopping, remaining } => return (5, remaining),
        Word::Left { cause: LeaveCause::Operator } => 6,
        Word::Left { cause: LeaveCause::Gateway } => 7,
        Word::Left { cause: LeaveCause::Stopped } => 8,
        Word::Kept => 9,
    };
    (code, Duration::ZERO)
}

fn word_from_wire(code: u8, remaining_ms: u32) -> Option<Word> {
    let remaining = Duration::from_millis(u64::from(remaining_ms));
    let word = match code {
        1 => Word::Online,
        2 => Word::Offline { clean: false },
        3 => Word::Offline { clean: true },
        4 => return Some(Word::Progress { direction: Direction::Starting, remaining }),
        5 => return Some(Word::Progress { direction: Direction::Stopping, remaining }),
        6 => Word::Left { cause: LeaveCause::Operator },
        7 => Word::Left { cause: LeaveCause::Gateway },
        8 => Word::Left { cause: LeaveCause::Stopped },
        9 => Word::Kept,
        0 | 10.. => return None,
    };
    (remaining_ms == 0).then_some(word)
}

const fn gateway_to_wire(gateway: Gateway) -> u8 {
    match gateway {
        Gateway::Off => 0,
        Gateway::Testing => 1,
        Gateway::Reachable => 2,
        Gateway::Lost => 3,
    }
}

const fn gateway_from_wire(code: u8) -> Option<Gateway> {
    Some(match code {
        0 => Gateway::Off,
        1 => Gateway::Testing,
        2 => Gateway::Reachable,
        3 => Gateway::Lost,
        4.. => return None,
    })
}

fn flags_to_wire(heartbeat: &Heartbeat) -> u8 {
    let bit = |set: bool, bit: u8| if set { bit } else { 0 };
    bit(heartbeat.saying.fit, FIT) | bit(heartbeat.saying.willing, WILLING) | bit(heartbeat.reply_wanted, REPLY_WANTED)
}

/// Rounded up: a deadline must not seem to end early, nor a tick look younger than it is.
fn milliseconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u32::MAX)
}

/// Fills a datagram from its beginning.
struct Writer {
    bytes: [u8; LENGTH],
    at: usize,
}

impl Writer {
    fn put<const N: usize>(&mut self, field: [u8; N]) {
        self.bytes[self.at..self.at + N].copy_from_slice(&field);
        self.at += N;
    }
}

/// Takes a body apart from its beginning. Its fields are [`BODY`] bytes together, so it cannot run out.
struct Reader<'a> {
    bytes: &'a [u8; BODY],
    at: usize,
}

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let mut field = [0; N];
        field.copy_from_slice(&self.bytes[self.at..self.at + N]);
        self.at += N;
        field
    }

    fn u32(&mut self) -> u32 {
        u32::from_be_bytes(self.take())
    }

    fn u64(&mut self) -> u64 {
        u64::from_be_bytes(self.take())
    }

    fn serial(&mut self) -> Serial {
        Serial { incarnation: self.u64(), sequence: self.u64() }
    }
}

#[cfg(test)]
#[path = "codec_tests.rs"]
mod tests;
