// SPDX-License-Identifier: Apache-2.0
#include "rendezvous/frame.h"

#include <gtest/gtest.h>
#include <random>

namespace rdma_paxos {
namespace {

const FrameType every_type[] = {FrameType::hello, FrameType::answer, FrameType::confirm, FrameType::refusal,
                                FrameType::offer};

/// A frame of the right shape; what its body says is not looked at here.
std::vector<std::byte> a_frame(FrameType type) {
    const bool up = type != FrameType::answer;
    auto bytes = encode_header({type, {1, 2, 3, 4}, ReplicaId(up ? 1 : 2), ReplicaId(up ? 2 : 1)});
    bytes.resize(bytes.size() + body_bytes(type), std::byte{0x5a});
    return bytes;
}

/// What next() says once all of `bytes` are in; empty: it waits for more.
std::optional<FrameError> verdict(Bytes bytes) {
    FrameReader reader;
    reader.add(bytes);
    const auto frame = reader.next();
    return frame ? std::nullopt : std::optional(frame.error());
}

TEST(Frame, ComesBackHoweverTheStreamIsCut) {
    for (const FrameType type : every_type) {
        const auto bytes = a_frame(type);
        ASSERT_LE(bytes.size(), frame_bytes_max);
        for (std::size_t cut = 1; cut < bytes.size(); ++cut) {
            FrameReader reader;
            for (const Bytes part : {Bytes(bytes).first(cut), Bytes(bytes).subspan(cut)}) {
                EXPECT_GE(reader.wanted(), 1u);
                const auto early = reader.next();
                ASSERT_TRUE(early) << to_string(early.error());
                EXPECT_FALSE(*early);
                reader.add(part);
            }
            const auto frame = reader.next();
            ASSERT_TRUE(frame && *frame) << cut;
            EXPECT_EQ((*frame)->header.type, type);
            EXPECT_EQ((*frame)->header.group, (GroupId{1, 2, 3, 4}));
            EXPECT_EQ((*frame)->bytes, bytes);
            EXPECT_EQ((*frame)->body().size(), body_bytes(type));
            EXPECT_FALSE(*reader.next());
        }
    }
}

TEST(Frame, NeverAsksForMoreThanOneFrame) {
    for (const FrameType type : every_type) {
        const auto bytes = a_frame(type);
        FrameReader reader;
        std::size_t given = 0;
        while (given < bytes.size()) {
            const std::size_t wanted = reader.wanted();
            ASSERT_GE(wanted, 1u);
            ASSERT_LE(given + wanted, bytes.size()) << "it would read into the next frame";
            reader.add(Bytes(bytes).subspan(given, wanted));
            given += wanted;
        }
        EXPECT_TRUE(*reader.next());
    }
}

TEST(Frame, AStrangerIsTurnedAwayByHisFirstBytes) {
    const std::string http = "GET / HTTP/1.0\r\n";
    for (std::size_t length = 1; length <= http.size(); ++length)
        EXPECT_EQ(verdict(std::as_bytes(std::span(http).first(length))), FrameError::bad_magic);
}

TEST(Frame, EachFieldOfTheHeaderIsJudgedAsSoonAsItIsThere) {
    const auto changed = [](std::size_t at, int value, std::size_t length) {
        auto bytes = a_frame(FrameType::offer);
        bytes[at] = std::byte(value);
        bytes.resize(length);
        return bytes;
    };
    EXPECT_EQ(verdict(changed(4, 2, 6)), FrameError::bad_version);
    EXPECT_EQ(verdict(changed(6, 0, 8)), FrameError::bad_type);
    EXPECT_EQ(verdict(changed(6, 6, 8)), FrameError::bad_type);
    EXPECT_EQ(verdict(changed(31, 0x7f, 32)), FrameError::bad_length) << "it would wait for 2 GB";
    EXPECT_EQ(verdict(changed(24, 0, 32)), FrameError::bad_content) << "from nobody";
    EXPECT_EQ(verdict(changed(24, 2, 32)), FrameError::bad_content) << "from the receiver";
    EXPECT_EQ(verdict(changed(26, 1, 32)), FrameError::bad_content) << "reserved";
    FrameReader reader;
    reader.add(changed(4, 9, 6));
    ASSERT_FALSE(reader.next());
    EXPECT_EQ(reader.version(), 9);
}

TEST(Frame, TheLowerIdDials) {
    for (const FrameType type : {FrameType::hello, FrameType::answer, FrameType::confirm}) {
        auto bytes = a_frame(type);
        std::swap(bytes[24], bytes[25]);
        EXPECT_EQ(verdict(bytes), FrameError::bad_content);
    }
}

TEST(Frame, AnOfferComesBack) {
    RendezvousMessage message;
    message.incarnation = 99;
    message.ring_bytes = 48ull << 30;
    message.board = {.generation = 7, .connected_to = 6, .endpoint = {}};
    message.board.endpoint.size = 72;
    message.board.endpoint.bytes.fill(std::byte{0x5a});
    auto bytes = encode_offer(message);
    ASSERT_EQ(bytes.size(), offer_bytes);
    const auto back = decode_offer(bytes);
    ASSERT_TRUE(back);
    EXPECT_EQ(back->incarnation, 99u);
    EXPECT_EQ(back->ring_bytes, message.ring_bytes);
    EXPECT_EQ(back->board.generation, 7u);
    EXPECT_EQ(back->board.connected_to, 6u);
    EXPECT_EQ(back->board.endpoint.size, 72u);
    EXPECT_EQ(back->board.endpoint.bytes, message.board.endpoint.bytes);

    EXPECT_FALSE(decode_offer(Bytes(bytes).first(95)));
    bytes[16] = std::byte{73}; // a larger endpoint than there is room for
    EXPECT_FALSE(decode_offer(bytes));
    message.incarnation = 0;
    EXPECT_FALSE(decode_offer(encode_offer(message)));
}

TEST(Frame, NoiseIsAnErrorAndNothingWorse) {
    std::mt19937 random(1);
    for (int round = 0; round < 2000; ++round) {
        std::vector<std::byte> noise(1 + random() % 400);
        for (auto& byte : noise)
            byte = std::byte(random());
        FrameReader reader;
        reader.add(noise);
        EXPECT_FALSE(reader.next() && noise.size() > 4) << "round " << round;
    }
}

} // namespace
} // namespace rdma_paxos
