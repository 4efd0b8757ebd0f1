// SPDX-License-Identifier: Apache-2.0
//
// The clients: each calls, waits for the answer or gives up, thinks, and calls again.
#pragma once

#include "sim/faults.h"
#include "sim/history.h"

namespace rdma_paxos::sim {

class Workload final : private EventHandler {
  public:
    Workload(const Scenario& scenario, SimNetwork& network, Nodes& nodes, History& history);
    Workload(const Workload&) = delete;
    Workload& operator=(const Workload&) = delete;

    /// So many proposals at once, whoever leads; nobody waits for them.
    void burst(std::size_t count);

    /// A node has applied a command.
    void on_command(const Node& node, const Command& command, std::uint64_t result);

    std::size_t proposed() const { return proposed_; }
    std::size_t answered() const { return answered_; }

  private:
    struct Client {
        std::uint64_t waits_for = 0; ///< command; 0: thinks
        ReplicaId at;
        std::uint64_t life = 0;
        std::uint64_t turn = 0; ///< of which an event speaks
    };
    void on_event(std::uint32_t what, std::uint64_t value) override;
    void call(std::uint32_t client);
    void think(std::uint32_t client, Nanoseconds at_most);
    Node* somebody_who_leads();
    Command draw_command();
    std::size_t draw_length();

    const Scenario& scenario_;
    SimNetwork& network_;
    Nodes& nodes_;
    History& history_;
    HandlerId handler_;
    Random random_;
    std::vector<Client> clients_;
    std::uint64_t next_value_ = 0;
    std::size_t proposed_ = 0;
    std::size_t answered_ = 0;
};

} // namespace rdma_paxos::sim
