// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "rdma_paxos/types.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace rdma_paxos::bench {

/// All measured values of one kind.
class Latencies {
  public:
    void add(Nanoseconds value) {
        values_.push_back(value);
        sorted_ = false;
    }

    void reserve(std::size_t room) { values_.reserve(room); }
    std::size_t count() const { return values_.size(); }

    /// The value, in microseconds, that `percent` of all do not exceed. 0 if there is none.
    double us(double percent) const {
        if (values_.empty())
            return 0;
        if (!sorted_)
            std::sort(values_.begin(), values_.end());
        sorted_ = true;
        const auto last = double(values_.size() - 1);
        return double(values_[static_cast<std::size_t>(std::lround(last * percent / 100))].count()) / 1000;
    }

  private:
    mutable std::vector<Nanoseconds> values_;
    mutable bool sorted_ = false;
};

} // namespace rdma_paxos::bench
