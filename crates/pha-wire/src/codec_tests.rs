//! Golden bytes, every way to be dropped, and arbitrary input.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::ops::Range;

use proptest::prelude::*;

use super::*;

const GOLDEN_BODY: &str = concat!(
    "504841",           // magic
    "01",               // version
    "a393efd3babafb0c", // cluster: the first eight bytes of `printf dmz | sha256sum`
    "02",               // node
    "04",               // PROGRESS, starting
    "02",               // gateway reachable
    "05",               // fit, reply wanted
    "0102030405060708", // incarnation
    "1112131415161718", // sequence
    "00000000000003fe", // term
    "2122232425262728", // heard: incarnation
    "3132333435363738", // heard: sequence
    "00002711",         // 10001 ms remaining
    "000000fa",         // 250 ms since the supervise tick
    "deadbeef",         // configuration
    "03",               // asks node 3
    "01",               // answers node 1
    "05",               // unfit
    "00",               // nothing
    "4142434445464748", // which request it makes
    "5152535455565758", // which request it answers
);

/// Of the body, with the key 00 01 02 … 1f; computed with another program.
const GOLDEN_TAG: &str = "f3786727937e457f2678078efac3fc3b13f3dc57326c2217035abeb6e23c61d0";

/// The same of version 2, whose body names the key.
const GOLDEN_TAG_2: &str = "3e3bfaa4d3138d417f2ced5478e748f300e91cb602bea532ce0279f88bddae55";
const KEY_ID: &str = "bf";

fn golden_body_2(key: &str) -> String {
    [&GOLDEN_BODY[..6], "02", &GOLDEN_BODY[8..142], key, &GOLDEN_BODY[144..]].concat()
}

const NODE: usize = 12;
const WORD: usize = 13;
const GATEWAY: usize = 14;
const FLAGS: usize = 15;
const REMAINING: Range<usize> = 56..60;
const ASKS: usize = 68;
const ANSWERS: usize = 69;
const UNREADY: usize = 70;
const HANDSHAKE: Range<usize> = 68..88;

fn key() -> Key {
    Key::from_bytes(std::array::from_fn(|index| index as u8))
}

fn other_key() -> Key {
    Key::from_bytes([7; TAG])
}

fn holders(first: Key, second: Option<Key>) -> Codec {
    Codec::new("dmz", Trust::Holders(Keyring::new(first, second).unwrap()))
}

fn keyed() -> Codec {
    holders(key(), None)
}

fn keyless() -> Codec {
    Codec::new("dmz", Trust::Anybody)
}

fn lenient() -> Codec {
    Codec::new("dmz", Trust::Untagged(key().into()))
}

fn said(codec: &Codec, heartbeat: &Heartbeat) -> [u8; LENGTH] {
    codec.encode(heartbeat, codec.best())
}

fn heard(codec: &Codec, datagram: &[u8]) -> Result<Heartbeat, DropReason> {
    codec.decode(datagram).map(|(heartbeat, _)| heartbeat)
}

fn golden() -> Heartbeat {
    Heartbeat {
        node: NodeId::new(2).unwrap(),
        serial: Serial { incarnation: 0x0102_0304_0506_0708, sequence: 0x1112_1314_1516_1718 },
        saying: Saying {
            word: Word::Progress { direction: Direction::Starting, remaining: Duration::from_millis(10_001) },
            term: Term::from_value(0x3fe),
            gateway: Gateway::Reachable,
            fit: true,
            willing: false,
            config_hash: 0xdead_beef,
            asks: Some(Ask { node: NodeId::new(3).unwrap(), at: request(0x4142_4344_4546_4748) }),
            answer: Some(Answer {
                node: NodeId::new(1).unwrap(),
                at: request(0x5152_5354_5556_5758),
                unready: Some(Unready::Unfit),
            }),
        },
        reply_wanted: true,
        heard: Serial { incarnation: 0x2122_2324_2526_2728, sequence: 0x3132_3334_3536_3738 },
        supervise_age: Duration::from_millis(250),
    }
}

