//! Golden bytes, and readers that survive anything.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use super::*;

const MAC: LinkAddress = [2, 0, 0, 0, 0, 1];
const FOUR: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 20);
const SIX: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0x12, 0x3456);
const LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
const TOKEN: [u8; 8] = *b"12345678";

#[test]
fn a_gratuitous_request_and_reply_have_their_golden_bytes() {
    let header = [&BROADCAST[..], &MAC, &[8, 6, 0, 1, 8, 0, 6, 4, 0]].concat();
    let request = [&header[..], &[1], &MAC, &[192, 0, 2, 20], &NOBODY, &[192, 0, 2, 20]].concat();
    let reply = [&header[..], &[2], &MAC, &[192, 0, 2, 20], &MAC, &[192, 0, 2, 20]].concat();
    assert_eq!(gratuitous_arp(MAC, FOUR), [request, reply]);
}

#[test]
fn a_question_names_its_sender_or_none_and_claims_nothing() {
    let own = Ipv4Addr::new(192, 0, 2, 1);
    for (from, named) in [(None, [0; 4]), (Some(own), own.octets())] {
        let question = arp_question(MAC, from, FOUR);
        assert_eq!(question[28..32], named);
        assert_eq!(arp_claim(&question, FOUR), None);
    }
}

#[test]
fn a_claim_is_read_from_request_and_reply_for_the_one_address_only() {
    for frame in gratuitous_arp(MAC, FOUR) {
        assert_eq!(arp_claim(&frame, FOUR), Some(MAC));
        assert_eq!(arp_claim(&frame, Ipv4Addr::new(192, 0, 2, 21)), None);
    }
}

/// The Internet checksum of an ICMPv6 message with its pseudo header, computed independently: 0 where it is right.
fn icmpv6_residue(frame: &[u8]) -> u16 {
    let length = (frame.len() - 54) as u32;
    let pseudo = [&frame[22..54], &length.to_be_bytes(), &[0, 0, 0, 58], &frame[54..]].concat();
    let sum: u32 = pseudo.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
    !(((sum & 0xffff) + (sum >> 16)) as u16)
}

#[test]
fn an_advertisement_goes_to_all_nodes_with_override_and_a_right_checksum() {
    let frame = unsolicited_advertisement(MAC, SIX, false);
    assert_eq!(frame.len(), 14 + 40 + 32);
    assert_eq!(&frame[..14], &[0x33, 0x33, 0, 0, 0, 1, 2, 0, 0, 0, 0, 1, 0x86, 0xdd]);
    assert_eq!(&frame[14..22], &[0x60, 0, 0, 0, 0, 32, 58, 255]);
    assert_eq!(&frame[22..38], &SIX.octets());
    assert_eq!((frame[54], frame[58]), (136, 0x20));
    assert_eq!(&frame[78..], &[2, 1, 2, 0, 0, 0, 0, 1]);
    assert_eq!(icmpv6_residue(&frame), 0);
    assert_eq!(unsolicited_advertisement(MAC, SIX, true)[58], 0xa0);
    assert_eq!(neighbour_claim(&frame, SIX), Some(MAC));
    assert_eq!(neighbour_claim(&frame, LINK_LOCAL), None);
}

#[test]
fn an_advertisement_without_option_is_the_senders_and_one_from_beyond_a_router_is_nobodys() {
    let mut frame = unsolicited_advertisement(MAC, SIX, false);
    assert_eq!(neighbour_claim(&frame[..78], SIX), Some(MAC));
    frame[21] = 254;
    assert_eq!(neighbour_claim(&frame, SIX), None);
}

#[test]
fn a_solicitation_goes_to_the_group_of_the_address_with_or_without_a_sender() {
    let anonymous = neighbour_solicitation(MAC, None, SIX);
    assert_eq!(anonymous.len(), 14 + 40 + 24);
    assert_eq!(&anonymous[..6], &[0x33, 0x33, 0xff, 0x12, 0x34, 0x56]);
    assert_eq!(&anonymous[22..38], &[0; 16]);
    assert_eq!(&anonymous[38..54], &"ff02::1:ff12:3456".parse::<Ipv6Addr>().unwrap().octets());
    let signed = neighbour_solicitation(MAC, Some(LINK_LOCAL), SIX);
    assert_eq!(&signed[78..], &[1, 1, 2, 0, 0, 0, 0, 1]);
    for frame in [anonymous, signed] {
        assert_eq!(frame[54], 135);
        assert_eq!(icmpv6_residue(&frame), 0);
        assert_eq!(neighbour_claim(&frame, SIX), None);
    }
}

#[test]
fn an_echo_is_answered_only_by_a_reply_with_our_token() {
    for (to, reply_type) in [(IpAddr::V4(FOUR), 0), (IpAddr::V6(SIX), 129)] {
        let mut packet = echo_request(to, 7, 513, TOKEN);
        assert_eq!(&packet[4..8], &[0, 7, 2, 1]);
        assert_eq!(echo_reply(to, &packet, TOKEN), None);
        packet[0] = reply_type;
        assert_eq!(echo_reply(to, &packet, TOKEN), Some(513));
        assert_eq!(echo_reply(to, &packet, *b"12345679"), None);
        assert_eq!(echo_reply(to, &packet[..15], TOKEN), None);
    }
    assert_eq!(echo_request(IpAddr::V4(FOUR), 0, 0, [0; 8])[..4], [8, 0, 0xf7, 0xff]);
}

#[test]
fn a_reply_behind_an_ipv4_header_is_found_also_with_options() {
    let mut reply = echo_request(IpAddr::V4(FOUR), 7, 9, TOKEN);
    reply[0] = 0;
    for words in [5_usize, 15] {
        let mut packet = vec![0; words * 4];
        packet[0] = 0x40 | words as u8;
        packet.extend_from_slice(&reply);
        assert_eq!(echo_reply(IpAddr::V4(FOUR), &packet, TOKEN), Some(9));
        assert_eq!(echo_reply(IpAddr::V4(FOUR), &packet[..words * 4 - 1], TOKEN), None);
    }
}

#[test]
fn no_cut_or_changed_frame_makes_a_reader_panic() {
    let arp = gratuitous_arp(MAC, FOUR)[0].clone();
    let mut echo = echo_request(IpAddr::V4(FOUR), 7, 9, TOKEN);
    echo[0] = 0x4f;
    for frame in [arp, unsolicited_advertisement(MAC, SIX, true), echo] {
        for cut in 0..=frame.len() {
            for change in 0..cut {
                let mut bytes = frame[..cut].to_vec();
                bytes[change] ^= 0xff;
                let _ = (arp_claim(&bytes, FOUR), neighbour_claim(&bytes, SIX));
                let _ = (echo_reply(IpAddr::V4(FOUR), &bytes, TOKEN), echo_reply(IpAddr::V6(SIX), &bytes, TOKEN));
            }
        }
    }
}
