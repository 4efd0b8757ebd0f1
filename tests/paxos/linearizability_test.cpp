// SPDX-License-Identifier: Apache-2.0
#include "checking/linearizability.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <random>
#include <vector>

namespace rdma_paxos::checking {
namespace {

using History = std::vector<Operation>;

Nanoseconds at(std::int64_t time) {
    return Nanoseconds(time);
}

Operation read(Value found, std::int64_t invoked, std::int64_t returned) {
    return {1, OperationKind::read, 0, 0, found, at(invoked), at(returned)};
}
Operation write(Value value, std::int64_t invoked, std::int64_t returned) {
    return {2, OperationKind::write, value, 0, 0, at(invoked), at(returned)};
}
Operation set_if(Value expected, Value value, Value found, std::int64_t invoked, std::int64_t returned) {
    return {3, OperationKind::compare_and_set, value, expected, found, at(invoked), at(returned)};
}
Operation no_answer(Operation op) {
    op.returned = never;
    return op;
}

void expect_fits(const History& history) {
    const auto complaint = check_register(history);
    EXPECT_FALSE(complaint) << *complaint;
}
void expect_complaint(const History& history, const std::string& part) {
    const auto complaint = check_register(history);
    ASSERT_TRUE(complaint);
    EXPECT_NE(complaint->find(part), std::string::npos) << *complaint;
}

/// By trying every order and every subset of the operations without answer.
bool fits_by_trying(const History& history, Value present, std::vector<char>& done) {
    Nanoseconds first_return = never;
    bool open = false;
    for (std::size_t i = 0; i < history.size(); ++i)
        if (!done[i] && history[i].returned != never) {
            first_return = std::min(first_return, history[i].returned);
            open = true;
        }
    if (!open)
        return true;
    for (std::size_t i = 0; i < history.size(); ++i) {
        const Operation& op = history[i];
        if (done[i] || op.invoked > first_return)
            continue;
        const bool known = op.returned != never;
        if (op.kind != OperationKind::write && known && op.result != present)
            continue;
        Value after = present;
        if (op.kind == OperationKind::write ||
            (op.kind == OperationKind::compare_and_set && op.expected == present))
            after = op.argument;
        done[i] = 1;
        if (fits_by_trying(history, after, done))
            return true;
        done[i] = 0;
    }
    return false;
}

/// What clients of a real register would have seen. Each operation takes effect at a random moment of its own.
History of_a_register(std::mt19937& random, std::size_t count, std::uint32_t clients, double unknown) {
    struct Effect {
        Nanoseconds when;
        std::size_t op;
    };
    History history;
    std::vector<Effect> effects;
    std::vector<std::int64_t> free_at(clients, 0);
    const auto draw = [&](std::int64_t limit) {
        return std::uniform_int_distribution<std::int64_t>(1, limit)(random);
    };
    for (std::size_t i = 0; i < count; ++i) {
        Operation op;
        op.client = static_cast<std::uint32_t>(i % clients);
        const std::int64_t called = free_at[op.client] + draw(20);
        const std::int64_t returned = called + draw(100);
        op.kind = static_cast<OperationKind>(draw(3) - 1);
        op.argument = i + 1;
        op.invoked = at(called);
        op.returned = at(returned);
        free_at[op.client] = returned;
        Nanoseconds when = at(called + draw(returned - called + 1) - 1);
        if (std::bernoulli_distribution(unknown)(random)) {
            op.returned = never;
            when = std::bernoulli_distribution(0.5)(random) ? when + at(draw(500)) : never;
        }
        if (when != never)
            effects.push_back({when, i});
        history.push_back(op);
    }
    std::sort(effects.begin(), effects.end(), [](const Effect& a, const Effect& b) { return a.when < b.when; });
    Value present = 0, before = 0;
    for (const Effect& effect : effects) {
        Operation& op = history[effect.op];
        op.result = present;
        op.expected = draw(3) == 1 ? before : present; // now and then a compare_and_set that does not fit
        if (op.kind == OperationKind::write ||
            (op.kind == OperationKind::compare_and_set && op.expected == present)) {
            before = present;
            present = op.argument;
        }
    }
    return history;
}

TEST(Linearizability, AcceptsWhatSomeOrderExplains) {
    expect_fits({});
    expect_fits({read(0, 0, 1)});
    expect_fits({write(1, 0, 10), read(1, 11, 12)});
    expect_fits({write(1, 0, 10), read(0, 1, 5), read(1, 6, 9)});     // takes effect between the reads
    expect_fits({write(1, 0, 10), write(2, 0, 10), read(1, 11, 12)}); // in the other order
    expect_fits({set_if(0, 1, 0, 0, 10), set_if(0, 2, 1, 0, 10)});    // one of two wins
    expect_fits({set_if(1, 2, 1, 0, 10), write(1, 5, 20), read(2, 21, 22)});
    expect_fits({write(1, 0, 5), read(0, 5, 6)}); // at the same instant: concurrent
}

TEST(Linearizability, NoticesAStaleRead) {
    expect_complaint({write(1, 0, 10), read(0, 11, 12)}, "found 0");
    expect_complaint({write(1, 0, 10), read(1, 2, 4), read(0, 5, 6)}, "found 0"); // the write is not even over
    expect_complaint({write(1, 0, 1), write(2, 2, 3), read(1, 4, 5)}, "found 1");
}

TEST(Linearizability, NoticesALostWrite) {
    expect_complaint({write(1, 0, 1), write(2, 2, 3), read(2, 4, 5), read(1, 6, 7)}, "write 2");
    expect_complaint({read(7, 0, 1)}, "found 7");                 // never written
    expect_complaint({read(7, 0, 1), write(7, 2, 3)}, "found 7"); // from the future
}

TEST(Linearizability, NoticesTwoWinners) {
    expect_complaint({set_if(0, 1, 0, 0, 10), set_if(0, 2, 0, 0, 10)}, "compare-and-set 0 to 2");
    // Its value was there for nobody to be replaced by the other.
    expect_complaint({write(1, 0, 1), set_if(1, 2, 1, 2, 3), read(1, 4, 5)}, "found 1");
    expect_complaint({write(1, 0, 1), set_if(5, 2, 0, 2, 3)}, "found 0"); // refused, and for a wrong reason
}

TEST(Linearizability, AllowsEitherForAnUnknownOutcome) {
    expect_fits({no_answer(write(1, 0, 0)), read(0, 10, 11)});
    expect_fits({no_answer(write(1, 0, 0)), read(1, 10, 11)});
    expect_fits({no_answer(write(1, 0, 0)), read(0, 10, 11), read(1, 12, 13)}); // as late as it likes
    expect_fits({no_answer(set_if(0, 1, 0, 0, 0)), no_answer(set_if(1, 2, 0, 0, 0)), read(2, 10, 11)});
    expect_fits({no_answer(read(99, 0, 0))});
    // But once only, not before it was called, and not against its own condition.
    expect_complaint({no_answer(write(1, 0, 0)), read(1, 10, 11), write(2, 12, 13), read(1, 14, 15)}, "no answer");
    expect_complaint({read(1, 10, 11), no_answer(write(1, 20, 0))}, "found 1");
    expect_complaint({no_answer(set_if(5, 1, 0, 0, 0)), read(1, 10, 11)}, "found 1");
    // Two unknown writes of one value may each show.
    expect_fits({no_answer(write(1, 0, 0)), no_answer(write(1, 0, 0)), read(1, 10, 11), write(2, 12, 13),
                 read(1, 14, 15), write(3, 16, 17), read(3, 18, 19)});
}

TEST(Linearizability, ShowsTheSmallestPart) {
    std::mt19937 random(1);
    History history = of_a_register(random, 300, 6, 0.02);
    const std::int64_t end = 1'000'000;
    history.push_back(write(5001, end, end + 1));
    history.push_back(write(5002, end + 2, end + 3));
    history.push_back(read(5001, end + 4, end + 5));
    const auto complaint = check_register(history);
    ASSERT_TRUE(complaint);
    EXPECT_EQ(std::count(complaint->begin(), complaint->end(), '\n'), 3) << *complaint;
    EXPECT_NE(complaint->find("these 3 of 303 operations"), std::string::npos) << *complaint;
}

TEST(Linearizability, AgreesWithTryingAllOrders) {
    std::mt19937 random(7);
    const auto draw = [&](int limit) { return std::uniform_int_distribution<int>(0, limit - 1)(random); };
    int fit = 0, other = 0;
    for (int round = 0; round < 30000; ++round) {
        History history;
        const int count = 2 + draw(5), values = 2 + draw(4);
        for (int i = 0; i < count; ++i) {
            const int called = draw(12);
            Operation op{0,
                         static_cast<OperationKind>(draw(3)),
                         Value(draw(values)),
                         Value(draw(values)),
                         Value(draw(values)),
                         at(called),
                         at(called + 1 + draw(8))};
            if (draw(4) == 0)
                op.returned = never;
            history.push_back(op);
        }
        std::vector<char> done(history.size());
        const bool fits = fits_by_trying(history, 0, done);
        (fits ? fit : other)++;
        ASSERT_EQ(!check_register(history).has_value(), fits) << "round " << round;
    }
    EXPECT_GT(fit, 3000);
    EXPECT_GT(other, 3000);
}

TEST(Linearizability, AcceptsAnyHistoryOfARegister) {
    std::mt19937 random(3);
    for (int round = 0; round < 300; ++round) {
        const History history = of_a_register(random, 200, 1 + static_cast<std::uint32_t>(round % 12), 0.05);
        const auto complaint = check_register(history);
        ASSERT_FALSE(complaint) << "round " << round << ": " << *complaint;
    }
    expect_fits(of_a_register(random, 20000, 10, 0.01));
}

TEST(Linearizability, NoticesMostCorruptedAnswers) {
    std::mt19937 random(4);
    int noticed = 0;
    const int rounds = 300;
    for (int round = 0; round < rounds; ++round) {
        History history = of_a_register(random, 200, 6, 0.02);
        const std::size_t from = 40 + random() % 120;
        const auto victim = std::find_if(
            history.begin() + static_cast<std::ptrdiff_t>(from), history.end(),
            [](const Operation& op) { return op.kind == OperationKind::read && op.returned != never; });
        ASSERT_NE(victim, history.end());
        victim->result -= std::min<Value>(victim->result, 12); // an older value, if it was ever there
        noticed += check_register(history).has_value();
    }
    EXPECT_GT(noticed, rounds * 9 / 10);
}

TEST(Linearizability, SaysWhenItCannotTell) {
    History history;
    for (int i = 0; i < 70; ++i)
        history.push_back(write(Value(i + 1), 0, 1000 + i));
    expect_complaint(history, "more than 64");
    expect_complaint({write(1, 10, 9)}, "not a history");
}

} // namespace
} // namespace rdma_paxos::checking
