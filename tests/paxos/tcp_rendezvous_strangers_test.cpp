// SPDX-License-Identifier: Apache-2.0
//
// What becomes of those who do not belong to the cluster, or stand between those who do: each is turned away under
// its own reason, and disturbs nobody.
#include "rendezvous_fixture.h"

#include <deque>

namespace rdma_paxos {
namespace {

class StrangersTest : public RendezvousTest {
  protected:
    StrangersTest()
        : r1_(join(*hub1_, group_a, one, {{two, hub2_->port()}})),
          r2_(join(*hub2_, group_a, two, {{one, hub1_->port()}})) {
        EXPECT_TRUE(exchange(*r1_, two, message(1), *r2_, one));
    }

    /// In every test: those who belong together go on as if nothing had happened.
    ~StrangersTest() override {
        const auto after = exchange(*r1_, two, message(2), *r2_, one);
        EXPECT_TRUE(after && after->incarnation == 2);
        EXPECT_EQ(hub1_->stats().dialled, 1u) << "the good connection was never lost";
        EXPECT_EQ(hub1_->stats().rejected(), 0u);
    }

    void expect_thrown_out(Stranger& stranger, Rejection reason, const std::string& words) {
        const auto before = hub2_->stats();
        EXPECT_TRUE(is_thrown_out(*hub2_, stranger)) << words;
        const auto after = hub2_->stats();
        EXPECT_EQ(after.rejected(), before.rejected() + 1) << after.last_rejection;
        EXPECT_EQ(after.rejected(reason), before.rejected(reason) + 1) << after.last_rejection;
        EXPECT_EQ(after.messages, before.messages);
        EXPECT_EQ(after.authenticated, before.authenticated);
        EXPECT_NE(after.last_rejection.find("peer 127.0.0.1:"), std::string::npos) << after.last_rejection;
        EXPECT_NE(after.last_rejection.find(words), std::string::npos) << after.last_rejection;
    }

    /// In which the members go on talking.
    void wait_six_seconds() {
        for (int i = 0; i < 6; ++i) {
            now_ += 1s;
            EXPECT_TRUE(exchange(*r1_, two, message(3), *r2_, one));
            EXPECT_TRUE(exchange(*r2_, one, message(3), *r1_, two));
        }
    }

    /// A hello that anybody could make who has `key`.
    static std::vector<std::byte> hello(const ClusterKey& key, const GroupId& group, ReplicaId from, ReplicaId to) {
        return Dialler(key, group, from, to).hello();
    }

