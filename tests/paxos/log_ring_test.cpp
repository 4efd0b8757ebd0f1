// SPDX-License-Identifier: Apache-2.0
#include "consensus/log_ring.h"

#include <cstring>
#include <gtest/gtest.h>
#include <random>
#include <string>
#include <vector>

namespace rdma_paxos {
namespace {

Bytes bytes_of(const std::string& text) {
    return std::as_bytes(std::span(text));
}

std::string text_of(Bytes bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

class LogRingTest : public testing::Test {
  protected:
    static constexpr std::size_t ring_bytes = 4096;
    static constexpr std::size_t max_body = LogRing::max_body(ring_bytes);

    LogRingTest() { start_.check = genesis_check(GroupId{1, 2, 3}); }

    std::vector<std::byte> memory_ = std::vector<std::byte>(ring_bytes);
    LogRing ring_{memory_};
    Cursor start_;
};

TEST_F(LogRingTest, EmptyMemoryHoldsNoEntry) {
    EXPECT_FALSE(ring_.read(start_));
}

TEST_F(LogRingTest, ReadsBackWhatWasAppended) {
    const Cursor after = ring_.append(start_, Term(3), Index(0), EntryKind::user, bytes_of("hello"));
    const auto entry = ring_.read(start_);
    ASSERT_TRUE(entry);
    EXPECT_EQ(text_of(entry->body), "hello");
    EXPECT_EQ(entry->header.term, 3u);
    EXPECT_EQ(entry->header.index, 1u);
    EXPECT_EQ(entry->after, after);
    EXPECT_EQ(after.position, 48u) << "40 bytes of header, 5 of body, padded to 8";
    EXPECT_EQ(ring_.read_known(start_).after, after);
}

TEST_F(LogRingTest, EveryFlippedBitOfAnEntryIsNoticed) {
    const Cursor after = ring_.append(start_, Term(1), Index(0), EntryKind::user, bytes_of("sixteen letters!"));
    for (std::size_t bit = 0; bit < after.position * 8; ++bit) {
        memory_[bit / 8] ^= std::byte(1 << bit % 8);
        EXPECT_FALSE(ring_.read(start_)) << "bit " << bit;
        memory_[bit / 8] ^= std::byte(1 << bit % 8);
    }
    EXPECT_TRUE(ring_.read(start_));
}

TEST_F(LogRingTest, APrefixOfAnEntryIsNotAnEntry) {
    std::vector<std::byte> other(ring_bytes);
    LogRing writer(other);
    const Cursor after = writer.append(start_, Term(1), Index(0), EntryKind::user, bytes_of(std::string(300, 'x')));
    ASSERT_EQ(after.position, 40u + 304u) << "300 bytes and padding, which nobody misses";
    for (std::size_t arrived = 0; arrived < 40 + 300; arrived += 4) {
        std::memcpy(memory_.data(), other.data(), arrived);
        EXPECT_FALSE(ring_.read(start_)) << arrived << " bytes";
    }
    std::memcpy(memory_.data(), other.data(), after.position);
    EXPECT_TRUE(ring_.read(start_));
}

// The chain: what an older leader left behind the present one's last entry must not be taken for its continuation.
TEST_F(LogRingTest, EntriesOfAnAbandonedTailDoNotContinueAnotherLog) {
    const Cursor one = ring_.append(start_, Term(1), Index(0), EntryKind::user, bytes_of("same"));
    const Cursor old_two = ring_.append(one, Term(2), Index(0), EntryKind::user, bytes_of("olds"));
    ring_.append(old_two, Term(2), Index(0), EntryKind::user, bytes_of("tail"));
    EXPECT_EQ(ring_.scan(start_).index, Index(3));

    const Cursor new_two = ring_.append(one, Term(1), Index(0), EntryKind::user, bytes_of("news"));
    EXPECT_EQ(new_two.position, old_two.position);
    EXPECT_EQ(ring_.scan(start_), new_two) << "index 3 of term 2 still lies there, but belongs to another index 2";
}

TEST_F(LogRingTest, TermsNeverDecrease) {
    const Cursor one = ring_.append(start_, Term(5), Index(0), EntryKind::user, bytes_of("a"));
    ring_.append(one, Term(4), Index(0), EntryKind::user, bytes_of("b"));
    EXPECT_EQ(ring_.scan(start_), one);
}

TEST_F(LogRingTest, AnotherGroupsBytesAreNotRead) {
    ring_.append(start_, Term(1), Index(0), EntryKind::user, bytes_of("a"));
    Cursor stranger;
    stranger.check = genesis_check(GroupId{9});
    EXPECT_FALSE(ring_.read(stranger));
}

TEST_F(LogRingTest, EntriesNeverStraddleTheEnd) {
    Cursor at = start_;
    std::mt19937 random(7);
    std::vector<std::pair<Cursor, std::string>> written;
    for (int i = 0; i < 2000; ++i) {
        const std::string body(random() % (max_body + 1), static_cast<char>('a' + i % 26));
        const std::uint64_t room = ring_.room_for(at.position, body.size());
        const Cursor before = at;
        at = ring_.append(at, Term(1), Index(0), EntryKind::user, bytes_of(body));
        EXPECT_EQ(at.position - before.position, room);
        EXPECT_EQ(at.position % 8, 0u);
        const auto entry = ring_.read(before);
        ASSERT_TRUE(entry) << "entry " << i << " at " << before.position;
        ASSERT_EQ(text_of(entry->body), body);
        ASSERT_EQ(entry->after, at);
        ASSERT_EQ(ring_.read_known(before).after, at);
        ASSERT_LE(entry->body.data() + entry->body.size(), memory_.data() + memory_.size());
    }
    EXPECT_GT(at.position, 50 * ring_bytes);
}

// A follower that has the filler but not yet what comes behind it has not moved.
TEST_F(LogRingTest, AFillerAloneIsNoEntry) {
    Cursor at = start_;
    while (ring_.offset_of(at.position) + ring_.room_for(at.position, 400) <= ring_bytes)
        at = ring_.append(at, Term(1), Index(0), EntryKind::user, bytes_of(std::string(400, 'x')));
    const Cursor before = at;
    at = ring_.append(at, Term(1), Index(0), EntryKind::user, bytes_of(std::string(400, 'y')));
    ASSERT_EQ(ring_.offset_of(at.position), 440u) << "behind the ring's end";
    EXPECT_TRUE(ring_.read(before));
    memory_[100] ^= std::byte{1};
    EXPECT_FALSE(ring_.read(before));
    EXPECT_EQ(ring_.scan(before), before);
}

TEST_F(LogRingTest, HostileLengthsStayInside) {
    EntryHeader header{.length = 0, .kind = EntryKind::user, .term = 1, .index = 1, .commit = 0};
    for (const std::uint32_t length : {std::uint32_t(max_body) + 1, 4096u, 0x7fffffffu, 0xfffffff8u, 0xffffffffu}) {
        header.length = length;
        std::memcpy(memory_.data(), &header, sizeof header);
        EXPECT_FALSE(ring_.read(start_));
        header.kind = EntryKind::filler;
        header.index = 0;
        std::memcpy(memory_.data(), &header, sizeof header);
        EXPECT_FALSE(ring_.read(start_));
        header.kind = EntryKind::user;
        header.index = 1;
    }
}

TEST_F(LogRingTest, PiecesEndAtTheRingsEndAndAtTheLimit) {
    EXPECT_EQ(ring_.piece(4000, 4200, 1000).size(), 96u);
    EXPECT_EQ(ring_.piece(4096, 4200, 1000).data(), memory_.data());
    EXPECT_EQ(ring_.piece(4096, 4200, 50).size(), 50u);
    EXPECT_EQ(ring_.piece(4096, 4200, 1000).size(), 104u);
}

} // namespace
} // namespace rdma_paxos
