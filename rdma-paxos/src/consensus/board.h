// SPDX-License-Identifier: Apache-2.0
//
// What replicas write into each other's memory besides entries: rows on the board, and the leader's cell.
// Both are state, not messages: writing one again changes nothing, and only the newest matters.
// See docs/consensus.md, "Board region" and "Log region".
#pragma once

#include "rdma_paxos/config.h"
#include "rdma_paxos/rendezvous.h"
#include "rdma_paxos/replica.h"

#include <optional>

namespace rdma_paxos {

/// What one replica tells one peer about itself.
struct Row {
    std::uint64_t incarnation = 0;
    std::uint64_t beat = 0; ///< grows with every write of the row
    Term term;
    Role role = Role::follower;
    bool has_quorum = false;        ///< a leader's: a majority completed a heartbeat within an election time-out
    ReplicaId voted_for;            ///< in `term`
    ReplicaId granted_to;           ///< who alone may write the sender's log, in `term`
    std::uint64_t doubt = 0;        ///< a pre-candidate's: counts its doubts
    ReplicaId shares_doubt_of;      ///< pre-vote: the sender misses the leader too, ...
    std::uint64_t shared_doubt = 0; ///< ... and says so to this doubt of that peer
    Index end_index;
    Term end_term;
    std::uint64_t end_position = 0;
    std::uint64_t end_check = 0;
    Index commit_index;
    Term commit_term;
    std::uint64_t commit_position = 0;
    std::uint64_t commit_check = 0;
    Index applied_index;
    std::uint64_t applied_position = 0;
    LinkOffer log_link; ///< the sender's end of the log link to the peer this row is written to
};

/// The leader's heartbeat, written through the log link, so that whoever fences the leader also stops its
/// heartbeats.
struct LeaderCell {
    std::uint64_t check = 0;
    std::uint64_t term = 0;
    std::uint64_t beat = 0;
    std::uint64_t commit = 0;
    friend bool operator==(const LeaderCell&, const LeaderCell&) = default;
};
static_assert(sizeof(LeaderCell) == 32);

/// Bytes that a row takes in the board, more than are written.
inline constexpr std::size_t row_slot = 512;
/// Bytes at the beginning of the log region that are not ring; the leader's cell is at offset 0.
inline constexpr std::size_t ring_offset = 4096;
/// From here on a leader keeps, for each peer, the cell that is on its way to it.
inline constexpr std::size_t cell_source_offset = 64;

using RowImage = std::array<std::byte, 320>;

/// `salt` is the group's genesis_check(); `writer` goes into the checksum, so that a row in a wrong slot is
/// invalid.
RowImage encode_row(const Row& row, std::uint64_t salt, ReplicaId writer);
std::optional<Row> decode_row(const RowImage& image, std::uint64_t salt, ReplicaId writer);

LeaderCell seal_cell(LeaderCell cell, std::uint64_t salt);
bool cell_is_valid(const LeaderCell& cell, std::uint64_t salt);

} // namespace rdma_paxos
