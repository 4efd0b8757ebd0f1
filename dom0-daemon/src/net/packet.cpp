// SPDX-License-Identifier: Apache-2.0
#include "net/packet.h"

#include <algorithm>
#include <cstddef>
#include <string_view>
#include <utility>

namespace tripod::net {
namespace {

constexpr std::uint16_t kEtherIpv4 = 0x0800, kEtherArp = 0x0806, kEtherRarp = 0x8035, kEtherIpv6 = 0x86dd;
constexpr std::size_t kEtherHeader = 14, kEtherMin = 60;
constexpr std::size_t kArpSize = 28, kIpv4Header = 20, kTcpHeader = 20;
constexpr std::uint8_t kProtocolTcp = 6, kProtocolIcmp6 = 58;
constexpr std::uint8_t kTtl = 64;

/** Appends in network byte order. */
class Writer {
  public:
    Writer& u8(std::uint8_t value) {
        frame_.push_back(value);
        return *this;
    }
    Writer& u16(std::uint16_t value) {
        return u8(static_cast<std::uint8_t>(value >> 8)).u8(static_cast<std::uint8_t>(value));
    }
    Writer& u32(std::uint32_t value) {
        return u16(static_cast<std::uint16_t>(value >> 16)).u16(static_cast<std::uint16_t>(value));
    }
    Writer& bytes(FrameView bytes) {
        frame_.insert(frame_.end(), bytes.begin(), bytes.end());
        return *this;
    }
    Writer& ethernet(MacAddress destination, MacAddress source, std::uint16_t type) {
        return bytes(destination.bytes).bytes(source.bytes).u16(type);
    }
    std::size_t size() const { return frame_.size(); }
    FrameView from(std::size_t offset) const { return FrameView(frame_).subspan(offset); }
    void patch16(std::size_t offset, std::uint16_t value) {
        frame_[offset] = static_cast<std::uint8_t>(value >> 8);
        frame_[offset + 1] = static_cast<std::uint8_t>(value);
    }
    Frame finish() {
        frame_.resize(std::max(frame_.size(), kEtherMin));
        return std::move(frame_);
    }

  private:
    Frame frame_;
};

// The readers below are only called where the caller has checked the length.
std::uint16_t get16(FrameView bytes, std::size_t at) {
    return static_cast<std::uint16_t>(bytes[at] << 8 | bytes[at + 1]);
}
std::uint32_t get32(FrameView bytes, std::size_t at) {
    return std::uint32_t{get16(bytes, at)} << 16 | get16(bytes, at + 2);
}
MacAddress get_mac(FrameView bytes, std::size_t at) {
    MacAddress mac;
    std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(at), mac.bytes.size(), mac.bytes.begin());
    return mac;
}

std::uint32_t sum_of(Ipv4Address address) {
    return (address.value >> 16) + (address.value & 0xffff);
}

} // namespace

std::uint16_t internet_checksum(FrameView bytes, std::uint32_t sum) {
    std::uint64_t total = sum;
    for (std::size_t i = 0; i + 1 < bytes.size(); i += 2)
        total += get16(bytes, i);
    if (bytes.size() % 2 != 0)
        total += std::uint64_t{bytes.back()} << 8;
    while (total >> 16 != 0)
        total = (total & 0xffff) + (total >> 16);
    return static_cast<std::uint16_t>(~total);
}

Frame build_arp(const ArpPacket& arp) {
    const bool reverse = arp.operation == ArpPacket::Operation::reverse_request;
    Writer out;
    out.ethernet(arp.frame_destination, arp.frame_source, reverse ? kEtherRarp : kEtherArp);
    out.u16(1).u16(kEtherIpv4).u8(6).u8(4).u16(static_cast<std::uint16_t>(arp.operation));
    out.bytes(arp.sender_mac.bytes).u32(arp.sender_ip.value);
    out.bytes(arp.target_mac.bytes).u32(arp.target_ip.value);
    return out.finish();
}

std::optional<ArpPacket> parse_arp(FrameView frame) {
    if (frame.size() < kEtherHeader + kArpSize || get16(frame, 12) != kEtherArp)
        return std::nullopt;
    const FrameView arp = frame.subspan(kEtherHeader);
    const std::uint16_t operation = get16(arp, 6);
    if (get16(arp, 0) != 1 || get16(arp, 2) != kEtherIpv4 || arp[4] != 6 || arp[5] != 4 ||
        (operation != 1 && operation != 2))
        return std::nullopt;
    return ArpPacket{static_cast<ArpPacket::Operation>(operation),
                     get_mac(frame, 6),
                     get_mac(frame, 0),
                     get_mac(arp, 8),
                     get_mac(arp, 18),
                     Ipv4Address{get32(arp, 14)},
                     Ipv4Address{get32(arp, 24)}};
}

