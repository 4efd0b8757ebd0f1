// SPDX-License-Identifier: Apache-2.0
//
// What replicas write into each other's memory besides entries: rows on the board, and the leader's cell.
// Both are state, not messages: writing one again changes nothing, and only the newest matters.
// See docs/consensus-formats.md, "Board region" and "Log region".
#pragma once

#include "rdma_paxos/config.h"
#include "rdma_paxos/rendezvous.h"
#include "rdma_paxos/replica.h"

#include <optional>

namespace rdma_paxos {

/// What one replica tells one peer about itself.
struct Row {
    std::uint64_t life = 0;        ///< of the sender's process
    std::uint64_t incarnation = 0; ///< of the sender's memory
    std::uint64_t beat = 0;        ///< grows with every write of the row
    Term term;
    Role role = Role::follower;
    bool has_quorum = false;   ///< a leader's: a majority completed a heartbeat within an election time-out
    bool newcomer = false;     ///< it came after the founding, or lost its memory
    bool cannot_lead = false;  ///< it abstains, is a witness, or its storage failed
    bool suspect = false;      ///< its disk may have lost entries that it acknowledged
    bool handed_over = false;  ///< led the term before, gave its lease up, and voted for its successor
    bool witness = false;      ///< it has no state machine
    bool dismissed = false;    ///< a leader's: the receiver is no member
    bool left_behind = false;  ///< a leader's: the receiver missed more than the sender's ring holds
    ReplicaId voted_for;       ///< in `term`
    ReplicaId granted_to;      ///< who alone may write the sender's log, in `term`
    Term released;             ///< a candidate's: the leader of this term gave up its lease in the sender's favour
    std::uint64_t doubt = 0;   ///< a pre-candidate's: counts its doubts
    ReplicaId shares_doubt_of; ///< pre-vote: the sender misses the leader too, ...
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
    std::uint64_t durable_position = 0; ///< on the sender's disk up to here, ...
    Term durable_term;                  ///< ... an entry of this term
    EntryId lost_membership;            ///< the sender's disk lost it, and a leader has not repaired that yet
    LinkOffer log_link;                 ///< the sender's end of the log link to the peer this row is written to
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

/// Bytes that a row takes in the board, more than are written. Rows lie in order of the writers' ids.
inline constexpr std::size_t row_slot = 512;
inline constexpr std::size_t row_offset(ReplicaId writer) {
    return writer.value() * row_slot;
}
/// Bytes at the beginning of the log region that are not ring; the leader's cell is at offset 0.
inline constexpr std::size_t ring_offset = 4096;
/// Here a leader keeps the cell that is on its way to that peer.
inline constexpr std::size_t cell_source_offset(ReplicaId peer) {
    return 64 + peer.value() * 32u;
}

using RowImage = std::array<std::byte, 320>;

/// `salt` is the group's genesis_check(); `writer` goes into the checksum, so that a row in a wrong slot is
/// invalid.
RowImage encode_row(const Row& row, std::uint64_t salt, ReplicaId writer);
std::optional<Row> decode_row(const RowImage& image, std::uint64_t salt, ReplicaId writer);

LeaderCell seal_cell(LeaderCell cell, std::uint64_t salt);
bool cell_is_valid(const LeaderCell& cell, std::uint64_t salt);

} // namespace rdma_paxos
