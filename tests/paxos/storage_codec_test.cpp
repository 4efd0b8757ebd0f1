// SPDX-License-Identifier: Apache-2.0
#include "consensus/membership_codec.h"
#include "rdma_paxos/snapshot.h"

#include <cstring>
#include <functional>
#include <gtest/gtest.h>

namespace rdma_paxos {
namespace {

constexpr GroupId group{0xaa, 0xbb, 1};

MemberSet set_of(std::initializer_list<Member> members) {
    MemberSet set;
    for (const Member& member : members)
        EXPECT_TRUE(set.add(member));
    return set;
}

Membership joint() {
    return {.phase = Membership::Phase::joint,
            .voters = set_of({{ReplicaId(1), false, 11}, {ReplicaId(2), true, 12}, {ReplicaId(63), false, ~0ull}}),
            .target = set_of({{ReplicaId(1), false, 11}, {ReplicaId(2), false, 99}, {ReplicaId(9), true, 5}}),
            .index = Index(1234567890123)};
}

Membership largest() {
    Membership membership{
        .phase = Membership::Phase::catching_up, .voters = {}, .target = {}, .index = Index(~0ull)};
    for (std::uint8_t id = 1; id <= max_replicas; ++id) {
        membership.voters.add({ReplicaId(id), id % 2 == 0, id * 7ull});
        membership.target.add({ReplicaId(static_cast<std::uint8_t>(id + 50)), id % 2 == 0, id * 9ull});
    }
    return membership;
}

std::vector<std::byte> bytes_of(const Membership& membership) {
    std::vector<std::byte> out(max_encoded_membership);
    out.resize(encode_membership(membership, out));
    return out;
}

TEST(MembershipCodec, ReadsBackWhatItWrote) {
    const Membership stable{.phase = {}, .voters = set_of({{ReplicaId(3), false, 0}}), .target = {}, .index = {}};
    for (const Membership& membership : {joint(), largest(), stable}) {
        const auto bytes = bytes_of(membership);
        const auto back = decode_membership(bytes);
        ASSERT_TRUE(back) << to_string(membership);
        EXPECT_EQ(*back, membership);
    }
    EXPECT_EQ(bytes_of(largest()).size(), max_encoded_membership);
}

TEST(MembershipCodec, WritesNothingThatDoesNotFit) {
    std::vector<std::byte> out(bytes_of(joint()).size() - 1);
    EXPECT_EQ(encode_membership(joint(), out), 0u);
    EXPECT_EQ(out, std::vector<std::byte>(out.size()));
}

TEST(MembershipCodec, RefusesEveryOtherLength) {
    auto bytes = bytes_of(joint());
    for (std::size_t size = 0; size < bytes.size(); ++size)
        EXPECT_FALSE(decode_membership(Bytes(bytes).first(size))) << size;
    bytes.push_back(std::byte{0});
    EXPECT_FALSE(decode_membership(bytes));
}

TEST(MembershipCodec, RefusesWhatMakesNoSense) {
    const struct {
        const char* what;
        std::function<void(std::vector<std::byte>&)> spoil;
    } cases[] = {
        {"version", [](auto& bytes) { bytes[0] = std::byte{2}; }},
        {"phase", [](auto& bytes) { bytes[1] = std::byte{3}; }},
        {"stable with a target", [](auto& bytes) { bytes[1] = std::byte{0}; }},
        {"more voters than there are", [](auto& bytes) { bytes[2] = std::byte{8}; }},
        {"no voters", [](auto& bytes) { bytes[2] = std::byte{0}, bytes[3] = std::byte{6}; }},
        {"no target", [](auto& bytes) { bytes[2] = std::byte{6}, bytes[3] = std::byte{0}; }},
        {"reserved", [](auto& bytes) { bytes[5] = std::byte{1}; }},
        {"nobody", [](auto& bytes) { bytes[16] = std::byte{0}; }},
        {"id too large", [](auto& bytes) { bytes[48] = std::byte{64}; }},
        {"twice the same", [](auto& bytes) { bytes[32] = std::byte{1}; }},
        {"out of order", [](auto& bytes) { std::swap(bytes[16], bytes[48]); }},
        {"unknown flag", [](auto& bytes) { bytes[17] = std::byte{2}; }},
        {"reserved of a member", [](auto& bytes) { bytes[23] = std::byte{1}; }},
        {"witnesses alone", [](auto& bytes) { bytes[17] = bytes[33] = bytes[49] = std::byte{1}; }},
    };
    for (const auto& test : cases) {
        auto bytes = bytes_of(joint());
        test.spoil(bytes);
        EXPECT_FALSE(decode_membership(bytes)) << test.what;
    }
}

SnapshotPoint point(const Membership& membership) {
    return {.index = Index(~0ull),
            .term = Term(77),
            .position = 123456,
            .check = 0x1122334455667788,
            .membership = membership};
}

TEST(SnapshotPointCodec, ReadsBackWhatItWrote) {
    for (const SnapshotPoint& written : {point(joint()), point(largest()), SnapshotPoint{}}) {
        const auto bytes = encode(written, group);
        EXPECT_LE(bytes.size(), max_encoded_snapshot_point);
        const auto back = decode_snapshot_point(bytes, group);
        ASSERT_TRUE(back);
        EXPECT_EQ(*back, written);
    }
}

TEST(SnapshotPointCodec, RefusesAnotherGroup) {
    EXPECT_FALSE(decode_snapshot_point(encode(point(joint()), group), GroupId{0xaa, 0xbb, 2}));
}

TEST(SnapshotPointCodec, EveryFlippedBitIsNoticed) {
    auto bytes = encode(point(joint()), group);
    for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
        bytes[bit / 8] ^= std::byte(1 << bit % 8);
        EXPECT_FALSE(decode_snapshot_point(bytes, group)) << "bit " << bit;
        bytes[bit / 8] ^= std::byte(1 << bit % 8);
    }
    EXPECT_TRUE(decode_snapshot_point(bytes, group));
}

TEST(SnapshotPointCodec, RefusesEveryOtherLength) {
    auto bytes = encode(point(joint()), group);
    for (std::size_t size = 0; size < bytes.size(); ++size)
        EXPECT_FALSE(decode_snapshot_point(Bytes(bytes).first(size), group)) << size;
    bytes.push_back(std::byte{0});
    EXPECT_FALSE(decode_snapshot_point(bytes, group));
    bytes.resize(100000);
    EXPECT_FALSE(decode_snapshot_point(bytes, group));
}

TEST(SnapshotPointCodec, AMembershipFromTheFutureIsRefused) {
    SnapshotPoint wrong = point(joint());
    wrong.index = Index(joint().index.value() - 1);
    EXPECT_FALSE(decode_snapshot_point(encode(wrong, group), group));
}

TEST(SnapshotPointCodec, OnlyTheBeginningMayLackAMembership) {
    EXPECT_FALSE(decode_snapshot_point(encode(point(Membership{}), group), group));
}

} // namespace
} // namespace rdma_paxos
