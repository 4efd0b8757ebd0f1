// SPDX-License-Identifier: Apache-2.0
//
// What an admin hears of those who were turned away from a VM's group.
#include <thread>

#include <gtest/gtest.h>

#include "fake_xen.h"
#include "group/group_thread.h"
#include "replicate/backup_pump.h"

namespace tripod {
namespace {

using namespace std::chrono_literals;
using rdma_paxos::Rejection;
using rdma_paxos::ReplicaId;

TEST(RejectionNotes, OnePerReasonAndHostAndALimitedNumber) {
    group::RejectionNotes notes;
    const auto told = [&](Rejection reason, const std::string& host, std::chrono::nanoseconds now) {
        return notes.worth_telling({reason, {}, host, "text"}, now);
    };
    EXPECT_TRUE(told(Rejection::wrong_key, "192.0.2.2", 1s));
    EXPECT_FALSE(told(Rejection::wrong_key, "192.0.2.2", 2s));
    EXPECT_TRUE(told(Rejection::wrong_key, "192.0.2.3", 2s));
    EXPECT_TRUE(told(Rejection::malformed, "192.0.2.2", 2s));
    EXPECT_TRUE(told(Rejection::wrong_key, "192.0.2.2", 602s)) << "it is still so";
    int more = 0;
    for (int host = 0; host < 1000; ++host)
        more += told(Rejection::malformed, "10.0.0." + std::to_string(host), 603s);
    EXPECT_LT(more, 20) << "a crowd of strangers fills no log";
}

TEST(RejectionNotes, WhatHappensWhileAGroupIsFoundedIsNotTold) {
    group::RejectionNotes notes;
    EXPECT_FALSE(notes.worth_telling({Rejection::wrong_group, {}, "h", "text"}, 1s));
    EXPECT_FALSE(notes.worth_telling({Rejection::refused, Rejection::wrong_group, "h", "text"}, 1s));
    EXPECT_TRUE(notes.worth_telling({Rejection::refused, Rejection::wrong_key, "h", "text"}, 1s));
}

/// Meets its peers over TCP, as on real hosts; the memory is shared memory, which strangers do not reach here.
class TcpFactory final : public group::FabricFactory {
  public:
    Result<group::Links> make(const rdma_paxos::Config& config, const std::vector<group::Member>& members,
                              rdma_paxos::TcpRendezvousHub& hub) override {
        auto links = inner_->make(config, members, hub);
        if (!links)
            return links;
        std::map<ReplicaId, rdma_paxos::TcpAddress> peers;
        for (const auto& member : members)
            peers[ReplicaId(member.id)] = {member.address, member.port};
        links->rendezvous = std::move(*hub.join(config.group, config.self, peers));
        return links;
    }

  private:
    std::unique_ptr<group::FabricFactory> inner_ = group::make_shm_factory();
};

TEST(GroupThread, SaysWhichPeerDoesNotKnowTheKey) {
    std::mutex mutex;
    std::string told[2];
    TcpFactory factory;
    replicate::BackupPump pumps[2] = {replicate::BackupPump(1), replicate::BackupPump(2)};
    std::unique_ptr<group::GroupThread> threads[2];
    std::vector<group::Member> members;
    for (uint8_t i = 0; i < 2; ++i) {
        const rdma_paxos::ClusterKey key({std::byte{7}, std::byte{i}});
        threads[i] = *group::GroupThread::open("test", "127.0.0.1", key);
        threads[i]->on_rejection([&, i](const std::string& text) {
            const std::lock_guard lock(mutex);
            EXPECT_EQ(told[i], "") << "once";
            told[i] = text;
        });
        members.push_back({static_cast<uint8_t>(i + 1), "h", "127.0.0.1", threads[i]->port()});
    }
    members.push_back({3, "h3", "127.0.0.1", 1}); // never comes
    for (uint8_t i = 0; i < 2; ++i) {
        rdma_paxos::Config config;
        config.group = {0x77, static_cast<uint8_t>(getpid()), static_cast<uint8_t>(getpid() >> 8)};
        config.self = ReplicaId(static_cast<uint8_t>(i + 1));
        config.members = {ReplicaId(1), ReplicaId(2), ReplicaId(3)};
        config.ring_bytes = 2 << 20;
        config.max_entry_bytes = 256 << 10;
        config.timing = rdma_paxos::lab_timing();
        const auto started = threads[i]->start(config, members, factory, pumps[i], {});
        ASSERT_TRUE(started) << started.error().message;
    }
    const auto until = std::chrono::steady_clock::now() + 30s;
    for (bool both = false; !both && std::chrono::steady_clock::now() < until;) {
        std::this_thread::sleep_for(5ms);
        const std::lock_guard lock(mutex);
        both = !told[0].empty() && !told[1].empty();
    }
    for (auto& thread : threads)
        thread->stop();
    EXPECT_EQ(told[0], "peer 127.0.0.1:" + std::to_string(threads[1]->port()) +
                           " refused this replica: it says that we do not know its cluster key; the key files of "
                           "the two differ");
    EXPECT_NE(told[1].find("does not know the cluster key: it says it is replica 1"), std::string::npos) << told[1];
}

} // namespace
} // namespace tripod
