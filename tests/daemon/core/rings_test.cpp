// SPDX-License-Identifier: Apache-2.0
#include <random>

#include <gtest/gtest.h>

#include "fake_xen.h"
#include "xen/record_ring.h"
#include "xen/replay_ring.h"

namespace tripod {
namespace {

using testing::FakePages;
using testing::numbered_read;
using Status = xen::RecordRing::Status;

constexpr size_t ring_bytes = 4096;

std::vector<std::byte> copy(std::span<const std::byte> bytes) {
    return {bytes.begin(), bytes.end()};
}

TEST(RecordRing, GivesRecordsInOrderAndSpaceBackOnRelease) {
    FakePages pages(ring_bytes);
    xen::RecordRing ring(pages.control, pages.record);
    EXPECT_EQ(ring.next().status, Status::empty);
    ASSERT_TRUE(pages.log(numbered_read(0, 10)));
    ASSERT_TRUE(pages.log(numbered_read(1, 20)));
    EXPECT_TRUE(ring.pending());
    EXPECT_EQ(copy(ring.next().record), numbered_read(0, 10));
    EXPECT_EQ(copy(ring.next().record), numbered_read(1, 20));
    EXPECT_EQ(ring.next().status, Status::empty);
    EXPECT_EQ(pages.control.record_cons, 0u) << "not given back yet";
    ring.release();
    EXPECT_EQ(pages.control.record_cons, pages.control.record_prod);
}

TEST(RecordRing, RewindGivesTheSameRecordsAgain) {
    FakePages pages(ring_bytes);
    xen::RecordRing ring(pages.control, pages.record);
    for (uint64_t seq = 0; seq < 3; ++seq)
        ASSERT_TRUE(pages.log(numbered_read(seq, 16)));
    ring.next();
    ring.release();
    ring.next();
    ring.next();
    ring.rewind();
    EXPECT_EQ(copy(ring.next().record), numbered_read(1, 16));
}

// Every offset at which the ring's end can fall inside, or just behind, a record; the shortest pad is 8 bytes.
TEST(RecordRing, WrapsAroundAtEveryOffset) {
    FakePages pages(ring_bytes);
    xen::RecordRing ring(pages.control, pages.record);
    std::mt19937 random(7);
    bool shortest_pad = false;
    for (uint64_t seq = 0; seq < 20000; ++seq) {
        const auto record = numbered_read(seq, random() % 600);
        const size_t to_end = ring_bytes - pages.control.record_prod % ring_bytes;
        shortest_pad |= to_end == 8 && record.size() > 8;
        ASSERT_TRUE(pages.log(record));
        const auto next = ring.next();
        ASSERT_EQ(next.status, Status::record) << "seq " << seq;
        ASSERT_EQ(copy(next.record), record) << "seq " << seq;
        ring.release();
    }
    EXPECT_TRUE(shortest_pad) << "the case this test is about did not come up";
}

TEST(RecordRing, AFullRingIsReadWhole) {
    FakePages pages(ring_bytes);
    xen::RecordRing ring(pages.control, pages.record);
    uint64_t logged = 0;
    while (pages.log(numbered_read(logged, 40)))
        ++logged;
    EXPECT_NE(pages.control.waits & TRIPOD_WAIT_space, 0u);
    for (uint64_t seq = 0; seq < logged; ++seq)
        ASSERT_EQ(copy(ring.next().record), numbered_read(seq, 40));
    ring.release();
    EXPECT_TRUE(pages.log(numbered_read(logged, 40)));
}

TEST(RecordRing, FindsABrokenLayout) {
    const auto broken = [](auto change) {
        FakePages pages(ring_bytes);
        EXPECT_TRUE(pages.log(numbered_read(0, 40)));
        change(pages);
        return xen::RecordRing(pages.control, pages.record).next().status;
    };
    const auto set_size = [](uint32_t size) {
        return [size](FakePages& pages) { std::memcpy(pages.record.data(), &size, 4); };
    };
    EXPECT_EQ(broken([](FakePages&) {}), Status::record);
    EXPECT_EQ(broken(set_size(0)), Status::corrupt);
    EXPECT_EQ(broken(set_size(44)), Status::corrupt) << "no multiple of 8";
    EXPECT_EQ(broken(set_size(48)), Status::corrupt) << "shorter than a header";
    EXPECT_EQ(broken(set_size(4096)), Status::corrupt) << "longer than what is there";
    EXPECT_EQ(broken([](FakePages& pages) { std::memset(pages.record.data() + 4, 0, 2); }), Status::corrupt)
        << "a pad in the middle";
    EXPECT_EQ(broken([](FakePages& pages) { pages.control.record_prod = 3 * ring_bytes; }), Status::corrupt);
}

TEST(ReplayRing, WrapsAroundAtEveryOffset) {
    FakePages pages(ring_bytes);
    xen::ReplayRing ring(pages.control, pages.replay);
    std::mt19937 random(8);
    for (uint64_t seq = 0; seq < 20000; ++seq) {
        const auto record = numbered_read(seq, random() % 600);
        ASSERT_TRUE(ring.append(record));
        EXPECT_FALSE(ring.drained());
        ASSERT_EQ(pages.apply(), record) << "seq " << seq;
        EXPECT_TRUE(ring.drained());
    }
}

TEST(ReplayRing, AFullRingRefusesAndChangesNothing) {
    FakePages pages(ring_bytes);
    xen::ReplayRing ring(pages.control, pages.replay);
    uint64_t appended = 0;
    while (ring.append(numbered_read(appended, 100)))
        ++appended;
    const auto before = pages.replay;
    const auto prod = pages.control.replay_prod;
    EXPECT_FALSE(ring.append(numbered_read(appended, 100)));
    EXPECT_EQ(pages.replay, before);
    EXPECT_EQ(pages.control.replay_prod, prod);
    for (uint64_t seq = 0; seq < appended; ++seq)
        ASSERT_EQ(pages.apply(), numbered_read(seq, 100));
}

// Room for the record, but not for the pad before it: it would overwrite what is not applied yet.
TEST(ReplayRing, ThePadCountsAsFilled) {
    FakePages pages(ring_bytes);
    xen::ReplayRing ring(pages.control, pages.replay);
    const size_t header = numbered_read(0, 0).size();
    ASSERT_TRUE(ring.append(numbered_read(0, 1000 - header)));
    ASSERT_TRUE(ring.append(numbered_read(1, 1000 - header)));
    ASSERT_TRUE(ring.append(numbered_read(2, 1000 - header)));
    pages.apply();
    EXPECT_FALSE(ring.append(numbered_read(3, 1504 - header)));
    ASSERT_EQ(pages.apply(), numbered_read(1, 1000 - header));
    EXPECT_TRUE(ring.append(numbered_read(3, 1504 - header)));
    ASSERT_EQ(pages.apply(), numbered_read(2, 1000 - header));
    ASSERT_EQ(pages.apply(), numbered_read(3, 1504 - header));
}

TEST(ReplayRing, TheLongestRecordFitsWhereverTheRingStands) {
    FakePages pages(ring_bytes);
    xen::ReplayRing ring(pages.control, pages.replay);
    const auto shift = numbered_read(0, 0);
    auto longest = numbered_read(1, ring.record_bytes_max() - numbered_read(1, 0).size());
    ASSERT_EQ(longest.size(), ring.record_bytes_max());
    for (int i = 0; i < 200; ++i) {
        ASSERT_TRUE(ring.append(longest)) << "at offset " << pages.control.replay_prod % ring_bytes;
        ASSERT_EQ(pages.apply(), longest);
        ASSERT_TRUE(ring.append(shift));
        pages.apply();
    }
}

} // namespace
} // namespace tripod
