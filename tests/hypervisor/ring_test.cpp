// SPDX-License-Identifier: GPL-2.0-only
/** The two rings. Promise 4 begins here: no record is ever dropped or overwritten. */
#include "fixture.h"

namespace tripod::test {
namespace {

class RingTest : public HypervisorTest {
  protected:
    RingTest() { guest.set_mode(TRIPOD_MODE_record, 10); }

    /** Moves the empty record ring to `position`. */
    void move_to(std::uint64_t position) {
        guest->record_prod = position;
        guest.control().record_prod = guest.control().record_cons = position;
    }
    /** Publishes a record of `bytes`; false when there is no room. */
    bool publish(std::uint32_t bytes, std::uint32_t tid = 1) {
        tripod_record* record = tripod_record_begin(guest.get(), bytes, TRIPOD_REC_call, tid, 1, -1);
        if (record == nullptr)
            return false;
        record->size = bytes;
        tripod_ring_publish(guest.get(), record);
        return true;
    }
    const std::uint32_t ring_bytes = FakeGuest::ring_pages * PAGE_SIZE;
    const std::uint32_t smallest = sizeof(tripod_record);
};

TEST_F(RingTest, RecordThatFillsTheRestExactlyHasNoPad) {
    move_to(ring_bytes - smallest);
    ASSERT_TRUE(publish(smallest));
    EXPECT_EQ(guest->record_prod, ring_bytes);
    EXPECT_EQ(guest.take().size(), 1U);
    ASSERT_TRUE(publish(smallest));
    EXPECT_EQ(guest->record_prod, ring_bytes + smallest);
}

TEST_F(RingTest, EightBytesOfRestBecomeAPad) {
    move_to(ring_bytes - 8);
    ASSERT_TRUE(publish(smallest, 77));
    EXPECT_EQ(guest->record_prod, ring_bytes + smallest);
    const auto records = guest.take(); // checks the pad
    ASSERT_EQ(records.size(), 1U);
    EXPECT_EQ(records[0].head().tid, 77U);
    EXPECT_EQ(guest.control().record_cons, guest.control().record_prod);
}

TEST_F(RingTest, ManyRoundsKeepOrderAndNumbers) {
    std::uint64_t expected = 10;
    std::uint32_t size = smallest;
    for (int i = 0; i < 3000; ++i) {
        size = smallest + (size * 7 + 8) % 5000 / 8 * 8;
        ASSERT_TRUE(publish(size, static_cast<std::uint32_t>(i)));
        if (i % 7 != 0)
            continue;
        for (const Record& record : guest.take())
            ASSERT_EQ(record.head().seq, expected++);
    }
    for (const Record& record : guest.take())
        ASSERT_EQ(record.head().seq, expected++);
    EXPECT_EQ(expected, guest->record_seq);
    EXPECT_GT(guest->record_prod, 10 * std::uint64_t{ring_bytes}) << "the test did not wrap often";
}

TEST_F(RingTest, FullRingRefusesAndKeepsWhatIsThere) {
    std::uint64_t published = 0;
    while (publish(4096))
        ++published;
    EXPECT_EQ(published, ring_bytes / 4096);
    EXPECT_EQ(guest->wait_reason, TRIPOD_WAIT_space);
    const auto records = guest.take();
    ASSERT_EQ(records.size(), published);
    for (std::uint64_t i = 0; i < published; ++i)
        EXPECT_EQ(records[i].head().seq, 10 + i);
    EXPECT_TRUE(publish(4096));
}

TEST_F(RingTest, PadCountsAsRoom) {
    // 4096 bytes are free behind the producer, as many before the consumer: 4104 fit at neither place alone, and
    // the pad would have to be paid from the same room.
    move_to(ring_bytes - 4096);
    guest.control().record_cons = 4096;
    guest->record_prod = guest.control().record_prod = 2 * std::uint64_t{ring_bytes} - 4096;
    guest.control().record_cons = ring_bytes + 4096;
    EXPECT_FALSE(publish(4104));
    EXPECT_TRUE(publish(4096));
}

TEST_F(RingTest, ConsumerAheadOfTheProducerIsAsGoodAsFull) {
    for (const std::uint64_t garbage : {std::uint64_t{8}, std::uint64_t{1} << 63, std::uint64_t{ring_bytes}}) {
        guest.control().record_cons = garbage;
        EXPECT_FALSE(publish(smallest)) << garbage;
    }
    guest.control().record_cons = 0;
    EXPECT_TRUE(publish(smallest));
}

TEST_F(RingTest, NothingIsVisibleBeforePublish) {
    ASSERT_NE(tripod_record_begin(guest.get(), 4096, TRIPOD_REC_call, 1, 1, -1), nullptr);
    EXPECT_EQ(guest.control().record_prod, 0U);
    EXPECT_EQ(guest.control().record_seq, 10U);
}

TEST_F(RingTest, KicksDom0OnceWhenTheAskedForNumberIsReached) {
    guest.control().notify_seq = 12;
    tripod_record* record = tripod_record_begin(guest.get(), smallest, TRIPOD_REC_call, 1, 1, -1);
    tripod_record_end(guest.get(), record); // next is 11
    EXPECT_EQ(guest.notified, 0U);
    for (int i = 0; i < 3; ++i)
        tripod_record_end(guest.get(), tripod_record_begin(guest.get(), smallest, TRIPOD_REC_call, 1, 1, -1));
    EXPECT_EQ(guest.notified, 1U);
    guest.control().notify_seq = guest->record_seq + 1;
    tripod_record_end(guest.get(), tripod_record_begin(guest.get(), smallest, TRIPOD_REC_call, 1, 1, -1));
    EXPECT_EQ(guest.notified, 2U);
}

class ReplayRingTest : public HypervisorTest {
  protected:
    ReplayRingTest() { guest.set_mode(TRIPOD_MODE_replay, 5); }

