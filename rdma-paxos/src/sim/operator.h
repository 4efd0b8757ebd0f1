// SPDX-License-Identifier: Apache-2.0
//
// Who runs the group: changes its members, hands leadership over, and ships states to replicas that fell behind.
// Asks again and again until it is done, or it is too late.
#pragma once

#include "sim/budget.h"

namespace rdma_paxos::sim {

class Operator final : private EventHandler {
  public:
    Operator(const Scenario& scenario, SimNetwork& network, Nodes& nodes, const Budget& budget,
             std::function<std::unique_ptr<Node>(ReplicaId)> make_node,
             std::function<void(const std::string&)> trace);
    Operator(const Operator&) = delete;
    Operator& operator=(const Operator&) = delete;

    void change_members(Random random, Nanoseconds patience);
    void transfer(Random random, Nanoseconds patience);
    void ship_state(Node& leader, ReplicaId to);

    std::vector<ReplicaId> acquaintances() const;
    std::size_t changes() const { return changes_; }
    std::size_t shipped() const { return shipped_; }

  private:
    enum What : std::uint32_t { members, hand_over, pack, deliver };

    struct Task {
        Random random{0};
        Nanoseconds give_up{};
        std::vector<Member> target; ///< empty: not chosen yet
        bool asked = false;
    };
    struct Shipment {
        ReplicaId from;
        ReplicaId to;
        Saved state;
    };

    void on_event(std::uint32_t what, std::uint64_t value) override;
    void continue_change(std::size_t number);
    void continue_transfer(std::size_t number);
    bool choose_target(Task& task, const Membership& present);
    Node* somebody_new(Random& random, bool witness);
    void pack_state(ReplicaId from, ReplicaId to);
    void retire(const Membership& present, Random& random);
    Node& node(ReplicaId id) { return *nodes_[id.value() - 1u]; }
    void trace(const std::string& what) const {
        if (trace_)
            trace_(what);
    }

    const Scenario& scenario_;
    SimNetwork& network_;
    Nodes& nodes_;
    const Budget& budget_;
    std::function<std::unique_ptr<Node>(ReplicaId)> make_node_;
    std::function<void(const std::string&)> trace_;
    HandlerId handler_;
    Random random_;
    std::vector<Task> tasks_;
    std::vector<Shipment> shipments_;
    std::size_t changes_ = 0;
    std::size_t shipped_ = 0;
};

} // namespace rdma_paxos::sim
