// SPDX-License-Identifier: Apache-2.0
//
// What the verbs fabric makes of a device that misbehaves. The device is made up: VerbsCalls for the control path,
// the context's own table for the data path, as a provider fills it.
#include "fabric/verbs_device.h"

#include "rdma_paxos/config.h"

#include <cstring>
#include <deque>
#include <fcntl.h>
#include <functional>
#include <gtest/gtest.h>
#include <map>
#include <unistd.h>

namespace rdma_paxos {
namespace {

class FakeDevice final : public VerbsCalls {
  public:
    FakeDevice() {
        context.async_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        context.ops.post_send = [](ibv_qp* pair, ibv_send_wr* first, ibv_send_wr**) {
            auto& device = *static_cast<FakeDevice*>(pair->qp_context);
            auto& chain = device.chains.emplace_back();
            for (; first; first = first->next)
                chain.push_back(*first);
            return 0;
        };
        context.ops.poll_cq = [](ibv_cq* queue, int room, ibv_wc* out) {
            auto& waiting = static_cast<FakeDevice*>(queue->cq_context)->completions[queue];
            int count = 0;
            for (; count < room && !waiting.empty(); ++count) {
                out[count] = waiting.front();
                waiting.pop_front();
            }
            return count;
        };
        context.ops.req_notify_cq = [](ibv_cq*, int) { return 0; };
        gid.raw[10] = gid.raw[11] = 0xff;
        gid.raw[15] = 1;
    }

    int query_port(ibv_context*, std::uint8_t, ibv_port_attr* port) override {
        *port = {};
        port->state = port_up ? IBV_PORT_ACTIVE : IBV_PORT_DOWN;
        port->active_mtu = IBV_MTU_1024;
        port->gid_tbl_len = 1;
        return 0;
    }
    int query_device(ibv_context*, ibv_device_attr* limits) override {
        *limits = {};
        limits->max_cqe = 100000;
        return 0;
    }
    int query_gid(ibv_context*, std::uint8_t, int, ibv_gid_entry* entry) override {
        *entry = {};
        entry->gid = gid;
        entry->gid_type = IBV_GID_TYPE_ROCE_V2;
        return 0;
    }
    int get_async_event(ibv_context*, ibv_async_event* event) override {
        if (events.empty())
            return -1;
        *event = {};
        event->event_type = events.front();
        events.pop_front();
        return 0;
    }
    ibv_pd* alloc_pd(ibv_context*) override { return new ibv_pd{}; }
    ibv_mr* reg_mr(ibv_pd*, void* address, std::size_t bytes, int) override {
        auto* memory = new ibv_mr{};
        memory->addr = address;
        memory->length = bytes;
        return memory;
    }
    ibv_comp_channel* create_channel(ibv_context*) override {
        auto* channel = new ibv_comp_channel{};
        channel->fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        return channel;
    }
    ibv_cq* create_cq(ibv_context*, int, ibv_comp_channel*) override {
        auto* queue = new ibv_cq{};
        queue->context = &context;
        queue->cq_context = this;
        return queue;
    }
    ibv_qp* create_qp(ibv_pd*, ibv_qp_init_attr* attributes) override {
        if (no_more_pairs)
            return nullptr;
        auto* pair = new ibv_qp{};
        pair->context = &context;
        pair->qp_context = this;
        pair->send_cq = attributes->send_cq;
        pair->qp_num = ++pairs_made;
        pair->state = IBV_QPS_RESET;
        ++pairs_alive;
        return pair;
    }
    int modify_qp(ibv_qp* pair, ibv_qp_attr* attributes, int) override {
        if (refuses && refuses(*pair, attributes->qp_state))
            return EINVAL;
        pair->state = attributes->qp_state;
        return 0;
    }
    void destroy(ibv_context* object) override { close(object->async_fd); }
    void destroy(ibv_pd* object) override { delete object; }
    void destroy(ibv_mr* object) override { delete object; }
    void destroy(ibv_comp_channel* object) override {
        close(object->fd);
        delete object;
    }
    void destroy(ibv_cq* object) override { delete object; }
    void destroy(ibv_qp* object) override {
        --pairs_alive;
        delete object;
    }

    ibv_context context{};
    ibv_gid gid{};
    bool port_up = true;
    bool no_more_pairs = false;
    std::deque<ibv_event_type> events;
    std::function<bool(const ibv_qp&, ibv_qp_state)> refuses;
    std::uint32_t pairs_made = 0;
    std::uint32_t pairs_alive = 0;
    std::vector<std::vector<ibv_send_wr>> chains; ///< one for each doorbell
    std::map<ibv_cq*, std::deque<ibv_wc>> completions;
};

class VerbsFabricTest : public testing::Test {
  protected:
    void SetUp() override {
        VerbsConfig config;
        config.device = "fake0";
        auto device = std::make_shared<OpenedDevice>(fake, &fake.context, config);
        ASSERT_TRUE(device->find_address());
        MemoryLayout layout = memory_layout(64 << 10);
        auto made = make_verbs_fabric(device, ReplicaId(1), {ReplicaId(1), ReplicaId(2), ReplicaId(3)}, layout);
        ASSERT_TRUE(made) << made.error().what;
        fabric = std::move(*made);
        for (const ReplicaId peer : {two, three})
            for (const Link link : {Link::board, Link::log})
                ASSERT_TRUE(fabric->reset(peer, link) && connects(peer, link));
    }

