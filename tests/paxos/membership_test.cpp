// SPDX-License-Identifier: Apache-2.0
//
// Members that come, go, only store, or start from a state: one case each.
#include "replica_fixture.h"

namespace rdma_paxos {
namespace {

class MembershipTest : public ReplicaTest {
  protected:
    static std::vector<Member> members(std::initializer_list<int> ids) {
        std::vector<Member> list;
        for (const int id : ids)
            list.push_back({.id = ReplicaId(static_cast<std::uint8_t>(id))});
        return list;
    }

    static std::string of(TestMember& member) { return to_string(member.replica->membership()); }

    void propose(TestMember& member, const std::string& text) {
        ASSERT_TRUE(member.replica->propose(bytes_of(text)));
        member.replica->flush(network_.now());
    }

    /// Waits until the leader's membership is this one, and committed.
    bool settles(TestMember& leader, const std::string& membership) {
        for (Nanoseconds waited{}; waited < 1s; waited += 1ms) {
            if (of(leader) == membership && leader.replica->membership().index <= leader.replica->commit_index())
                return true;
            run(1ms);
        }
        return false;
    }
};

TEST_F(MembershipTest, ADeadReplicaIsReplaced) {
    found(3);
    ASSERT_TRUE(leader());
    propose(at(1), "old");
    run(5ms);
    kill(3);
    start(4, false);
    run(20ms);
    ASSERT_TRUE(at(1).replica->change_membership(members({1, 2, 4})));
    ASSERT_TRUE(settles(at(1), "{1,2,4}"));
    run(20ms);
    EXPECT_EQ(of(at(4)), "{1,2,4}");
    EXPECT_EQ(at(4).replica->role(), Role::follower);
    EXPECT_EQ(texts(at(4)), std::vector<std::string>{"old"});
    kill(2); // the newcomer counts now
    propose(at(1), "new");
    run(50ms);
    EXPECT_EQ(texts(at(1)), (std::vector<std::string>{"old", "new"}));
    kill(1);
    run(500ms);
    EXPECT_NE(at(4).replica->role(), Role::leader) << "one of three is no majority";
}

TEST_F(MembershipTest, ALearnerDoesNotCountBeforeItHasCaughtUp) {
    found(3);
    ASSERT_TRUE(leader());
    start(4, false);
    run(20ms);
    at(4).stopped = true; // its memory is written, so let the host stand still
    network_.set_host_stopped(ReplicaId(4), true);
    ASSERT_TRUE(at(1).replica->change_membership(members({1, 2, 4})));
    run(100ms);
    EXPECT_EQ(of(at(1)), "{1,2,3} (then {1,2,4})");
    kill(2);
    propose(at(1), "by 1 and 3");
    run(50ms);
    EXPECT_EQ(texts(at(3)), std::vector<std::string>{"by 1 and 3"});
    EXPECT_TRUE(at(1).replica->cancel_change());
    run(20ms);
    EXPECT_EQ(of(at(3)), "{1,2,3}");
}

TEST_F(MembershipTest, AReplicaThatLostItsMemoryComesBackThroughTheLog) {
    found(3);
    ASSERT_TRUE(leader());
    propose(at(1), "kept");
    run(5ms);
    kill(2);
    run(20ms);
    start(2, false);
    run(50ms);
    EXPECT_TRUE(at(1).replica->peer(ReplicaId(2)).replaced);
    ASSERT_TRUE(at(1).replica->change_membership(members({1, 2, 3})));
    ASSERT_TRUE(settles(at(1), "{1,2,3}"));
    run(20ms);
    EXPECT_FALSE(at(1).replica->peer(ReplicaId(2)).replaced);
    EXPECT_EQ(texts(at(2)), std::vector<std::string>{"kept"});
    kill(3);
    propose(at(1), "with its help");
    run(50ms);
    EXPECT_EQ(texts(at(2)).size(), 2u);
}

TEST_F(MembershipTest, AGroupGrowsAndShrinksUnderLoad) {
    found(1);
    ASSERT_TRUE(leader());
    int proposed = 0;
    const auto load = [&](Nanoseconds time) {
        for (const Nanoseconds end = network_.now() + time; network_.now() < end; run(200us))
            if (TestMember* one = leader())
                proposed += one->replica->propose(bytes_of(std::to_string(proposed))).has_value();
    };
    load(5ms);
    for (const int id : {2, 3})
        start(id, false);
    load(20ms);
    ASSERT_TRUE(at(1).replica->change_membership(members({1, 2, 3})));
    load(50ms);
    EXPECT_EQ(of(at(1)), "{1,2,3}");
    for (const int id : {4, 5})
        start(id, false);
    load(20ms);
    ASSERT_TRUE(at(1).replica->change_membership(members({1, 2, 3, 4, 5})));
    load(50ms);
    EXPECT_EQ(of(at(5)), "{1,2,3,4,5}");
    // The leader removes itself, too.
    ASSERT_TRUE(at(1).replica->change_membership(members({3, 4, 5})));
    load(100ms);
    TestMember* next = leader();
    ASSERT_TRUE(next);
    EXPECT_GE(next->id, ReplicaId(3));
    EXPECT_EQ(of(*next), "{3,4,5}");
    run(50ms);
    EXPECT_EQ(at(1).replica->role(), Role::learner) << "it was told that it is no member";
    EXPECT_EQ(texts(at(4)), texts(*next));
    EXPECT_GT(texts(*next).size(), 200u);
}

TEST_F(MembershipTest, ALaterLeaderFinishesAChange) {
    found(3);
    ASSERT_TRUE(leader());
    for (const int id : {4, 5})
        start(id, false);
    run(20ms);
    ASSERT_TRUE(at(1).replica->change_membership(members({1, 2, 3, 4, 5})));
    run(100us);
    kill(1);
    TestMember* next = nullptr;
    for (int i = 0; i < 100 && (!next || of(*next) != "{1,2,3,4,5}"); ++i) {
        run(10ms);
        next = leader();
    }
    ASSERT_TRUE(next);
    // The change had reached nobody, or it is completed: nothing in between lasts.
    EXPECT_TRUE(of(*next) == "{1,2,3,4,5}" || of(*next) == "{1,2,3}") << of(*next);
}

TEST_F(MembershipTest, ChangesThatCannotBeAreRefused) {
    found(3);
    ASSERT_TRUE(leader());
    run(10ms);
    const auto refusal = [&](const std::vector<Member>& list, int by = 1) {
        const auto result = at(by).replica->change_membership(list);
        return result ? std::string("accepted") : std::string(to_string(result.error()));
    };
    EXPECT_EQ(refusal(members({1, 2, 3}), 2), to_string(ChangeError::not_leader));
    EXPECT_EQ(refusal(members({1, 2})), to_string(ChangeError::bad_members));
    EXPECT_EQ(refusal(members({1, 2, 2})), to_string(ChangeError::bad_members));
    EXPECT_EQ(refusal(members({1, 2, 64})), to_string(ChangeError::bad_members));
    EXPECT_EQ(refusal({}), to_string(ChangeError::bad_members));
    EXPECT_EQ(refusal({{.id = ReplicaId(1), .witness = true}}), to_string(ChangeError::bad_members));
    EXPECT_EQ(refusal(members({1, 2, 9})), to_string(ChangeError::unknown));
    EXPECT_EQ(refusal(members({1, 2, 3})), to_string(ChangeError::unchanged));
    EXPECT_EQ(refusal(members({1})), "accepted");
    EXPECT_EQ(refusal(members({1})), to_string(ChangeError::busy));
    EXPECT_FALSE(at(2).replica->cancel_change());
}

// The one new member that has a state has missed more than the ring holds.
TEST_F(MembershipTest, NobodyGoesBeforeSomebodyCanLeadWithoutIt) {
    found(3);
    ASSERT_TRUE(leader());
    run(5ms);
    for (const int fresh : {4, 5}) {
        config_.witnesses = {ReplicaId(static_cast<std::uint8_t>(fresh))};
        start(fresh, false);
    }
    run(20ms);
    network_.set_path(ReplicaId(1), ReplicaId(2), false);
    for (int i = 0; i < 100; ++i) {
        propose(at(1), std::string(1000, 'x'));
        run(500us);
    }
    auto wanted = members({2, 4, 5});
    wanted[1].witness = wanted[2].witness = true;
    ASSERT_TRUE(at(1).replica->change_membership(wanted));
    for (int i = 0; i < 40; ++i) { // the witnesses are shipped what they need
        run(20ms);
        for (const int fresh : {4, 5})
            if (at(1).replica->peer(at(fresh).id).lagging)
                (void)at(fresh).replica->install_snapshot(at(1).replica->snapshot_point());
    }
    EXPECT_EQ(of(at(1)), "{1,2,3} (then {2,4w,5w})");
    EXPECT_EQ(at(1).replica->role(), Role::leader);
    network_.set_path(ReplicaId(1), ReplicaId(2), true);
    run(50ms);
    EXPECT_EQ(of(at(1)), "{1,2,3} (then {2,4w,5w})") << "it misses too much to follow";
    ASSERT_TRUE(at(2).replica->install_snapshot(at(1).replica->snapshot_point()));
    run(200ms);
    EXPECT_EQ(of(at(2)), "{2,4w,5w}");
    EXPECT_EQ(leader(), &at(2));
}

TEST_F(MembershipTest, AllMembersMayBeReplacedAtOnce) {
    found(3);
    ASSERT_TRUE(leader());
    propose(at(1), "kept");
    run(5ms);
    for (const int fresh : {4, 5, 6})
        start(fresh, false);
    run(20ms);
    ASSERT_TRUE(at(1).replica->change_membership(members({4, 5, 6})));
    run(300ms);
    for (const int fresh : {4, 5, 6}) {
        EXPECT_EQ(of(at(fresh)), "{4,5,6}");
        EXPECT_EQ(texts(at(fresh)), std::vector<std::string>{"kept"});
    }
    for (const int old : {1, 2, 3})
        kill(old);
    EXPECT_TRUE(leader());
}

// As with any entry: what it displaces from the ring is not sent to a follower that still misses it.
TEST_F(MembershipTest, AChangeLeavesNobodyBehindUnnoticed) {
    found(3);
    ASSERT_TRUE(leader());
    const auto fill = [&](std::uint64_t bytes) {
        propose(at(1), std::string(bytes - 40, 'x'));
        run(100us);
    };
    for (int i = 0; i < 20; ++i)
        fill(1040);
    run(20ms);
    const auto position = [&](int number) { return at(number).replica->snapshot_point().position; };
    ASSERT_EQ(position(3), position(1));
    const std::uint64_t limit = position(3) + config_.ring_bytes - 16;
    network_.set_delay(ReplicaId(1), ReplicaId(3), 25ms); // so what goes out to it later is not even posted
    while (limit - position(1) > 3 * 1040)
        fill(1040);
    fill(1040);
    fill(limit - position(1));
    ASSERT_EQ(position(1), limit) << "that is all that the ring holds of what 3 misses, but for 16 bytes";
    ASSERT_TRUE(at(1).lagging.empty());
    ASSERT_TRUE(at(1).replica->change_membership(members({1})));
    EXPECT_EQ(at(1).lagging, std::vector<ReplicaId>{ReplicaId(3)});
    network_.set_delay(ReplicaId(1), ReplicaId(3), 0ms);
    run(200ms); // nothing but what belongs there arrives at 3, or it would abort
    EXPECT_EQ(of(at(1)), "{1}");
}

// The leader believes what it is told of a replica that it has not met.
TEST_F(MembershipTest, WhoIsTakenInAsAWitnessIsOne) {
    found(3);
    ASSERT_TRUE(leader());
    run(5ms);
    start(4, false);
    auto wanted = members({1, 2, 3});
    wanted[2] = {.id = ReplicaId(4), .witness = true, .incarnation = at(4).replica->incarnation()};
    ASSERT_TRUE(at(1).replica->change_membership(wanted));
    ASSERT_TRUE(settles(at(1), "{1,2,4w}"));
    run(20ms);
    for (const int each : {2, 4})
        at(each).replica->prefer(ReplicaId(4));
    kill(1);
    EXPECT_EQ(leader(), &at(2));
    EXPECT_EQ(at(4).replica->counters().elections, 0u);
}

TEST_F(MembershipTest, AWitnessStoresAndVotesButNeverLeads) {
    config_.witnesses = {ReplicaId(2)};
    found(3);
    ASSERT_TRUE(leader());
    at(3).stopped = true;
    network_.set_host_stopped(ReplicaId(3), true);
    propose(at(1), "with the witness");
    run(10ms);
    EXPECT_EQ(texts(at(1)).size(), 1u);
    EXPECT_TRUE(texts(at(2)).empty()) << "it has no state machine";
    EXPECT_EQ(at(2).replica->applied_index(), at(2).replica->commit_index());
    kill(1);
    at(3).stopped = false;
    network_.set_host_stopped(ReplicaId(3), false);
    TestMember* next = leader();
    ASSERT_TRUE(next);
    EXPECT_EQ(next->id, ReplicaId(3));
    run(20ms);
    EXPECT_EQ(texts(at(3)), std::vector<std::string>{"with the witness"}) << "read from the witness";
}

TEST_F(MembershipTest, ALaggingReplicaGoesOnFromASnapshot) {
    found(3);
    ASSERT_TRUE(leader());
    network_.set_path(ReplicaId(1), ReplicaId(3), false);
    network_.set_path(ReplicaId(3), ReplicaId(1), false);
    for (int i = 0; i < 1000; ++i) {
        propose(at(1), std::string(200, 'x'));
        run(100us);
    }
    ASSERT_EQ(at(1).lagging, std::vector<ReplicaId>{ReplicaId(3)});
    EXPECT_EQ(texts(at(1)).size(), 1000u) << "nobody waited";
    network_.heal_paths();
    run(100ms);
    EXPECT_TRUE(at(1).replica->peer(ReplicaId(3)).lagging) << "the log alone does not bring it back";
    const SnapshotPoint point = at(1).replica->snapshot_point();
    const auto copy = decode_snapshot_point(encode(point, config_.group), config_.group);
    ASSERT_TRUE(copy);
    ASSERT_TRUE(at(3).replica->install_snapshot(*copy));
    at(3).applied = at(1).applied; // the state
    propose(at(1), "behind it");
    run(100ms);
    EXPECT_FALSE(at(1).replica->peer(ReplicaId(3)).lagging);
    EXPECT_EQ(texts(at(3)).back(), "behind it");
    EXPECT_EQ(texts(at(3)), texts(at(1)));
    EXPECT_EQ(at(1).replica->counters().lagging, 1u);
    EXPECT_EQ(at(1).replica->counters().catch_ups, 1u);
    EXPECT_FALSE(at(3).replica->install_snapshot(*copy)) << "older than what it has";
    EXPECT_FALSE(at(1).replica->install_snapshot(point)) << "a leader has no need";
}

TEST_F(MembershipTest, ANewcomerStartsFromASnapshot) {
    found(3);
    ASSERT_TRUE(leader());
    for (int i = 0; i < 1000; ++i) {
        propose(at(1), std::string(200, 'x'));
        run(100us);
    }
    start(4, false);
    run(20ms);
    ASSERT_TRUE(at(1).replica->change_membership(members({1, 2, 4})));
    run(50ms);
    ASSERT_EQ(at(1).lagging, std::vector<ReplicaId>{ReplicaId(4)});
    ASSERT_TRUE(at(4).replica->install_snapshot(at(1).replica->snapshot_point()));
    ASSERT_TRUE(settles(at(1), "{1,2,4}"));
    propose(at(1), "for all");
    run(20ms);
    EXPECT_EQ(texts(at(4)), std::vector<std::string>{"for all"});
}

} // namespace
} // namespace rdma_paxos
