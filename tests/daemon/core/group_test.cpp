// SPDX-License-Identifier: Apache-2.0
//
// Three members of a group in one process, over shared memory: record ring to replay rings and takeover, with the
// real consensus library and the real threads. Only Xen is played by the test.
#include <thread>

#include <gtest/gtest.h>
#include <unistd.h>

#include "fake_xen.h"
#include "group/group_thread.h"
#include "replicate/backup_pump.h"
#include "replicate/primary_pump.h"

namespace tripod {
namespace {

using namespace std::chrono_literals;
using testing::FakeChannel;
using testing::FakeGate;
using testing::FakePages;
using testing::numbered_read;

constexpr size_t ring_bytes = 64 * 1024;
const rdma_paxos::ClusterKey test_key({std::byte{1}, std::byte{2}});

// A host: pages that only its group's thread touches, the test included.
struct Host {
    explicit Host(uint8_t number)
        : id(number), pages(ring_bytes), backup(number),
          group(*group::GroupThread::open("test", "127.0.0.1", test_key)) {
        if (id == 1) {
            primary = std::make_unique<replicate::PrimaryPump>(pages.memory(), channel, gate,
                                                               replicate::PrimaryPump::Limits{});
            primary->guard();
        } else
            backup.attach(pages.memory(), channel, 0);
    }
    replicate::Pump& pump() { return primary ? static_cast<replicate::Pump&>(*primary) : backup; }
    void apply_all() {
        group->run([&](rdma_paxos::Replica*) {
            for (auto record = pages.apply(); !record.empty(); record = pages.apply())
                applied.push_back(std::move(record));
        });
    }

    uint8_t id;
    FakePages pages;
    FakeChannel channel;
    FakeGate gate;
    std::unique_ptr<replicate::PrimaryPump> primary;
    replicate::BackupPump backup;
    std::vector<std::vector<std::byte>> applied;
    std::unique_ptr<group::GroupThread> group; // last: it stops before what it uses goes
};

class Group : public ::testing::Test {
  protected:
    void SetUp() override {
        rdma_paxos::Config config;
        const auto pid = static_cast<uint32_t>(getpid());
        std::memcpy(config.group.data(), &pid, sizeof pid);
        config.members = {rdma_paxos::ReplicaId(1), rdma_paxos::ReplicaId(2), rdma_paxos::ReplicaId(3)};
        config.initial_leader = rdma_paxos::ReplicaId(1);
        config.ring_bytes = 2 << 20;
        config.max_entry_bytes = 256 << 10;
        config.timing = rdma_paxos::lab_timing();
        const std::vector<group::Member> members = {{1, "h1", "", 0}, {2, "h2", "", 0}, {3, "h3", "", 0}};
        for (auto& host : hosts) {
            config.self = rdma_paxos::ReplicaId(host.id);
            config.seed = host.id;
            const auto started = host.group->start(config, members, *factory, host.pump(), {});
            ASSERT_TRUE(started) << started.error().message;
        }
    }

    template <typename Condition>
    bool eventually(Condition condition) {
        const auto until = std::chrono::steady_clock::now() + 30s;
        while (std::chrono::steady_clock::now() < until) {
            if (condition())
                return true;
            std::this_thread::sleep_for(5ms);
        }
        return false;
    }

    void log(size_t count) {
        for (size_t i = 0; i < count; ++i) {
            logged.push_back(numbered_read(logged.size(), logged.size() * 37 % 3000));
            ASSERT_TRUE(eventually([&] {
                bool fits = false;
                hosts[0].group->run([&](rdma_paxos::Replica*) { fits = hosts[0].pages.log(logged.back()); });
                return fits;
            }));
        }
    }
    void frame() {
        hosts[0].group->run([&](rdma_paxos::Replica*) {
            ++hosts[0].gate.arrived;
            hosts[0].primary->notice_frames();
        });
    }
    uint64_t frames_left() {
        uint64_t left = 0;
        hosts[0].group->run([&](rdma_paxos::Replica*) {
            hosts[0].gate.clock = rdma_paxos::monotonic_now();
            left = hosts[0].gate.left;
        });
        return left;
    }
    uint64_t committed() {
        uint64_t seq = 0;
        hosts[0].group->run([&](rdma_paxos::Replica*) { seq = hosts[0].primary->commit_seq(); });
        return seq;
    }
    bool all_applied(Host& host) {
        return eventually([&] {
            host.apply_all();
            return host.applied.size() >= logged.size();
        });
    }

