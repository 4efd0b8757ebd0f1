// SPDX-License-Identifier: Apache-2.0
//
// Counts of durations in buckets whose width is at most an eighth of their value: 1 ns to 584 years in 4 KiB,
// without allocation, mergeable.
#pragma once

#include "rdma_paxos/types.h"

#include <algorithm>
#include <bit>

namespace rdma_paxos {

class Histogram {
  public:
    static constexpr std::size_t bucket_count = 62 * 8;

    void record(Nanoseconds duration) {
        const auto value = static_cast<std::uint64_t>(std::max<std::int64_t>(duration.count(), 0));
        ++counts_[bucket_of(value)];
        ++count_;
        sum_ += value;
        max_ = std::max(max_, value);
    }
    void merge(const Histogram& other);

    std::uint64_t count() const { return count_; }
    Nanoseconds max() const { return Nanoseconds(static_cast<std::int64_t>(max_)); }
    Nanoseconds mean() const { return Nanoseconds(static_cast<std::int64_t>(count_ ? sum_ / count_ : 0)); }

    /// The upper edge of the bucket that holds this share (0 to 1) of all durations; 0 if there are none.
    Nanoseconds quantile(double share) const;

    std::uint64_t bucket(std::size_t number) const { return counts_[number]; }
    static std::uint64_t upper_edge(std::size_t bucket);

  private:
    static std::size_t bucket_of(std::uint64_t value) {
        if (value < 8)
            return static_cast<std::size_t>(value);
        const auto magnitude = static_cast<int>(std::bit_width(value)) - 1; // at least 3
        return static_cast<std::size_t>(magnitude - 2) * 8 +
               static_cast<std::size_t>((value >> (magnitude - 3)) & 7);
    }

    std::array<std::uint64_t, bucket_count> counts_{};
    std::uint64_t count_ = 0;
    std::uint64_t sum_ = 0;
    std::uint64_t max_ = 0;
};

} // namespace rdma_paxos
