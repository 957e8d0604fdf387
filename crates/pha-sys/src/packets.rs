//! The packets pha builds and reads byte by byte: ICMP echoes, ARP, neighbour discovery. The only file that names
//! `pnet`, and of that only its packet layouts. Pure: nothing here touches a socket.
//!
//! Whatever arrives may be hostile: a reader answers `None` to all that is too short or is something else.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use pnet::packet::Packet as _;
use pnet::packet::arp::{Arp, ArpHardwareTypes, ArpOperation, ArpOperations, ArpPacket, MutableArpPacket};
use pnet::packet::ethernet::{EtherType, EtherTypes, Ethernet, EthernetPacket, MutableEthernetPacket};
use pnet::packet::icmp::{self, IcmpPacket, IcmpTypes};
use pnet::packet::icmpv6::ndp::{MutableNeighborAdvertPacket, MutableNeighborSolicitPacket};
use pnet::packet::icmpv6::ndp::{NdpOption, NdpOptionTypes, NeighborAdvert, NeighborAdvertFlags};
use pnet::packet::icmpv6::ndp::{NeighborAdvertPacket, NeighborSolicit};
use pnet::packet::icmpv6::{self, Icmpv6Code, Icmpv6Packet, Icmpv6Types};
use pnet::packet::ip::IpNextHeaderProtocols;
use pnet::packet::ipv4::Ipv4Packet;
use pnet::packet::ipv6::{Ipv6, Ipv6Packet, MutableIpv6Packet};
use pnet::util::MacAddr;

/// An Ethernet address.
pub(crate) type LinkAddress = [u8; 6];

/// Why the buffers below always take their packet.
const FITS: &str = "the buffer has the packet's size";
const BROADCAST: LinkAddress = [0xff; 6];
const NOBODY: LinkAddress = [0; 6];
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ETHERNET_HEADER: usize = 14;
const IPV6_HEADER: usize = 40;

/// The EtherType of ARP, as number.
pub(crate) const ARP: u16 = EtherTypes::Arp.0;
/// The EtherType of IPv6, as number.
pub(crate) const IPV6: u16 = EtherTypes::Ipv6.0;

/// An echo request to an address of the family of `to`. For IPv6 the kernel fills in the checksum.
pub(crate) fn echo_request(to: IpAddr, identifier: u16, sequence: u16, token: [u8; 8]) -> Vec<u8> {
    let mut packet = vec![0; 16];
    match to {
        IpAddr::V4(_) => {
            let mut echo = icmp::echo_request::MutableEchoRequestPacket::new(&mut packet).expect(FITS);
            echo.set_icmp_type(IcmpTypes::EchoRequest);
            echo.set_identifier(identifier);
            echo.set_sequence_number(sequence);
            echo.set_payload(&token);
            let checksum = icmp::checksum(&IcmpPacket::new(echo.packet()).expect(FITS));
            echo.set_checksum(checksum);
        }
        IpAddr::V6(_) => {
            let mut echo = icmpv6::echo_request::MutableEchoRequestPacket::new(&mut packet).expect(FITS);
            echo.set_icmpv6_type(Icmpv6Types::EchoRequest);
            echo.set_identifier(identifier);
            echo.set_sequence_number(sequence);
            echo.set_payload(&token);
        }
    }
    packet
}

/// The sequence number of an echo reply that carries `token`, as a socket of the family of `from` hands it out.
pub(crate) fn echo_reply(from: IpAddr, bytes: &[u8], token: [u8; 8]) -> Option<u16> {
    match from {
        IpAddr::V4(_) => {
            let echo = icmp::echo_reply::EchoReplyPacket::new(without_ipv4_header(bytes)?)?;
            let mine = echo.get_icmp_type() == IcmpTypes::EchoReply && echo.payload() == token;
            mine.then(|| echo.get_sequence_number())
        }
        IpAddr::V6(_) => {
            let echo = icmpv6::echo_reply::EchoReplyPacket::new(bytes)?;
            let mine = echo.get_icmpv6_type() == Icmpv6Types::EchoReply && echo.payload() == token;
            mine.then(|| echo.get_sequence_number())
        }
    }
}

