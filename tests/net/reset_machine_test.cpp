// SPDX-License-Identifier: Apache-2.0
#include "net/reset_machine.h"

#include <gtest/gtest.h>
#include <random>
#include <set>

namespace tripod::net {
namespace {

using namespace std::chrono_literals;
using Side = ResetMachine::Side;
using Time = ResetMachine::Time;
using End = ResetSetup::End;

const MacAddress kGuestMac{{0, 0x16, 0x3e, 1, 1, 1}}, kHostMac{{2, 0, 0, 0, 0, 9}};
const MacAddress kClientMac{{2, 1, 1, 1, 1, 1}}, kGatewayMac{{2, 2, 2, 2, 2, 2}};
const Ipv4Address kGuest{0x0a4d0002}, kClient{0x0a4d0001}, kGateway{0x0a4d00fe};
const TcpConnection kConnection{kGuest, kClient, 6379, 40001};

ResetSetup setup(End end) {
    ResetSetup out;
    out.end = end;
    out.guest_mac = kGuestMac;
    out.own_mac = kHostMac;
    return out;
}

/** A frame as the end under reset sends it in answer to `to`. */
Frame answer(const TcpSegment& to, std::uint8_t flags, std::uint32_t ack) {
    TcpSegment out;
    out.frame_source = to.frame_destination;
    out.frame_destination = to.frame_source;
    out.source = to.destination;
    out.destination = to.source;
    out.source_port = to.destination_port;
    out.destination_port = to.source_port;
    out.flags = flags;
    out.ack = ack;
    return build_tcp(out);
}

Frame arp_reply(Ipv4Address ip, MacAddress mac, MacAddress to) {
    return build_arp({ArpPacket::Operation::reply, mac, to, mac, to, ip, kGuest});
}

/** The TCP segments among what the machine sends; other frames go to `others`. */
std::vector<TcpSegment> segments(const std::vector<ResetMachine::Outgoing>& out, Side side,
                                 std::vector<ArpPacket>* others = nullptr) {
    std::vector<TcpSegment> found;
    for (const auto& [to, frame] : out) {
        if (const auto segment = parse_tcp(frame)) {
            EXPECT_EQ(to, side);
            found.push_back(*segment);
        } else if (others != nullptr) {
            others->push_back(parse_arp(frame).value());
        }
    }
    return found;
}

class GuestEnd : public testing::Test {
  protected:
    Time now = Time{} + 1000s;
    ResetMachine machine{setup(End::guest), std::span(&kConnection, 1), 1};

