// SPDX-License-Identifier: Apache-2.0
#include "rdma_paxos/clock.h"
#include "rdma_paxos/replica.h"
#include "rdma_paxos/shm_fabric.h"

#include <atomic>
#include <cstring>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace rdma_paxos {
namespace {

using namespace std::chrono_literals;

GroupId fresh_group() {
    static std::atomic<std::uint32_t> next{0};
    GroupId group{};
    const std::uint32_t process = static_cast<std::uint32_t>(getpid());
    const std::uint32_t number = ++next;
    std::memcpy(group.data(), &process, 4);
    std::memcpy(group.data() + 4, &number, 4);
    return group;
}

const std::vector<ReplicaId> pair_of_members{ReplicaId(1), ReplicaId(2)};

ShmEndpoint open(const GroupId& group, int id, const std::vector<ReplicaId>& members, std::size_t ring = 64 << 10) {
    auto made = make_shm_fabric(group, ReplicaId(static_cast<std::uint8_t>(id)), members, memory_layout(ring));
    EXPECT_TRUE(made) << made.error().what;
    return std::move(*made);
}

bool completes(Fabric& fabric, Link link) {
    std::array<Completion, 4> done;
    std::size_t count = 0;
    for (const Nanoseconds limit = monotonic_now() + 5s; count == 0 && monotonic_now() < limit;)
        count = fabric.poll(link, done);
    EXPECT_EQ(count, 1u);
    return done[0].ok;
}

TEST(ShmFabric, AWriteLandsAndAResetKeepsItOut) {
    const GroupId group = fresh_group();
    auto one = open(group, 1, pair_of_members), two = open(group, 2, pair_of_members);
    const ReplicaId id1{1}, id2{2};
    ASSERT_TRUE(one.fabric->reset(id2, Link::log) && two.fabric->reset(id1, Link::log));
    const Endpoint end1 = one.fabric->endpoint(id2, Link::log), end2 = two.fabric->endpoint(id1, Link::log);
    ASSERT_TRUE(one.fabric->connect(id2, Link::log, end2) && two.fabric->connect(id1, Link::log, end1));

    const auto source = one.fabric->region(Region::log).first(8);
    const auto target = two.fabric->region(Region::log);
    source[0] = std::byte{1};
    ASSERT_TRUE(one.fabric->post_write(id2, Link::log, 100, source, 7));
    EXPECT_TRUE(completes(*one.fabric, Link::log));
    EXPECT_EQ(target[100], std::byte{1});
    EXPECT_FALSE(one.fabric->post_write(id2, Link::board, 0, source, 7)) << "another link, never connected";

    ASSERT_TRUE(two.fabric->reset(id1, Link::log));
    source[0] = std::byte{2};
    ASSERT_TRUE(one.fabric->post_write(id2, Link::log, 100, source, 8));
    EXPECT_FALSE(completes(*one.fabric, Link::log));
    EXPECT_EQ(target[100], std::byte{1});
    EXPECT_FALSE(one.fabric->post_write(id2, Link::log, 100, source, 9)) << "the link is down";

    // The other end opens again, for a new generation of ours: the old one stays shut out.
    ASSERT_TRUE(one.fabric->reset(id2, Link::log));
    const Endpoint newer = one.fabric->endpoint(id2, Link::log);
    ASSERT_TRUE(one.fabric->connect(id2, Link::log, two.fabric->endpoint(id1, Link::log)));
    ASSERT_TRUE(two.fabric->connect(id1, Link::log, end1)) << "an offer from before our reset";
    ASSERT_TRUE(one.fabric->post_write(id2, Link::log, 100, source, 10));
    EXPECT_FALSE(completes(*one.fabric, Link::log));
    EXPECT_NE(std::memcmp(newer.bytes.data(), end1.bytes.data(), newer.size), 0);
}

/// Connects the log link between two ends that know each other.
void connect_log(Fabric& one, ReplicaId id1, Fabric& two, ReplicaId id2) {
    ASSERT_TRUE(one.reset(id2, Link::log) && two.reset(id1, Link::log));
    const Endpoint end1 = one.endpoint(id2, Link::log), end2 = two.endpoint(id1, Link::log);
    ASSERT_TRUE(one.connect(id2, Link::log, end2) && two.connect(id1, Link::log, end1));
}

TEST(ShmFabric, APeerIsAddedLateRemovedAndAddedAgain) {
    const GroupId group = fresh_group();
    const ReplicaId id1{1}, late{max_replica_id};
    auto one = open(group, 1, {id1});
    EXPECT_FALSE(one.fabric->reset(late, Link::log)) << "not known yet";
    EXPECT_FALSE(one.fabric->add_peer(nobody));
    EXPECT_FALSE(one.fabric->add_peer(id1));
    EXPECT_FALSE(one.fabric->add_peer(ReplicaId(max_replica_id + 1)));
    ASSERT_TRUE(one.fabric->add_peer(late));
    ASSERT_TRUE(one.fabric->add_peer(late));

    auto two = open(group, late.value(), {id1, late});
    connect_log(*one.fabric, id1, *two.fabric, late);
    const auto source = one.fabric->region(Region::log).first(8);
    const auto target = two.fabric->region(Region::log);
    source[0] = std::byte{1};
    ASSERT_TRUE(one.fabric->post_write(late, Link::log, 0, source, 1));
    EXPECT_TRUE(completes(*one.fabric, Link::log));
    EXPECT_EQ(target[0], std::byte{1});

    // Who removed a peer is out of its reach, and its old address opens nothing later.
    const Endpoint before = two.fabric->endpoint(id1, Link::log);
    two.fabric->remove_peer(id1);
    EXPECT_FALSE(two.fabric->post_write(id1, Link::log, 0, two.fabric->region(Region::log).first(8), 1));
    EXPECT_EQ(two.fabric->endpoint(id1, Link::log).size, 0);
    source[0] = std::byte{2};
    ASSERT_TRUE(one.fabric->post_write(late, Link::log, 0, source, 2));
    EXPECT_FALSE(completes(*one.fabric, Link::log));
    EXPECT_EQ(target[0], std::byte{1});

    ASSERT_TRUE(two.fabric->add_peer(id1));
    connect_log(*one.fabric, id1, *two.fabric, late);
    EXPECT_NE(std::memcmp(two.fabric->endpoint(id1, Link::log).bytes.data(), before.bytes.data(), before.size), 0);
    ASSERT_TRUE(one.fabric->post_write(late, Link::log, 0, source, 3));
    EXPECT_TRUE(completes(*one.fabric, Link::log));
    EXPECT_EQ(target[0], std::byte{2});
}

// More peers over a life than a group ever has at once.
TEST(ShmFabric, PeersOfEveryIdComeAndGo) {
    const GroupId group = fresh_group();
    const ReplicaId id1{1};
    auto one = open(group, 1, {id1});
    for (std::uint8_t id = 2; id <= max_replica_id; ++id) {
        const ReplicaId other{id};
        ASSERT_TRUE(one.fabric->add_peer(other));
        auto two = open(group, id, {id1, other}, 4096);
        connect_log(*two.fabric, other, *one.fabric, id1);
        const auto source = two.fabric->region(Region::log).first(8);
        source[0] = std::byte{id};
        ASSERT_TRUE(two.fabric->post_write(id1, Link::log, 8 * id, source, id));
        EXPECT_TRUE(completes(*two.fabric, Link::log));
        EXPECT_EQ(one.fabric->region(Region::log)[8 * id], std::byte{id});
        if (id % 2 == 0)
            one.fabric->remove_peer(other);
    }
}

TEST(ShmFabric, TwoPiecesAreOneWriteWithOneDoorbell) {
    const GroupId group = fresh_group();
    auto one = open(group, 1, pair_of_members), two = open(group, 2, pair_of_members);
    connect_log(*one.fabric, ReplicaId(1), *two.fabric, ReplicaId(2));
    const auto source = one.fabric->region(Region::log).first(16);
    source[0] = std::byte{1};
    source[8] = std::byte{2};
    const FabricStats before = one.fabric->stats();
    ASSERT_TRUE(one.fabric->post_write(ReplicaId(2), Link::log, 800, source.first(8), 5, true));
    ASSERT_TRUE(one.fabric->post_write(ReplicaId(2), Link::log, 0, source.subspan(8), 6));
    std::array<Completion, 4> done;
    ASSERT_EQ(one.fabric->poll(Link::log, done), 1u);
    EXPECT_TRUE(done[0].ok && done[0].id == 6);
    EXPECT_EQ(two.fabric->region(Region::log)[800], std::byte{1});
    EXPECT_EQ(two.fabric->region(Region::log)[0], std::byte{2});
    EXPECT_EQ(one.fabric->stats().doorbells - before.doorbells, 1u);
    EXPECT_EQ(one.fabric->stats().work_requests - before.work_requests, 2u);
    // The first piece meets a shut gate: both fail, with one completion.
    ASSERT_TRUE(two.fabric->reset(ReplicaId(1), Link::log));
    ASSERT_TRUE(one.fabric->post_write(ReplicaId(2), Link::log, 800, source.first(8), 7, true));
    ASSERT_TRUE(one.fabric->post_write(ReplicaId(2), Link::log, 0, source.subspan(8), 8));
    EXPECT_FALSE(completes(*one.fabric, Link::log));
    EXPECT_EQ(one.fabric->poll(Link::log, done), 0u);
}

TEST(ShmRendezvous, TheNewestMessageOfEachSenderArrivesOnce) {
    const GroupId group = fresh_group();
    auto one = open(group, 1, {ReplicaId(1)}); // senders need not be known
    auto two = open(group, 2, {ReplicaId(2)}), last = open(group, max_replica_id, {ReplicaId(max_replica_id)});
    two.rendezvous->send(ReplicaId(1), {.incarnation = 20, .board = {}});
    two.rendezvous->send(ReplicaId(1), {.incarnation = 21, .board = {}});
    last.rendezvous->send(ReplicaId(1), {.incarnation = 63, .board = {}});
    std::vector<std::pair<int, std::uint64_t>> seen;
    const auto note = [&](ReplicaId from, const RendezvousMessage& message) {
        seen.emplace_back(from.value(), message.incarnation);
    };
    one.rendezvous->receive(monotonic_now(), note);
    one.rendezvous->receive(monotonic_now(), note);
    EXPECT_EQ(seen, (std::vector<std::pair<int, std::uint64_t>>{{2, 21}, {63, 63}}));
}

// The ends of a link are opened one after the other; who is first may already write.
TEST(ShmFabric, AWriteWaitsForTheOtherEndToOpen) {
    const GroupId group = fresh_group();
    auto one = open(group, 1, pair_of_members), two = open(group, 2, pair_of_members);
    const ReplicaId id1{1}, id2{2};
    ASSERT_TRUE(one.fabric->reset(id2, Link::log) && two.fabric->reset(id1, Link::log));
    const Endpoint end1 = one.fabric->endpoint(id2, Link::log), end2 = two.fabric->endpoint(id1, Link::log);
    ASSERT_TRUE(one.fabric->connect(id2, Link::log, end2));
    const auto source = one.fabric->region(Region::log).first(8);
    source[0] = std::byte{1};
    ASSERT_TRUE(one.fabric->post_write(id2, Link::log, 100, source, 7));
    ASSERT_TRUE(one.fabric->post_write(id2, Link::log, 108, source, 8));
    std::array<Completion, 4> done;
    EXPECT_EQ(one.fabric->poll(Link::log, done), 0u);
    ASSERT_TRUE(two.fabric->connect(id1, Link::log, end1));
    ASSERT_EQ(one.fabric->poll(Link::log, done), 2u);
    EXPECT_TRUE(done[0].ok && done[0].id == 7 && done[1].ok && done[1].id == 8);
    EXPECT_EQ(two.fabric->region(Region::log)[100], std::byte{1});
}

TEST(ShmFabric, WritesOutsideTheRegionFail) {
    const GroupId group = fresh_group();
    auto one = open(group, 1, pair_of_members), two = open(group, 2, pair_of_members);
    const ReplicaId id1{1}, id2{2};
    ASSERT_TRUE(one.fabric->reset(id2, Link::board) && two.fabric->reset(id1, Link::board));
    ASSERT_TRUE(one.fabric->connect(id2, Link::board, two.fabric->endpoint(id1, Link::board)));
    ASSERT_TRUE(two.fabric->connect(id1, Link::board, one.fabric->endpoint(id2, Link::board)));
    const auto source = one.fabric->region(Region::outbox).first(64);
    ASSERT_TRUE(one.fabric->post_write(id2, Link::board, two.fabric->region(Region::board).size() - 63, source, 1));
    EXPECT_FALSE(completes(*one.fabric, Link::board));
}

TEST(ShmFabric, ASecondProcessOfTheSameNameIsNotMistakenForTheFirst) {
    const GroupId group = fresh_group();
    auto one = open(group, 1, pair_of_members);
    Endpoint old;
    {
        auto two = open(group, 2, pair_of_members);
        ASSERT_TRUE(two.fabric->reset(ReplicaId(1), Link::log));
        old = two.fabric->endpoint(ReplicaId(1), Link::log);
    }
    auto two = open(group, 2, pair_of_members);
    ASSERT_TRUE(one.fabric->reset(ReplicaId(2), Link::log));
    EXPECT_FALSE(one.fabric->connect(ReplicaId(2), Link::log, old));
}

struct Counting final : Listener {
    bool on_commit(Index, Term, Bytes body) override {
        std::uint64_t number = 0;
        std::memcpy(&number, body.data(), sizeof number);
        in_order &= number == count + 1;
        ++count;
        applied.store(count, std::memory_order_relaxed);
        return true;
    }
    void on_role(Role, Term) override {}
    std::uint64_t count = 0;
    bool in_order = true;
    std::atomic<std::uint64_t> applied{0};
};

/// Runs one member of a group of three until `goal` entries are applied everywhere, or time is up.
void run_member(const GroupId& group, int id, std::uint64_t goal, Counting& listener,
                const std::function<bool()>& everybody_done) {
    const std::vector<ReplicaId> members{ReplicaId(1), ReplicaId(2), ReplicaId(3)};
    auto shm = open(group, id, members, 256 << 10);
    Config config;
    config.group = group;
    config.self = ReplicaId(static_cast<std::uint8_t>(id));
    config.members = members;
    config.initial_leader = ReplicaId(1);
    config.ring_bytes = 256 << 10;
    config.max_entry_bytes = 4096;
    config.timing = {.heartbeat = 20ms, // the machine may be busy, and a change of leader is not the subject here
                     .election_timeout_min = 3s,
                     .election_timeout_max = 5s,
                     .lease = 2s,
                     .follower_poll = 1ms,
                     .link_retry = 50ms,
                     .slow_follower_grace = 1min}; // nobody here has a snapshot to go on from
    config.seed = static_cast<std::uint64_t>(id);
    auto replica = Replica::create(config, *shm.fabric, *shm.rendezvous, listener);
    ASSERT_TRUE(replica) << replica.error().what;
    std::uint64_t proposed = 0;
    std::vector<std::byte> body(100);
    const Nanoseconds limit = monotonic_now() + 30s;
    while (!everybody_done() && monotonic_now() < limit) {
        (*replica)->tick(monotonic_now());
        // Whoever is not there yet would be left behind: the ring is far smaller than what is sent.
        const bool complete = (*replica)->peer(ReplicaId(2)).log_up && (*replica)->peer(ReplicaId(3)).log_up;
        if (id == 1 && (proposed > 0 || complete))
            while (proposed < goal) {
                const std::uint64_t number = proposed + 1;
                std::memcpy(body.data(), &number, sizeof number);
                if (!(*replica)->propose(body))
                    break;
                ++proposed;
            }
        (*replica)->flush(monotonic_now());
        std::this_thread::sleep_for(20us); // there may be fewer processors than members
    }
}

TEST(ShmReplica, ThreeThreadsAgree) {
    constexpr std::uint64_t goal = 20000; // 3 MB through rings of 256 KiB
    const GroupId group = fresh_group();
    std::array<Counting, 3> listeners;
    const auto done = [&] {
        return std::all_of(listeners.begin(), listeners.end(),
                           [](const Counting& each) { return each.applied.load() == goal; });
    };
    std::vector<std::jthread> threads;
    for (int id = 1; id <= 3; ++id)
        threads.emplace_back(
            [&, id] { run_member(group, id, goal, listeners[static_cast<std::size_t>(id - 1)], done); });
    threads.clear();
    for (const Counting& each : listeners) {
        EXPECT_EQ(each.count, goal);
        EXPECT_TRUE(each.in_order);
    }
}

TEST(ShmReplica, ThreeProcessesAgree) {
    constexpr std::uint64_t goal = 5000;
    const GroupId group = fresh_group();
    void* shared = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(shared, MAP_FAILED);
    auto* finished = new (shared) std::atomic<int>(0);
    std::vector<pid_t> children;
    for (int id = 1; id <= 3; ++id) {
        const pid_t child = fork();
        ASSERT_GE(child, 0);
        if (child == 0) {
            Counting listener;
            bool counted = false;
            run_member(group, id, goal, listener, [&] {
                if (!counted && listener.count == goal) {
                    counted = true;
                    finished->fetch_add(1);
                }
                return finished->load() == 3;
            });
            _exit(listener.count == goal && listener.in_order && !testing::Test::HasFailure() ? 0 : 1);
        }
        children.push_back(child);
    }
    for (const pid_t child : children) {
        int status = 0;
        ASSERT_EQ(waitpid(child, &status, 0), child);
        EXPECT_EQ(status, 0);
    }
    munmap(shared, 4096);
}

} // namespace
} // namespace rdma_paxos
