//! What chance makes of a good input.

/// Inputs do not grow beyond this.
const LONGEST: usize = 16 * 1024;
/// Numbers at which something ends.
const EDGES: [u64; 8] = [0, 1, 0x7f, 0xff, 0xffff, 0x7fff_ffff, 0xffff_ffff, u64::MAX];

/// A changed copy of one of `seeds`, with a piece of another one now and then; or bytes of no origin.
pub fn mutated(seeds: &[Vec<u8>], chance: &mut fastrand::Rng) -> Vec<u8> {
    if seeds.is_empty() || chance.u8(..16) == 0 {
        return (0..chance.usize(..512)).map(|_| chance.u8(..)).collect();
    }
    let mut bytes = seeds[chance.usize(..seeds.len())].clone();
    for _ in 0..=chance.u32(..4) {
        change(&mut bytes, seeds, chance);
    }
    bytes.truncate(LONGEST);
    bytes
}

fn change(bytes: &mut Vec<u8>, seeds: &[Vec<u8>], chance: &mut fastrand::Rng) {
    let at = chance.usize(..=bytes.len());
    let end = (at + chance.usize(..32)).min(bytes.len());
    match chance.u8(..8) {
        0 => bytes.truncate(at),
        1 => drop(bytes.drain(at..end)),
        2 => drop(bytes.splice(at..at, (0..chance.usize(..32)).map(|_| chance.u8(..)).collect::<Vec<_>>())),
        3 => {
            let other = &seeds[chance.usize(..seeds.len())];
            let from = chance.usize(..=other.len());
            let piece = other[from..(from + chance.usize(..64)).min(other.len())].to_vec();
            drop(bytes.splice(at..end, piece));
        }
        4 => {
            let edge = EDGES[chance.usize(..EDGES.len())].to_le_bytes();
            let width = 1 << chance.u32(..4);
            bytes.iter_mut().skip(at).zip(&edge[..width]).for_each(|(byte, edge)| *byte = *edge);
        }
        5 => bytes.extend_from_within(at..end),
        _ => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = if chance.bool() { chance.u8(..) } else { *byte ^ 1 << chance.u8(..8) };
            }
        }
    }
}
