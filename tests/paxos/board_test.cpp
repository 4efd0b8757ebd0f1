// SPDX-License-Identifier: Apache-2.0
#include "consensus/board.h"

#include <cstring>
#include <gtest/gtest.h>

namespace rdma_paxos {
namespace {

constexpr std::uint64_t salt = 0x1234;

Row a_row() {
    Row row;
    row.incarnation = 77;
    row.beat = 5;
    row.term = Term(9);
    row.role = Role::candidate;
    row.has_quorum = true;
    row.cannot_lead = true;
    row.left_behind = true;
    row.voted_for = ReplicaId(2);
    row.granted_to = ReplicaId(3);
    row.doubt = 4;
    row.shares_doubt_of = ReplicaId(1);
    row.shared_doubt = 6;
    row.end_index = Index(100);
    row.end_term = Term(8);
    row.end_position = 4711;
    row.end_check = 12;
    row.commit_index = Index(90);
    row.commit_term = Term(7);
    row.commit_position = 4000;
    row.commit_check = 13;
    row.applied_index = Index(80);
    row.applied_position = 3900;
    row.lost_membership = {Index(95), Term(6)};
    row.log_link.generation = 3;
    row.log_link.connected_to = 2;
    row.log_link.endpoint.size = 4;
    row.log_link.endpoint.bytes[3] = std::byte{42};
    return row;
}

TEST(Row, ComesBackAsItWas) {
    const Row in = a_row();
    const auto out = decode_row(encode_row(in, salt, ReplicaId(1)), salt, ReplicaId(1));
    ASSERT_TRUE(out);
    EXPECT_EQ(out->incarnation, in.incarnation);
    EXPECT_EQ(out->beat, in.beat);
    EXPECT_EQ(out->term, in.term);
    EXPECT_EQ(out->role, in.role);
    EXPECT_EQ(out->has_quorum, in.has_quorum);
    EXPECT_EQ(out->cannot_lead, in.cannot_lead);
    EXPECT_EQ(out->left_behind, in.left_behind);
    EXPECT_FALSE(out->witness);
    EXPECT_EQ(out->voted_for, in.voted_for);
    EXPECT_EQ(out->granted_to, in.granted_to);
    EXPECT_EQ(out->doubt, in.doubt);
    EXPECT_EQ(out->shares_doubt_of, in.shares_doubt_of);
    EXPECT_EQ(out->shared_doubt, in.shared_doubt);
    EXPECT_EQ(out->end_index, in.end_index);
    EXPECT_EQ(out->end_term, in.end_term);
    EXPECT_EQ(out->end_position, in.end_position);
    EXPECT_EQ(out->end_check, in.end_check);
    EXPECT_EQ(out->commit_index, in.commit_index);
    EXPECT_EQ(out->commit_term, in.commit_term);
    EXPECT_EQ(out->lost_membership, in.lost_membership);
    EXPECT_EQ(out->commit_position, in.commit_position);
    EXPECT_EQ(out->commit_check, in.commit_check);
    EXPECT_EQ(out->applied_index, in.applied_index);
    EXPECT_EQ(out->applied_position, in.applied_position);
    EXPECT_EQ(out->log_link.generation, in.log_link.generation);
    EXPECT_EQ(out->log_link.connected_to, in.log_link.connected_to);
    EXPECT_EQ(out->log_link.endpoint.size, in.log_link.endpoint.size);
    EXPECT_EQ(out->log_link.endpoint.bytes, in.log_link.endpoint.bytes);
}

// The newer row arrives from its beginning on: no mixture of the two may pass for a row.
TEST(Row, AMixtureOfTwoRowsIsTorn) {
    Row newer = a_row();
    newer.beat = 6;
    newer.term = Term(10);
    newer.applied_index = Index(81);
    newer.log_link.endpoint.bytes[71] = std::byte{1};
    const RowImage before = encode_row(a_row(), salt, ReplicaId(1));
    const RowImage after = encode_row(newer, salt, ReplicaId(1));
    std::size_t last_difference = 0;
    for (std::size_t i = 0; i < before.size(); ++i)
        if (before[i] != after[i])
            last_difference = i;
    for (std::size_t arrived = 1; arrived < before.size(); ++arrived) {
        RowImage mixed = before;
        std::memcpy(mixed.data(), after.data(), arrived);
        EXPECT_EQ(decode_row(mixed, salt, ReplicaId(1)).has_value(), arrived > last_difference) << arrived;
    }
}

TEST(Row, BelongsToItsWriterAndGroup) {
    const RowImage image = encode_row(a_row(), salt, ReplicaId(1));
    EXPECT_FALSE(decode_row(image, salt, ReplicaId(2)));
    EXPECT_FALSE(decode_row(image, salt + 1, ReplicaId(1)));
    EXPECT_FALSE(decode_row(RowImage{}, salt, ReplicaId(1))) << "memory that nobody wrote yet";
}

TEST(LeaderCell, IsValidOnlyWhole) {
    LeaderCell cell = seal_cell({.term = 3, .beat = 4, .commit = 5}, salt);
    EXPECT_TRUE(cell_is_valid(cell, salt));
    EXPECT_FALSE(cell_is_valid(cell, salt + 1));
    cell.commit = 6;
    EXPECT_FALSE(cell_is_valid(cell, salt));
    EXPECT_FALSE(cell_is_valid(LeaderCell{}, salt));
}

} // namespace
} // namespace rdma_paxos