    std::unique_ptr<group::FabricFactory> factory = group::make_shm_factory();
    Host hosts[3] = {Host(1), Host(2), Host(3)};
    std::vector<std::vector<std::byte>> logged;
};

TEST_F(Group, RecordsReachBothBackupsAndThenTheFramesLeave) {
    std::thread backups([&] { // the backups' VMs run while the primary's does
        for (int i = 0; i < 200; ++i) {
            hosts[1].apply_all();
            hosts[2].apply_all();
            std::this_thread::sleep_for(1ms);
        }
    });
    log(400);
    backups.join();
    EXPECT_TRUE(all_applied(hosts[1]));
    EXPECT_TRUE(all_applied(hosts[2]));
    EXPECT_EQ(hosts[1].applied, logged);
    EXPECT_EQ(hosts[2].applied, logged);
    frame();
    EXPECT_TRUE(eventually([&] { return frames_left() == 1; }));
}

TEST_F(Group, WithoutTheBackupsNothingIsCommitted) {
    log(1);
    ASSERT_TRUE(all_applied(hosts[1]));
    hosts[1].group->stop();
    hosts[2].group->stop();
    log(3);
    frame();
    std::this_thread::sleep_for(300ms);
    EXPECT_EQ(committed(), 1u);
    EXPECT_EQ(frames_left(), 0u);
}

TEST_F(Group, OneBackupTakesOverWithEveryCommittedRecord) {
    log(50);
    ASSERT_TRUE(eventually([&] { return committed() == logged.size(); }));
    hosts[0].group->stop();
    const auto lives = [&](Host& host) {
        host.apply_all();
        bool ready = false;
        host.group->run([&](rdma_paxos::Replica*) { ready = host.backup.ready_for_life(); });
        return ready;
    };
    ASSERT_TRUE(eventually([&] { return lives(hosts[1]) || lives(hosts[2]); }));
    Host& winner = lives(hosts[1]) ? hosts[1] : hosts[2];
    Host& other = winner.id == 2 ? hosts[2] : hosts[1];
    EXPECT_EQ(winner.applied, logged);
    EXPECT_TRUE(eventually([&] {
        bool knows = false;
        other.group->run([&](rdma_paxos::Replica*) { knows = other.backup.promoted() == winner.id; });
        return knows;
    })) << "the other one must hear of it, to stand back";
    EXPECT_FALSE(lives(other));
}

TEST_F(Group, APrimaryHandsItsVmToTheBackupThatIsNamed) {
    log(50);
    hosts[0].group->run([&](rdma_paxos::Replica*) {
        hosts[0].primary->hold_frames(true);
        hosts[0].primary->hand_over(3);
    });
    const auto knows = [&](Host& host, replicate::Pump& pump) {
        host.apply_all();
        bool known = false;
        host.group->run([&](rdma_paxos::Replica*) { known = pump.promoted() == 3; });
        return known;
    };
    for (auto& host : hosts)
        ASSERT_TRUE(eventually([&] { return knows(host, host.pump()); })) << "h" << int{host.id};
    EXPECT_TRUE(all_applied(hosts[2]));
    EXPECT_EQ(hosts[2].applied, logged);
    bool ready[2] = {};
    for (const int each : {1, 2})
        hosts[each].group->run(
            [&](rdma_paxos::Replica*) { ready[each - 1] = hosts[each].backup.ready_for_life(); });
    EXPECT_FALSE(ready[0]);
    EXPECT_TRUE(ready[1]);
}

} // namespace
} // namespace tripod
