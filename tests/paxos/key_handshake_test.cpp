// SPDX-License-Identifier: Apache-2.0
#include "rendezvous/key_handshake.h"

#include <gtest/gtest.h>
#include <set>

namespace rdma_paxos {
namespace {

constexpr GroupId group_a{0xa}, group_b{0xb};
const ReplicaId one{1}, two{2}, three{3};

ClusterKey key_of(int seed) {
    std::array<std::byte, ClusterKey::size> secret;
    for (std::size_t i = 0; i < secret.size(); ++i)
        secret[i] = std::byte(seed + static_cast<int>(i));
    return ClusterKey(secret);
}

const ClusterKey key = key_of(1), other_key = key_of(2);

Frame frame_of(Bytes bytes) {
    FrameReader reader;
    reader.add(bytes);
    auto frame = reader.next();
    EXPECT_TRUE(frame && *frame);
    return frame && *frame ? **frame : Frame{};
}

RendezvousMessage message(std::uint64_t incarnation) {
    RendezvousMessage made;
    made.incarnation = incarnation;
    made.board.endpoint.size = 72;
    made.board.endpoint.bytes.fill(std::byte{0xee});
    return made;
}

/// All that two ends say until both are sure.
struct Conversation {
    explicit Conversation(const ClusterKey& listeners = key)
        : dialler(key, group_a, one, two), hello(dialler.hello()),
          acceptor(*Acceptor::accept_hello(listeners, frame_of(hello))), answer(acceptor.answer()) {}

