// SPDX-License-Identifier: Apache-2.0
//
// Nothing is allocated between a proposal and its commit, at no member. This program's malloc counts.
#include "../../rdma-paxos/bench/allocations.h"

#include "rdma_paxos/replica.h"
#include "rdma_paxos/shm_fabric.h"

#include <cstring>
#include <gtest/gtest.h>
#include <unistd.h>

namespace rdma_paxos {
namespace {

using bench::allocations_of_this_thread;

struct Counting final : Listener {
    bool on_commit(Index, Term, Bytes) override {
        ++count;
        return true;
    }
    void on_role(Role, Term) override {}
    std::uint64_t count = 0;
};

class Allocations : public testing::Test {
  protected:
    void SetUp() override {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
        GTEST_SKIP() << "a sanitizer brings its own malloc";
#endif
        GroupId group{};
        const pid_t process = getpid();
        std::memcpy(group.data(), &process, sizeof process);
        Config config;
        config.group = group;
        config.members = {ReplicaId(1), ReplicaId(2), ReplicaId(3)};
        config.initial_leader = ReplicaId(1);
        config.ring_bytes = 256 << 10;
        config.max_entry_bytes = 16 << 10;
        config.timing.link_retry = 1h; // greetings by rendezvous, once connected, are no part of a commit
        for (std::size_t i = 0; i < replicas.size(); ++i) {
            config.self = config.members[i];
            auto made = make_shm_fabric(group, config.self, config.members, memory_layout(config.ring_bytes));
            ASSERT_TRUE(made) << made.error().what;
            links[i] = std::move(*made);
            auto replica = Replica::create(config, *links[i].fabric, *links[i].rendezvous, listeners[i]);
            ASSERT_TRUE(replica) << replica.error().what;
            replicas[i] = std::move(*replica);
        }
        for (int i = 0; i < 20000 && !complete(); ++i)
            tick_all();
        ASSERT_TRUE(complete());
    }

    bool complete() const {
        return replicas[0]->role() == Role::leader && replicas[0]->peer(ReplicaId(2)).log_up &&
               replicas[0]->peer(ReplicaId(3)).log_up;
    }
    void tick_all() {
        now += 5us;
        for (const auto& replica : replicas)
            replica->tick(now);
    }
    /// So many commits, and ticks until all members have applied them.
    void commit(std::uint64_t count, Bytes body) {
        Replica& leader = *replicas[0];
        for (std::uint64_t done = 0; done < count;) {
            const auto index = leader.propose(body);
            leader.flush(now);
            tick_all();
            done += index.has_value();
        }
        for (int i = 0; i < 1000; ++i)
            tick_all();
    }

    Nanoseconds now = 1s;
    std::array<Counting, 3> listeners;
    std::array<ShmEndpoint, 3> links;
    std::array<std::unique_ptr<Replica>, 3> replicas;
};

TEST_F(Allocations, TheCounterCounts) {
    const std::uint64_t before = allocations_of_this_thread();
    std::vector<std::byte> some(1000);
    asm volatile("" : : "r"(some.data()) : "memory"); // the compiler must not leave it out
    EXPECT_EQ(allocations_of_this_thread(), before + 1);
}

TEST_F(Allocations, NoneInTenThousandCommits) {
    const std::vector<std::byte> body(100), large(10000);
    commit(1000, body); // what grows once has grown
    const std::uint64_t before = allocations_of_this_thread();
    commit(9000, body);
    commit(1000, large);
    EXPECT_EQ(allocations_of_this_thread() - before, 0u);
    for (const Counting& each : listeners)
        EXPECT_EQ(each.count, 11000u);
}

} // namespace
} // namespace rdma_paxos