Frame build_tcp(const TcpSegment& segment) {
    Writer out;
    out.ethernet(segment.frame_destination, segment.frame_source, kEtherIpv4);
    // Version and header length, no service class; identification 0 with "don't fragment", as RFC 6864 allows.
    out.u8(0x45).u8(0).u16(kIpv4Header + kTcpHeader).u16(0).u16(0x4000).u8(kTtl).u8(kProtocolTcp).u16(0);
    out.u32(segment.source.value).u32(segment.destination.value);
    out.patch16(kEtherHeader + 10, internet_checksum(out.from(kEtherHeader)));

    const std::size_t tcp = out.size();
    out.u16(segment.source_port).u16(segment.destination_port).u32(segment.seq).u32(segment.ack);
    out.u8(kTcpHeader / 4 << 4).u8(segment.flags).u16(segment.window).u16(0).u16(0);
    const std::uint32_t pseudo =
        sum_of(segment.source) + sum_of(segment.destination) + kProtocolTcp + std::uint32_t{kTcpHeader};
    out.patch16(tcp + 16, internet_checksum(out.from(tcp), pseudo));
    return out.finish();
}

std::optional<TcpSegment> parse_tcp(FrameView frame) {
    if (frame.size() < kEtherHeader + kIpv4Header || get16(frame, 12) != kEtherIpv4)
        return std::nullopt;
    FrameView ip = frame.subspan(kEtherHeader);
    const std::size_t header = std::size_t{ip[0] & 0xfu} * 4;
    const std::size_t total = get16(ip, 2);
    // A total length beyond the frame is a truncated packet; bytes after it are Ethernet's padding.
    if (ip[0] >> 4 != 4 || header < kIpv4Header || total < header + kTcpHeader || total > ip.size())
        return std::nullopt;
    const bool fragment = (get16(ip, 6) & 0x3fff) != 0;
    if (fragment || ip[9] != kProtocolTcp || internet_checksum(ip.first(header)) != 0)
        return std::nullopt;
    const FrameView tcp = ip.subspan(header, total - header);
    const std::size_t tcp_header = std::size_t{tcp[12]} >> 4 << 2;
    if (tcp_header < kTcpHeader || tcp_header > tcp.size())
        return std::nullopt;
    TcpSegment segment;
    segment.frame_source = get_mac(frame, 6);
    segment.frame_destination = get_mac(frame, 0);
    segment.source = Ipv4Address{get32(ip, 12)};
    segment.destination = Ipv4Address{get32(ip, 16)};
    segment.source_port = get16(tcp, 0);
    segment.destination_port = get16(tcp, 2);
    segment.seq = get32(tcp, 4);
    segment.ack = get32(tcp, 8);
    segment.flags = tcp[13];
    segment.window = get16(tcp, 14);
    return segment;
}

Frame build_neighbour_advertisement(MacAddress mac, const Ipv6Address& ip) {
    constexpr MacAddress all_nodes_mac{{0x33, 0x33, 0, 0, 0, 1}};
    constexpr Ipv6Address all_nodes{{0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};
    constexpr std::uint16_t length = 32;
    Writer out;
    out.ethernet(all_nodes_mac, mac, kEtherIpv6);
    // Hop limit 255 proves to receivers that no router forwarded it.
    out.u32(0x60000000).u16(length).u8(kProtocolIcmp6).u8(255).bytes(ip.bytes).bytes(all_nodes.bytes);
    const std::size_t icmp = out.size();
    out.u8(136).u8(0).u16(0).u32(0x20000000).bytes(ip.bytes);
    out.u8(2).u8(1).bytes(mac.bytes); // option: target link-layer address
    // The pseudo header: both addresses, length, next header. Its parts are all of even length.
    std::uint32_t pseudo = std::uint32_t{length} + kProtocolIcmp6;
    for (const auto& address : {ip, all_nodes})
        for (std::size_t i = 0; i < address.bytes.size(); i += 2)
            pseudo += get16(address.bytes, i);
    out.patch16(icmp + 2, internet_checksum(out.from(icmp), pseudo));
    return out.finish();
}

} // namespace tripod::net
