// SPDX-License-Identifier: Apache-2.0
#include "rdma_paxos/histogram.h"

#include <algorithm>
#include <cmath>

namespace rdma_paxos {

void Histogram::merge(const Histogram& other) {
    for (std::size_t i = 0; i < bucket_count; ++i)
        counts_[i] += other.counts_[i];
    count_ += other.count_;
    sum_ += other.sum_;
    max_ = std::max(max_, other.max_);
}

std::uint64_t Histogram::upper_edge(std::size_t bucket) {
    if (bucket < 8)
        return bucket;
    const std::size_t magnitude = bucket / 8 + 2;
    const std::uint64_t step = 1ull << (magnitude - 3);
    return (1ull << magnitude) + (bucket % 8) * step + (step - 1);
}

Nanoseconds Histogram::quantile(double share) const {
    if (count_ == 0)
        return {};
    const auto wanted = static_cast<std::uint64_t>(std::ceil(std::clamp(share, 0.0, 1.0) * double(count_)));
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < bucket_count; ++i) {
        seen += counts_[i];
        if (seen >= std::max<std::uint64_t>(wanted, 1))
            return Nanoseconds(static_cast<std::int64_t>(std::min(upper_edge(i), max_)));
    }
    return max();
}

} // namespace rdma_paxos