    Dialler dialler;
    std::vector<std::byte> hello;
    Acceptor acceptor;
    std::vector<std::byte> answer;
};

struct Ends {
    Session dialler, listener;
};

Ends connected() {
    const Conversation c;
    auto proved = c.dialler.take_answer(frame_of(c.answer));
    EXPECT_TRUE(proved);
    auto session = c.acceptor.take_confirm(frame_of(proved->confirm));
    EXPECT_TRUE(session);
    return {proved->session, *session};
}

const FrameHeader to_two{FrameType::offer, group_a, one, two};
const FrameHeader to_one{FrameType::offer, group_a, two, one};

TEST(KeyHandshake, TwoWhoKnowTheKeyUnderstandEachOther) {
    Ends ends = connected();
    for (std::uint64_t i = 1; i < 5; ++i) {
        const auto at_two = ends.listener.open(frame_of(ends.dialler.seal(to_two, message(i))));
        ASSERT_TRUE(at_two);
        EXPECT_EQ(at_two->incarnation, i);
        EXPECT_EQ(at_two->board.endpoint.bytes, message(i).board.endpoint.bytes);
        const auto at_one = ends.dialler.open(frame_of(ends.listener.seal(to_one, message(100 + i))));
        ASSERT_TRUE(at_one);
        EXPECT_EQ(at_one->incarnation, 100 + i);
    }
}

TEST(KeyHandshake, NothingOfAnEndpointIsReadableOnTheWire) {
    Ends ends = connected();
    const auto bytes = ends.dialler.seal(to_two, message(1));
    const std::vector<std::byte> run(4, std::byte{0xee});
    EXPECT_EQ(std::search(bytes.begin(), bytes.end(), run.begin(), run.end()), bytes.end());
    EXPECT_NE(bytes, ends.dialler.seal(to_two, message(1))) << "the same words look different each time";
}

TEST(KeyHandshake, EveryConversationIsAnother) {
    std::set<std::vector<std::byte>> seen;
    for (int i = 0; i < 20; ++i) {
        const Conversation c;
        EXPECT_TRUE(seen.insert(c.hello).second);
        EXPECT_TRUE(seen.insert(c.answer).second);
    }
}

TEST(KeyHandshake, AnotherKeyIsNoticedByTheListenerAtTheHello) {
    const Dialler stranger(other_key, group_a, one, two);
    const auto checked = Acceptor::check_hello(key, frame_of(stranger.hello()));
    ASSERT_FALSE(checked);
    EXPECT_EQ(checked.error(), Rejection::wrong_key);
    EXPECT_TRUE(Acceptor::check_hello(other_key, frame_of(stranger.hello())));
}

TEST(KeyHandshake, AnotherKeyIsNoticedByTheDiallerAtTheAnswer) {
    const Conversation c(other_key); // a listener who does not care what the hello proves
    const auto proved = c.dialler.take_answer(frame_of(c.answer));
    ASSERT_FALSE(proved);
    EXPECT_EQ(proved.error(), Rejection::wrong_key);
}

TEST(KeyHandshake, EveryFlippedBitIsNoticed) {
    const Conversation c;
    const auto proved = c.dialler.take_answer(frame_of(c.answer));
    ASSERT_TRUE(proved);
    Ends ends = connected();
    const auto sealed = ends.dialler.seal(to_two, message(1));
    const auto each_bit = [](const std::vector<std::byte>& good, auto&& is_taken) {
        for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
            auto bytes = good;
            bytes[bit / 8] ^= std::byte(1 << bit % 8);
            FrameReader reader;
            reader.add(bytes);
            const auto frame = reader.next();
            if (frame && *frame) {
                EXPECT_FALSE(is_taken(**frame)) << "bit " << bit;
            }
        }
    };
    each_bit(c.hello, [&](const Frame& frame) { return Acceptor::check_hello(key, frame).has_value(); });
    each_bit(c.answer, [&](const Frame& frame) { return c.dialler.take_answer(frame).has_value(); });
    each_bit(proved->confirm, [&](const Frame& frame) { return c.acceptor.take_confirm(frame).has_value(); });
    each_bit(sealed, [&](const Frame& frame) {
        Session fresh = ends.listener; // with its counter
        return fresh.open(frame).has_value();
    });
}

TEST(KeyHandshake, ARecordedConversationFitsNoOther) {
    const Conversation recorded, now;
    const auto confirm = recorded.dialler.take_answer(frame_of(recorded.answer))->confirm;
    // To the listener: the recorded hello is good, what followed it is not.
    ASSERT_TRUE(Acceptor::check_hello(key, frame_of(recorded.hello)));
    const auto acceptor = Acceptor::accept_hello(key, frame_of(recorded.hello));
    ASSERT_TRUE(acceptor);
    const auto session = acceptor->take_confirm(frame_of(confirm));
    ASSERT_FALSE(session);
    EXPECT_EQ(session.error(), Rejection::replayed);
    // To the dialler: the recorded answer was for another hello.
    const auto proved = now.dialler.take_answer(frame_of(recorded.answer));
    ASSERT_FALSE(proved);
    EXPECT_EQ(proved.error(), Rejection::wrong_key);
}

TEST(KeyHandshake, OnesOwnBytesAreNoAnswer) {
    const Conversation c;
    const auto proved = c.dialler.take_answer(frame_of(c.hello));
    ASSERT_FALSE(proved);
    EXPECT_EQ(proved.error(), Rejection::reflected);
    const auto session = c.acceptor.take_confirm(frame_of(c.answer));
    ASSERT_FALSE(session);
    EXPECT_EQ(session.error(), Rejection::reflected);
}

TEST(KeyHandshake, GroupAndIdsAreBound) {
    const Conversation c;
    const FrameHeader others[] = {{FrameType::answer, group_b, two, one}, {FrameType::answer, group_a, three, one}};
    for (const FrameHeader& header : others) {
        auto bytes = encode_header(header);
        bytes.insert(bytes.end(), c.answer.begin() + frame_header_bytes, c.answer.end());
        const auto proved = c.dialler.take_answer(frame_of(bytes));
        ASSERT_FALSE(proved);
        EXPECT_EQ(proved.error(), Rejection::malformed);
    }
    // A hello cannot be made to speak of another group, or for another replica, without the key.
    auto bytes = encode_header({FrameType::hello, group_b, one, two});
    bytes.insert(bytes.end(), c.hello.begin() + frame_header_bytes, c.hello.end());
    EXPECT_EQ(Acceptor::check_hello(key, frame_of(bytes)).error(), Rejection::wrong_key);
    bytes = encode_header({FrameType::hello, group_a, one, three});
    bytes.insert(bytes.end(), c.hello.begin() + frame_header_bytes, c.hello.end());
    EXPECT_EQ(Acceptor::check_hello(key, frame_of(bytes)).error(), Rejection::wrong_key);
}

TEST(KeyHandshake, AWeakPublicKeyIsRefused) {
    // With a point of low order every secret is the same. Its sender needs the cluster key to come this far.
    auto bytes = encode_header({FrameType::hello, group_a, one, two});
    bytes.resize(frame_header_bytes + body_bytes(FrameType::hello));
    const auto acceptor = Acceptor::accept_hello(key, frame_of(bytes));
    ASSERT_FALSE(acceptor);
    EXPECT_EQ(acceptor.error(), Rejection::malformed);
}

TEST(KeyHandshake, SealedMessagesComeOnceAndInOrder) {
    Ends ends = connected();
    const auto first = frame_of(ends.dialler.seal(to_two, message(1)));
    const auto second = frame_of(ends.dialler.seal(to_two, message(2)));
    Session skips = ends.listener;
    EXPECT_FALSE(skips.open(second)) << "one was left out";
    Session repeats = ends.listener;
    EXPECT_TRUE(repeats.open(first));
    EXPECT_FALSE(repeats.open(first)) << "repeated";
    Session reflected = ends.dialler;
    EXPECT_FALSE(reflected.open(first)) << "sent back to its sender";
    Ends elsewhere = connected();
    EXPECT_FALSE(elsewhere.listener.open(first)) << "of another connection";
}

TEST(KeyHandshake, ARefusalSaysWhyIfThereIsSomethingToSay) {
    const FrameHeader asked{FrameType::hello, group_a, one, two};
    for (const Rejection reason :
         {Rejection::wrong_version, Rejection::wrong_key, Rejection::wrong_group, Rejection::unknown_peer})
        EXPECT_EQ(decode_refusal(frame_of(encode_refusal(asked, reason))), reason);
    for (int reason : {0, 1, 12, 200})
        EXPECT_FALSE(decode_refusal(frame_of(encode_refusal(asked, static_cast<Rejection>(reason)))));
}

} // namespace
} // namespace rdma_paxos
