// SPDX-License-Identifier: Apache-2.0
#include "sim/event_queue.h"

#include <algorithm>

namespace rdma_paxos::sim {

namespace {
constexpr std::size_t children = 4;
} // namespace

void EventQueue::push(const Event& event) {
    std::size_t at = heap_.size();
    heap_.push_back(event);
    while (at > 0) {
        const std::size_t parent = (at - 1) / children;
        if (!before(event, heap_[parent]))
            break;
        heap_[at] = heap_[parent];
        at = parent;
    }
    heap_[at] = event;
}

Event EventQueue::pop() {
    const Event first = heap_.front();
    const Event last = heap_.back();
    heap_.pop_back();
    const std::size_t size = heap_.size();
    std::size_t at = 0;
    while (size > 0) {
        const std::size_t begin = at * children + 1;
        if (begin >= size)
            break;
        std::size_t least = begin;
        for (std::size_t child = begin + 1; child < std::min(begin + children, size); ++child)
            if (before(heap_[child], heap_[least]))
                least = child;
        if (!before(heap_[least], last))
            break;
        heap_[at] = heap_[least];
        at = least;
    }
    if (size > 0)
        heap_[at] = last;
    return first;
}

} // namespace rdma_paxos::sim