    std::unique_ptr<TcpRendezvousHub> hub1_ = hub(), hub2_ = hub();
    std::unique_ptr<Rendezvous> r1_, r2_;
};

TEST_F(StrangersTest, Noise) {
    Stranger stranger(hub2_->port());
    stranger.say("GET / HTTP/1.1\r\nHost: tripod\r\n\r\n");
    expect_thrown_out(stranger, Rejection::malformed, "no rendezvous message");
    EXPECT_TRUE(stranger.heard.empty()) << "not a word to who does not speak the protocol";
}

TEST_F(StrangersTest, AnotherVersion) {
    auto bytes = hello(cluster_key, group_a, one, two);
    bytes[4] = std::byte{7};
    Stranger stranger(hub2_->port());
    stranger.say(bytes);
    expect_thrown_out(stranger, Rejection::wrong_version,
                      "another version of the rendezvous protocol: 7, this one 3");
    EXPECT_EQ(decode_refusal(frame_of(stranger.heard)), Rejection::wrong_version);
}

TEST_F(StrangersTest, AnotherClusterKey) {
    Stranger stranger(hub2_->port());
    stranger.say(hello(other_key, group_a, one, two));
    expect_thrown_out(stranger, Rejection::wrong_key, "does not know the cluster key: it says it is replica 1");
    EXPECT_EQ(decode_refusal(frame_of(stranger.heard)), Rejection::wrong_key);
}

TEST_F(StrangersTest, WithoutTheKeyNobodyLearnsWhichGroupsAreHere) {
    Stranger here(hub2_->port()), nowhere(hub2_->port());
    here.say(hello(other_key, group_a, one, two));
    expect_thrown_out(here, Rejection::wrong_key, "");
    nowhere.say(hello(other_key, group_b, one, two));
    expect_thrown_out(nowhere, Rejection::wrong_key, "");
    EXPECT_EQ(decode_refusal(frame_of(here.heard)), decode_refusal(frame_of(nowhere.heard)));
}

TEST_F(StrangersTest, AnotherGroup) {
    Stranger stranger(hub2_->port());
    stranger.say(hello(cluster_key, group_b, one, two));
    expect_thrown_out(stranger, Rejection::wrong_group, "a group that is not here");
    EXPECT_EQ(decode_refusal(frame_of(stranger.heard)), Rejection::wrong_group);
}

TEST_F(StrangersTest, NotAMember) {
    hub2_->introduce(group_a, three, {"127.0.0.1", 1});
    Stranger for_somebody_else(hub2_->port());
    for_somebody_else.say(hello(cluster_key, group_a, one, three));
    expect_thrown_out(for_somebody_else, Rejection::unknown_peer,
                      "calls itself replica 1, and this one 3, which is 2");
    auto hub4 = hub();
    auto r4 = join(*hub4, group_a, ReplicaId(4), {{one, 1}});
    Stranger not_listed(hub4->port());
    not_listed.say(hello(cluster_key, group_a, two, ReplicaId(4)));
    EXPECT_TRUE(is_thrown_out(*hub4, not_listed));
    EXPECT_EQ(hub4->stats().rejected(Rejection::unknown_peer), 1u);
}

TEST_F(StrangersTest, WhatIsNotDue) {
    for (const FrameType type : {FrameType::answer, FrameType::confirm, FrameType::refusal, FrameType::offer}) {
        const bool up = type != FrameType::answer;
        auto bytes = encode_header({type, group_a, up ? one : two, up ? two : one});
        bytes.resize(bytes.size() + body_bytes(type));
        Stranger stranger(hub2_->port());
        stranger.say(bytes);
        expect_thrown_out(stranger, Rejection::malformed, "not the one that was due");
    }
}

TEST_F(StrangersTest, AReplayedHandshakeGetsNowhereAndDisplacesNobody) {
    // Recorded: what a true member said to this listener in an earlier conversation.
    const Dialler recorded(cluster_key, group_a, one, two);
    Stranger first(hub2_->port());
    first.say(recorded.hello());
    ASSERT_TRUE(until({hub2_.get()}, [&] {
        first.step();
        return !first.heard.empty();
    }));
    const auto confirm = recorded.take_answer(frame_of(first.heard))->confirm;

    Stranger stranger(hub2_->port());
    stranger.say(recorded.hello());
    ASSERT_TRUE(until({hub2_.get()}, [&] {
        stranger.step();
        return !stranger.heard.empty();
    })) << "the hello is good: it is answered";
    EXPECT_EQ(frame_of(stranger.heard).header.type, FrameType::answer);
    stranger.say(confirm);
    expect_thrown_out(stranger, Rejection::replayed, "repeated the beginning of an earlier conversation");
}

TEST_F(StrangersTest, AReplayedHelloAndThenSilence) {
    Stranger stranger(hub2_->port());
    stranger.say(hello(cluster_key, group_a, one, two));
    ASSERT_TRUE(until({hub2_.get()}, [&] {
        stranger.step();
        return !stranger.heard.empty();
    }));
    wait_six_seconds();
    EXPECT_TRUE(is_thrown_out(*hub2_, stranger));
    EXPECT_EQ(hub2_->stats().rejected(Rejection::silent), 1u);
}

TEST_F(StrangersTest, OnesOwnAnswerSentBack) {
    Stranger stranger(hub2_->port());
    stranger.say(hello(cluster_key, group_a, one, two));
    ASSERT_TRUE(until({hub2_.get()}, [&] {
        stranger.step();
        return !stranger.heard.empty();
    }));
    stranger.say(stranger.heard);
    expect_thrown_out(stranger, Rejection::reflected, "sent back what was said to it");
}

TEST_F(StrangersTest, DribblingBytesDoesNotBuyTime) {
    const auto bytes = hello(cluster_key, group_a, one, two);
    Stranger stranger(hub2_->port());
    for (int i = 0; i < 6; ++i) {
        stranger.say(Bytes(bytes).subspan(static_cast<std::size_t>(i), 1));
        for (int each = 0; each < 20; ++each) {
            now_ += 1ms;
            stranger.step();
            hub2_->poll(now_);
        }
        now_ += 1s;
        EXPECT_TRUE(exchange(*r1_, two, message(3), *r2_, one));
        EXPECT_TRUE(exchange(*r2_, one, message(3), *r1_, two));
    }
    EXPECT_TRUE(is_thrown_out(*hub2_, stranger));
    EXPECT_EQ(hub2_->stats().rejected(Rejection::silent), 1u);
    EXPECT_EQ(hub2_->stats().rejected(), 1u);
}

TEST_F(StrangersTest, ACrowdOfStrangersKeepsNobodyOut) {
    std::deque<Stranger> crowd;
    for (int i = 0; i < 300; ++i) {
        crowd.emplace_back(hub2_->port());
        ASSERT_TRUE(until({hub2_.get()}, [&] { return hub2_->stats().accepted == 2U + static_cast<unsigned>(i); }));
        ASSERT_LE(hub2_->fds().size(), 66u) << "listener, member, 64 strangers";
    }
    EXPECT_EQ(hub2_->stats().rejected(Rejection::crowded_out), 300u - 64u);

    // Who shows a good hello stays, however many come after it.
    auto hub3 = hub();
    hub2_->introduce(group_a, three, {"127.0.0.1", hub3->port()});
    auto r3 = join(*hub3, group_a, three, {{two, hub2_->port()}, {one, 1}});
    const Dialler late(cluster_key, group_a, one, two);
    Stranger slow(hub2_->port());
    slow.say(late.hello());
    ASSERT_TRUE(until({hub2_.get()}, [&] {
        slow.step();
        return !slow.heard.empty();
    }));
    for (int i = 0; i < 200; ++i) {
        crowd.emplace_back(hub2_->port());
        until(
            {hub2_.get()}, [] { return false; }, 5);
    }
    slow.step();
    EXPECT_FALSE(slow.thrown_out);
    EXPECT_TRUE(exchange(*r2_, three, message(4), *r3, two)) << "and a member that dials out is not counted";
}

TEST_F(StrangersTest, AFloodCostsBoundedWork) {
    until(
        {hub2_.get()}, [] { return false; }, 300); // a full budget
    std::deque<Stranger> crowd;
    const auto before = hub2_->stats().accepted;
    for (int i = 0; i < 100; ++i) { // more would not fit into the kernel's queue
        crowd.emplace_back(hub2_->port());
        for (int each = 0; each < 3; ++each)
            hub2_->poll(now_); // no time passes
    }
    EXPECT_EQ(hub2_->stats().accepted - before, 64u);
    EXPECT_EQ(hub2_->fds().size(), 65u) << "no listener: who cannot be served wakes nobody";
    now_ += 40ms;
    hub2_->poll(now_);
    EXPECT_EQ(hub2_->stats().accepted - before, 74u) << "one each 4 ms";
    EXPECT_EQ(hub2_->stats().rejected(Rejection::crowded_out), 10u);
}

/// A listener with whom hub1 has a group of its own; the test plays the peer.
class FalseListenerTest : public StrangersTest {
  protected:
    FalseListenerTest() : listener_(std::move(*listen_at({"127.0.0.1", 0}))) {
        victim_ = hub();
        rendezvous_ = join(*victim_, group_b, one, {{two, local_port(listener_.get())}});
        EXPECT_TRUE(until({victim_.get()}, [&] {
            if (OwnedFd fd = accept_one(listener_.get()))
                other_end_ = std::make_unique<Stranger>(std::move(fd));
            if (other_end_)
                other_end_->step();
            return other_end_ && other_end_->heard.size() == frame_header_bytes + body_bytes(FrameType::hello);
        }));
    }

