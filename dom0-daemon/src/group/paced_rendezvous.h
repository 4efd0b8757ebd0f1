// SPDX-License-Identifier: Apache-2.0
//
// A rendezvous that is looked at only when there is something to see: a replica asks at every tick, and each look
// costs a system call per connection.
#pragma once

#include <chrono>
#include <memory>

#include <rdma_paxos/rendezvous.h>

namespace tripod::group {

class PacedRendezvous final : public rdma_paxos::Rendezvous {
  public:
    // Connections that are being dialled show nothing to poll for, so it looks at least this often.
    static constexpr rdma_paxos::Nanoseconds look_interval = std::chrono::milliseconds(100);

    explicit PacedRendezvous(std::unique_ptr<rdma_paxos::Rendezvous> inner) : inner_(std::move(inner)) {}

    // Something has arrived: the next receive() looks.
    void notice() { due_ = true; }

    void send(rdma_paxos::ReplicaId peer, const rdma_paxos::RendezvousMessage& message) override {
        inner_->send(peer, message);
        due_ = true; // it is sent by the next look
    }

    void receive(
        rdma_paxos::Nanoseconds now,
        const std::function<void(rdma_paxos::ReplicaId, const rdma_paxos::RendezvousMessage&)>& deliver) override {
        if (!due_ && now < next_look_)
            return;
        due_ = false;
        next_look_ = now + look_interval;
        inner_->receive(now, deliver);
    }

  private:
    std::unique_ptr<rdma_paxos::Rendezvous> inner_;
    rdma_paxos::Nanoseconds next_look_{};
    bool due_ = true;
};

} // namespace tripod::group