    /** The head after `change` was done to a good record; nullptr when refused, which must come with `broken`. */
    template <typename Change>
    const tripod_record* head_after(Change change) {
        guest.set_mode(TRIPOD_MODE_replay, 5);
        Record record = Record::call(5, thread, nr_read, 8, sock);
        record.add_segment(TRIPOD_SEG_arg, 1, view("12345678"));
        guest.feed(record);
        change(*reinterpret_cast<tripod_record*>(guest->replay));
        bool broken = false;
        const tripod_record* head = tripod_replay_head(guest.get(), &broken);
        EXPECT_NE(head != nullptr, broken);
        return head;
    }
};

TEST_F(ReplayRingTest, EmptyIsNotBroken) {
    bool broken = true;
    EXPECT_EQ(tripod_replay_head(guest.get(), &broken), nullptr);
    EXPECT_FALSE(broken);
}

TEST_F(ReplayRingTest, GoodRecordIsTheHeadUntilAdvanced) {
    const tripod_record* head = head_after([](tripod_record&) {});
    ASSERT_NE(head, nullptr);
    EXPECT_EQ(guest.control().replay_cons, 0U);
    tripod_replay_advance(guest.get(), head);
    EXPECT_EQ(guest.control().replay_cons, guest.control().replay_prod);
    EXPECT_EQ(guest.control().replay_seq, 6U);
}

TEST_F(ReplayRingTest, MalformedHeadsAreRefused) {
    EXPECT_EQ(head_after([](tripod_record& r) { r.size = 0; }), nullptr);
    EXPECT_EQ(head_after([](tripod_record& r) { r.size = 4; }), nullptr);
    EXPECT_EQ(head_after([](tripod_record& r) { r.size = sizeof r - 8; }), nullptr) << "shorter than a header";
    EXPECT_EQ(head_after([](tripod_record& r) { r.size += 8; }), nullptr) << "beyond the producer";
    EXPECT_EQ(head_after([](tripod_record& r) { r.size -= 4; }), nullptr) << "misaligned";
    EXPECT_EQ(head_after([](tripod_record& r) { r.size = 0xfffffff8; }), nullptr);
    EXPECT_EQ(head_after([](tripod_record& r) { r.seq = 4; }), nullptr);
    EXPECT_EQ(head_after([](tripod_record& r) { r.seq = 6; }), nullptr);
}

TEST_F(ReplayRingTest, RecordMayNotLeaveTheRing) {
    guest->replay_cons = guest.control().replay_cons = guest->ring_bytes - 64;
    guest.control().replay_prod = 2 * std::uint64_t{guest->ring_bytes} - 64;
    tripod_record head{};
    head.size = 72;
    head.type = TRIPOD_REC_call;
    head.seq = 5;
    std::memcpy(guest->replay + guest->ring_bytes - 64, &head, 64);
    bool broken = false;
    EXPECT_EQ(tripod_replay_head(guest.get(), &broken), nullptr);
    EXPECT_TRUE(broken);
}

TEST_F(ReplayRingTest, ProducerOutOfReachIsBroken) {
    for (const std::uint64_t prod : {std::uint64_t{4}, std::uint64_t{guest->ring_bytes} + 8, UINT64_MAX - 7}) {
        guest.set_mode(TRIPOD_MODE_replay, 5);
        // A ring full of pads would be walked for ever.
        for (std::uint32_t at = 0; at < guest->ring_bytes; at += 4096) {
            const std::uint32_t pad[2] = {4096, TRIPOD_REC_pad};
            std::memcpy(guest->replay + at, pad, sizeof pad);
        }
        guest.control().replay_prod = prod;
        bool broken = false;
        EXPECT_EQ(tripod_replay_head(guest.get(), &broken), nullptr) << prod;
        EXPECT_TRUE(broken) << prod;
    }
}

TEST_F(ReplayRingTest, PadsAreSkippedAcrossTheEnd) {
    const std::uint64_t start = guest->ring_bytes - 8;
    guest->replay_cons = guest.control().replay_cons = guest.control().replay_prod = start;
    guest.feed(Record::call(5, thread, nr_read, 0, sock));
    bool broken = true;
    const tripod_record* head = tripod_replay_head(guest.get(), &broken);
    ASSERT_NE(head, nullptr);
    EXPECT_EQ(reinterpret_cast<const std::uint8_t*>(head), guest->replay);
    EXPECT_EQ(guest.control().replay_cons, guest->ring_bytes);
}

TEST_F(ReplayRingTest, SegmentsMayNotLeaveTheirRecord) {
    const std::string bytes = "0123456789";
    Record record = Record::call(5, thread, nr_read, 10, sock);
    record.add_segment(TRIPOD_SEG_arg, 1, view(bytes));
    const Va at = guest.allocate(4096);
    const std::uint64_t args[6] = {0, at, 16};
    const auto apply = [&](std::uint32_t length, std::uint16_t segments, std::uint16_t arg) {
        Record changed = record;
        auto* head = reinterpret_cast<tripod_record*>(changed.bytes.data());
        auto* segment = reinterpret_cast<tripod_segment*>(changed.bytes.data() + sizeof *head);
        head->segments = segments;
        segment->length = length;
        segment->arg = arg;
        return tripod_apply(guest.get(), args, head);
    };
    EXPECT_EQ(apply(10, 1, 1), TRIPOD_GO);
    EXPECT_EQ(apply(16, 1, 1), TRIPOD_GO) << "the padding belongs to it";
    EXPECT_EQ(apply(17, 1, 1), TRIPOD_BROKEN);
    EXPECT_EQ(apply(0xffffffff, 1, 1), TRIPOD_BROKEN);
    EXPECT_EQ(apply(0xfffffff9, 1, 1), TRIPOD_BROKEN) << "rounding up overflows";
    EXPECT_EQ(apply(TRIPOD_PAYLOAD_MAX + 1, 1, 1), TRIPOD_BROKEN);
    EXPECT_EQ(apply(10, 2, 1), TRIPOD_BROKEN) << "one segment too many";
    EXPECT_EQ(apply(10, 1, 6), TRIPOD_BROKEN) << "no such argument";
}

} // namespace
} // namespace tripod::test
