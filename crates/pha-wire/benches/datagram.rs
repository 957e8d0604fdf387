//! What a heartbeat costs on its way out and in, with a key as in a real cluster.

use std::time::Duration;

use divan::{Bencher, black_box};
use pha_core::{Gateway, Heartbeat, NodeId, Saying, Serial, Term, Word};
use pha_wire::{Codec, Key, Trust};

fn main() {
    divan::main();
}

fn codec() -> Codec {
    Codec::new("pha", Trust::Holders(Key::from_bytes([7; 32]).into()))
}

fn heartbeat() -> Heartbeat {
    let saying = Saying {
        term: Term::from_value(0x3fe),
        gateway: Gateway::Reachable,
        config_hash: 1,
        ..Saying::healthy(Word::Online)
    };
    Heartbeat {
        node: NodeId::new(1).expect("1 is a node id"),
        serial: Serial { incarnation: 1, sequence: 2 },
        saying,
        reply_wanted: false,
        heard: Serial::default(),
        supervise_age: Duration::from_millis(250),
    }
}

#[divan::bench]
fn encode(bencher: Bencher<'_, '_>) {
    let (codec, heartbeat) = (codec(), heartbeat());
    bencher.bench_local(|| codec.encode(black_box(&heartbeat), codec.best()));
}

#[divan::bench]
fn verify_and_decode(bencher: Bencher<'_, '_>) {
    let codec = codec();
    let datagram = codec.encode(&heartbeat(), codec.best());
    bencher.bench_local(|| codec.decode(black_box(&datagram)));
}

#[divan::bench]
fn refuse_a_forged_one(bencher: Bencher<'_, '_>) {
    let codec = codec();
    let mut datagram = codec.encode(&heartbeat(), codec.best());
    datagram[20] ^= 1;
    bencher.bench_local(|| codec.decode(black_box(&datagram)));
}
