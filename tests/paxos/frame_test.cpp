// SPDX-License-Identifier: Apache-2.0
#include "rendezvous/frame.h"

#include <gtest/gtest.h>
#include <random>

namespace rdma_paxos {
namespace {

Frame a_frame() {
    Frame frame;
    frame.group = {1, 2, 3, 4};
    frame.from = ReplicaId(1);
    frame.to = ReplicaId(2);
    frame.message.incarnation = 99;
    frame.message.board = {.generation = 7, .connected_to = 6, .endpoint = {}};
    frame.message.board.endpoint.size = 72;
    frame.message.board.endpoint.bytes.fill(std::byte{0x5a});
    return frame;
}

TEST(Frame, ComesBackHoweverTheStreamIsCut) {
    const auto bytes = encode_frame(a_frame());
    ASSERT_EQ(bytes.size(), frame_bytes);
    for (std::size_t cut = 1; cut < bytes.size(); ++cut) {
        FrameReader reader;
        reader.add(Bytes(bytes).first(cut));
        const auto early = reader.next();
        ASSERT_TRUE(early) << to_string(early.error());
        EXPECT_FALSE(*early);
        reader.add(Bytes(bytes).subspan(cut));
        const auto frame = reader.next();
        ASSERT_TRUE(frame && *frame);
        EXPECT_EQ((*frame)->group, a_frame().group);
        EXPECT_EQ((*frame)->from, ReplicaId(1));
        EXPECT_EQ((*frame)->to, ReplicaId(2));
        EXPECT_EQ((*frame)->message.incarnation, 99u);
        EXPECT_EQ((*frame)->message.board.generation, 7u);
        EXPECT_EQ((*frame)->message.board.connected_to, 6u);
        EXPECT_EQ((*frame)->message.board.endpoint.bytes, a_frame().message.board.endpoint.bytes);
        EXPECT_FALSE(*reader.next());
    }
}

TEST(Frame, EveryFlippedBitIsNoticed) {
    const auto good = encode_frame(a_frame());
    for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
        auto bytes = good;
        bytes[bit / 8] ^= std::byte(1 << bit % 8);
        FrameReader reader;
        reader.add(bytes);
        EXPECT_FALSE(reader.next()) << "bit " << bit;
    }
}

TEST(Frame, AStrangerIsTurnedAwayByHisFirstBytes) {
    FrameReader reader;
    const std::string http = "GET / HTTP/1.0\r\n";
    reader.add(std::as_bytes(std::span(http)));
    const auto frame = reader.next();
    ASSERT_FALSE(frame);
    EXPECT_EQ(frame.error(), FrameError::bad_magic);
}

TEST(Frame, ALengthIsNotBelieved) {
    auto bytes = encode_frame(a_frame());
    bytes[31] = std::byte{0x7f}; // the highest byte of the length
    bytes.resize(frame_header_bytes);
    FrameReader reader;
    reader.add(bytes);
    const auto frame = reader.next();
    ASSERT_FALSE(frame) << "it would wait for 2 GB";
    EXPECT_EQ(frame.error(), FrameError::bad_length);
}

TEST(Frame, NoiseIsAnErrorAndNothingWorse) {
    std::mt19937 random(1);
    for (int round = 0; round < 2000; ++round) {
        std::vector<std::byte> noise(random() % 400);
        for (auto& byte : noise)
            byte = std::byte(random());
        if (round % 2 == 0) { // a good beginning
            const auto good = encode_frame(a_frame());
            const std::size_t keep = std::min<std::size_t>(noise.size(), random() % good.size());
            std::copy_n(good.begin(), keep, noise.begin());
        }
        FrameReader reader;
        reader.add(noise);
        const auto frame = reader.next();
        EXPECT_FALSE(frame && *frame);
    }
}

} // namespace
} // namespace rdma_paxos
