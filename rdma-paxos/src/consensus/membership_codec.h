// SPDX-License-Identifier: Apache-2.0
//
// A membership as bytes: the body of a log entry, and part of a snapshot point. docs/consensus-formats.md,
// "Snapshot point".
#pragma once

#include "rdma_paxos/membership.h"

#include <optional>

namespace rdma_paxos {

inline constexpr std::size_t membership_header_bytes = 16;
inline constexpr std::size_t encoded_member_bytes = 16;
inline constexpr std::size_t max_encoded_membership =
    membership_header_bytes + 2 * max_replicas * encoded_member_bytes;

/// The number of bytes written; 0 if `out` is too small (max_encoded_membership always suffices).
std::size_t encode_membership(const Membership& membership, std::span<std::byte> out);

/// None unless all of `bytes` is one membership of this version that makes sense: voters; a target if and only if
/// not stable; ids 1..max_replica_id, each once per set and in order; in each set one that is no witness.
std::optional<Membership> decode_membership(Bytes bytes);

} // namespace rdma_paxos
