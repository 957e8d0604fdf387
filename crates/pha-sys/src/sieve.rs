//! What the kernel drops before it comes to a UDP socket: a classic packet filter (`SO_ATTACH_FILTER`).
//!
//! What a sieve holds back wakes nobody, takes no room in the socket's buffer, and is counted nowhere.

use std::net::IpAddr;

use crate::socket::FilterStep;

/// Bytes of a UDP header, which the filter sees before the datagram.
const HEADER: u32 = 8;
/// Added to offsets that count from the beginning of the IP header.
const FROM_IP: u32 = (-0x10_0000_i32).cast_unsigned();

/// Steps that a jump can pass over, less the two at the end. Of more senders than that nobody is asked.
const LONGEST_JUMP: usize = 250;

const LOAD_LENGTH: u16 = 0x80;
const LOAD_WORD: u16 = 0x20;
const AND: u16 = 0x54;
const IF_EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;

/// Four bytes of a datagram: where they begin, which of their bits count, and what those have to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word {
    /// Bytes before them.
    pub at: u32,
    /// The bits that count.
    pub mask: u32,
    /// What they are, in network byte order.
    pub is: u32,
}

/// What a datagram must be like.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sieve {
    /// Its length in bytes.
    pub length: u32,
    /// All of these; they lie within `length`.
    pub words: Vec<Word>,
    /// It comes from one of these addresses, of the socket's family; from anywhere if there are none, or very many.
    pub senders: Vec<IpAddr>,
}

impl Sieve {
    /// What [`crate::udp::UdpSocket::hold_back`] drops, asked of a datagram that was received: its bytes, its true length, its
    /// sender.
    #[must_use]
    pub fn admits(&self, bytes: &[u8], length: usize, from: IpAddr) -> bool {
        let matches = |word: &Word| {
            let found = bytes.get(word.at as usize..).and_then(|rest| rest.first_chunk::<4>());
            found.is_some_and(|found| u32::from_be_bytes(*found) & word.mask == word.is)
        };
        length == self.length as usize
            && self.words.iter().all(matches)
            && (self.senders.is_empty() || self.senders.contains(&from))
    }

    /// Ends with two steps: let it through, drop it.
    pub(crate) fn steps(&self) -> Vec<FilterStep> {
        let mut tests = vec![(LOAD_LENGTH, 0), (IF_EQUAL, self.length + HEADER)];
        for word in &self.words {
            tests.extend([(LOAD_WORD, word.at + HEADER), (AND, word.mask), (IF_EQUAL, word.is)]);
        }
        let mut senders: Vec<Vec<(u16, u32)>> = self.senders.iter().map(|sender| source_is(*sender)).collect();
        if tests.len() + senders.iter().map(Vec::len).sum::<usize>() > LONGEST_JUMP {
            senders.clear();
        }
        let all = tests.len() + senders.iter().map(Vec::len).sum::<usize>();
        let to = |from: usize, target: usize| u8::try_from(target - from - 1).expect("no longer than the longest jump");
        let (pass, drop) = (all, all + 1);
        let mut steps: Vec<FilterStep> = Vec::new();
        let last_common = tests.len() - 1;
        for (index, (code, value)) in tests.into_iter().enumerate() {
            let jumps = code == IF_EQUAL;
            let passed = if jumps && index == last_common && senders.is_empty() { to(index, pass) } else { 0 };
            steps.push((code, passed, if jumps { to(index, drop) } else { 0 }, value));
        }
        let mut begin = steps.len();
        for (number, sender) in senders.iter().enumerate() {
            let (end, last) = (begin + sender.len(), number + 1 == senders.len());
            for (index, (code, value)) in (begin..).zip(sender) {
                let jumps = *code == IF_EQUAL;
                let passed = if jumps && index + 1 == end { to(index, pass) } else { 0 };
                let failed = if last { drop } else { end };
                steps.push((*code, passed, if jumps { to(index, failed) } else { 0 }, *value));
            }
            begin = end;
        }
        steps.extend([(RETURN, 0, 0, u32::MAX), (RETURN, 0, 0, 0)]);
        steps
    }
}

fn source_is(sender: IpAddr) -> Vec<(u16, u32)> {
    match sender {
        IpAddr::V4(address) => vec![(LOAD_WORD, FROM_IP.wrapping_add(12)), (IF_EQUAL, address.to_bits())],
        IpAddr::V6(address) => {
            let words = address.octets();
            let words = words.chunks_exact(4).map(|word| word.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte)));
            let steps = |(word, at): (u32, u32)| [(LOAD_WORD, FROM_IP.wrapping_add(at)), (IF_EQUAL, word)];
            words.zip([8, 12, 16, 20]).flat_map(steps).collect()
        }
    }
}
