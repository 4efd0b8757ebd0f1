// SPDX-License-Identifier: Apache-2.0
#include "sim/sim_network.h"

#include "sim/sim_rendezvous.h"

#include <algorithm>

namespace rdma_paxos::sim {

HandlerId SimNetwork::add_handler(EventHandler& handler) {
    handlers_.push_back(&handler);
    return static_cast<HandlerId>(handlers_.size() - 1);
}

void SimNetwork::at(Nanoseconds time, HandlerId handler, std::uint32_t what, std::uint64_t value) {
    events_.push({std::max(time, now_), sequence_++, value, handler, what});
}

bool SimNetwork::step(Nanoseconds until) {
    if (events_.empty() || events_.next() > until) {
        now_ = until;
        return false;
    }
    const Event event = events_.pop();
    now_ = event.time;
    if (EventHandler* handler = handlers_[event.handler])
        handler->on_event(event.what, event.value);
    return true;
}

void SimNetwork::set_path(ReplicaId from, ReplicaId to, bool open) {
    const std::uint64_t bit = std::uint64_t{1} << to.value();
    if (open)
        cut_[from.value()] &= ~bit;
    else
        cut_[from.value()] |= bit;
}

void SimNetwork::set_host_stopped(ReplicaId id, bool stopped) {
    const std::uint64_t bit = std::uint64_t{1} << id.value();
    stopped_ = stopped ? stopped_ | bit : stopped_ & ~bit;
}

std::unique_ptr<SimFabric> SimNetwork::make_fabric(ReplicaId self, const MemoryLayout& layout) {
    return std::make_unique<SimFabric>(*this, self, layout);
}

std::unique_ptr<Rendezvous> SimNetwork::make_rendezvous(ReplicaId self) {
    return std::make_unique<SimRendezvous>(*this, self);
}

} // namespace rdma_paxos::sim
