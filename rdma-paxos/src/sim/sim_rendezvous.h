// SPDX-License-Identifier: Apache-2.0
//
// The simulator's meeting place: messages that are late, lost, or overtake each other.
#pragma once

#include "sim/sim_network.h"

namespace rdma_paxos::sim {

class SimRendezvous final : public Rendezvous, private EventHandler {
  public:
    SimRendezvous(SimNetwork& network, ReplicaId self);
    ~SimRendezvous() override;
    SimRendezvous(const SimRendezvous&) = delete;
    SimRendezvous& operator=(const SimRendezvous&) = delete;

    void send(ReplicaId peer, const RendezvousMessage& message) override;
    void receive(Nanoseconds now, const std::function<void(ReplicaId, const RendezvousMessage&)>& deliver) override;

  private:
    struct Letter {
        ReplicaId peer;
        bool on_its_way = false;
        RendezvousMessage message;
    };
    void on_event(std::uint32_t what, std::uint64_t value) override;

    SimNetwork& network_;
    ReplicaId self_;
    HandlerId handler_;
    Random random_;
    std::vector<Letter> outbound_; ///< slots used again
    std::vector<Letter> inbox_;    ///< at most one of each peer
};

} // namespace rdma_paxos::sim
