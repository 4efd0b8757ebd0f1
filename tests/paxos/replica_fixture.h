// SPDX-License-Identifier: Apache-2.0
//
// Replicas over a simulated fabric without faults of its own: each test makes the fault that it is about.
#pragma once

#include "rdma_paxos/replica.h"
#include "sim/sim_network.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <string>

namespace rdma_paxos {

using namespace std::chrono_literals;

inline Bytes bytes_of(const std::string& text) {
    return std::as_bytes(std::span(text));
}

struct TestMember final : Listener {
    bool on_commit(Index index, Term, Bytes body) override {
        if (busy)
            return false;
        applied.emplace_back(index, std::string(reinterpret_cast<const char*>(body.data()), body.size()));
        return true;
    }
    void on_role(Role role, Term term) override { roles.emplace_back(role, term); }
    void on_failure(const Error& error) override { failure = error; }
    void on_refused(ReplicaId peer, const Error& why) override { refused.emplace_back(peer, why.what); }
    void on_lagging(ReplicaId peer) override { lagging.push_back(peer); }

    ReplicaId id;
    std::unique_ptr<sim::SimFabric> fabric;
    std::unique_ptr<Rendezvous> rendezvous;
    std::unique_ptr<Replica> replica;
    std::vector<std::pair<Index, std::string>> applied;
    std::vector<std::pair<Role, Term>> roles;
    std::vector<ReplicaId> lagging; ///< as told, in order
    std::vector<std::pair<ReplicaId, std::string>> refused;
    std::optional<Error> failure;
    bool busy = false;
    bool stopped = false;
    Nanoseconds stutter{}; ///< it gets the processor only so often
    Nanoseconds next_tick{};
};

class ReplicaTest : public testing::Test {
  protected:
    static sim::NetworkOptions calm() {
        sim::NetworkOptions options;
        options.slow_probability = options.refused_connect_probability = options.lost_message_probability = 0;
        return options;
    }

    void found(int count, ReplicaId initial_leader = ReplicaId(1), std::size_t ring_bytes = 64 << 10) {
        config_.initial_leader = initial_leader;
        config_.ring_bytes = ring_bytes;
        config_.max_entry_bytes = 4096;
        config_.max_write_bytes = 4096;
        for (int i = 1; i <= count; ++i)
            config_.members.emplace_back(static_cast<std::uint8_t>(i));
        members_.resize(8);
        for (int i = 1; i <= count; ++i)
            start(i, true);
    }

    void start(int number, bool founding) {
        TestMember& member = at(number);
        member.roles.clear();
        member.lagging.clear();
        member.refused.clear();
        member.replica.reset();
        member.rendezvous.reset();
        member.fabric.reset();
        member.id = ReplicaId(static_cast<std::uint8_t>(number));
        member.applied.clear();
        Config config = config_;
        config.self = member.id;
        config.founding = founding;
        config.seed = static_cast<std::uint64_t>(number) + 100 * lives_++;
        if (std::find(config.members.begin(), config.members.end(), config.self) == config.members.end())
            config.members.push_back(config.self); // those who may know the group, and itself
        member.fabric = network_.make_fabric(member.id, memory_layout(config.ring_bytes));
        member.rendezvous = network_.make_rendezvous(member.id);
        auto replica =
            Replica::create(config, *member.fabric, *member.rendezvous, member, storage_for(number), state_);
        ASSERT_TRUE(replica) << replica.error().what;
        member.replica = std::move(*replica);
    }

    virtual Storage* storage_for(int) { return nullptr; }

    void kill(int number) {
        at(number).replica.reset();
        at(number).fabric.reset();
    }

    TestMember& at(int number) { return members_[static_cast<std::size_t>(number - 1)]; }

    void run(Nanoseconds time) {
        const Nanoseconds end = network_.now() + time;
        while (network_.now() < end) {
            const Nanoseconds next = std::min(end, network_.now() + 50us);
            while (network_.step(next)) {
            }
            for (TestMember& member : members_)
                if (member.replica && !member.stopped && network_.now() >= member.next_tick) {
                    member.replica->tick(network_.now());
                    member.next_tick = network_.now() + member.stutter;
                }
        }
    }

    /// The only one that leads, once there is one; else null.
    TestMember* leader() {
        for (Nanoseconds waited{}; waited < 1s; waited += 1ms) {
            TestMember* found = nullptr;
            int count = 0;
            for (TestMember& member : members_)
                if (member.replica && !member.stopped && member.replica->role() == Role::leader) {
                    found = &member;
                    ++count;
                }
            if (count == 1)
                return found;
            run(1ms);
        }
        return nullptr;
    }

    static std::vector<std::string> texts(const TestMember& member) {
        std::vector<std::string> all;
        for (const auto& [index, text] : member.applied)
            all.push_back(text);
        return all;
    }

    Config config_;
    sim::SimNetwork network_{1, calm()};
    std::vector<TestMember> members_;
    std::uint64_t lives_ = 0;
    std::optional<SnapshotPoint> state_; ///< of the listener of the next one that is started
};

} // namespace rdma_paxos