    void expect(Rejection reason, const std::string& words) {
        EXPECT_TRUE(is_thrown_out(*victim_, *other_end_)) << words;
        const auto stats = victim_->stats();
        EXPECT_EQ(stats.rejected(), 1u) << stats.last_rejection;
        EXPECT_EQ(stats.rejected(reason), 1u) << stats.last_rejection;
        EXPECT_EQ(stats.authenticated, 0u);
        const auto address = "peer 127.0.0.1:" + std::to_string(local_port(listener_.get())) + " ";
        EXPECT_EQ(stats.last_rejection.find(address), 0u) << stats.last_rejection;
        EXPECT_NE(stats.last_rejection.find(words), std::string::npos) << stats.last_rejection;
    }

    OwnedFd listener_;
    std::unique_ptr<TcpRendezvousHub> victim_;
    std::unique_ptr<Rendezvous> rendezvous_;
    std::unique_ptr<Stranger> other_end_;
};

TEST_F(FalseListenerTest, AnEcho) {
    other_end_->say(other_end_->heard);
    expect(Rejection::reflected, "sent back");
}

TEST_F(FalseListenerTest, TheHelloGoesBackToItsSendersOwnPort) {
    Stranger stranger(victim_->port());
    stranger.say(other_end_->heard);
    EXPECT_TRUE(is_thrown_out(*victim_, stranger));
    EXPECT_EQ(victim_->stats().rejected(Rejection::reflected), 1u);
}

TEST_F(FalseListenerTest, WithoutTheKey) {
    auto acceptor = Acceptor::accept_hello(other_key, frame_of(other_end_->heard));
    ASSERT_TRUE(acceptor);
    other_end_->say(acceptor->answer());
    expect(Rejection::wrong_key, "does not know the cluster key");
}

TEST_F(FalseListenerTest, AnAnswerThatWasRecorded) {
    const Dialler earlier(cluster_key, group_b, one, two);
    auto acceptor = Acceptor::accept_hello(cluster_key, frame_of(earlier.hello()));
    ASSERT_TRUE(acceptor);
    other_end_->say(acceptor->answer());
    expect(Rejection::wrong_key, "does not know the cluster key");
}

TEST_F(FalseListenerTest, Noise) {
    other_end_->say("SSH-2.0-OpenSSH_9.2\r\n");
    expect(Rejection::malformed, "no rendezvous message");
}

TEST_F(FalseListenerTest, AnotherVersion) {
    auto bytes = other_end_->heard;
    bytes[4] = std::byte{2};
    other_end_->say(bytes);
    expect(Rejection::wrong_version, "another version of the rendezvous protocol: 2, this one 3");
    EXPECT_EQ(other_end_->heard.size(), frame_header_bytes + body_bytes(FrameType::hello))
        << "no refusal of refusals";
}

TEST_F(FalseListenerTest, ARefusal) {
    other_end_->say(encode_refusal(frame_of(other_end_->heard).header, Rejection::unknown_peer));
    expect(Rejection::refused, "does not know this replica as a member");
}

TEST_F(FalseListenerTest, ARefusalForNoReason) {
    other_end_->say(encode_refusal(frame_of(other_end_->heard).header, Rejection::lost));
    expect(Rejection::malformed, "");
}

TEST_F(FalseListenerTest, Silence) {
    wait_six_seconds();
    victim_->poll(now_);
    EXPECT_EQ(victim_->stats().rejected(Rejection::silent), 1u);
    EXPECT_EQ(victim_->stats().dialled, 1u);
    now_ += 1ms;
    victim_->poll(now_);
    EXPECT_EQ(victim_->stats().dialled, 2u) << "and tries again";
}

/// Two hubs that reach each other through the test, which may change what they say.
class BetweenTest : public RendezvousTest {
  protected:
    BetweenTest() : proxy_(std::move(*listen_at({"127.0.0.1", 0}))) {
        r1_ = join(*hub1_, group_a, one, {{two, local_port(proxy_.get())}});
        r2_ = join(*hub2_, group_a, two, {{one, 1}});
    }

