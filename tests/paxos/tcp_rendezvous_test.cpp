// SPDX-License-Identifier: Apache-2.0
#include "rdma_paxos/tcp_rendezvous.h"
#include "rendezvous/frame.h"
#include "rendezvous/socket.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

namespace rdma_paxos {
namespace {

using namespace std::chrono_literals;

constexpr GroupId group_a{0xa};
constexpr GroupId group_b{0xb};
const ReplicaId one{1}, two{2}, three{3};

RendezvousMessage message(std::uint64_t incarnation) {
    RendezvousMessage made;
    made.incarnation = incarnation;
    return made;
}

class TcpRendezvousTest : public testing::Test {
  protected:
    std::unique_ptr<TcpRendezvousHub> hub() {
        auto made = TcpRendezvousHub::listen({"127.0.0.1", 0});
        EXPECT_TRUE(made) << made.error().what;
        return std::move(*made);
    }

    std::unique_ptr<Rendezvous> join(TcpRendezvousHub& at, const GroupId& group, ReplicaId self,
                                     const std::map<ReplicaId, std::uint16_t>& ports) {
        std::map<ReplicaId, TcpAddress> peers;
        for (const auto& [id, port] : ports)
            peers[id] = {"127.0.0.1", port};
        auto made = at.join(group, self, peers);
        EXPECT_TRUE(made);
        return std::move(*made);
    }

    /// Lets both ends send `outgoing` again and again, as replicas do, until `receiver` has something from `from`.
    std::optional<RendezvousMessage> exchange(Rendezvous& sender, ReplicaId to, const RendezvousMessage& outgoing,
                                              Rendezvous& receiver, ReplicaId from) {
        std::optional<RendezvousMessage> got;
        for (int round = 0; round < 2000 && !got; ++round) {
            now_ += 1ms;
            if (round % 10 == 0)
                sender.send(to, outgoing);
            sender.receive(now_, [](ReplicaId, const RendezvousMessage&) {});
            receiver.receive(now_, [&](ReplicaId id, const RendezvousMessage& each) {
                if (id == from)
                    got = each;
            });
            if (!got)
                ::poll(nullptr, 0, 1);
        }
        return got;
    }

    /// What a stranger would do: connect, send, and wait to be thrown out.
    bool is_thrown_out(TcpRendezvousHub& at, Bytes bytes) {
        auto fd = start_dialling({"127.0.0.1", at.port()});
        EXPECT_TRUE(fd);
        for (int round = 0; round < 500; ++round) {
            now_ += 1ms;
            at.poll(now_);
            std::size_t moved = 0;
            if (!bytes.empty() && send_some(fd->get(), bytes, moved) == SocketState::ready)
                bytes = bytes.subspan(moved);
            std::array<std::byte, 256> back;
            if (bytes.empty() && receive_some(fd->get(), back, moved) == SocketState::broken)
                return true;
            ::poll(nullptr, 0, 1);
        }
        return false;
    }

