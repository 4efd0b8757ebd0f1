// SPDX-License-Identifier: Apache-2.0
#include "gate/frame_marks.h"

#include <deque>
#include <random>

#include <gtest/gtest.h>

namespace tripod {
namespace {

using namespace std::chrono_literals;
using gate::FrameMarks;

TEST(FrameMarks, AFrameWithoutAMarkStays) {
    FrameMarks marks;
    marks.seen(3, 1ms);
    EXPECT_TRUE(marks.unmarked());
    EXPECT_EQ(marks.releasable(~0ull), 0u);
    marks.mark(5);
    EXPECT_FALSE(marks.unmarked());
    EXPECT_EQ(marks.wanted(), 5u);
    EXPECT_EQ(marks.releasable(4), 0u);
    EXPECT_EQ(marks.releasable(5), 3u);
    marks.released(3, 4ms);
    EXPECT_EQ(marks.held(), 0u);
    EXPECT_EQ(marks.wanted(), 0u);
    EXPECT_EQ(marks.statistics().released, 3u);
    EXPECT_GE(marks.statistics().held_for.max(), 3ms);
}

TEST(FrameMarks, AReleaseOfSomeLeavesTheRest) {
    FrameMarks marks;
    marks.seen(4, 0ms);
    marks.mark(1);
    marks.seen(6, 0ms);
    marks.mark(2);
    marks.released(2, 0ms);
    EXPECT_EQ(marks.held(), 4u);
    EXPECT_EQ(marks.releasable(1), 4u);
    EXPECT_EQ(marks.releasable(2), 6u);
}

// Against a list of every frame with its mark: never too early, never out of order, and not for ever.
TEST(FrameMarks, AreNeverTooEarlyWhateverComes) {
    std::mt19937 random(3);
    FrameMarks marks;
    std::deque<std::pair<uint64_t, uint64_t>> frames; // number, records logged when it was marked; ~0: not yet
    uint64_t newest = 0, records = 0, committed = 0, left = 0;
    for (int i = 0; i < 200'000; ++i) {
        switch (random() % 5) {
        case 0:
            for (uint64_t more = random() % 4; more != 0; --more)
                frames.emplace_back(++newest, ~0ull);
            marks.seen(newest, std::chrono::nanoseconds(i));
            break;
        case 1:
            marks.mark(records);
            for (auto& [number, mark] : frames)
                if (mark == ~0ull)
                    mark = records;
            break;
        case 2:
            records += random() % 3;
            break;
        case 3: // rarely, so that more marks are waiting than there is room for
            if (random() % 8000 == 0)
                committed = records;
            break;
        default: {
            const uint64_t frame = marks.releasable(committed);
            if (frame <= left)
                break;
            for (; !frames.empty() && frames.front().first <= frame; frames.pop_front())
                ASSERT_LE(frames.front().second, committed) << "frame " << frames.front().first;
            marks.released(frame, std::chrono::nanoseconds(i));
            left = frame;
        }
        }
    }
    EXPECT_GT(left, 0u);
    marks.mark(records);
    EXPECT_EQ(marks.releasable(records), newest) << "all of them, in the end";
    EXPECT_GT(marks.statistics().held_max, FrameMarks::groups_max);
}

} // namespace
} // namespace tripod