    TcpSegment next_probe() {
        for (int i = 0; i < 100; ++i, now += 10ms)
            if (const auto sent = segments(machine.poll(now), Side::guest); !sent.empty())
                return sent.at(0);
        ADD_FAILURE() << "nothing sent within a second";
        return {};
    }
};

TEST_F(GuestEnd, ChallengeIsAnsweredWithTheExactNumberAndConfirmed) {
    const TcpSegment probe = next_probe();
    EXPECT_EQ(probe.flags, tcp_flag::ack);
    EXPECT_EQ(probe.source, kClient);
    EXPECT_EQ(probe.destination, kGuest);
    EXPECT_EQ(probe.source_port, 40001);
    EXPECT_EQ(probe.destination_port, 6379);
    EXPECT_EQ(probe.frame_destination, kGuestMac);

    machine.on_frame(Side::guest, answer(probe, tcp_flag::ack, 123456789), now);
    const auto sent = segments(machine.poll(now), Side::guest);
    ASSERT_EQ(sent.size(), 1u);
    EXPECT_EQ(sent[0].flags, tcp_flag::rst);
    EXPECT_EQ(sent[0].seq, 123456789u);
    EXPECT_FALSE(machine.done());

    const TcpSegment second = next_probe();
    EXPECT_EQ(second.flags, tcp_flag::ack);
    machine.on_frame(Side::guest, answer(second, tcp_flag::rst, 0), now);
    EXPECT_TRUE(machine.done());
    EXPECT_EQ(machine.outcomes(), std::vector{ResetOutcome::reset});
}

TEST_F(GuestEnd, RstToTheFirstProbeMeansGone) {
    machine.on_frame(Side::guest, answer(next_probe(), tcp_flag::rst, 0), now);
    EXPECT_EQ(machine.outcomes(), std::vector{ResetOutcome::already_gone});
}

TEST_F(GuestEnd, RetriesKeepToLinuxRateLimitAndTakeFarNumbers) {
    const TcpSegment first = next_probe();
    const Time first_at = now;
    const TcpSegment second = next_probe();
    EXPECT_GT(now - first_at, 500ms);
    // However the window lies (1 GiB at most), one of the two is outside.
    const std::uint32_t distance = second.seq - first.seq;
    EXPECT_GT(std::min(distance, 0u - distance), 1u << 30);
}

TEST_F(GuestEnd, ARstThatWasNotObeyedIsRepeatedWithTheNewNumber) {
    machine.on_frame(Side::guest, answer(next_probe(), tcp_flag::ack, 100), now);
    EXPECT_EQ(next_probe().seq, 100u);
    machine.on_frame(Side::guest, answer(next_probe(), tcp_flag::ack, 200), now);
    const TcpSegment again = next_probe();
    EXPECT_EQ(again.flags, tcp_flag::rst);
    EXPECT_EQ(again.seq, 200u);
    machine.give_up();
    EXPECT_EQ(machine.outcomes(), std::vector{ResetOutcome::unconfirmed});
}

TEST_F(GuestEnd, SilenceIsNoAnswer) {
    next_probe();
    machine.give_up();
    EXPECT_EQ(machine.outcomes(), std::vector{ResetOutcome::no_answer});
}

TEST_F(GuestEnd, FramesOfOthersChangeNothing) {
    const TcpSegment probe = next_probe();
    TcpSegment other = probe;
    other.source_port = 40002;
    machine.on_frame(Side::guest, answer(other, tcp_flag::rst, 0), now);
    machine.on_frame(Side::network, answer(probe, tcp_flag::rst, 0), now); // not from the guest
    machine.on_frame(Side::network, build_tcp(probe), now);
    machine.on_frame(Side::guest, build_tcp(probe), now);
    machine.on_frame(Side::guest, Frame{}, now);
    EXPECT_TRUE(segments(machine.poll(now), Side::guest).empty());
    EXPECT_FALSE(machine.done());
}

TEST_F(GuestEnd, GuestsQuestionGetsTheTrueAnswerOrNone) {
    next_probe();
    now += 1s;
    const Frame question = build_arp(
        {ArpPacket::Operation::request, kGuestMac, MacAddress::broadcast(), kGuestMac, {}, kGuest, kGateway});
    machine.on_frame(Side::guest, question, now);
    std::vector<ArpPacket> arps;
    segments(machine.poll(now), Side::guest, &arps);
    bool asked = false;
    for (const ArpPacket& arp : arps) {
        EXPECT_EQ(arp.operation, ArpPacket::Operation::request); // nothing made up
        EXPECT_EQ(arp.sender_ip, Ipv4Address{});                 // the guest's address is not given away yet
        EXPECT_EQ(arp.sender_mac, kHostMac);
        asked = asked || arp.target_ip == kGateway;
    }
    EXPECT_TRUE(asked);

    machine.on_frame(Side::network, arp_reply(kGateway, kGatewayMac, kHostMac), now);
    arps.clear();
    segments(machine.poll(now), Side::guest, &arps);
    ASSERT_EQ(arps.size(), 1u);
    EXPECT_EQ(arps[0].operation, ArpPacket::Operation::reply);
    EXPECT_EQ(arps[0].sender_ip, kGateway);
    EXPECT_EQ(arps[0].sender_mac, kGatewayMac);
    EXPECT_EQ(arps[0].target_mac, kGuestMac);
}

class ClientEnd : public testing::Test {
  protected:
    Time now = Time{} + 1000s;
};

TEST_F(ClientEnd, AsksForTheClientThenResetsIt) {
    ResetMachine machine(setup(End::client), std::span(&kConnection, 1), 1);
    std::vector<ArpPacket> arps;
    EXPECT_TRUE(segments(machine.poll(now), Side::network, &arps).empty());
    ASSERT_EQ(arps.size(), 1u);
    EXPECT_EQ(arps[0].sender_ip, kGuest);
    EXPECT_EQ(arps[0].sender_mac, kGuestMac);
    EXPECT_EQ(arps[0].target_ip, kClient);
    machine.on_frame(Side::network, arp_reply(kClient, kClientMac, kGuestMac), now);

    const auto probes = segments(machine.poll(now), Side::network);
    ASSERT_EQ(probes.size(), 1u);
    EXPECT_EQ(probes[0].frame_destination, kClientMac);
    EXPECT_EQ(probes[0].frame_source, kGuestMac);
    EXPECT_EQ(probes[0].source, kGuest);
    EXPECT_EQ(probes[0].source_port, 6379);
    machine.on_frame(Side::network, answer(probes[0], tcp_flag::ack, 77), now);
    const auto resets = segments(machine.poll(now), Side::network);
    ASSERT_EQ(resets.size(), 1u);
    EXPECT_EQ(resets[0].flags, tcp_flag::rst);
    EXPECT_EQ(resets[0].seq, 77u);
    machine.on_frame(Side::network, answer(probes[0], tcp_flag::rst, 0), now);
    EXPECT_EQ(machine.outcomes(), std::vector{ResetOutcome::reset});
}

TEST_F(ClientEnd, ClientBeyondTheGatewayIsReachedThroughIt) {
    ResetSetup with_gateway = setup(End::client);
    with_gateway.gateway = kGateway;
    ResetMachine machine(with_gateway, std::span(&kConnection, 1), 1);
    std::vector<TcpSegment> probes;
    for (int i = 0; i < 200 && probes.empty(); ++i, now += 10ms) {
        std::vector<ArpPacket> arps;
        probes = segments(machine.poll(now), Side::network, &arps);
        for (const ArpPacket& arp : arps)
            if (arp.target_ip == kGateway)
                machine.on_frame(Side::network, arp_reply(kGateway, kGatewayMac, kGuestMac), now);
    }
    ASSERT_FALSE(probes.empty());
    EXPECT_EQ(probes[0].frame_destination, kGatewayMac);
}

TEST_F(ClientEnd, TheWayIsLearnedFromTheClientsOwnFrames) {
    ResetMachine machine(setup(End::client), std::span(&kConnection, 1), 1);
    machine.poll(now);
    TcpSegment retransmission;
    retransmission.frame_source = kGatewayMac;
    retransmission.frame_destination = kGuestMac;
    retransmission.source = kClient;
    retransmission.destination = kGuest;
    retransmission.source_port = 40001;
    retransmission.destination_port = 6379;
    retransmission.flags = tcp_flag::ack;
    retransmission.ack = 4711;
    machine.on_frame(Side::network, build_tcp(retransmission), now);
    const auto sent = segments(machine.poll(now), Side::network);
    ASSERT_EQ(sent.size(), 1u);
    EXPECT_EQ(sent[0].frame_destination, kGatewayMac);
    EXPECT_EQ(sent[0].flags, tcp_flag::rst);
    EXPECT_EQ(sent[0].seq, 4711u);
}

TEST_F(ClientEnd, ANewConnectionOfTheSameNumbersIsSpared) {
    ResetMachine machine(setup(End::client), std::span(&kConnection, 1), 1);
    TcpSegment probe;
    probe.frame_source = kGuestMac;
    probe.frame_destination = kClientMac;
    probe.source = kGuest;
    probe.destination = kClient;
    probe.source_port = 6379;
    probe.destination_port = 40001;
    machine.on_frame(Side::network, answer(probe, tcp_flag::syn, 0), now);
    EXPECT_EQ(machine.outcomes(), std::vector{ResetOutcome::already_gone});
    machine.on_frame(Side::network, answer(probe, tcp_flag::ack, 5), now);
    EXPECT_TRUE(segments(machine.poll(now), Side::network).empty());
}

TEST(ManyConnections, EachIsProbedOnceInShortBursts) {
    std::vector<TcpConnection> connections;
    for (std::uint16_t port = 1000; port < 1500; ++port)
        connections.push_back({kGuest, kClient, 6379, port});
    connections.push_back(connections.front()); // given twice
    ResetMachine machine(setup(End::guest), connections, 1);
    std::set<std::uint16_t> probed;
    std::size_t probes = 0;
    Time now = Time{} + 1000s;
    for (int i = 0; i < 200; ++i, now += 2ms) {
        const auto out = machine.poll(now);
        EXPECT_LE(out.size(), ResetMachine::kBurst + 2);
        for (const TcpSegment& probe : segments(out, Side::guest)) {
            probed.insert(probe.source_port);
            ++probes;
        }
    }
    EXPECT_EQ(probed.size(), 500u);
    EXPECT_EQ(probes, 500u); // within 400 ms, so no retry yet
    for (const std::uint16_t port : probed) {
        TcpSegment from_guest;
        from_guest.source = kGuest;
        from_guest.destination = kClient;
        from_guest.source_port = 6379;
        from_guest.destination_port = port;
        from_guest.flags = tcp_flag::rst;
        machine.on_frame(Side::guest, build_tcp(from_guest), now);
    }
    EXPECT_TRUE(machine.done());
    EXPECT_EQ(machine.outcomes(), std::vector<ResetOutcome>(501, ResetOutcome::already_gone));
}

// Frames of right and wrong shape, from either side, as a hostile guest or network may send them.
TEST(HostileFrames, LeaveOutputBoundedAndAddressed) {
    const unsigned seed = std::random_device{}();
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    for (const End end : {End::guest, End::client}) {
        ResetMachine machine(setup(end), std::span(&kConnection, 1), seed);
        Time now = Time{} + 1000s;
        for (int round = 0; round < 20'000; ++round, now += 1ms) {
            TcpSegment segment;
            const bool forward = random() % 2 == 0;
            segment.source = forward ? kGuest : kClient;
            segment.destination = forward ? kClient : kGuest;
            segment.source_port = forward ? 6379 : 40001;
            segment.destination_port = forward ? 40001 : 6379;
            segment.frame_source.bytes[5] = static_cast<std::uint8_t>(random());
            segment.ack = static_cast<std::uint32_t>(random());
            segment.flags = static_cast<std::uint8_t>(random() & ~unsigned{tcp_flag::rst | tcp_flag::syn});
            Frame frame =
                random() % 2 == 0
                    ? build_tcp(segment)
                    : build_arp({static_cast<ArpPacket::Operation>(1 + random() % 2), kClientMac, kGuestMac,
                                 kClientMac, kGuestMac, Ipv4Address{static_cast<std::uint32_t>(random())},
                                 Ipv4Address{static_cast<std::uint32_t>(random())}});
            if (random() % 4 == 0)
                frame[random() % frame.size()] ^= static_cast<std::uint8_t>(random());
            machine.on_frame(random() % 2 == 0 ? Side::guest : Side::network, frame, now);
            const auto out = machine.poll(now);
            EXPECT_LE(out.size(), ResetMachine::kBurst + 4);
            for (const auto& [side, sent] : out) {
                if (const auto to = parse_tcp(sent)) {
                    EXPECT_EQ(to->destination, end == End::guest ? kGuest : kClient);
                }
            }
        }
    }
}

TEST(NoConnections, IsDoneAtOnce) {
    ResetMachine machine(setup(End::guest), {}, 1);
    EXPECT_TRUE(machine.done());
    EXPECT_TRUE(machine.poll(Time{} + 1s).empty());
    EXPECT_TRUE(machine.outcomes().empty());
}

} // namespace
} // namespace tripod::net
