// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "rdma_paxos/fabric.h"

#include <algorithm>

namespace rdma_paxos {

/// Finished works that wait for poll(), oldest first. Starts over at its beginning whenever it has been emptied, so
/// it stays in a few cache lines, and does not allocate while no more than `room` wait.
class CompletionList {
  public:
    explicit CompletionList(std::size_t room) { items_.reserve(room); }

    void push(const Completion& item) { items_.push_back(item); }

    std::size_t take(std::span<Completion> out) {
        const std::size_t count = std::min(out.size(), items_.size() - taken_);
        if (count == 0)
            return 0;
        std::copy_n(items_.begin() + static_cast<std::ptrdiff_t>(taken_), count, out.begin());
        taken_ += count;
        if (taken_ == items_.size()) {
            items_.clear();
            taken_ = 0;
        }
        return count;
    }

    void forget(ReplicaId peer) {
        items_.erase(items_.begin(), items_.begin() + static_cast<std::ptrdiff_t>(taken_));
        taken_ = 0;
        std::erase_if(items_, [peer](const Completion& item) { return item.peer == peer; });
    }

  private:
    std::vector<Completion> items_;
    std::size_t taken_ = 0;
};

} // namespace rdma_paxos