    /// One step of the proxy: passes on what each end said, through `change`.
    template <class Change>
    void pass_on(Change&& change) {
        if (OwnedFd fd = accept_one(proxy_.get())) {
            left_ = std::make_unique<Stranger>(std::move(fd));
            right_ = std::make_unique<Stranger>(hub2_->port());
        }
        if (!left_)
            return;
        left_->step();
        right_->step();
        if (!left_->heard.empty()) {
            change(left_->heard);
            right_->say(left_->heard);
            to_right_.insert(to_right_.end(), left_->heard.begin(), left_->heard.end());
            left_->heard.clear();
        }
        left_->say(right_->heard);
        right_->heard.clear();
        if (right_->thrown_out)
            left_.reset();
    }
    void pass_on() {
        pass_on([](std::vector<std::byte>&) {});
    }

    void connect() {
        ASSERT_TRUE(until({hub1_.get(), hub2_.get()}, [&] {
            pass_on();
            return hub2_->stats().authenticated == 1;
        }));
    }

    OwnedFd proxy_;
    std::unique_ptr<TcpRendezvousHub> hub1_ = hub(), hub2_ = hub();
    std::unique_ptr<Rendezvous> r1_, r2_;
    std::unique_ptr<Stranger> left_, right_;
    std::vector<std::byte> to_right_;
};

TEST_F(BetweenTest, AChangedMessageIsNoticedAndAFreshConnectionMade) {
    connect();
    r1_->send(two, message(5));
    ASSERT_TRUE(until({hub1_.get(), hub2_.get()}, [&] {
        pass_on([](std::vector<std::byte>& bytes) { bytes[40] ^= std::byte{1}; });
        return hub2_->stats().rejected() > 0;
    }));
    EXPECT_EQ(hub2_->stats().rejected(Rejection::tampered), 1u) << hub2_->stats().last_rejection;
    EXPECT_EQ(hub2_->stats().messages, 0u);
    ASSERT_TRUE(until({hub1_.get(), hub2_.get()}, [&] {
        pass_on();
        return hub2_->stats().authenticated == 2;
    }));
}

TEST_F(BetweenTest, ARepeatedMessageIsNoticed) {
    connect();
    r1_->send(two, message(5));
    std::vector<std::byte> offer;
    ASSERT_TRUE(until({hub1_.get(), hub2_.get()}, [&] {
        pass_on([&](std::vector<std::byte>& bytes) { offer = bytes; });
        return hub2_->stats().messages == 1;
    }));
    ASSERT_EQ(offer.size(), frame_header_bytes + body_bytes(FrameType::offer));
    right_->say(offer);
    ASSERT_TRUE(until({hub2_.get()}, [&] {
        right_->step();
        return hub2_->stats().rejected() > 0;
    }));
    EXPECT_EQ(hub2_->stats().rejected(Rejection::tampered), 1u);
    EXPECT_EQ(hub2_->stats().messages, 1u);
}

TEST_F(BetweenTest, ARefusalCannotCutWhoHaveProvedThemselvesUnnoticed) {
    connect();
    right_->say(encode_refusal({FrameType::hello, group_a, two, one}, Rejection::wrong_key));
    ASSERT_TRUE(until({hub2_.get()}, [&] {
        right_->step();
        return hub2_->stats().rejected() > 0;
    }));
    EXPECT_EQ(hub2_->stats().rejected(Rejection::tampered), 1u) << hub2_->stats().last_rejection;
}

TEST_F(BetweenTest, AWholeRecordedConversationIsWorthNothing) {
    connect();
    r1_->send(two, message(5));
    ASSERT_TRUE(until({hub1_.get(), hub2_.get()}, [&] {
        pass_on();
        return hub2_->stats().messages == 1;
    }));
    Stranger stranger(hub2_->port());
    stranger.say(to_right_);
    EXPECT_TRUE(is_thrown_out(*hub2_, stranger));
    EXPECT_EQ(hub2_->stats().rejected(Rejection::replayed), 1u) << hub2_->stats().last_rejection;
    EXPECT_EQ(hub2_->stats().messages, 1u);
    EXPECT_EQ(hub2_->stats().authenticated, 1u);
}

TEST_F(BetweenTest, WhoFallsSilentIsLost) {
    connect();
    std::string told;
    hub2_->on_rejection([&](const RejectionReport& report) {
        EXPECT_EQ(report.reason, Rejection::lost);
        EXPECT_EQ(report.host, "127.0.0.1");
        told = report.text;
    });
    now_ += 6s;
    hub2_->poll(now_);
    EXPECT_EQ(hub2_->stats().rejected(Rejection::lost), 1u);
    EXPECT_EQ(hub2_->fds().size(), 1u);
    EXPECT_EQ(told, hub2_->stats().last_rejection);
    EXPECT_NE(told.find(" is silent"), std::string::npos) << told;
}

TEST_F(RendezvousTest, TwoWhoseKeysDifferBothSayWhoAndWhy) {
    auto hub1 = hub(cluster_key), hub2 = hub(other_key);
    auto r1 = join(*hub1, group_a, one, {{two, hub2->port()}});
    auto r2 = join(*hub2, group_a, two, {{one, hub1->port()}});
    hub1->on_rejection([](const RejectionReport& report) { EXPECT_EQ(report.they_say, Rejection::wrong_key); });
    EXPECT_FALSE(exchange(*r1, two, message(1), *r2, one, 500));
    EXPECT_GE(hub1->stats().dialled, 2u) << "it goes on trying: the key file may be put right";
    EXPECT_EQ(hub1->stats().authenticated + hub2->stats().authenticated, 0u);
    EXPECT_GE(hub2->stats().rejected(Rejection::wrong_key), 1u);
    EXPECT_GE(hub1->stats().rejected(Rejection::refused), 1u);
    EXPECT_NE(hub2->stats().last_rejection.find(" does not know the cluster key"), std::string::npos);
    EXPECT_EQ(
        hub1->stats().last_rejection,
        "peer 127.0.0.1:" + std::to_string(hub2->port()) +
            " refused this replica: it says that we do not know its cluster key; the key files of the two differ");
}

TEST_F(RendezvousTest, NoiseInAnAdoptedConnection) {
    auto hub1 = TcpRendezvousHub::without_listener(cluster_key);
    int pair[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    Stranger stranger{OwnedFd(pair[0])};
    const std::vector<std::byte> noise(100000, std::byte{7});
    hub1->adopt(pair[1], noise);
    EXPECT_TRUE(is_thrown_out(*hub1, stranger));
    EXPECT_EQ(hub1->stats().rejected(Rejection::malformed), 1u);
}

} // namespace
} // namespace rdma_paxos
