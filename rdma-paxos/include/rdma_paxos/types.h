// SPDX-License-Identifier: Apache-2.0
//
// The words of the library: positions, leaderships, members, time. Values of different kinds do not mix.
#pragma once

#include <array>
#include <chrono>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace rdma_paxos {

/// A number that knows what it counts. Comparable and printable through value(), never implicitly converted.
template <class Tag, class Rep>
class Strong {
  public:
    constexpr Strong() = default;
    constexpr explicit Strong(Rep value) : value_(value) {}
    constexpr Rep value() const { return value_; }
    constexpr Strong next() const { return Strong(static_cast<Rep>(value_ + 1)); }
    friend constexpr auto operator<=>(Strong, Strong) = default; // NOLINT(modernize-use-nullptr): clang-tidy 14

  private:
    Rep value_ = 0;
};

/// Position of an entry in the ordered log. The first entry has index 1; 0 means "none".
using Index = Strong<struct IndexTag, std::uint64_t>;

/// A leadership. At most one replica leads in a term. The first has term 1; 0 means "none yet".
using Term = Strong<struct TermTag, std::uint64_t>;

/// A member of a group, 1..max_replica_id. 0 means "nobody".
using ReplicaId = Strong<struct ReplicaIdTag, std::uint8_t>;
inline constexpr ReplicaId nobody{};

/// A point on, or a stretch of, the caller's monotonic clock. Its origin does not matter, its rate does (see
/// Timing).
using Nanoseconds = std::chrono::nanoseconds;

/// Names one group everywhere; for a protected VM, its UUID.
using GroupId = std::array<std::uint8_t, 16>;

inline constexpr std::size_t max_replicas = 7;
inline constexpr std::uint8_t max_replica_id = 63;

using Bytes = std::span<const std::byte>;

/// An expected failure: what was tried, on what, and why it did not work. For people and logs.
struct Error {
    std::string what;
};

} // namespace rdma_paxos
