// SPDX-License-Identifier: Apache-2.0
//
// The point of the log that a state belongs to. The library never sees the state itself: its user makes it, ships
// it, and hands the point along with it.
#pragma once

#include "rdma_paxos/membership.h"

#include <optional>
#include <vector>

namespace rdma_paxos {

/// All entries up to `index` are in the state, none behind it.
struct SnapshotPoint {
    Index index;
    Term term;                  ///< of the entry at `index`
    std::uint64_t position = 0; ///< in the log, in bytes since the group's birth
    std::uint64_t check = 0;    ///< of the entry at `index`: what its successor is chained to
    Membership membership;      ///< in effect at `index`
    friend bool operator==(const SnapshotPoint&, const SnapshotPoint&) = default;
};

/// Bytes for a file or a message, with magic, version and checksum; at most max_encoded_snapshot_point bytes.
/// docs/consensus-formats.md, "Snapshot point".
inline constexpr std::size_t max_encoded_snapshot_point = 512;
std::vector<std::byte> encode(const SnapshotPoint& point, const GroupId& group);

/// None if the bytes are damaged, of another version, or of another group.
std::optional<SnapshotPoint> decode_snapshot_point(Bytes bytes, const GroupId& group);

} // namespace rdma_paxos
