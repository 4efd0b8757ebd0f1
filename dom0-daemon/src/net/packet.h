// SPDX-License-Identifier: Apache-2.0
//
// Ethernet frames as this daemon sends and reads them: ARP and RARP, TCP over IPv4 without payload, ICMPv6
// neighbour advertisements. Pure functions. Parsers take any bytes from the network and never read beyond them.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "net/address.h"

namespace tripod::net {

using Frame = std::vector<std::uint8_t>;
using FrameView = std::span<const std::uint8_t>;

/** The Internet checksum of RFC 1071 over `bytes`, begun with `sum` (not yet folded); host order. */
std::uint16_t internet_checksum(FrameView bytes, std::uint32_t sum = 0);

/** ARP for IPv4 over Ethernet (RFC 826), and RARP requests (RFC 903). */
struct ArpPacket {
    enum class Operation : std::uint16_t { request = 1, reply = 2, reverse_request = 3 };
    Operation operation = Operation::request;
    MacAddress frame_source, frame_destination;
    MacAddress sender_mac, target_mac;
    Ipv4Address sender_ip, target_ip;
};
Frame build_arp(const ArpPacket& arp);
/** Requests and replies only; nothing for any other frame. */
std::optional<ArpPacket> parse_arp(FrameView frame);

namespace tcp_flag {
inline constexpr std::uint8_t fin = 0x01, syn = 0x02, rst = 0x04, ack = 0x10;
}

struct TcpSegment {
    MacAddress frame_source, frame_destination;
    Ipv4Address source, destination;
    std::uint16_t source_port = 0, destination_port = 0;
    std::uint32_t seq = 0, ack = 0;
    std::uint8_t flags = 0; ///< tcp_flag
    std::uint16_t window = 0;

    bool has(std::uint8_t flag) const { return (flags & flag) != 0; }
};
/** The segment without payload or options, both checksums filled in. */
Frame build_tcp(const TcpSegment& segment);
/**
 * The headers of an unfragmented TCP segment over IPv4; nothing for any other frame. The checksum of TCP is not
 * checked: between a guest and its host it is often left to the network card, and not filled in.
 */
std::optional<TcpSegment> parse_tcp(FrameView frame);

/** An unsolicited neighbour advertisement to all nodes (RFC 4861, 7.2.6), with the override flag. */
Frame build_neighbour_advertisement(MacAddress mac, const Ipv6Address& ip);

} // namespace tripod::net
