// SPDX-License-Identifier: Apache-2.0
#include "sim/sim_rendezvous.h"

#include <algorithm>

namespace rdma_paxos::sim {

SimRendezvous::SimRendezvous(SimNetwork& network, ReplicaId self)
    : network_(network), self_(self), handler_(network.add_handler(*this)), random_(network.stream(self)) {
    network_.rendezvous_[self.value()] = this;
}

SimRendezvous::~SimRendezvous() {
    network_.remove_handler(handler_);
    if (network_.rendezvous_[self_.value()] == this)
        network_.rendezvous_[self_.value()] = nullptr;
}

void SimRendezvous::send(ReplicaId peer, const RendezvousMessage& message) {
    const NetworkOptions& options = network_.options();
    if (random_.chance(options.lost_message_probability))
        return;
    auto slot =
        std::find_if(outbound_.begin(), outbound_.end(), [](const Letter& each) { return !each.on_its_way; });
    if (slot == outbound_.end())
        slot = outbound_.emplace(outbound_.end());
    *slot = {peer, true, message};
    network_.at(network_.now() + random_.between(50us, options.message_delay_max), handler_, 0,
                static_cast<std::uint64_t>(slot - outbound_.begin()));
}

void SimRendezvous::on_event(std::uint32_t, std::uint64_t value) {
    Letter& letter = outbound_[value];
    letter.on_its_way = false;
    SimRendezvous* target = network_.rendezvous_[letter.peer.value()];
    if (!target || !network_.reachable(self_, letter.peer) || !network_.reachable(letter.peer, self_))
        return;
    auto& inbox = target->inbox_;
    const auto older =
        std::find_if(inbox.begin(), inbox.end(), [this](const Letter& each) { return each.peer == self_; });
    if (older != inbox.end())
        older->message = letter.message;
    else
        inbox.push_back({self_, true, letter.message});
}

void SimRendezvous::receive(Nanoseconds, const std::function<void(ReplicaId, const RendezvousMessage&)>& deliver) {
    for (const Letter& letter : inbox_)
        deliver(letter.peer, letter.message);
    inbox_.clear();
}

} // namespace rdma_paxos::sim
