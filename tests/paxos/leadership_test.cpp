// SPDX-License-Identifier: Apache-2.0
//
// Who leads: handing over, preference, patience.
#include "consensus/leader_score.h"
#include "replica_fixture.h"

namespace rdma_paxos {
namespace {

using LeadershipTest = ReplicaTest;

TEST_F(LeadershipTest, IsHandedOverInOneRoundTrip) {
    found(3);
    ASSERT_TRUE(leader());
    ASSERT_TRUE(at(1).replica->propose(bytes_of("before")));
    run(5ms);
    ASSERT_TRUE(at(1).replica->transfer_leadership(ReplicaId(3)));
    EXPECT_LT(at(1).replica->lease_deadline(), network_.now()) << "void from the call on";
    EXPECT_EQ(at(1).replica->propose(bytes_of("too late")).error(), ProposeError::handing_over);
    run(200us); // two latencies of at most 30 us, and the ticks in between
    EXPECT_EQ(at(3).replica->role(), Role::leader);
    EXPECT_EQ(at(3).replica->term(), Term(2));
    EXPECT_EQ(at(1).replica->role(), Role::follower);
    ASSERT_TRUE(at(3).replica->propose(bytes_of("after")));
    run(5ms);
    for (const int each : {1, 2, 3})
        EXPECT_EQ(texts(at(each)), (std::vector<std::string>{"before", "after"}));
    EXPECT_EQ(at(1).replica->counters().transfers, 1u);
}

TEST_F(LeadershipTest, IsHandedOverInAGroupOfFive) {
    found(5);
    ASSERT_TRUE(leader());
    run(5ms);
    ASSERT_TRUE(at(1).replica->transfer_leadership(ReplicaId(4)));
    run(2ms); // the votes of two more are needed; that they hear the old leader does not stop them
    EXPECT_EQ(at(4).replica->role(), Role::leader);
    EXPECT_EQ(at(4).replica->term(), Term(2));
}

TEST_F(LeadershipTest, AHandOverToTheDeadIsRefusedOrGivenUp) {
    found(3);
    ASSERT_TRUE(leader());
    run(5ms);
    EXPECT_EQ(at(2).replica->transfer_leadership(ReplicaId(3)).error(), TransferError::not_leader);
    EXPECT_EQ(at(1).replica->transfer_leadership(ReplicaId(7)).error(), TransferError::unfit);
    EXPECT_EQ(at(1).replica->transfer_leadership(ReplicaId(1)).error(), TransferError::unfit);
    network_.set_host_stopped(ReplicaId(3), true);
    at(3).stopped = true;
    ASSERT_TRUE(at(1).replica->propose(bytes_of("3 does not get this")));
    at(1).replica->flush(network_.now());
    ASSERT_TRUE(at(1).replica->transfer_leadership(ReplicaId(3)));
    EXPECT_EQ(at(1).replica->transfer_leadership(ReplicaId(2)).error(), TransferError::busy);
    run(100ms);
    EXPECT_EQ(at(1).replica->role(), Role::leader);
    EXPECT_TRUE(at(1).replica->propose(bytes_of("goes on")));
    EXPECT_GT(at(1).replica->lease_deadline(), network_.now()) << "new heartbeats, new lease";
    run(100ms);
    EXPECT_EQ(at(1).replica->transfer_leadership(ReplicaId(3)).error(), TransferError::unfit) << "silent";
}

TEST_F(LeadershipTest, TheSuccessorMayDieAtOnce) {
    found(3);
    ASSERT_TRUE(leader());
    run(5ms);
    ASSERT_TRUE(at(1).replica->transfer_leadership(ReplicaId(3)));
    at(1).replica->tick(network_.now());
    EXPECT_EQ(at(1).replica->role(), Role::follower);
    kill(3);
    TestMember* next = leader();
    ASSERT_TRUE(next);
    EXPECT_GT(next->replica->term(), Term(2));
}

TEST_F(LeadershipTest, ThePreferredReplicaSucceedsADeadLeader) {
    int won = 0;
    for (int round = 0; round < 10; ++round) {
        members_.clear();
        config_.members.clear();
        config_.preferred_leader = ReplicaId(3);
        found(3);
        ASSERT_TRUE(leader());
        run(Nanoseconds(30ms + round * 1ms));
        kill(1);
        TestMember* next = leader();
        ASSERT_TRUE(next);
        won += next->id == ReplicaId(3);
    }
    EXPECT_GE(won, 9);
}

// A candidate and its voters wait for each other's looks at their boards, several times.
TEST_F(LeadershipTest, AnElectionDoesNotWaitForIdleLooks) {
    found(3);
    ASSERT_TRUE(leader());
    run(20ms);
    kill(1);
    Nanoseconds stood{}, committed{};
    while (committed == Nanoseconds{} && network_.now() < 2s) {
        const Nanoseconds next = network_.now() + 1us;
        while (network_.step(next)) {
        }
        for (TestMember& member : members_) {
            if (!member.replica)
                continue;
            const bool woken = member.replica->role() == Role::leader; // by completions
            if (!woken && member.replica->next_deadline() > network_.now())
                continue;
            member.replica->tick(network_.now());
            if (member.replica->role() == Role::candidate && stood == Nanoseconds{})
                stood = network_.now();
            if (member.replica->role() == Role::leader &&
                member.replica->commit_index() >= member.replica->term_start())
                committed = network_.now();
        }
    }
    ASSERT_NE(committed, Nanoseconds{});
    EXPECT_LT((committed - stood).count(), (3 * config_.timing.follower_poll).count());
}

TEST(LeaderScore, ASteadyLeaderIsGivenMorePatience) {
    const Timing timing;
    LeaderScore score;
    EXPECT_EQ(score.patience(timing, 0, false), timing.election_timeout_min);
    for (int i = 0; i < 20; ++i)
        score.heard(timing.heartbeat, timing);
    EXPECT_EQ(score.value(), LeaderScore::highest);
    const Nanoseconds steady = score.patience(timing, 0, false);
    EXPECT_EQ(steady,
              timing.election_timeout_min + (timing.election_timeout_max - timing.election_timeout_min) / 2);
    score.heard(5 * timing.heartbeat, timing);
    EXPECT_EQ(score.value(), LeaderScore::highest / 2) << "one late beat costs half of the extra, not the leader";
    EXPECT_LT(score.patience(timing, 0, false), steady);
    EXPECT_LE(score.patience(timing, 0, true), score.patience(timing, 0, false)) << "the preferred one is first";
    for (std::uint64_t draw = 0; draw < 1000; ++draw) {
        const Nanoseconds patience = score.patience(timing, draw * 7919 * 104729, false);
        EXPECT_GE(patience, timing.election_timeout_min);
        EXPECT_LE(patience, timing.election_timeout_max);
    }
}

TEST(HistogramTest, QuantilesAreWithinABucketsWidth) {
    Histogram histogram;
    EXPECT_EQ(histogram.quantile(0.5), Nanoseconds(0));
    for (int i = 1; i <= 1000; ++i)
        histogram.record(Nanoseconds(i * 1000));
    EXPECT_EQ(histogram.count(), 1000u);
    EXPECT_EQ(histogram.max(), Nanoseconds(1000000));
    EXPECT_EQ(histogram.mean(), Nanoseconds(500500));
    EXPECT_NEAR(double(histogram.quantile(0.5).count()), 500000, 500000.0 / 8);
    EXPECT_NEAR(double(histogram.quantile(0.99).count()), 990000, 990000.0 / 8);
    EXPECT_EQ(histogram.quantile(1), Nanoseconds(1000000));
    for (std::uint64_t value = 1; value < (1ull << 62); value += value / 4 + 1) {
        Histogram one;
        one.record(Nanoseconds(static_cast<std::int64_t>(value)));
        one.record(Nanoseconds(static_cast<std::int64_t>(value)));
        Histogram sum;
        sum.merge(one);
        EXPECT_EQ(sum.quantile(0.5), Nanoseconds(static_cast<std::int64_t>(value)));
    }
}

} // namespace
} // namespace rdma_paxos
