// SPDX-License-Identifier: Apache-2.0
//
// Elections, replication, catching up, leases of one group that does not change.
#include "replica_fixture.h"

namespace rdma_paxos {
namespace {

TEST_F(ReplicaTest, TheInitialLeaderLeadsAtOnce) {
    found(3, ReplicaId(2));
    run(9ms); // below every election time-out
    EXPECT_EQ(at(2).replica->role(), Role::leader);
    EXPECT_EQ(at(2).replica->term(), Term(1));
    for (const int other : {1, 3}) {
        EXPECT_EQ(at(other).replica->leader(), ReplicaId(2));
        EXPECT_EQ(at(other).replica->term(), Term(1));
    }
}

TEST_F(ReplicaTest, TheInitialLeaderMayBeStartedLast) {
    found(3, ReplicaId(2));
    at(2).stopped = true;
    run(10 * config_.timing.election_timeout_max);
    EXPECT_EQ(at(1).replica->term(), Term(0));
    at(2).stopped = false;
    run(20ms);
    EXPECT_EQ(at(2).replica->role(), Role::leader);
    EXPECT_EQ(at(2).replica->term(), Term(1));
}

TEST_F(ReplicaTest, AGroupWhoseInitialLeaderNeverComesElectsAnother) {
    found(3, ReplicaId(2));
    kill(2);
    run(30 * config_.timing.election_timeout_max);
    EXPECT_TRUE(leader());
}

TEST_F(ReplicaTest, EveryoneAppliesWhatWasProposedInOrder) {
    found(3);
    ASSERT_TRUE(leader());
    for (const std::string text : {"one", "two", "three"})
        ASSERT_TRUE(at(1).replica->propose(bytes_of(text)));
    at(1).replica->flush(network_.now());
    run(5ms);
    for (const int each : {1, 2, 3})
        EXPECT_EQ(texts(at(each)), (std::vector<std::string>{"one", "two", "three"})) << each;
    EXPECT_EQ(at(1).applied[0].first, Index(2)) << "index 1 is the leader's own first entry";
}

TEST_F(ReplicaTest, ABatchIsOneWritePerFollower) {
    found(3);
    ASSERT_TRUE(leader());
    run(5ms);
    const std::uint64_t before = at(1).replica->counters().log_writes;
    for (int i = 0; i < 10; ++i)
        ASSERT_TRUE(at(1).replica->propose(bytes_of("text")));
    at(1).replica->flush(network_.now());
    run(1ms);
    EXPECT_EQ(at(1).replica->commit_index(), at(1).replica->last_index());
    EXPECT_EQ(at(1).replica->counters().log_writes - before, 2u);
}

TEST_F(ReplicaTest, TheLastEntryReachesTheFollowersWithoutANextOne) {
    found(3);
    ASSERT_TRUE(leader());
    run(5ms);
    ASSERT_TRUE(at(1).replica->propose(bytes_of("last")));
    at(1).replica->flush(network_.now());
    run(600us); // far below a heartbeat
    EXPECT_EQ(texts(at(2)), std::vector<std::string>{"last"});
    EXPECT_EQ(texts(at(3)), std::vector<std::string>{"last"});
}

TEST_F(ReplicaTest, ProposalsAreRefusedWithTheReason) {
    found(3);
    ASSERT_TRUE(leader());
    EXPECT_EQ(at(2).replica->propose(bytes_of("x")).error(), ProposeError::not_leader);
    EXPECT_EQ(at(1).replica->propose(bytes_of(std::string(4097, 'x'))).error(), ProposeError::too_large);
    int accepted = 0;
    auto result = at(1).replica->propose(bytes_of(std::string(4096, 'x')));
    for (; result; result = at(1).replica->propose(bytes_of(std::string(4096, 'x'))))
        ++accepted;
    EXPECT_EQ(result.error(), ProposeError::log_full);
    EXPECT_GE(accepted, 10);
    run(20ms);
    EXPECT_EQ(at(3).applied.size(), static_cast<std::size_t>(accepted));
    EXPECT_TRUE(at(1).replica->propose(bytes_of("there is room again")));
}

TEST_F(ReplicaTest, AProposalMayBeBuiltInTheLogsMemory) {
    found(3);
    ASSERT_TRUE(leader());
    Replica& leads = *at(1).replica;
    EXPECT_EQ(leads.propose_reserved().error(), ProposeError::nothing_reserved);
    std::vector<std::string> expected;
    for (int i = 0; i < 200; ++i) { // several times around the ring, with all lengths of padding
        expected.push_back(std::string(700 + i, static_cast<char>('a' + i % 26)));
        const auto place = leads.reserve(expected.back().size());
        ASSERT_TRUE(place) << to_string(place.error());
        ASSERT_EQ(place->size(), expected.back().size());
        std::ranges::copy(bytes_of(expected.back()), place->begin());
        const auto index = leads.propose_reserved();
        ASSERT_TRUE(index);
        EXPECT_EQ(*index, leads.last_index());
        run(2ms);
    }
    for (const unsigned each : {1u, 2u, 3u})
        EXPECT_EQ(texts(at(each)), expected) << each;
}

TEST_F(ReplicaTest, AReservedPlaceIsGoodForOneProposal) {
    found(3);
    ASSERT_TRUE(leader());
    Replica& leads = *at(1).replica;
    EXPECT_EQ(at(2).replica->reserve(1).error(), ProposeError::not_leader);
    EXPECT_EQ(leads.reserve(4097).error(), ProposeError::too_large);
    EXPECT_EQ(leads.propose_reserved().error(), ProposeError::nothing_reserved);
    ASSERT_TRUE(leads.reserve(3));
    ASSERT_TRUE(leads.propose(bytes_of("before")));
    EXPECT_EQ(leads.propose_reserved().error(), ProposeError::nothing_reserved) << "the place is taken";
    const auto place = leads.reserve(3);
    ASSERT_TRUE(place);
    std::ranges::copy(bytes_of("own"), place->begin());
    ASSERT_TRUE(leads.propose_reserved());
    EXPECT_EQ(leads.propose_reserved().error(), ProposeError::nothing_reserved) << "it was proposed";
    run(2ms);
    EXPECT_EQ(texts(at(3)), (std::vector<std::string>{"before", "own"}));
}

TEST_F(ReplicaTest, NothingCommitsWithoutAMajority) {
    found(3);
    ASSERT_TRUE(leader());
    run(5ms);
    kill(2);
    kill(3);
    const Index before = at(1).replica->commit_index();
    ASSERT_TRUE(at(1).replica->propose(bytes_of("alone")));
    run(500ms);
    EXPECT_EQ(at(1).replica->commit_index(), before);
    EXPECT_LT(at(1).replica->lease_deadline(), network_.now());
}

TEST_F(ReplicaTest, ADeadFollowerCostsNothing) {
    found(3);
    ASSERT_TRUE(leader());
    run(5ms);
    kill(3);
    // Many times the ring: its space is taken back although the dead one has not applied anything.
    for (int i = 0; i < 3000; ++i) {
        while (!at(1).replica->propose(bytes_of(std::string(200, 'x'))))
            run(1ms);
        run(50us);
    }
    run(5ms);
    EXPECT_EQ(at(2).applied.size(), 3000u);
    EXPECT_TRUE(at(1).replica->peer(ReplicaId(3)).lagging);
    EXPECT_EQ(at(1).replica->term(), Term(1));
}

TEST_F(ReplicaTest, WhoIsLeftBehindIsToldSo) {
    found(3);
    ASSERT_TRUE(leader());
    run(5ms);
    at(3).busy = true; // it lives, and applies nothing
    for (int i = 0; i < 1000; ++i) {
        while (!at(1).replica->propose(bytes_of(std::string(200, 'x'))))
            run(1ms);
        run(50us);
    }
    run(config_.timing.heartbeat * 2);
    EXPECT_TRUE(at(1).replica->peer(ReplicaId(3)).lagging);
    EXPECT_TRUE(at(3).replica->peer(ReplicaId(1)).left_us_behind);
    EXPECT_FALSE(at(2).replica->peer(ReplicaId(1)).left_us_behind);
    EXPECT_FALSE(at(3).replica->peer(ReplicaId(2)).left_us_behind) << "it does not lead";
}

TEST_F(ReplicaTest, PatienceWithSlowFollowersCanEnd) {
    config_.timing.slow_follower_grace = 60s;
    found(3);
    ASSERT_TRUE(leader());
    run(5ms);
    at(3).busy = true;
    const auto fill = [&] {
        for (int i = 0; i < 1000; ++i) {
            (void)at(1).replica->propose(bytes_of(std::string(200, 'x')));
            run(50us);
        }
    };
    fill();
    EXPECT_FALSE(at(1).replica->propose(bytes_of("more"))) << "it waits for the slow one";
    EXPECT_FALSE(at(1).replica->peer(ReplicaId(3)).lagging);
    at(1).replica->set_slow_follower_grace(20ms);
    fill();
    EXPECT_TRUE(at(1).replica->peer(ReplicaId(3)).lagging);
    EXPECT_GT(at(2).applied.size(), 500u);
}

TEST_F(ReplicaTest, ALiveFollowerThatCannotApplyHoldsTheLeaderBack) {
    config_.timing.slow_follower_grace = 10s;
    found(3);
    ASSERT_TRUE(leader());
    at(3).busy = true;
    int accepted = 0;
    for (int i = 0; i < 2000; ++i) {
        accepted += at(1).replica->propose(bytes_of(std::string(200, 'x'))).has_value();
        run(50us);
    }
    EXPECT_LT(accepted, 400) << "64 KiB hold no more";
    at(3).busy = false;
    run(20ms);
    EXPECT_EQ(at(3).applied.size(), static_cast<std::size_t>(accepted));
    EXPECT_TRUE(at(1).replica->propose(bytes_of("goes on")));
}

TEST_F(ReplicaTest, AnotherLeadsWhenTheLeaderDies) {
    found(3);
    ASSERT_TRUE(leader());
    ASSERT_TRUE(at(1).replica->propose(bytes_of("before")));
    run(5ms);
    kill(1);
    TestMember* next = leader();
    ASSERT_TRUE(next);
    EXPECT_GT(next->replica->term(), Term(1));
    ASSERT_TRUE(next->replica->propose(bytes_of("after")));
    run(10ms);
    for (const int each : {2, 3})
        EXPECT_EQ(texts(at(each)), (std::vector<std::string>{"before", "after"}));
    EXPECT_GE(next->replica->applied_index(), next->replica->term_start());
}

// The dead leader had written to one follower only; that follower's log is the longest, whoever is elected.
TEST_F(ReplicaTest, TheLongestLogIsAdopted) {
    found(3);
    ASSERT_TRUE(leader());
    run(5ms);
    const auto longest_survivor = [&](int holder) { return at(holder).replica->last_index(); };
    network_.set_path(ReplicaId(1), ReplicaId(2), false);
    for (int i = 0; i < 20; ++i)
        ASSERT_TRUE(at(1).replica->propose(bytes_of("entry " + std::to_string(i))));
    at(1).replica->flush(network_.now());
    run(300us);
    EXPECT_GT(longest_survivor(3), longest_survivor(2));
    kill(1);
    ASSERT_TRUE(leader());
    run(10ms);
    EXPECT_EQ(at(2).applied.size(), 20u);
    EXPECT_EQ(texts(at(2)), texts(at(3)));
}

TEST_F(ReplicaTest, WhoAbstainsVotesAndStoresButNeverLeads) {
    found(3);
    ASSERT_TRUE(leader());
    run(5ms);
    at(2).replica->abstain();
    // It even has the longest log: the other one must take that over.
    network_.set_path(ReplicaId(1), ReplicaId(3), false);
    for (int i = 0; i < 20; ++i)
        ASSERT_TRUE(at(1).replica->propose(bytes_of("entry " + std::to_string(i))));
    at(1).replica->flush(network_.now());
    run(300us);
    ASSERT_GT(at(2).replica->last_index(), at(3).replica->last_index());
    kill(1);
    ASSERT_EQ(leader(), &at(3));
    run(10ms);
    EXPECT_EQ(at(3).applied.size(), 20u);
    EXPECT_EQ(texts(at(2)), texts(at(3)));
    EXPECT_EQ(at(2).replica->counters().elections, 0u);
}

TEST_F(ReplicaTest, WhoAbstainsIsKnownToAllBeforeItsNextHeartbeat) {
    found(3);
    ASSERT_TRUE(leader());
    run(5ms);
    for (const int each : {1, 3})
        EXPECT_FALSE(at(each).replica->peer(ReplicaId(2)).cannot_lead);
    at(2).replica->abstain();
    run(config_.timing.heartbeat / 2);
    for (const int each : {1, 3})
        EXPECT_TRUE(at(each).replica->peer(ReplicaId(2)).cannot_lead);
    EXPECT_FALSE(at(1).replica->peer(ReplicaId(3)).cannot_lead);
    const auto passed_on = at(1).replica->transfer_leadership(ReplicaId(2));
    ASSERT_FALSE(passed_on);
    EXPECT_EQ(passed_on.error(), TransferError::unfit);
}

TEST_F(ReplicaTest, WhoAbstainsAloneLeavesTheGroupWithoutALeader) {
    found(3);
    ASSERT_TRUE(leader());
    at(2).replica->abstain();
    at(3).replica->abstain();
    kill(1);
    run(20 * config_.timing.election_timeout_max);
    for (const int each : {2, 3})
        EXPECT_EQ(at(each).replica->role(), Role::follower);
}

TEST_F(ReplicaTest, ALeaderThatAbstainsStepsDownAndLosesNothing) {
    found(3);
    ASSERT_TRUE(leader());
    ASSERT_TRUE(at(1).replica->propose(bytes_of("before")));
    run(5ms);
    const Nanoseconds lease = at(1).replica->lease_deadline();
    ASSERT_GT(lease, network_.now());
    at(1).replica->abstain();
    run(1ms);
    EXPECT_EQ(at(1).replica->role(), Role::follower);
    const auto refused = at(1).replica->propose(bytes_of("late"));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error(), ProposeError::not_leader);
    while (network_.now() < lease) {
        for (const int other : {2, 3})
            ASSERT_NE(at(other).replica->role(), Role::leader) << "the lease that was granted still runs";
        run(100us);
    }
    TestMember* next = leader();
    ASSERT_TRUE(next);
    EXPECT_NE(next, &at(1));
    ASSERT_TRUE(next->replica->propose(bytes_of("after")));
    run(20ms);
    for (const int each : {1, 2, 3})
        EXPECT_EQ(texts(at(each)), (std::vector<std::string>{"before", "after"}));
}

TEST_F(ReplicaTest, AStoppedLeaderComesBackAsAFollowerAndCommitsNothing) {
    found(3);
    ASSERT_TRUE(leader());
    run(5ms);
    at(1).stopped = true;
    TestMember* next = leader();
    ASSERT_TRUE(next);
    ASSERT_TRUE(next->replica->propose(bytes_of("new")));
    run(10ms);
    const Index known = at(1).replica->commit_index();
    ASSERT_TRUE(at(1).replica->propose(bytes_of("stale"))) << "it cannot know yet";
    at(1).replica->flush(network_.now());
    EXPECT_EQ(at(1).replica->commit_index(), known);
    EXPECT_LT(at(1).replica->lease_deadline(), network_.now());
    at(1).stopped = false;
    run(50ms);
    EXPECT_EQ(at(1).replica->role(), Role::follower);
    EXPECT_EQ(at(1).replica->term(), next->replica->term());
    for (const int each : {1, 2, 3})
        EXPECT_EQ(texts(at(each)), std::vector<std::string>{"new"});
}

TEST_F(ReplicaTest, AReplicaThatWasStoppedDeposesNobody) {
    found(3);
    ASSERT_TRUE(leader());
    run(5ms);
    for (const int follower : {2, 3}) {
        at(follower).stopped = true;
        run(2s);
        at(follower).stopped = false;
        run(200ms);
        EXPECT_EQ(at(1).replica->role(), Role::leader);
        EXPECT_EQ(at(1).replica->term(), Term(1));
        EXPECT_GE(at(follower).replica->counters().pauses, 1u);
    }
}

// A new link begins at the commit point that the follower told of, though an earlier link has brought more. So the
// ring's space is not free for as long as that is on its way again.
TEST_F(ReplicaTest, ANewLinkSendsNoRecycledBytes) {
    config_.timing.heartbeat = config_.timing.follower_poll =
        3ms; // time in which followers are not told of a commit
    found(3);
    ASSERT_TRUE(leader());
    run(20ms);
    Replica& leads = *at(1).replica;
    while (leads.propose(bytes_of(std::string(1000, 'x')))) {
    }
    leads.flush(network_.now());
    const auto link = [&] { return leads.peer(ReplicaId(3)); };
    for (int i = 0; i < 50 && (leads.commit_index() != leads.last_index() || link().acked != leads.last_index());
         ++i)
        run(50us);
    ASSERT_EQ(link().acked, leads.last_index());
    at(1).fabric->fail_link(ReplicaId(3), Link::log);
    network_.set_delay(ReplicaId(1), ReplicaId(3), 8ms);
    run(50us);
    ASSERT_FALSE(link().log_up);
    for (int i = 0; i < 1000 && !link().log_up; ++i)
        run(50us);
    ASSERT_TRUE(link().log_up);
    ASSERT_LT(at(3).replica->commit_index(), Index(40)) << "of some sixty, which it holds";
    ASSERT_TRUE(at(1).lagging.empty());
    for (int i = 0; i < 50; ++i)
        ASSERT_TRUE(leads.propose(bytes_of(std::string(1000, 'y'))));
    EXPECT_EQ(at(1).lagging, std::vector<ReplicaId>{ReplicaId(3)}) << "it is not sent what lies there no more";
}

// On an overloaded host each tick comes so late that the replica must take itself for one that was stopped. That
// may put off an election, but not for ever.
TEST_F(ReplicaTest, AStutteringGroupReplacesItsDeadLeader) {
    found(3);
    ASSERT_TRUE(leader());
    for (const int each : {2, 3})
        at(each).stutter = config_.timing.election_timeout_min * (each == 2 ? 6 : 7) / 10;
    run(200ms);
    EXPECT_EQ(at(1).replica->term(), Term(1)) << "it was not doubted while it was heard";
    kill(1);
    const Nanoseconds died = network_.now();
    TestMember* next = leader();
    ASSERT_TRUE(next) << to_string(at(2).replica->role()) << ", " << to_string(at(3).replica->role());
    EXPECT_LT(network_.now() - died, 10 * config_.timing.election_timeout_max);
    EXPECT_GE(next->replica->counters().pauses, 10u);
    ASSERT_TRUE(next->replica->propose(bytes_of("goes on")));
    run(100ms);
    for (const int each : {2, 3})
        EXPECT_EQ(texts(at(each)), std::vector<std::string>{"goes on"});
}

// A queue pair gives up long before the other end, on such a host, has done its part in connecting.
TEST_F(ReplicaTest, LinksAreMadeBetweenHostsThatStutter) {
    network_.options().retry_time = 5ms;
    found(3);
    for (const int each : {1, 2, 3})
        at(each).stutter = Nanoseconds(11ms + each * 1ms);
    run(500ms);
    for (const int each : {1, 2, 3})
        for (const int other : {1, 2, 3})
            EXPECT_TRUE(each == other || at(each).replica->peer(at(other).id).board_up) << each << " to " << other;
    EXPECT_TRUE(leader());
    for (const int each : {1, 2, 3})
        EXPECT_LE(at(each).replica->counters().reconnects, 2u) << each;
}

// Even where one of the two survivors answers each doubt when its time is over.
TEST_F(ReplicaTest, AVerySlowVoterIsGivenTheTimeThatItNeeds) {
    found(3);
    ASSERT_TRUE(leader());
    run(5ms);
    at(3).stutter = 3 * config_.timing.election_timeout_max;
    kill(1);
    const Nanoseconds died = network_.now();
    ASSERT_TRUE(leader()) << to_string(at(2).replica->role());
    EXPECT_LT(network_.now() - died, 30 * config_.timing.election_timeout_max);
}

// Hosts that stand still, as opposed to programs: their memory cannot be written either, and the links break.
TEST_F(ReplicaTest, BothFollowersGoneOneReturns) {
    found(3);
    ASSERT_TRUE(leader());
    run(5ms);
    for (const int follower : {2, 3}) {
        at(follower).stopped = true;
        network_.set_host_stopped(ReplicaId(static_cast<std::uint8_t>(follower)), true);
    }
    ASSERT_TRUE(at(1).replica->propose(bytes_of("waits")));
    run(2s);
    EXPECT_TRUE(at(1).applied.empty());
    EXPECT_EQ(at(1).replica->role(), Role::leader);
    at(3).stopped = false;
    network_.set_host_stopped(ReplicaId(3), false);
    run(300ms);
    EXPECT_EQ(texts(at(1)), std::vector<std::string>{"waits"});
    EXPECT_EQ(texts(at(3)), std::vector<std::string>{"waits"});
    EXPECT_EQ(at(1).replica->term(), Term(1)) << "nobody was deposed";
    at(2).stopped = false;
    network_.set_host_stopped(ReplicaId(2), false);
    run(300ms);
    EXPECT_EQ(texts(at(2)), std::vector<std::string>{"waits"});
    EXPECT_EQ(at(1).replica->term(), Term(1));
}

TEST_F(ReplicaTest, WhoLostItsMemoryStaysOut) {
    found(3);
    ASSERT_TRUE(leader());
    ASSERT_TRUE(at(1).replica->propose(bytes_of("kept")));
    run(5ms);
    kill(2);
    run(20ms);
    start(2, false);
    run(100ms);
    EXPECT_EQ(at(2).replica->role(), Role::learner);
    EXPECT_TRUE(at(1).replica->peer(ReplicaId(2)).replaced);
    kill(1);
    run(1s);
    EXPECT_NE(at(3).replica->role(), Role::leader) << "an empty replica's vote must not elect anybody";
    EXPECT_TRUE(at(2).applied.empty());
}

TEST_F(ReplicaTest, TheLeaseRunsWhileAMajorityHears) {
    found(3);
    ASSERT_TRUE(leader());
    run(10ms);
    for (int i = 0; i < 100; ++i) {
        EXPECT_GT(at(1).replica->lease_deadline(), network_.now());
        EXPECT_LE(at(1).replica->lease_deadline(), network_.now() + config_.timing.lease);
        run(1ms);
    }
    EXPECT_LT(at(2).replica->lease_deadline(), network_.now()) << "a follower has none";
}

TEST_F(ReplicaTest, AGroupOfOneCommitsAlone) {
    found(1);
    ASSERT_TRUE(leader());
    ASSERT_TRUE(at(1).replica->propose(bytes_of("x")));
    at(1).replica->flush(network_.now());
    EXPECT_EQ(texts(at(1)), std::vector<std::string>{"x"});
}

TEST_F(ReplicaTest, WhoKeepsARingOfAnotherSizeIsRefusedByName) {
    found(3);
    run(100ms);
    ASSERT_EQ(at(1).replica->role(), Role::leader);
    kill(3);
    config_.ring_bytes = 128 << 10;
    start(3, false);
    ASSERT_TRUE(at(1).replica->propose(bytes_of("two go on")));
    run(300ms);
    EXPECT_EQ(texts(at(2)), std::vector<std::string>{"two go on"});
    EXPECT_TRUE(at(3).applied.empty());
    for (const int each : {1, 2}) {
        ASSERT_EQ(at(each).refused.size(), 1u) << "told once, however often it calls";
        EXPECT_EQ(at(each).refused[0].first, ReplicaId(3));
        const std::string& why = at(each).refused[0].second;
        for (const char* word : {"replica 3 keeps a ring of 131072 bytes", "65536", "same ring_bytes"})
            EXPECT_NE(why.find(word), std::string::npos) << why;
        EXPECT_EQ(at(each).replica->counters().refusals, 1u);
        EXPECT_EQ(at(each).replica->peer(ReplicaId(3)).refused_ring, 128u << 10);
        EXPECT_FALSE(at(each).replica->peer(ReplicaId(3)).board_up);
        EXPECT_FALSE(at(each).replica->peer(ReplicaId(3)).alive);
    }
    EXPECT_EQ(at(3).refused.size(), 2u) << "it is told, too";
    EXPECT_EQ(at(3).replica->peer(ReplicaId(1)).refused_ring, 64u << 10);

    kill(3);
    config_.ring_bytes = 64 << 10;
    start(3, false);
    run(100ms);
    EXPECT_EQ(at(1).replica->peer(ReplicaId(3)).refused_ring, 0u);
    EXPECT_TRUE(at(1).replica->peer(ReplicaId(3)).alive);
    EXPECT_EQ(at(1).replica->counters().refusals, 1u);
    EXPECT_TRUE(at(3).refused.empty());
}

TEST_F(ReplicaTest, ContradictoryConfigurationsAreRefused) {
    TestMember member;
    auto fabric = network_.make_fabric(ReplicaId(1), memory_layout(64 << 10));
    auto rendezvous = network_.make_rendezvous(ReplicaId(1));
    Config good;
    good.self = ReplicaId(1);
    good.members = {ReplicaId(1), ReplicaId(2), ReplicaId(3)};
    good.ring_bytes = 64 << 10;
    good.max_entry_bytes = 4096;
    const auto refused = [&](auto change) {
        Config config = good;
        change(config);
        return !Replica::create(config, *fabric, *rendezvous, member).has_value();
    };
    EXPECT_FALSE(refused([](Config&) {}));
    EXPECT_TRUE(refused([](Config& c) { c.members.pop_back(); })) << "even";
    EXPECT_TRUE(refused([](Config& c) { c.self = ReplicaId(4); }));
    EXPECT_TRUE(refused([](Config& c) { c.members[2] = ReplicaId(2); }));
    EXPECT_TRUE(refused([](Config& c) { c.initial_leader = ReplicaId(9); }));
    EXPECT_TRUE(refused([](Config& c) { c.ring_bytes = 64000; }));
    EXPECT_TRUE(refused([](Config& c) { c.ring_bytes = 48 << 10; })) << "no power of two";
    EXPECT_TRUE(refused([](Config& c) { c.max_entry_bytes = 16 << 10; }));
    EXPECT_TRUE(refused([](Config& c) { c.ring_bytes = 128 << 10; })) << "the fabric has less memory";
    EXPECT_TRUE(refused([](Config& c) { c.timing.lease = c.timing.election_timeout_min; }));
    EXPECT_TRUE(refused([](Config& c) { c.timing.clock_drift_ppm = 100000; }));
}

} // namespace
} // namespace rdma_paxos
