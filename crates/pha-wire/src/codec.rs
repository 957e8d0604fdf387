//! The layout of a heartbeat on the wire, version 1. Everything is big-endian, the length never varies.
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
//!                                  71  1  always 0
//!                                  72  8  asks: which request
//!                                  80  8  answers: which request
//!                                  88 32  HMAC-SHA-256 of bytes 0..88, or zeros without a key
//! ```
//!
//! Decoding checks from the outside in: length, magic, version, cluster, tag, fields. So a stranger learns nothing,
//! and no field of a datagram that is not authentic is ever looked at. Times are rounded up to the millisecond.

use std::time::Duration;

use pha_core::{
    Answer, Ask, BootTime, Direction, DropReason, Gateway, Heartbeat, LeaveCause, NodeId, Saying, Serial, Term,
    Unready, Word,
};

use crate::key::{Key, TAG, name_hash};

/// Bytes of every heartbeat.
pub const LENGTH: usize = BODY + TAG;

/// The protocol version this crate speaks.
pub const VERSION: u8 = 1;

const MAGIC: [u8; 3] = *b"PHA";
const BODY: usize = 88;

const FIT: u8 = 1;
const WILLING: u8 = 2;
const REPLY_WANTED: u8 = 4;

/// Encodes and decodes the heartbeats of one cluster.
#[derive(Debug, Clone)]
pub struct Codec {
    cluster: [u8; 8],
    key: Option<Key>,
}

impl Codec {
    /// For the cluster of this name. With a key every heartbeat carries its tag and only authentic ones are decoded.
    /// Without one the tag is left empty and not looked at: a node that has no key yet still hears the one that has.
    #[must_use]
    pub fn new(cluster: &str, key: Option<Key>) -> Self {
        Self { cluster: name_hash(cluster), key }
    }

    /// Whether what [`Codec::decode`] returns is proven to come from a holder of the key.
    #[must_use]
    pub const fn is_authentic(&self) -> bool {
        self.key.is_some()
    }

    /// The datagram for `heartbeat`. Durations above 49 days are sent as 49 days.
    #[must_use]
    pub fn encode(&self, heartbeat: &Heartbeat) -> [u8; LENGTH] {
        let saying = &heartbeat.saying;
        let (word, remaining) = word_to_wire(saying.word);
        let mut writer = Writer { bytes: [0; LENGTH], at: 0 };
        writer.put(MAGIC);
        writer.put([VERSION]);
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
        writer.put([asked.map_or(0, NodeId::number), answered.map_or(0, NodeId::number), unready, 0]);
        writer.put(saying.asks.map_or(0, |ask| ask.at.as_nanos()).to_be_bytes());
        writer.put(saying.answer.map_or(0, |answer| answer.at.as_nanos()).to_be_bytes());
        if let Some(key) = &self.key {
            writer.put(key.tag(&writer.bytes[..BODY]));
        }
        writer.bytes
    }

    /// The heartbeat in `datagram`, which may hold anything.
    ///
    /// # Errors
    /// The first of [`DropReason`]'s `TooShort`, `TooLong`, `BadMagic`, `BadVersion`, `WrongCluster`, `NotAuthentic`,
    /// `Malformed` that applies. `UnknownNode` and `Replayed` are left to those who know the peers.
    pub fn decode(&self, datagram: &[u8]) -> Result<Heartbeat, DropReason> {
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
        if reader.take() != [VERSION] {
            return Err(DropReason::BadVersion);
        }
        if reader.take() != self.cluster {
            return Err(DropReason::WrongCluster);
        }
        if self.key.as_ref().is_some_and(|key| !key.verifies(body, tag)) {
            return Err(DropReason::NotAuthentic);
        }
        fields(reader).ok_or(DropReason::Malformed)
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
    let [asked, answered, unready, zero] = reader.take();
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
    (plain && zero == 0).then_some((ask, answer))
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
