// SPDX-License-Identifier: Apache-2.0
#include "wire/frame.h"

#include <cstring>
#include <random>

#include <gtest/gtest.h>

namespace tripod::wire {
namespace {

using Bytes = std::vector<std::byte>;

// Feeds everything in pieces of `piece` bytes; gives the frames and the error that ended it, if one did.
struct Decoded {
    std::vector<Frame> frames;
    std::optional<FrameError> error;
    std::size_t buffered_max = 0;
    bool idle = true;
};

Decoded decode(Channel channel, std::span<const std::byte> bytes, std::size_t piece) {
    Decoded out;
    FrameDecoder decoder(channel);
    while (!bytes.empty() && !out.error) {
        auto part = bytes.first(std::min(piece, bytes.size()));
        bytes = bytes.subspan(part.size());
        while (!part.empty()) {
            auto got = decoder.feed(part);
            out.buffered_max = std::max(out.buffered_max, decoder.buffered());
            if (!got) {
                out.error = got.error();
                break;
            }
            if (got->has_value())
                out.frames.push_back(std::move(**got));
        }
    }
    out.idle = decoder.idle();
    return out;
}

Bytes random_bytes(std::mt19937_64& rng, std::size_t n) {
    Bytes b(n);
    for (auto& x : b)
        x = static_cast<std::byte>(rng());
    return b;
}

template <typename T>
void put(Bytes& b, std::size_t offset, T value) {
    std::memcpy(b.data() + offset, &value, sizeof value);
}

TEST(Frame, RoundTripsWholeAndInAnyPieces) {
    std::mt19937_64 rng(1);
    Bytes stream;
    std::vector<Bytes> bodies;
    for (std::size_t n : {0u, 1u, 7u, 31u, 32u, 33u, 4096u, 70000u}) {
        bodies.push_back(random_bytes(rng, n));
        const Bytes f = encode_frame(FrameType::state_chunk, n + 5, bodies.back());
        stream.insert(stream.end(), f.begin(), f.end());
    }
    for (std::size_t piece : {std::size_t{1}, std::size_t{3}, std::size_t{32}, std::size_t{1000}, stream.size()}) {
        const Decoded d = decode(Channel::peer, stream, piece);
        ASSERT_FALSE(d.error) << "piece " << piece << ": " << d.error->message;
        ASSERT_EQ(d.frames.size(), bodies.size()) << "piece " << piece;
        for (std::size_t i = 0; i < bodies.size(); i++) {
            EXPECT_EQ(d.frames[i].body, bodies[i]);
            EXPECT_EQ(d.frames[i].tag, bodies[i].size() + 5);
            EXPECT_EQ(d.frames[i].type, FrameType::state_chunk);
        }
        EXPECT_TRUE(d.idle);
    }
}

TEST(Frame, MatchesTheSpecifiedBytes) {
    const Bytes f = encode_frame(FrameType::request, 0x0102030405060708, std::string_view("{}"));
    const unsigned char head[] = {'T', 'P', 'F', '1', 1, 0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1};
    ASSERT_EQ(f.size(), 34u);
    EXPECT_EQ(std::memcmp(f.data(), head, sizeof head), 0);
    EXPECT_EQ(static_cast<char>(f[32]), '{');
}

TEST(Frame, EveryTruncationIsIncompleteNeverAFrame) {
    const Bytes f = encode_frame(FrameType::request, 1, std::string_view("{\"op\":\"list\"}"));
    for (std::size_t n = 1; n < f.size(); n++) {
        const Decoded d = decode(Channel::local_request, std::span(f).first(n), n);
        EXPECT_FALSE(d.error);
        EXPECT_TRUE(d.frames.empty());
        EXPECT_FALSE(d.idle) << n;
    }
}

TEST(Frame, EveryFlippedBitIsNoticed) {
    const Bytes good = encode_frame(FrameType::request, 1, std::string_view("{\"op\":\"list\"}"));
    for (std::size_t bit = 0; bit < good.size() * 8; bit++) {
        Bytes f = good;
        f[bit / 8] ^= static_cast<std::byte>(1u << bit % 8);
        const Decoded d = decode(Channel::local_request, f, 5);
        // A length made longer leaves the frame incomplete; everything else is an error at once.
        EXPECT_TRUE(d.frames.empty()) << "bit " << bit;
        EXPECT_TRUE(d.error || !d.idle) << "bit " << bit;
        if (bit / 8 < 8 || bit / 8 >= 12) {
            EXPECT_TRUE(d.error) << "bit " << bit;
        }
    }
}

FrameFault fault_of(Channel channel, const Bytes& bytes) {
    const Decoded d = decode(channel, bytes, bytes.size());
    EXPECT_TRUE(d.error);
    return d.error ? d.error->fault : FrameFault{255};
}

TEST(Frame, NamesTheFault) {
    const Bytes good = encode_frame(FrameType::request, 1, std::string_view("{}"));
    Bytes f = good;
    put(f, 0, std::uint32_t{0x20544547});
    EXPECT_EQ(fault_of(Channel::local_request, f), FrameFault::magic);
    f = good;
    put(f, 4, std::uint16_t{2});
    EXPECT_EQ(fault_of(Channel::local_request, f), FrameFault::version);
    f = good;
    put(f, 6, std::uint16_t{999});
    EXPECT_EQ(fault_of(Channel::local_request, f), FrameFault::type);
    f = good;
    put(f, 8, request_body_max + 1);
    EXPECT_EQ(fault_of(Channel::local_request, f), FrameFault::length);
    f = good;
    put(f, 12, std::uint32_t{1});
    EXPECT_EQ(fault_of(Channel::local_request, f), FrameFault::reserved);
    f = good;
    f.back() = std::byte{'!'};
    EXPECT_EQ(fault_of(Channel::local_request, f), FrameFault::checksum);
    EXPECT_EQ(fault_of(Channel::peer, good), FrameFault::type) << "a channel refuses the other's types";
    EXPECT_EQ(fault_of(Channel::local_request, encode_frame(FrameType::state_chunk, 0, std::string_view("x"))),
              FrameFault::type);
}

TEST(Frame, OverlongLengthIsRefusedWithTheHeaderAlone) {
    for (std::uint32_t length : {request_body_max + 1, 0x7fffffffu, 0xffffffffu}) {
        Bytes f = encode_frame(FrameType::request, 1, std::string_view(""));
        put(f, 8, length);
        const Decoded d = decode(Channel::local_request, f, 1);
        ASSERT_TRUE(d.error) << length;
        EXPECT_EQ(d.error->fault, FrameFault::length);
        EXPECT_LE(d.buffered_max, frame_header_bytes);
    }
}

TEST(Frame, APromisedLengthIsNotAllocatedBeforeItArrives) {
    Bytes f = encode_frame(FrameType::state_chunk, 1, std::string_view(""));
    put(f, 8, state_chunk_max);
    f.resize(f.size() + 100);
    const Decoded d = decode(Channel::peer, f, 10);
    EXPECT_FALSE(d.error);
    EXPECT_LE(d.buffered_max, frame_header_bytes + 200);
}

TEST(Frame, AnErrorStays) {
    FrameDecoder decoder(Channel::local_request);
    Bytes junk(40, std::byte{0x55});
    std::span<const std::byte> bytes = junk;
    ASSERT_FALSE(decoder.feed(bytes));
    const Bytes good = encode_frame(FrameType::request, 1, std::string_view("{}"));
    bytes = good;
    EXPECT_FALSE(decoder.feed(bytes));
}

TEST(Frame, FramesBeforeABrokenOneAreDelivered) {
    Bytes stream = encode_frame(FrameType::request, 1, std::string_view("{}"));
    stream.resize(stream.size() + 32, std::byte{0xff});
    for (std::size_t piece : {std::size_t{1}, stream.size()}) {
        const Decoded d = decode(Channel::local_request, stream, piece);
        EXPECT_EQ(d.frames.size(), 1u);
        EXPECT_TRUE(d.error);
    }
}

TEST(Frame, RandomBytesNeverMakeAFrame) {
    const std::uint64_t seed = 20240607;
    std::mt19937_64 rng(seed);
    for (int round = 0; round < 2000; round++) {
        const Bytes junk = random_bytes(rng, rng() % 300);
        const Decoded d = decode(Channel::peer, junk, 1 + rng() % 64);
        EXPECT_TRUE(d.frames.empty()) << "seed " << seed << " round " << round;
    }
}

TEST(Frame, MutatedStreamsGiveOnlyFramesThatWereSent) {
    const std::uint64_t seed = 42;
    std::mt19937_64 rng(seed);
    for (int round = 0; round < 3000; round++) {
        std::vector<Bytes> sent;
        Bytes stream;
        for (int i = 0; i < 3; i++) {
            sent.push_back(random_bytes(rng, rng() % 200));
            const Bytes f = encode_frame(FrameType::state_chunk, rng(), sent.back());
            stream.insert(stream.end(), f.begin(), f.end());
        }
        for (std::size_t k = 1 + rng() % 3; k--;) {
            const std::size_t at = rng() % stream.size();
            switch (rng() % 3) {
            case 0:
                stream[at] = static_cast<std::byte>(rng());
                break;
            case 1:
                stream.erase(stream.begin() + static_cast<std::ptrdiff_t>(at));
                break;
            default:
                stream.insert(stream.begin() + static_cast<std::ptrdiff_t>(at), static_cast<std::byte>(rng()));
            }
        }
        const std::size_t piece = 1 + rng() % 100;
        const Decoded a = decode(Channel::peer, stream, piece);
        const Decoded b = decode(Channel::peer, stream, stream.size());
        ASSERT_LE(a.frames.size(), 3u);
        for (std::size_t i = 0; i < a.frames.size(); i++)
            EXPECT_EQ(a.frames[i].body, sent[i]) << "seed " << seed << " round " << round;
        EXPECT_EQ(a.frames.size(), b.frames.size())
            << "the pieces must not matter; seed " << seed << " round " << round;
        EXPECT_EQ(a.error.has_value(), b.error.has_value()) << "seed " << seed << " round " << round;
    }
}

TEST(Frame, SenderOverTheLimitAborts) {
    const Bytes big(request_body_max + 1);
    EXPECT_DEATH(encode_frame(FrameType::request, 0, big), "a bug in the sender");
}

} // namespace
} // namespace tripod::wire
