// SPDX-License-Identifier: Apache-2.0
#include "wire/frame_stream.h"

#include <atomic>
#include <thread>

#include <gtest/gtest.h>
#include <sys/socket.h>

namespace tripod::wire {
namespace {

using namespace std::chrono_literals;

struct Pair {
    Pair() {
        int fds[2] = {-1, -1};
        EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        a.emplace(UniqueFd(fds[0]), Channel::peer);
        b.emplace(UniqueFd(fds[1]), Channel::peer);
    }
    std::optional<FrameStream> a, b;
};

TEST(FrameStream, CarriesFramesLargerThanTheSocketsBuffer) {
    Pair pair;
    std::vector<std::byte> big(state_chunk_max);
    for (std::size_t i = 0; i < big.size(); i++)
        big[i] = static_cast<std::byte>(i * 7 / 3);
    std::thread sender([&] {
        for (std::uint64_t tag = 1; tag <= 3; tag++)
            EXPECT_TRUE(pair.a->send(FrameType::state_chunk, tag, std::span<const std::byte>(big), 10s));
        EXPECT_TRUE(pair.a->send(FrameType::state_end, 4, std::string_view("{}"), 10s));
        pair.a.reset();
    });
    for (std::uint64_t tag = 1; tag <= 3; tag++) {
        auto frame = pair.b->receive(10s);
        ASSERT_TRUE(frame) << frame.error().message;
        EXPECT_EQ(frame->tag, tag);
        EXPECT_TRUE(frame->body == big);
    }
    EXPECT_EQ(pair.b->receive(10s)->text(), "{}");
    sender.join();
    auto end = pair.b->receive(10s);
    ASSERT_FALSE(end);
    EXPECT_EQ(end.error().fault, StreamFault::closed);
    EXPECT_TRUE(pair.b->peer_gone());
}

TEST(FrameStream, TimesOutOnASilentAndOnASlowSender) {
    Pair pair;
    EXPECT_EQ(pair.b->receive(10ms).error().fault, StreamFault::timed_out);
    // One byte at a time: the deadline is the frame's, so drops of bytes do not extend it.
    std::atomic<bool> stop{false};
    std::thread slow([&] {
        const auto bytes = encode_frame(FrameType::peer_request, 1, std::string_view("{\"op\":\"hello\"}"));
        for (std::size_t i = 0; i + 1 < bytes.size() && !stop; i++) {
            (void)!write(pair.a->fd(), &bytes[i], 1);
            std::this_thread::sleep_for(5ms);
        }
    });
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_EQ(pair.b->receive(50ms).error().fault, StreamFault::timed_out);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, 5s);
    stop = true;
    slow.join();
}

TEST(FrameStream, TimesOutWhenNobodyReads) {
    Pair pair;
    const std::vector<std::byte> big(state_chunk_max);
    auto sent = pair.a->send(FrameType::state_chunk, 0, std::span<const std::byte>(big), 20ms);
    ASSERT_FALSE(sent);
    EXPECT_EQ(sent.error().fault, StreamFault::timed_out);
}

TEST(FrameStream, TellsACutFrameFromAnEnd) {
    Pair pair;
    const auto bytes = encode_frame(FrameType::peer_request, 1, std::string_view("{}"));
    ASSERT_EQ(write(pair.a->fd(), bytes.data(), bytes.size() - 1), static_cast<ssize_t>(bytes.size() - 1));
    pair.a.reset();
    EXPECT_EQ(pair.b->receive(5s).error().fault, StreamFault::truncated);
}

TEST(FrameStream, SendingToAClosedSocketIsAnErrorNoSignal) {
    Pair pair;
    pair.b.reset();
    EXPECT_TRUE(pair.a->peer_gone());
    EXPECT_EQ(pair.a->send(FrameType::peer_notice, 0, std::string_view("{}"), 1s).error().fault, StreamFault::io);
}

TEST(FrameStream, ShutDownEndsAWaitingReceive) {
    Pair pair;
    std::thread waiting([&] { EXPECT_FALSE(pair.b->receive(std::nullopt)); });
    std::this_thread::sleep_for(10ms);
    pair.b->shut_down();
    waiting.join();
}

TEST(FrameStream, GarbageIsMalformed) {
    Pair pair;
    const std::string junk(100, 'x');
    ASSERT_EQ(write(pair.a->fd(), junk.data(), junk.size()), 100);
    EXPECT_EQ(pair.b->receive(5s).error().fault, StreamFault::malformed);
}

} // namespace
} // namespace tripod::wire