/// A raw socket puts the IPv4 header in front, an unprivileged one does not; no ICMP type looks like version 4.
fn without_ipv4_header(bytes: &[u8]) -> Option<&[u8]> {
    if bytes.first()? >> 4 != 4 {
        return Some(bytes);
    }
    let header = Ipv4Packet::new(bytes)?.get_header_length();
    bytes.get(usize::from(header) * 4..)
}

/// "I have `address`", twice, since some systems believe only a request and some only a reply (RFC 5944 §4.6).
pub(crate) fn gratuitous_arp(mac: LinkAddress, address: Ipv4Addr) -> [Vec<u8>; 2] {
    let request = arp(ArpOperations::Request, (mac, address), (NOBODY, address));
    let reply = arp(ArpOperations::Reply, (mac, address), (mac, address));
    [request, reply]
}

/// "Who has `address`?", asked from our address `from`, or from none as in duplicate address detection (RFC 5227 §2.1.1).
pub(crate) fn arp_question(mac: LinkAddress, from: Option<Ipv4Addr>, address: Ipv4Addr) -> Vec<u8> {
    arp(ArpOperations::Request, (mac, from.unwrap_or(Ipv4Addr::UNSPECIFIED)), (NOBODY, address))
}

/// The link address of the machine that claims `address` in this frame, in whichever way (RFC 5227 §2.1.1).
pub(crate) fn arp_claim(frame: &[u8], address: Ipv4Addr) -> Option<LinkAddress> {
    let frame = EthernetPacket::new(frame)?;
    let arp = ArpPacket::new(frame.payload())?;
    let claims = frame.get_ethertype() == EtherTypes::Arp
        && arp.get_hardware_type() == ArpHardwareTypes::Ethernet
        && arp.get_protocol_type() == EtherTypes::Ipv4
        && (arp.get_hw_addr_len(), arp.get_proto_addr_len()) == (6, 4)
        && arp.get_sender_proto_addr() == address;
    claims.then(|| arp.get_sender_hw_addr().octets())
}

/// An unsolicited neighbour advertisement to all nodes, overriding what they knew (RFC 4861 §7.2.6).
pub(crate) fn unsolicited_advertisement(mac: LinkAddress, address: Ipv6Addr, router: bool) -> Vec<u8> {
    let flags = NeighborAdvertFlags::Override | if router { NeighborAdvertFlags::Router } else { 0 };
    let advertisement = NeighborAdvert {
        icmpv6_type: Icmpv6Types::NeighborAdvert,
        icmpv6_code: Icmpv6Code(0),
        checksum: 0,
        flags,
        reserved: 0,
        target_addr: address,
        options: vec![NdpOption { option_type: NdpOptionTypes::TargetLLAddr, length: 1, data: mac.to_vec() }],
        payload: Vec::new(),
    };
    let mut packet = MutableNeighborAdvertPacket::owned(vec![0; 32]).expect(FITS);
    packet.populate(&advertisement);
    icmpv6_frame(mac, address, ALL_NODES, packet.packet())
}

/// "Who has `address`?", asked from our address `from`, or from none as in duplicate address detection (RFC 4862 §5.4.2).
pub(crate) fn neighbour_solicitation(mac: LinkAddress, from: Option<Ipv6Addr>, address: Ipv6Addr) -> Vec<u8> {
    let source = NdpOption { option_type: NdpOptionTypes::SourceLLAddr, length: 1, data: mac.to_vec() };
    let solicitation = NeighborSolicit {
        icmpv6_type: Icmpv6Types::NeighborSolicit,
        icmpv6_code: Icmpv6Code(0),
        checksum: 0,
        reserved: 0,
        target_addr: address,
        options: from.map(|_| source).into_iter().collect(),
        payload: Vec::new(),
    };
    let size = if from.is_some() { 32 } else { 24 };
    let mut packet = MutableNeighborSolicitPacket::owned(vec![0; size]).expect(FITS);
    packet.populate(&solicitation);
    icmpv6_frame(mac, from.unwrap_or(Ipv6Addr::UNSPECIFIED), solicited_node(address), packet.packet())
}

