// SPDX-License-Identifier: Apache-2.0
//
// The verdict and the figures, from ledgers made by hand.
#include "statistics.h"
#include "verdict.h"

#include <gtest/gtest.h>

namespace drill {
namespace {

Write set(std::string key, std::string value, Outcome outcome = Outcome::acknowledged) {
    Write write;
    write.kind = Kind::set;
    write.key = std::move(key);
    write.value = std::move(value);
    write.outcome = outcome;
    return write;
}

Write incr(std::string key, std::int64_t counted, Outcome outcome = Outcome::acknowledged) {
    Write write;
    write.kind = Kind::incr;
    write.key = std::move(key);
    write.counted = counted;
    write.outcome = outcome;
    return write;
}

Verdict judge_one(std::vector<Write> writes, const Contents& contents) {
    const Ledger ledger{std::move(writes), {}};
    return judge({&ledger, 1}, contents);
}

TEST(Verdict, CleanWhenEverythingAcknowledgedIsThere) {
    const auto verdict = judge_one({set("a", "1"), set("b", "2", Outcome::unknown), incr("c", 1), incr("c", 2)},
                                   {{"a", "1"}, {"c", "2"}});
    EXPECT_TRUE(verdict.clean());
    EXPECT_TRUE(verdict.examples.empty());
}

TEST(Verdict, UnknownWritesMayHaveHappened) {
    EXPECT_TRUE(judge_one({set("b", "2", Outcome::unknown), incr("c", 1), incr("c", 0, Outcome::unknown)},
                          {{"b", "2"}, {"c", "2"}})
                    .clean());
    EXPECT_TRUE(
        judge_one({set("b", "2", Outcome::unknown), incr("c", 1), incr("c", 0, Outcome::unknown)}, {{"c", "1"}})
            .clean());
}

TEST(Verdict, AcknowledgedKeyMissingIsLost) {
    const auto verdict = judge_one({set("a", "1"), set("b", "2")}, {{"b", "2"}});
    EXPECT_EQ(verdict.lost, 1);
    EXPECT_EQ(verdict.wrong, 0);
    ASSERT_EQ(verdict.examples.size(), 1U);
}

TEST(Verdict, AnotherValueIsWrongEvenIfTheFateWasUnknown) {
    EXPECT_EQ(judge_one({set("a", "1")}, {{"a", "x"}}).wrong, 1);
    EXPECT_EQ(judge_one({set("a", "1", Outcome::unknown)}, {{"a", "x"}}).wrong, 1);
}

TEST(Verdict, RefusedWriteThatHappenedIsWrong) {
    EXPECT_EQ(judge_one({set("a", "1", Outcome::refused)}, {{"a", "1"}}).wrong, 1);
}

TEST(Verdict, CounterBelowAcknowledgedIsLost) {
    EXPECT_EQ(judge_one({incr("c", 1), incr("c", 2), incr("c", 3)}, {{"c", "1"}}).lost, 2);
    EXPECT_EQ(judge_one({incr("c", 1)}, {}).lost, 1);
}

TEST(Verdict, CounterAboveAllRequestsIsDuplicated) {
    EXPECT_EQ(judge_one({incr("c", 1), incr("c", 0, Outcome::unknown)}, {{"c", "5"}}).duplicated, 3);
}

TEST(Verdict, OneNumberToldTwiceIsWrong) {
    // Ten was lost and counted again, while an unknown increment hides it in the sum.
    EXPECT_EQ(
        judge_one({incr("c", 1), incr("c", 2), incr("c", 0, Outcome::unknown), incr("c", 2)}, {{"c", "3"}}).wrong,
        1);
}

TEST(Verdict, CounterBelowANumberThatItWasToldIsWrong) {
    const auto verdict = judge_one({incr("c", 5), incr("c", 0, Outcome::unknown)}, {{"c", "2"}});
    EXPECT_EQ(verdict.wrong, 1);
    EXPECT_EQ(verdict.lost, 0);
}

TEST(Verdict, CounterThatIsNoNumberIsWrong) {
    EXPECT_EQ(judge_one({incr("c", 1)}, {{"c", "12x"}}).wrong, 1);
}

TEST(Statistics, FindsTheLongestGapAndSplitsLatenciesByIt) {
    Ledger ledger;
    const auto add = [&](Nanoseconds sent, Nanoseconds answered) {
        Write write = set("k", "v");
        write.sent = sent;
        write.answered = answered;
        write.latency = answered - sent;
        ledger.writes.push_back(write);
    };
    add(0, 10);
    add(10, 30);
    add(35, 1000); // under way in the gap: in neither part
    add(1000, 1005);
    const auto result = summarize({&ledger, 1}, 0, 1100);
    EXPECT_EQ(result.longest_gap.start, 30);
    EXPECT_EQ(result.longest_gap.end, 1000);
    EXPECT_TRUE(result.longest_gap.ended);
    EXPECT_EQ(result.before_gap.count, 2);
    EXPECT_EQ(result.before_gap.p50, 20);
    EXPECT_EQ(result.after_gap.count, 1);
    EXPECT_EQ(result.after_gap.p99_9, 5);
    EXPECT_DOUBLE_EQ(result.per_second_after_gap, 1e9 / 100);
}

TEST(Statistics, GapWithoutAnEndReachesToTheEndOfTheRun) {
    Ledger ledger;
    Write write = set("k", "v");
    write.answered = 10;
    ledger.writes = {write, set("l", "v", Outcome::unknown)};
    const auto result = summarize({&ledger, 1}, 0, 500);
    EXPECT_EQ(result.longest_gap.start, 10);
    EXPECT_EQ(result.longest_gap.end, 500);
    EXPECT_FALSE(result.longest_gap.ended);
    EXPECT_EQ(result.unknown, 1);
}

} // namespace
} // namespace drill