    Nanoseconds now_ = 1000s; // far from 0: origins of clocks do not matter
};

TEST_F(TcpRendezvousTest, BothWaysBetweenTwoMembers) {
    auto hub1 = hub(), hub2 = hub();
    auto r1 = join(*hub1, group_a, one, {{two, hub2->port()}});
    auto r2 = join(*hub2, group_a, two, {{one, hub1->port()}});
    const auto at2 = exchange(*r1, two, message(11), *r2, one);
    ASSERT_TRUE(at2);
    EXPECT_EQ(at2->incarnation, 11u);
    const auto at1 = exchange(*r2, one, message(22), *r1, two);
    ASSERT_TRUE(at1);
    EXPECT_EQ(at1->incarnation, 22u);
    EXPECT_EQ(hub1->stats().dialled, 1u) << "the lower id dials";
    EXPECT_EQ(hub2->stats().dialled, 0u);
}

TEST_F(TcpRendezvousTest, GroupsShareAPort) {
    auto hub1 = hub(), hub2 = hub();
    auto a1 = join(*hub1, group_a, one, {{two, hub2->port()}});
    auto a2 = join(*hub2, group_a, two, {{one, hub1->port()}});
    auto b1 = join(*hub1, group_b, one, {{two, hub2->port()}});
    auto b2 = join(*hub2, group_b, two, {{one, hub1->port()}});
    const auto a = exchange(*a1, two, message(1), *a2, one);
    const auto b = exchange(*b1, two, message(2), *b2, one);
    ASSERT_TRUE(a && b);
    EXPECT_EQ(a->incarnation, 1u);
    EXPECT_EQ(b->incarnation, 2u);
}

TEST_F(TcpRendezvousTest, DialsUntilThePeerIsThere) {
    auto hub1 = hub();
    std::uint16_t later = 0;
    {
        auto reserve = hub();
        later = reserve->port();
    }
    auto r1 = join(*hub1, group_a, one, {{two, later}});
    for (int i = 0; i < 5; ++i) {
        now_ += 300ms;
        r1->receive(now_, [](ReplicaId, const RendezvousMessage&) { ADD_FAILURE(); });
    }
    EXPECT_GE(hub1->stats().dialled, 3u);
    auto hub2 = TcpRendezvousHub::listen({"127.0.0.1", later});
    ASSERT_TRUE(hub2) << hub2.error().what;
    auto r2 = join(**hub2, group_a, two, {{one, hub1->port()}});
    EXPECT_TRUE(exchange(*r1, two, message(5), *r2, one));
}

TEST_F(TcpRendezvousTest, BadBytesCloseTheirConnectionAndNothingElse) {
    auto hub1 = hub(), hub2 = hub();
    auto r1 = join(*hub1, group_a, one, {{two, hub2->port()}});
    auto r2 = join(*hub2, group_a, two, {{one, hub1->port()}});
    ASSERT_TRUE(exchange(*r1, two, message(1), *r2, one));

    const std::string noise = "GET / HTTP/1.1\r\nHost: tripod\r\n\r\n";
    EXPECT_TRUE(is_thrown_out(*hub2, std::as_bytes(std::span(noise))));
    Frame frame{group_b, one, two, message(1)};
    EXPECT_TRUE(is_thrown_out(*hub2, encode_frame(frame))) << "unknown group";
    frame = {group_a, three, two, message(1)};
    EXPECT_TRUE(is_thrown_out(*hub2, encode_frame(frame))) << "not a member";
    frame = {group_a, one, three, message(1)};
    EXPECT_TRUE(is_thrown_out(*hub2, encode_frame(frame))) << "meant for somebody else";
    auto broken = encode_frame({group_a, one, two, message(1)});
    broken.back() ^= std::byte{1};
    EXPECT_TRUE(is_thrown_out(*hub2, broken)) << "checksum";
    EXPECT_EQ(hub2->stats().rejected, 5u);

    const auto after = exchange(*r1, two, message(2), *r2, one);
    ASSERT_TRUE(after);
    EXPECT_EQ(after->incarnation, 2u);
    EXPECT_EQ(hub1->stats().dialled, 1u) << "the good connection was never lost";
}

TEST_F(TcpRendezvousTest, ASilentStrangerIsDropped) {
    auto hub1 = hub();
    auto fd = start_dialling({"127.0.0.1", hub1->port()});
    ASSERT_TRUE(fd);
    for (int i = 0; i < 50 && hub1->fds().size() < 2; ++i) {
        hub1->poll(now_);
        ::poll(nullptr, 0, 1);
    }
    ASSERT_EQ(hub1->fds().size(), 2u);
    now_ += 6s;
    hub1->poll(now_);
    EXPECT_EQ(hub1->fds().size(), 1u);
}

TEST_F(TcpRendezvousTest, ConnectionsOfAnotherListenerCanBeAdopted) {
    auto hub1 = hub();
    auto hub2 = TcpRendezvousHub::without_listener();
    EXPECT_EQ(hub2->port(), 0);
    auto listener = listen_at({"127.0.0.1", 0});
    ASSERT_TRUE(listener);
    auto r1 = join(*hub1, group_a, one, {{two, local_port(listener->get())}});
    auto r2 = join(*hub2, group_a, two, {{one, 1}});
    for (int i = 0; i < 200; ++i) {
        now_ += 1ms;
        r1->send(two, message(8));
        r1->receive(now_, [](ReplicaId, const RendezvousMessage&) {});
        const int accepted = accept(listener->get(), nullptr, nullptr);
        if (accepted >= 0) {
            std::array<std::byte, 7> first;
            std::size_t received = 0;
            for (int tries = 0; tries < 200 && received == 0; ++tries) {
                r1->receive(now_, [](ReplicaId, const RendezvousMessage&) {});
                (void)receive_some(accepted, first, received);
            }
            hub2->adopt(accepted, Bytes(first).first(received));
            break;
        }
        ::poll(nullptr, 0, 1);
    }
    const auto got = exchange(*r1, two, message(9), *r2, one);
    ASSERT_TRUE(got);
}

TEST_F(TcpRendezvousTest, WhoLeavesIsForgotten) {
    auto hub1 = hub(), hub2 = hub();
    auto r1 = join(*hub1, group_a, one, {{two, hub2->port()}});
    {
        auto r2 = join(*hub2, group_a, two, {{one, hub1->port()}});
        ASSERT_TRUE(exchange(*r1, two, message(1), *r2, one));
    }
    EXPECT_EQ(hub2->fds().size(), 1u);
    auto again = join(*hub2, group_a, two, {{one, hub1->port()}});
    EXPECT_TRUE(exchange(*r1, two, message(2), *again, one)) << "and may come again";
}

TEST(TcpRendezvousHub, SaysWhyItCannotListen) {
    const auto bad = TcpRendezvousHub::listen({"not an address", 1});
    ASSERT_FALSE(bad);
    EXPECT_NE(bad.error().what.find("not an address"), std::string::npos);
    const auto first = TcpRendezvousHub::listen({"127.0.0.1", 0});
    ASSERT_TRUE(first);
    EXPECT_FALSE(TcpRendezvousHub::listen({"127.0.0.1", (*first)->port()}));
}

} // namespace
} // namespace rdma_paxos
