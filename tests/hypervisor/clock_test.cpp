// SPDX-License-Identifier: GPL-2.0-only
/** Mode live: a clock goes on from the last reading in the log, and never backwards. */
#include "fixture.h"

#include <limits>

namespace tripod::test {
namespace {

using Reading = std::array<std::int64_t, 2>;

class ClockTest : public HypervisorTest {
  protected:
    ClockTest() { follow_replay(); }

    /** The log says that the clock read this. */
    void replay(unsigned nr, std::uint64_t clock, const Reading& reading) {
        Record record = Record::call(seq++, thread, nr, 0);
        tripod_record head = record.head();
        head.arg[0] = nr == nr_clock_gettime ? clock : at;
        head.arg[1] = nr == nr_clock_gettime ? at : 0;
        record.set_head(head);
        record.add_segment(TRIPOD_SEG_arg, nr == nr_clock_gettime ? 1 : 0,
                           {reinterpret_cast<const std::uint8_t*>(reading.data()), sizeof reading});
        guest.feed(record);
        ASSERT_EQ(guest.make(thread, nr, {head.arg[0], head.arg[1]}, never), Step::answered);
        ASSERT_EQ(guest.user.get<Reading>(at), reading);
    }
    /** What the guest reads when its kernel says `reading`. */
    Reading live(unsigned nr, std::uint64_t clock, const Reading& reading, std::int64_t result = 0) {
        const auto args =
            nr == nr_clock_gettime ? std::array<std::uint64_t, 6>{clock, at} : std::array<std::uint64_t, 6>{at, 0};
        EXPECT_EQ(guest.make(thread, nr, args,
                             [&](cpu_user_regs&) {
                                 guest.user.put(at, reading);
                                 return result;
                             }),
                  Step::native);
        EXPECT_EQ(guest->pending_count, 0U);
        return guest.user.get<Reading>(at);
    }
    const Va at = guest.allocate(64);
};

TEST_F(ClockTest, BehindGoesOnFromTheLogAndStaysShifted) {
    replay(nr_clock_gettime, 1, {5000, 999'999'999});
    guest.set_mode(TRIPOD_MODE_live);
    EXPECT_EQ(live(nr_clock_gettime, 1, {100, 0}), (Reading{5001, 0}));
    EXPECT_EQ(live(nr_clock_gettime, 1, {100, 5}), (Reading{5001, 5}));
    EXPECT_EQ(live(nr_clock_gettime, 1, {107, 999'999'999}), (Reading{5008, 999'999'999}));
}

TEST_F(ClockTest, AheadIsLeftAlone) {
    replay(nr_clock_gettime, 1, {100, 0});
    guest.set_mode(TRIPOD_MODE_live);
    EXPECT_EQ(live(nr_clock_gettime, 1, {150, 1}), (Reading{150, 1}));
    EXPECT_EQ(live(nr_clock_gettime, 1, {200, 0}), (Reading{200, 0}));
}

TEST_F(ClockTest, ANewReplayForgetsTheOldReadings) {
    replay(nr_clock_gettime, 1, {5000, 0});
    guest.set_mode(TRIPOD_MODE_live);
    EXPECT_EQ(live(nr_clock_gettime, 1, {1, 0}), (Reading{5000, 1}));
    seq = 1;
    follow_replay();
    guest.set_mode(TRIPOD_MODE_live);
    EXPECT_EQ(live(nr_clock_gettime, 1, {1, 0}), (Reading{1, 0}));
}

TEST_F(ClockTest, EachClockHasItsOwnShift) {
    replay(nr_clock_gettime, 1, {5000, 0});
    replay(nr_clock_gettime, 4, {9000, 0});
    guest.set_mode(TRIPOD_MODE_live);
    EXPECT_EQ(live(nr_clock_gettime, 1, {1, 0}), (Reading{5000, 1}));
    EXPECT_EQ(live(nr_clock_gettime, 4, {1, 0}), (Reading{9000, 1}));
    EXPECT_EQ(live(nr_clock_gettime, 7, {1, 0}), (Reading{1, 0}));
    EXPECT_EQ(live(nr_clock_gettime, 1000, {1, 0}), (Reading{1, 0}));
}

TEST_F(ClockTest, GettimeofdayIsTheRealtimeClock) {
    replay(nr_gettimeofday, 0, {7000, 999'999});
    guest.set_mode(TRIPOD_MODE_live);
    EXPECT_EQ(live(nr_clock_gettime, 0, {6000, 0}), (Reading{7000, 999'999'001}));
    EXPECT_EQ(live(nr_gettimeofday, 0, {6000, 10}), (Reading{7001, 9}));
}

TEST_F(ClockTest, ErrorsAndNullPointersAreLeftAlone) {
    replay(nr_clock_gettime, 1, {5000, 0});
    guest.set_mode(TRIPOD_MODE_live);
    EXPECT_EQ(live(nr_clock_gettime, 1, {1, 0}, e_inval), (Reading{1, 0}));
    EXPECT_EQ(guest.make(thread, nr_clock_gettime, {1, 0}, returning(0)), Step::native);
    EXPECT_EQ(guest.make(thread, nr_clock_gettime, {1, 0xffff800000000000}, returning(0)), Step::native);
}

TEST_F(ClockTest, AbsurdReadingsAreHarmless) {
    constexpr auto most = std::numeric_limits<std::int64_t>::max(),
                   least = std::numeric_limits<std::int64_t>::min();
    for (const Reading& logged : {Reading{most, most}, Reading{least, least}, Reading{most, 0}}) {
        replay(nr_clock_gettime, 1, logged);
        replay(nr_gettimeofday, 0, logged);
    }
    replay(nr_clock_gettime, 4, {5000, 0});
    guest.set_mode(TRIPOD_MODE_live);
    for (const Reading& read : {Reading{most, most}, Reading{least, least}, Reading{1, least}})
        for (const std::uint64_t clock : {0U, 1U, 4U}) {
            live(nr_clock_gettime, clock, read);
            live(nr_gettimeofday, clock, read);
        }
}

} // namespace
} // namespace tripod::test
