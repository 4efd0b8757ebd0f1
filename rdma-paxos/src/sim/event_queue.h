// SPDX-License-Identifier: Apache-2.0
//
// What will happen, by virtual time; events of the same moment in the order in which they were announced.
#pragma once

#include "rdma_paxos/types.h"

#include <vector>

namespace rdma_paxos::sim {

/// Something to which events happen.
class EventHandler {
  public:
    virtual ~EventHandler() = default;
    /// `what` and `value` mean what the handler that announced the event meant by them.
    virtual void on_event(std::uint32_t what, std::uint64_t value) = 0;
};

/// Names a handler. Never used again: an event for a handler that is gone is dropped.
using HandlerId = std::uint32_t;

struct Event {
    Nanoseconds time{};
    std::uint64_t sequence = 0;
    std::uint64_t value = 0;
    HandlerId handler = 0;
    std::uint32_t what = 0;
};

/// A heap of four children: the queue is short, and an event moves through few cache lines.
class EventQueue {
  public:
    void push(const Event& event);
    Event pop(); ///< not empty
    bool empty() const { return heap_.empty(); }
    Nanoseconds next() const { return heap_.front().time; }

  private:
    static bool before(const Event& left, const Event& right) {
        return left.time != right.time ? left.time < right.time : left.sequence < right.sequence;
    }
    std::vector<Event> heap_;
};

} // namespace rdma_paxos::sim
