// SPDX-License-Identifier: Apache-2.0
#include "net/announce.h"
#include "net/packet.h"
#include "net/tcp_connection.h"

#include <cstring>
#include <gtest/gtest.h>
#include <random>

namespace tripod::net {
namespace {

const MacAddress kGuestMac = *MacAddress::parse("00:16:3e:0a:0b:0c");
const MacAddress kClientMac = *MacAddress::parse("02:11:22:33:44:55");
const Ipv4Address kGuest = *Ipv4Address::parse("10.77.0.2");
const Ipv4Address kClient = *Ipv4Address::parse("10.77.0.1");

TcpSegment segment() {
    TcpSegment out;
    out.frame_source = kGuestMac;
    out.frame_destination = kClientMac;
    out.source = kGuest;
    out.destination = kClient;
    out.source_port = 6379;
    out.destination_port = 40001;
    out.seq = 0xfedcba98;
    out.ack = 0x01020304;
    out.flags = tcp_flag::ack;
    out.window = 512;
    return out;
}

TEST(Address, ParsesAndPrints) {
    EXPECT_EQ(kGuestMac.text(), "00:16:3e:0a:0b:0c");
    EXPECT_EQ(kGuest.value, 0x0a4d0002u);
    EXPECT_EQ(kGuest.text(), "10.77.0.2");
    for (const char* bad : {"", "00:16:3e:0a:0b", "00-16-3e-0a-0b-0c", "00:16:3e:0a:0b:0g",
                            "00:16:3e:0a:0b:0c:", "0:16:3e:0a:0b:0cc"})
        EXPECT_FALSE(MacAddress::parse(bad)) << bad;
    for (const char* bad : {"", "10.0.0", "10.0.0.256", "::1"})
        EXPECT_FALSE(Ipv4Address::parse(bad)) << bad;
}

// RFC 1071, section 3: these bytes add up to 0xddf2.
TEST(Checksum, ExampleOfRfc1071) {
    const std::uint8_t bytes[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
    EXPECT_EQ(internet_checksum(bytes), 0xffff - 0xddf2);
}

// A header captured in the wild, with its checksum 0xb861 in place, sums to zero; without it, to the checksum.
TEST(Checksum, KnownIpv4Header) {
    std::uint8_t header[] = {0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11,
                             0xb8, 0x61, 0xc0, 0xa8, 0x00, 0x01, 0xc0, 0xa8, 0x00, 0xc7};
    EXPECT_EQ(internet_checksum(header), 0);
    header[10] = header[11] = 0;
    EXPECT_EQ(internet_checksum(header), 0xb861);
}

TEST(Checksum, OddLengthCountsTheLastByteAsHigh) {
    const std::uint8_t odd[] = {0x12, 0x34, 0x56};
    EXPECT_EQ(internet_checksum(odd), 0xffff - (0x1234 + 0x5600));
}

TEST(Tcp, ComesBackAsBuilt) {
    const Frame frame = build_tcp(segment());
    EXPECT_EQ(frame.size(), 60u); // Ethernet's least
    const auto parsed = parse_tcp(frame);
    ASSERT_TRUE(parsed);
    EXPECT_EQ(parsed->frame_source, kGuestMac);
    EXPECT_EQ(parsed->frame_destination, kClientMac);
    EXPECT_EQ(parsed->source, kGuest);
    EXPECT_EQ(parsed->destination, kClient);
    EXPECT_EQ(parsed->source_port, 6379);
    EXPECT_EQ(parsed->destination_port, 40001);
    EXPECT_EQ(parsed->seq, 0xfedcba98);
    EXPECT_EQ(parsed->ack, 0x01020304u);
    EXPECT_TRUE(parsed->has(tcp_flag::ack));
    EXPECT_FALSE(parsed->has(tcp_flag::rst));
    EXPECT_EQ(parsed->window, 512);
    // The TCP checksum over pseudo header and segment sums to zero.
    const Frame pseudo{10, 77, 0, 2, 10, 77, 0, 1, 0, 6, 0, 20};
    Frame covered = pseudo;
    covered.insert(covered.end(), frame.begin() + 34, frame.begin() + 54);
    EXPECT_EQ(internet_checksum(covered), 0);
}

TEST(Tcp, RefusesWhatIsNone) {
    const Frame good = build_tcp(segment());
    const auto refuses = [&](std::size_t at, std::uint8_t value, bool fix_header) {
        Frame bad = good;
        bad[at] = value;
        if (fix_header) {
            bad[24] = bad[25] = 0;
            const std::uint16_t sum = internet_checksum(FrameView(bad).subspan(14, 20));
            bad[24] = static_cast<std::uint8_t>(sum >> 8);
            bad[25] = static_cast<std::uint8_t>(sum);
        }
        return !parse_tcp(bad);
    };
    EXPECT_FALSE(refuses(34, 0x01, true)); // another port is as good
    EXPECT_TRUE(refuses(12, 0x86, false)); // IPv6
    EXPECT_TRUE(refuses(14, 0x65, true));  // version 6
    EXPECT_TRUE(refuses(14, 0x44, true));  // header too short
    EXPECT_TRUE(refuses(14, 0x4f, true));  // header longer than the packet
    EXPECT_TRUE(refuses(16, 0xff, true));  // length beyond the frame
    EXPECT_TRUE(refuses(17, 0x20, true));  // length without room for TCP
    EXPECT_TRUE(refuses(20, 0x20, true));  // more fragments
    EXPECT_TRUE(refuses(21, 0x01, true));  // a later fragment
    EXPECT_TRUE(refuses(23, 17, true));    // UDP
    EXPECT_TRUE(refuses(26, 0x0b, false)); // header checksum
    EXPECT_TRUE(refuses(46, 0x40, false)); // TCP header too short
    EXPECT_TRUE(refuses(46, 0xf0, false)); // TCP header beyond the packet
    for (std::size_t size = 0; size < 54; ++size)
        EXPECT_FALSE(parse_tcp(FrameView(good).first(size))) << size;
}

TEST(Arp, ComesBackAsBuilt) {
    const Frame frame =
        build_arp({ArpPacket::Operation::reply, kClientMac, kGuestMac, kClientMac, kGuestMac, kClient, kGuest});
    const auto parsed = parse_arp(frame);
    ASSERT_TRUE(parsed);
    EXPECT_EQ(parsed->operation, ArpPacket::Operation::reply);
    EXPECT_EQ(parsed->frame_source, kClientMac);
    EXPECT_EQ(parsed->frame_destination, kGuestMac);
    EXPECT_EQ(parsed->sender_mac, kClientMac);
    EXPECT_EQ(parsed->target_mac, kGuestMac);
    EXPECT_EQ(parsed->sender_ip, kClient);
    EXPECT_EQ(parsed->target_ip, kGuest);
    for (std::size_t size = 0; size < 42; ++size)
        EXPECT_FALSE(parse_arp(FrameView(frame).first(size))) << size;
}

TEST(Parsers, RandomBytesHarmNobody) {
    const unsigned seed = std::random_device{}();
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    const Frame tcp = build_tcp(segment());
    const Frame arp = build_arp({ArpPacket::Operation::request, kGuestMac, {}, kGuestMac, {}, kGuest, kClient});
    for (int round = 0; round < 100'000; ++round) {
        Frame frame = round % 2 == 0 ? tcp : arp;
        for (unsigned hits = random() % 4; hits > 0; --hits)
            frame[random() % frame.size()] = static_cast<std::uint8_t>(random());
        frame.resize(random() % (frame.size() + 1));
        frame.shrink_to_fit();
        (void)parse_tcp(frame);
        (void)parse_arp(frame);
    }
}

TEST(Announcement, HasEveryForm) {
    const Ipv4Address ipv4[] = {kGuest};
    const Ipv6Address ipv6[] = {*Ipv6Address::parse("fd00::2")};
    const auto frames = announcement(kGuestMac, ipv4, ipv6);
    ASSERT_EQ(frames.size(), 4u);
    for (const Frame& frame : frames)
        EXPECT_EQ(std::memcmp(frame.data() + 6, kGuestMac.bytes.data(), 6),
                  0);                                      // from this, switches learn the port
    EXPECT_EQ(frames[0][12] << 8 | frames[0][13], 0x8035); // RARP
    for (int i = 1; i <= 2; ++i) {
        const auto arp = parse_arp(frames[static_cast<std::size_t>(i)]);
        ASSERT_TRUE(arp);
        EXPECT_EQ(static_cast<int>(arp->operation), i);
        EXPECT_EQ(arp->frame_destination, MacAddress::broadcast());
        EXPECT_EQ(arp->sender_ip, kGuest);
        EXPECT_EQ(arp->target_ip, kGuest);
        EXPECT_EQ(arp->sender_mac, kGuestMac);
    }
    // ICMPv6: checksum over pseudo header and message sums to zero.
    const Frame& advertisement = frames[3];
    ASSERT_GE(advertisement.size(), 86u);
    Frame covered(advertisement.begin() + 22, advertisement.begin() + 54);
    covered.insert(covered.end(), {0, 0, 0, 32, 0, 0, 0, 58});
    covered.insert(covered.end(), advertisement.begin() + 54, advertisement.begin() + 86);
    EXPECT_EQ(internet_checksum(covered), 0);
    EXPECT_EQ(advertisement[54], 136);
    EXPECT_EQ(advertisement[21], 255);
}

TEST(TcpConnection, FromTheLog) {
    tripod_socket socket{};
    socket.family = 2;
    socket.type = 1;
    socket.local_port = 6379;
    socket.remote_port = 40001;
    const std::uint8_t guest[] = {10, 77, 0, 2}, client[] = {10, 77, 0, 1};
    std::memcpy(socket.local_addr, guest, 4);
    std::memcpy(socket.remote_addr, client, 4);
    const TcpConnection expected{kGuest, kClient, 6379, 40001};
    ASSERT_TRUE(connection_of(socket));
    EXPECT_EQ(*connection_of(socket), expected);
    EXPECT_EQ(expected.text(), "10.77.0.2:6379 - 10.77.0.1:40001");

    tripod_socket mapped = socket;
    mapped.family = 10;
    for (auto* address : {&mapped.local_addr, &mapped.remote_addr}) {
        std::memcpy(*address + 12, *address, 4);
        std::memset(*address, 0, 10);
        std::memset(*address + 10, 0xff, 2);
    }
    ASSERT_TRUE(connection_of(mapped));
    EXPECT_EQ(*connection_of(mapped), expected);
    mapped.local_addr[0] = 0xfd;
    EXPECT_FALSE(connection_of(mapped)); // real IPv6

    tripod_socket udp = socket;
    udp.type = 2;
    EXPECT_FALSE(connection_of(udp));
    tripod_socket listening = socket;
    listening.remote_port = 0;
    EXPECT_FALSE(connection_of(listening));
}

} // namespace
} // namespace tripod::net
