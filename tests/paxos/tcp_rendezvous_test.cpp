// SPDX-License-Identifier: Apache-2.0
//
// Members of groups among themselves. Strangers and enemies: tcp_rendezvous_strangers_test.cpp.
#include "rendezvous_fixture.h"

namespace rdma_paxos {
namespace {

class TcpRendezvousTest : public RendezvousTest {};

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
    for (const auto* each : {&hub1, &hub2}) {
        EXPECT_EQ((*each)->stats().authenticated, 1u);
        EXPECT_EQ((*each)->stats().rejected(), 0u);
        EXPECT_EQ((*each)->stats().last_rejection, "");
    }
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
    EXPECT_EQ(hub1->stats().rejected(), 0u) << "that nobody is there is nobody's fault";
    auto hub2 = TcpRendezvousHub::listen({"127.0.0.1", later}, cluster_key);
    ASSERT_TRUE(hub2) << hub2.error().what;
    auto r2 = join(**hub2, group_a, two, {{one, hub1->port()}});
    EXPECT_TRUE(exchange(*r1, two, message(5), *r2, one));
}

TEST_F(TcpRendezvousTest, ConnectionsOfAnotherListenerCanBeAdopted) {
    auto hub1 = hub();
    auto hub2 = TcpRendezvousHub::without_listener(cluster_key);
    EXPECT_EQ(hub2->port(), 0);
    auto listener = listen_at({"127.0.0.1", 0});
    ASSERT_TRUE(listener);
    auto r1 = join(*hub1, group_a, one, {{two, local_port(listener->get())}});
    auto r2 = join(*hub2, group_a, two, {{one, 1}});
    for (int i = 0; i < 200; ++i) {
        now_ += 1ms;
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
    EXPECT_TRUE(exchange(*r1, two, message(9), *r2, one));
    EXPECT_EQ(hub1->stats().dialled, 1u);
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

TEST_F(TcpRendezvousTest, APeerThatComesBackReplacesItself) {
    auto hub2 = hub();
    auto r2 = join(*hub2, group_a, two, {{one, 1}});
    for (std::uint64_t life = 1; life < 4; ++life) {
        auto hub1 = hub();
        auto r1 = join(*hub1, group_a, one, {{two, hub2->port()}});
        const auto got = exchange(*r1, two, message(life), *r2, one);
        ASSERT_TRUE(got);
        EXPECT_EQ(got->incarnation, life);
    }
    EXPECT_EQ(hub2->stats().authenticated, 3u);
}

TEST_F(TcpRendezvousTest, AFurtherPeerIsAStrangerUntilIntroduced) {
    auto hub1 = hub(), hub2 = hub();
    auto r1 = join(*hub1, group_a, one, {});
    auto r2 = join(*hub2, group_a, two, {});
    EXPECT_FALSE(exchange(*r1, two, message(1), *r2, one, 50));
    EXPECT_EQ(hub1->stats().dialled, 0u);

    hub1->introduce(group_a, two, {"127.0.0.1", hub2->port()});
    EXPECT_FALSE(exchange(*r1, two, message(1), *r2, one, 300)) << "introduced at one end only";
    EXPECT_GE(hub2->stats().rejected(Rejection::unknown_peer), 1u);
    EXPECT_GE(hub1->stats().rejected(Rejection::refused), 1u);

    hub2->introduce(group_a, one, {"127.0.0.1", hub1->port()});
    EXPECT_TRUE(exchange(*r1, two, message(1), *r2, one));
    EXPECT_TRUE(exchange(*r2, one, message(2), *r1, two));
}

TEST_F(TcpRendezvousTest, WhoIsIntroducedAgainWithAnotherAddressIsDialledThere) {
    auto hub1 = hub(), old_hub2 = hub(), hub2 = hub();
    auto r1 = join(*hub1, group_a, one, {{two, old_hub2->port()}});
    auto old_r2 = join(*old_hub2, group_a, two, {{one, hub1->port()}});
    ASSERT_TRUE(exchange(*r1, two, message(1), *old_r2, one));

    hub1->introduce(group_a, two, {"127.0.0.1", old_hub2->port()}); // nothing new
    ASSERT_TRUE(exchange(*r1, two, message(2), *old_r2, one));
    EXPECT_EQ(hub1->stats().dialled, 1u);

    auto r2 = join(*hub2, group_a, two, {{one, hub1->port()}});
    hub1->introduce(group_a, two, {"127.0.0.1", hub2->port()});
    const auto got = exchange(*r1, two, message(3), *r2, one);
    ASSERT_TRUE(got);
    EXPECT_EQ(got->incarnation, 3u);
    EXPECT_EQ(hub1->stats().dialled, 2u);
    EXPECT_TRUE(until({old_hub2.get()}, [&] { return old_hub2->fds().size() == 1; })) << "the old one is closed";
}

TEST_F(TcpRendezvousTest, WhoDialsUsKeepsItsConnectionWhenItsAddressChanges) {
    auto hub1 = hub(), hub2 = hub();
    auto r1 = join(*hub1, group_a, one, {{two, hub2->port()}});
    auto r2 = join(*hub2, group_a, two, {{one, hub1->port()}});
    ASSERT_TRUE(exchange(*r1, two, message(1), *r2, one));
    hub2->introduce(group_a, one, {"127.0.0.1", 9});
    EXPECT_TRUE(exchange(*r2, one, message(2), *r1, two));
    EXPECT_EQ(hub1->stats().dialled, 1u);
}

TEST_F(TcpRendezvousTest, WhoIsForgottenIsAStranger) {
    auto hub1 = hub(), hub2 = hub();
    auto r1 = join(*hub1, group_a, one, {{two, hub2->port()}, {three, 1}});
    auto r2 = join(*hub2, group_a, two, {{one, hub1->port()}});
    ASSERT_TRUE(exchange(*r1, two, message(1), *r2, one));

    // From the side that is dialled: the connection ends, and further attempts are refused.
    hub2->forget(group_a, one);
    EXPECT_EQ(hub2->fds().size(), 1u) << "at once";
    EXPECT_FALSE(exchange(*r1, two, message(2), *r2, one, 300));
    EXPECT_GE(hub2->stats().rejected(Rejection::unknown_peer), 1u);

    // From the side that dials: it stops.
    hub1->forget(group_a, two);
    hub1->forget(group_a, three);
    const auto dialled = hub1->stats().dialled;
    EXPECT_FALSE(exchange(*r1, two, message(3), *r2, one, 300));
    EXPECT_EQ(hub1->stats().dialled, dialled);
    EXPECT_EQ(hub1->fds().size(), 1u);

    hub1->introduce(group_a, two, {"127.0.0.1", hub2->port()});
    hub2->introduce(group_a, one, {"127.0.0.1", hub1->port()});
    EXPECT_TRUE(exchange(*r1, two, message(4), *r2, one)) << "and may be introduced again";
}

TEST_F(TcpRendezvousTest, APeerMayBeForgottenInTheMidstOfItsHandshake) {
    auto hub2 = hub();
    auto r2 = join(*hub2, group_a, two, {{one, 1}});
    const Dialler dialler(cluster_key, group_a, one, two);
    Stranger peer(hub2->port());
    peer.say(dialler.hello());
    ASSERT_TRUE(until({hub2.get()}, [&] {
        peer.step();
        return !peer.heard.empty();
    }));
    hub2->forget(group_a, one);
    const auto proved = dialler.take_answer(frame_of(peer.heard));
    ASSERT_TRUE(proved);
    peer.say(proved->confirm);
    EXPECT_TRUE(is_thrown_out(*hub2, peer));
    EXPECT_EQ(hub2->stats().rejected(Rejection::unknown_peer), 1u);
    EXPECT_EQ(hub2->stats().authenticated, 0u);
}

TEST_F(TcpRendezvousTest, WhatAForgottenPeerSaidIsDropped) {
    auto hub1 = hub(), hub2 = hub();
    auto r1 = join(*hub1, group_a, one, {{two, hub2->port()}});
    auto r2 = join(*hub2, group_a, two, {{one, hub1->port()}});
    r1->send(two, message(7));
    ASSERT_TRUE(until({hub1.get(), hub2.get()}, [&] { return hub2->stats().messages > 0; }));
    hub2->forget(group_a, one);
    hub2->introduce(group_a, one, {"127.0.0.1", hub1->port()});
    r2->receive(now_, [](ReplicaId, const RendezvousMessage&) { ADD_FAILURE() << "from before"; });
}

TEST_F(TcpRendezvousTest, PeersMayBeIntroducedAndForgottenWhileMessagesAreDelivered) {
    auto hub1 = hub(), hub2 = hub();
    auto r1 = join(*hub1, group_a, one, {{two, hub2->port()}});
    auto r2 = join(*hub2, group_a, two, {{one, hub1->port()}, {three, 1}});
    int delivered = 0;
    for (int round = 0; round < 2000 && delivered == 0; ++round) {
        now_ += 1ms;
        r1->send(two, message(1));
        hub1->poll(now_);
        r2->receive(now_, [&](ReplicaId, const RendezvousMessage&) {
            ++delivered;
            hub2->forget(group_a, one);
            hub2->forget(group_a, three);
            hub2->introduce(group_a, ReplicaId(4), {"127.0.0.1", 1});
        });
        ::poll(nullptr, 0, 1);
    }
    EXPECT_EQ(delivered, 1);
}

TEST_F(TcpRendezvousTest, IntroducingIntoAnUnknownGroupOrOneselfDoesNothing) {
    auto hub1 = hub();
    auto r1 = join(*hub1, group_a, two, {});
    hub1->introduce(group_b, three, {"127.0.0.1", 1});
    hub1->introduce(group_a, two, {"127.0.0.1", 1});
    hub1->introduce(group_a, nobody, {"127.0.0.1", 1});
    hub1->forget(group_b, three);
    hub1->forget(group_a, three);
    now_ += 1s;
    hub1->poll(now_);
    EXPECT_EQ(hub1->stats().dialled, 0u);
}

TEST(TcpRendezvousHub, SaysWhyItCannotListen) {
    const auto bad = TcpRendezvousHub::listen({"not an address", 1}, cluster_key);
    ASSERT_FALSE(bad);
    EXPECT_NE(bad.error().what.find("not an address"), std::string::npos);
    const auto first = TcpRendezvousHub::listen({"127.0.0.1", 0}, cluster_key);
    ASSERT_TRUE(first);
    EXPECT_FALSE(TcpRendezvousHub::listen({"127.0.0.1", (*first)->port()}, cluster_key));
}

} // namespace
} // namespace rdma_paxos