    bool connects(ReplicaId peer, Link link) {
        return fabric->connect(peer, link, fabric->endpoint(peer, link)); // any well-formed address does
    }
    bool writes(ReplicaId peer, Link link, bool more = false) {
        return fabric->post_write(peer, link, 0, fabric->region(Region::log).first(1000), 7, more);
    }
    std::vector<Completion> polled(Link link) {
        std::vector<Completion> done(32);
        done.resize(fabric->poll(link, done));
        return done;
    }
    std::array<std::byte, 16> gid_of(const Endpoint& endpoint) {
        std::array<std::byte, 16> gid{};
        std::copy_n(endpoint.bytes.begin() + 8, gid.size(), gid.begin());
        return gid;
    }

    const ReplicaId two{2}, three{3};
    FakeDevice fake;
    std::unique_ptr<Fabric> fabric;
};

TEST_F(VerbsFabricTest, TwoPiecesGoByOneDoorbellAndOnlyTheLastIsSignalled) {
    ASSERT_TRUE(writes(two, Link::log, true));
    EXPECT_TRUE(fake.chains.empty());
    ASSERT_TRUE(writes(two, Link::log));
    ASSERT_EQ(fake.chains.size(), 1u);
    const auto& chain = fake.chains.front();
    ASSERT_EQ(chain.size(), 2u);
    EXPECT_FALSE(chain[0].send_flags & IBV_SEND_SIGNALED);
    EXPECT_TRUE(chain[1].send_flags & IBV_SEND_SIGNALED);
    EXPECT_EQ(fabric->stats().doorbells, 1u);
    EXPECT_EQ(fabric->stats().work_requests, 2u);
    ASSERT_TRUE(writes(two, Link::log, true));
    EXPECT_FALSE(writes(two, Link::log, true)) << "two pieces at most";
}

TEST_F(VerbsFabricTest, TheQueueIsNeverOverrun) {
    int posted = 0;
    while (posted < 1000 && writes(two, Link::log))
        ++posted;
    EXPECT_EQ(posted, 128);
    EXPECT_TRUE(writes(three, Link::log));
}

TEST_F(VerbsFabricTest, ANewAddressFailsEveryLinkAndIsOfferedAfterTheReset) {
    const auto old_gid = gid_of(fabric->endpoint(two, Link::log));
    ASSERT_TRUE(writes(two, Link::log));
    fake.gid.raw[15] = 9;
    fake.events.push_back(IBV_EVENT_GID_CHANGE);
    fabric->arm();
    EXPECT_FALSE(fabric->failure());
    for (const Link link : {Link::log, Link::board}) {
        const auto done = polled(link);
        ASSERT_EQ(done.size(), 2u);
        EXPECT_TRUE(!done[0].ok && done[0].peer == two && !done[1].ok && done[1].peer == three);
        EXPECT_TRUE(polled(link).empty()) << "told once";
    }
    EXPECT_FALSE(writes(two, Link::log));
    ASSERT_TRUE(fabric->reset(two, Link::log));
    EXPECT_NE(gid_of(fabric->endpoint(two, Link::log)), old_gid);
    EXPECT_TRUE(connects(two, Link::log) && writes(two, Link::log));
    EXPECT_TRUE(polled(Link::log).empty());
}

TEST_F(VerbsFabricTest, AnEventAboutNothingLeavesTheLinksAlone) {
    fake.events = {IBV_EVENT_GID_CHANGE, IBV_EVENT_SQ_DRAINED, IBV_EVENT_PORT_ACTIVE};
    fabric->arm();
    EXPECT_TRUE(fake.events.empty());
    EXPECT_TRUE(polled(Link::log).empty());
    EXPECT_TRUE(writes(two, Link::log));
}

TEST_F(VerbsFabricTest, WithThePortDownNothingConnectsUntilItIsUpAgain) {
    fake.port_up = false;
    fake.events.push_back(IBV_EVENT_PORT_ERR);
    fabric->arm();
    ASSERT_TRUE(fabric->failure());
    EXPECT_NE(fabric->failure()->what.find("fake0"), std::string::npos);
    EXPECT_EQ(polled(Link::log).size(), 2u);
    ASSERT_TRUE(fabric->reset(two, Link::log)) << "shutting somebody out must always be possible";
    EXPECT_FALSE(connects(two, Link::log));
    fake.port_up = true;
    fake.events.push_back(IBV_EVENT_PORT_ACTIVE);
    fabric->arm();
    EXPECT_FALSE(fabric->failure());
    ASSERT_TRUE(fabric->reset(two, Link::log));
    EXPECT_TRUE(connects(two, Link::log) && writes(two, Link::log));
}

TEST_F(VerbsFabricTest, ALostDeviceFailsForGood) {
    fake.events = {IBV_EVENT_DEVICE_FATAL, IBV_EVENT_PORT_ACTIVE};
    fabric->arm();
    ASSERT_TRUE(fabric->failure());
    EXPECT_EQ(polled(Link::log).size(), 2u);
    EXPECT_FALSE(fabric->reset(two, Link::log)) << "nothing is known of what still arrives";
    EXPECT_FALSE(connects(two, Link::log));
    EXPECT_FALSE(fabric->add_peer(ReplicaId(4)));
    fabric->arm();
    EXPECT_TRUE(fabric->failure());
}

// Spinning users never sleep, so they never arm().
TEST_F(VerbsFabricTest, BoardWritesAloneLeadToALookForEvents) {
    fake.events.push_back(IBV_EVENT_DEVICE_FATAL);
    for (int i = 0; i < 64; ++i)
        ASSERT_TRUE(writes(two, Link::board));
    EXPECT_TRUE(fabric->failure());
}

TEST_F(VerbsFabricTest, APairThatWillNotBeResetIsReplaced) {
    const std::uint32_t made = fake.pairs_made, alive = fake.pairs_alive;
    fake.refuses = [made](const ibv_qp& pair, ibv_qp_state state) {
        return pair.qp_num <= made && state == IBV_QPS_RESET;
    };
    int attempts = 1;
    while (!fabric->reset(two, Link::log) && attempts < 100)
        ++attempts;
    EXPECT_EQ(attempts, 4);
    EXPECT_EQ(fake.pairs_made, made + 1);
    EXPECT_EQ(fake.pairs_alive, alive) << "the old one is gone: it must not receive any more";
    EXPECT_EQ(fabric->stats().replaced, 1u);
    EXPECT_TRUE(connects(two, Link::log) && writes(two, Link::log));
}

TEST_F(VerbsFabricTest, APairThatWillNotBeInitialisedIsReplaced) {
    const std::uint32_t made = fake.pairs_made;
    ASSERT_TRUE(fabric->reset(two, Link::log));
    fake.refuses = [made](const ibv_qp& pair, ibv_qp_state state) {
        return pair.qp_num <= made && state == IBV_QPS_INIT;
    };
    int attempts = 1;
    while (!connects(two, Link::log) && attempts < 100) {
        ++attempts;
        ASSERT_TRUE(fabric->reset(two, Link::log));
    }
    EXPECT_EQ(attempts, 4);
    EXPECT_EQ(fabric->stats().replaced, 1u);
    EXPECT_TRUE(writes(two, Link::log));
}

TEST_F(VerbsFabricTest, NoPairAndNoReplacementIsNotYet) {
    fake.refuses = [](const ibv_qp&, ibv_qp_state state) { return state == IBV_QPS_RESET; };
    fake.no_more_pairs = true;
    for (int i = 0; i < 10; ++i)
        EXPECT_FALSE(fabric->reset(two, Link::log));
    EXPECT_FALSE(connects(two, Link::log));
    fake.refuses = {};
    fake.no_more_pairs = false;
    EXPECT_TRUE(fabric->reset(two, Link::log));
    EXPECT_TRUE(connects(two, Link::log) && writes(two, Link::log));
}

TEST_F(VerbsFabricTest, PeersComeAndGo) {
    const std::uint32_t alive = fake.pairs_alive;
    const ReplicaId late{max_replica_id};
    EXPECT_FALSE(fabric->reset(late, Link::log));
    ASSERT_TRUE(fabric->add_peer(late));
    EXPECT_EQ(fake.pairs_alive, alive + 2);
    ASSERT_TRUE(fabric->reset(late, Link::log) && connects(late, Link::log) && writes(late, Link::log));
    // A completion that was on its way belongs to nobody once the peer has gone, nor to its successor.
    ibv_wc late_one{};
    late_one.wr_id = fake.chains.back().front().wr_id;
    fabric->remove_peer(late);
    EXPECT_EQ(fake.pairs_alive, alive);
    EXPECT_FALSE(writes(late, Link::log));
    ASSERT_TRUE(fabric->add_peer(late) && fabric->reset(late, Link::log) && connects(late, Link::log));
    for (auto& [queue, completions] : fake.completions)
        completions.push_back(late_one);
    EXPECT_TRUE(polled(Link::log).empty());

    std::size_t added = 0;
    for (std::uint8_t id = 4; id < max_replica_id; ++id)
        added += fabric->add_peer(ReplicaId(id));
    EXPECT_EQ(added, 2 * max_replicas - 3) << "what the completion queues have room for";
    fabric->remove_peer(two);
    EXPECT_TRUE(fabric->add_peer(ReplicaId(40)));
}

TEST_F(VerbsFabricTest, ItSaysOnWhatItRuns) {
    const std::string text = fabric->describe();
    EXPECT_NE(text.find("fake0"), std::string::npos) << text;
    EXPECT_NE(text.find("pages"), std::string::npos) << text;
}

} // namespace
} // namespace rdma_paxos