fn request(at: u64) -> BootTime {
    BootTime::since_boot(Duration::from_nanos(at))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `datagram` after `change`, with the tag that a holder of the key would give it.
fn altered(change: impl FnOnce(&mut [u8; LENGTH])) -> [u8; LENGTH] {
    let mut datagram = said(&keyed(), &golden());
    change(&mut datagram);
    let tag = key().tag(&datagram[..BODY]);
    datagram[BODY..].copy_from_slice(&tag);
    datagram
}

#[test]
fn versions_1_and_2_have_these_bytes_for_ever() {
    let dialect = |version, codec: &Codec| Dialect { version, ..codec.best() };
    for codec in [keyed(), lenient()] {
        assert_eq!(hex(&codec.encode(&golden(), dialect(1, &codec))), format!("{GOLDEN_BODY}{GOLDEN_TAG}"));
        assert_eq!(hex(&said(&codec, &golden())), format!("{}{GOLDEN_TAG_2}", golden_body_2(KEY_ID)));
    }
    let no_tag = "00".repeat(TAG);
    assert_eq!(hex(&keyless().encode(&golden(), dialect(1, &keyless()))), format!("{GOLDEN_BODY}{no_tag}"));
    assert_eq!(hex(&said(&keyless(), &golden())), format!("{}{no_tag}", golden_body_2("00")));
    const { assert!(LENGTH == 120 && LENGTH <= 256) };
}

#[test]
fn every_word_and_gateway_has_its_own_code() {
    let words: Vec<Word> = (0..=255).filter_map(|code| word_from_wire(code, 0)).collect();
    let codes: Vec<u8> = words.iter().map(|word| word_to_wire(*word).0).collect();
    assert_eq!(codes, (1..=9).collect::<Vec<u8>>());
    let gateways: Vec<u8> = (0..=255).filter_map(gateway_from_wire).map(gateway_to_wire).collect();
    assert_eq!(gateways, [0, 1, 2, 3]);
}

#[test]
fn every_reason_not_to_be_ready_has_its_own_code_and_0_is_ready() {
    let found: Vec<Option<Unready>> = (0..=255).filter_map(unready_from_wire).collect();
    let codes: Vec<u8> = found.iter().map(|unready| unready.map_or(0, unready_to_wire)).collect();
    assert_eq!(codes, (0..=9).collect::<Vec<u8>>());
    let silent = altered(|bytes| {
        bytes[HANDSHAKE.start..KEY].fill(0);
        bytes[KEY + 1..HANDSHAKE.end].fill(0);
    });
    let saying = heard(&keyed(), &silent).unwrap().saying;
    assert_eq!((saying.asks, saying.answer), (None, None));
}

#[test]
fn a_datagram_of_another_length_is_dropped() {
    let datagram = said(&keyed(), &golden());
    for codec in [keyed(), keyless()] {
        for length in 0..LENGTH {
            assert_eq!(codec.decode(&datagram[..length]), Err(DropReason::TooShort));
        }
        for surplus in [1, 156, 65_000] {
            let long = [&datagram[..], &vec![0; surplus]].concat();
            assert_eq!(codec.decode(&long), Err(DropReason::TooLong));
        }
    }
}

#[test]
fn what_is_not_of_this_protocol_version_and_cluster_is_dropped() {
    assert_eq!(keyed().decode(&altered(|bytes| bytes[0] = b'Q')), Err(DropReason::BadMagic));
    for version in [0, 3, 255] {
        assert_eq!(keyed().decode(&altered(|bytes| bytes[3] = version)), Err(DropReason::BadVersion));
    }
    assert_eq!(keyed().decode(&altered(|bytes| bytes[11] ^= 1)), Err(DropReason::WrongCluster));
    let other = said(&Codec::new("dmz2", Trust::Anybody), &golden());
    assert_eq!(keyed().decode(&other), Err(DropReason::WrongCluster));
}

#[test]
fn with_a_key_nothing_without_its_tag_is_decoded() {
    let stranger = holders(other_key(), None);
    for datagram in [said(&keyless(), &golden()), said(&stranger, &golden())] {
        assert_eq!(keyed().decode(&datagram), Err(DropReason::NotAuthentic));
    }
    // The name of a key proves nothing.
    let misnamed = altered(|bytes| bytes[KEY] = other_key().id());
    assert_eq!(holders(other_key(), None).decode(&misnamed), Err(DropReason::NotAuthentic));
    assert_eq!(holders(key(), Some(other_key())).decode(&misnamed), Err(DropReason::NotAuthentic));
}

#[test]
fn without_a_key_a_node_still_hears_one_that_has_a_key() {
    assert_eq!(heard(&keyless(), &said(&keyed(), &golden())), Ok(golden()));
}

#[test]
fn while_keys_are_rolled_out_no_tag_is_good_and_a_wrong_one_is_not() {
    for version in [1, 2] {
        let untagged = keyless().encode(&golden(), Dialect { version, signer: 0 });
        assert_eq!(lenient().decode(&untagged), Ok((golden(), Dialect { version, signer: 0 })));
        let mut forged = untagged;
        forged[LENGTH - 1] = 1;
        assert_eq!(lenient().decode(&forged), Err(DropReason::NotAuthentic));
    }
    let mut named = said(&keyless(), &golden());
    named[KEY] = key().id();
    assert_eq!(lenient().decode(&named), Err(DropReason::NotAuthentic));
    assert_eq!(heard(&lenient(), &said(&keyed(), &golden())), Ok(golden()));
    assert_eq!(heard(&keyed(), &said(&lenient(), &golden())), Ok(golden()));
    assert!(keyed().is_authentic() && !lenient().is_authentic() && !keyless().is_authentic());
}

#[test]
fn what_is_heard_tells_what_it_was_spoken_in() {
    let both = holders(other_key(), Some(key()));
    for (version, key) in [(1, key()), (1, other_key()), (2, key()), (2, other_key())] {
        let dialect = Dialect { version, signer: key.id() };
        assert_eq!(both.decode(&both.encode(&golden(), dialect)), Ok((golden(), dialect)));
    }
}

#[test]
fn a_peer_is_answered_in_what_it_speaks_and_told_now_and_then_what_would_be_better() {
    let (old, new) = (key().id(), other_key().id());
    let both = holders(other_key(), Some(key()));
    let dialect = |version, key| Dialect { version, signer: key };
    assert_eq!(both.best(), dialect(2, new));
    for known in [dialect(1, old), dialect(1, new), dialect(2, old), dialect(2, new)] {
        assert_eq!(both.answer_to(known), known);
    }
    // Not heard yet; with a key that is gone; without one, while keys are rolled out; of a version to come.
    for unknown in [Dialect::default(), dialect(2, 0), dialect(9, !new)] {
        assert_eq!(both.answer_to(unknown), dialect(2, new));
    }
    assert_eq!(keyless().answer_to(dialect(1, old)), dialect(1, 0));
    assert_eq!(both.better(dialect(1, new), dialect(2, old)), dialect(2, new));
    assert_eq!(both.better(dialect(2, old), dialect(2, 0)), dialect(2, old));
    assert_eq!(both.better(dialect(1, 0), dialect(1, old)), dialect(1, old));
}

#[test]
fn the_tag_covers_every_bit() {
    let datagram = said(&keyed(), &golden());
    for bit in 0..8 * LENGTH {
        let mut forged = datagram;
        forged[bit / 8] ^= 1 << (bit % 8);
        let reason = keyed().decode(&forged).unwrap_err();
        let expected = match bit / 8 {
            0..3 => DropReason::BadMagic,
            3 => DropReason::BadVersion,
            4..12 => DropReason::WrongCluster,
            _ => DropReason::NotAuthentic,
        };
        assert_eq!(reason, expected, "bit {bit}");
    }
}

#[test]
fn an_authentic_datagram_with_a_value_that_does_not_exist_is_malformed() {
    let wrong: [fn(&mut [u8; LENGTH]); 14] = [
        |bytes| bytes[NODE] = 0,
        |bytes| bytes[NODE] = 17,
        |bytes| bytes[WORD] = 0,
        |bytes| bytes[WORD] = 10,
        |bytes| bytes[GATEWAY] = 4,
        |bytes| bytes[FLAGS] |= 8,
        |bytes| bytes[FLAGS] |= 0x80,
        |bytes| bytes[WORD] = 1, // ONLINE, but time remaining
        |bytes| bytes[ASKS] = 17,
        |bytes| bytes[ASKS] = 0, // nobody is asked, but a request is named
        |bytes| bytes[ANSWERS] = 17,
        |bytes| bytes[ANSWERS] = 0,
        |bytes| bytes[UNREADY] = 10,
        |bytes| bytes[3] = 1, // which names no key
    ];
    for (index, change) in wrong.into_iter().enumerate() {
        assert_eq!(keyed().decode(&altered(change)), Err(DropReason::Malformed), "case {index}");
        assert_eq!(keyless().decode(&altered(change)), Err(DropReason::Malformed), "case {index}");
    }
    let online = altered(|bytes| {
        bytes[WORD] = 1;
        bytes[REMAINING].fill(0);
    });
    assert_eq!(heard(&keyed(), &online).unwrap().saying.word, Word::Online);
}

#[test]
fn times_are_rounded_up_and_end_at_the_field_s_size() {
    assert_eq!(milliseconds(Duration::ZERO), 0);
    assert_eq!(milliseconds(Duration::from_nanos(1)), 1);
    assert_eq!(milliseconds(Duration::from_micros(2_001)), 3);
    assert_eq!(milliseconds(Duration::MAX), u32::MAX);
}

fn any_serial() -> impl Strategy<Value = Serial> {
    (any::<u64>(), any::<u64>()).prop_map(|(incarnation, sequence)| Serial { incarnation, sequence })
}

prop_compose! {
    fn any_saying()(
        code in 1_u8..=9, remaining in any::<u32>(), term in any::<u64>(), gateway in 0_u8..4,
        fit in any::<bool>(), willing in any::<bool>(), config_hash in any::<u32>(),
        asks in any::<Option<(u8, u64)>>(), answer in any::<Option<(u8, u64, u8)>>(),
    ) -> Saying {
        let node = |number: u8| NodeId::new(usize::from(number % 16) + 1).unwrap();
        let asks = asks.map(|(number, at)| Ask { node: node(number), at: request(at) });
        let unready = |code: u8| unready_from_wire(code % 10).unwrap();
        let answer = answer.map(|(number, at, code)| Answer { node: node(number), at: request(at), unready: unready(code) });
        let word = word_from_wire(code, remaining).or_else(|| word_from_wire(code, 0)).unwrap();
        let gateway = gateway_from_wire(gateway).unwrap();
        Saying { word, term: Term::from_value(term), gateway, fit, willing, config_hash, asks, answer }
    }
}

prop_compose! {
    fn any_heartbeat()(
        node in 1..=pha_core::MAX_NODES, serial in any_serial(), saying in any_saying(),
        reply_wanted in any::<bool>(), heard in any_serial(), age in any::<u32>(),
    ) -> Heartbeat {
        let supervise_age = Duration::from_millis(u64::from(age));
        Heartbeat { node: NodeId::new(node).unwrap(), serial, saying, reply_wanted, heard, supervise_age }
    }
}

proptest! {
    #[test]
    fn what_was_encoded_is_decoded_to_the_same(heartbeat in any_heartbeat()) {
        for codec in [keyed(), keyless()] {
            prop_assert_eq!(codec.decode(&said(&codec, &heartbeat)), Ok((heartbeat, codec.best())));
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic_and_are_never_authentic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(keyed().decode(&bytes).is_err());
        let _ = keyless().decode(&bytes);
    }

    #[test]
    fn arbitrary_fields_never_panic_and_what_decodes_encodes_to_the_same(
        codes in (0_u8..18, 0_u8..11, 0_u8..5, 0_u8..9), fields in any::<[[u8; 24]; 3]>(), busy in any::<bool>(),
    ) {
        let datagram = altered(|bytes| {
            bytes[FLAGS + 1..BODY].copy_from_slice(fields.as_flattened());
            bytes[KEY] = key().id();
            bytes[NODE..=FLAGS].copy_from_slice(&[codes.0, codes.1, codes.2, codes.3]);
            bytes[REMAINING].iter_mut().for_each(|byte| *byte *= u8::from(busy));
        });
        if let Ok(heartbeat) = heard(&keyed(), &datagram) {
            prop_assert_eq!(said(&keyed(), &heartbeat), datagram);
        }
    }
}