/// The link address of the machine that advertises `address` in this frame.
///
/// It is that of the option, or the frame's sender where there is none (RFC 4861 §4.4 allows that). A hop limit other
/// than 255 comes from beyond a router, and is no neighbour's word (§7.1.2).
pub(crate) fn neighbour_claim(frame: &[u8], address: Ipv6Addr) -> Option<LinkAddress> {
    let frame = EthernetPacket::new(frame)?;
    let packet = Ipv6Packet::new(frame.payload())?;
    let body = frame.payload().get(IPV6_HEADER..)?;
    let advertisement = NeighborAdvertPacket::new(body)?;
    let claims = frame.get_ethertype() == EtherTypes::Ipv6
        && packet.get_next_header() == IpNextHeaderProtocols::Icmpv6
        && packet.get_hop_limit() == 255
        && advertisement.get_icmpv6_type() == Icmpv6Types::NeighborAdvert
        && advertisement.get_target_addr() == address;
    claims.then(|| target_link_address(body).unwrap_or_else(|| frame.get_source().octets()))
}

/// Option 2, of length 1 (8 bytes), first in line: what every system sends.
fn target_link_address(advertisement: &[u8]) -> Option<LinkAddress> {
    match advertisement.get(24..32)? {
        [2, 1, mac @ ..] => mac.try_into().ok(),
        _ => None,
    }
}

fn arp(operation: ArpOperation, sender: (LinkAddress, Ipv4Addr), target: (LinkAddress, Ipv4Addr)) -> Vec<u8> {
    let message = Arp {
        hardware_type: ArpHardwareTypes::Ethernet,
        protocol_type: EtherTypes::Ipv4,
        hw_addr_len: 6,
        proto_addr_len: 4,
        operation,
        sender_hw_addr: MacAddr::from(sender.0),
        sender_proto_addr: sender.1,
        target_hw_addr: MacAddr::from(target.0),
        target_proto_addr: target.1,
        payload: Vec::new(),
    };
    let mut packet = MutableArpPacket::owned(vec![0; 28]).expect(FITS);
    packet.populate(&message);
    ethernet(sender.0, BROADCAST, EtherTypes::Arp, packet.packet())
}

/// A multicast ICMPv6 message in its frame, with its checksum.
fn icmpv6_frame(mac: LinkAddress, source: Ipv6Addr, destination: Ipv6Addr, message: &[u8]) -> Vec<u8> {
    let mut payload = message.to_vec();
    let checksum = icmpv6::checksum(&Icmpv6Packet::new(&payload).expect(FITS), &source, &destination);
    payload[2..4].copy_from_slice(&checksum.to_be_bytes());
    let mut packet = MutableIpv6Packet::owned(vec![0; IPV6_HEADER + payload.len()]).expect(FITS);
    packet.populate(&Ipv6 {
        version: 6,
        traffic_class: 0,
        flow_label: 0,
        payload_length: u16::try_from(payload.len()).expect("a message of 24 or 32 bytes"),
        next_header: IpNextHeaderProtocols::Icmpv6,
        hop_limit: 255,
        source,
        destination,
        payload,
    });
    let [.., a, b, c, d] = destination.octets();
    ethernet(mac, [0x33, 0x33, a, b, c, d], EtherTypes::Ipv6, packet.packet())
}

fn ethernet(source: LinkAddress, destination: LinkAddress, ethertype: EtherType, payload: &[u8]) -> Vec<u8> {
    let mut frame = MutableEthernetPacket::owned(vec![0; ETHERNET_HEADER + payload.len()]).expect(FITS);
    frame.populate(&Ethernet {
        destination: MacAddr::from(destination),
        source: MacAddr::from(source),
        ethertype,
        payload: payload.to_vec(),
    });
    frame.packet().to_vec()
}

/// The multicast group in which a machine with `address` listens for solicitations (RFC 4291 §2.7.1).
fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = address.octets();
    Ipv6Addr::from([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a, b, c])
}

#[cfg(test)]
mod tests;
