// SPDX-License-Identifier: Apache-2.0
//
// Makes the faults of a plan happen, and end.
#pragma once

#include "sim/operator.h"

namespace rdma_paxos::sim {

class Faults final : private EventHandler {
  public:
    /// What the plan needs of others.
    struct Hooks {
        std::function<void(std::size_t count)> load;   ///< so many proposals at once
        std::function<void(const std::string&)> trace; ///< empty: nobody listens
    };

    /// `only`: numbers of the faults that are to happen; none: all of them.
    Faults(const Scenario& scenario, const std::optional<std::vector<std::size_t>>& only, SimNetwork& network,
           Nodes& nodes, Operator& operations, const Budget& budget, Hooks hooks);
    Faults(const Faults&) = delete;
    Faults& operator=(const Faults&) = delete;

    void on_leader(Node& node);
    void on_landed(ReplicaId at, ReplicaId from, Link link, bool whole);

    /// Ends all faults, and lets none begin. Who crashed and has a disk is started again.
    void heal();

    const std::array<std::size_t, fault_kinds>& happened() const { return happened_; }
    std::size_t restarts() const { return restarts_; }

  private:
    enum What : std::uint32_t { begin, end, go_on, silence, release, restart, rot_now, cut_power };

    void on_event(std::uint32_t what, std::uint64_t value) override;
    void start(std::size_t number);
    void stop(std::size_t number);
    void cut(ReplicaId from, ReplicaId to, int change);
    void cut_off(ReplicaId node, int outgoing, int incoming);
    void each_pair(std::uint64_t half, int change);
    void for_each_link(Node& node, Random& random, double share, void (SimFabric::*what)(ReplicaId, Link));
    bool begin_fault(const Fault& fault, std::uint64_t& touched, Node& chosen, ReplicaId other, Random& random);
    bool lose(const Fault& fault, Node& victim, Random& random);
    void power_cut(std::size_t number);
    void rot_while_others_are_gone(std::size_t number);
    void crash(Node& victim, Nanoseconds restart_after);
    void come_back(Node& node);
    void unseat_now();
    Node& node(ReplicaId id) { return *nodes_[id.value() - 1u]; }
    Node& leader_or(ReplicaId id);
    void trace(const std::string& what) const {
        if (hooks_.trace)
            hooks_.trace(what);
    }

    const Scenario& scenario_;
    SimNetwork& network_;
    Nodes& nodes_;
    Operator& operator_;
    const Budget& budget_;
    Hooks hooks_;
    HandlerId handler_;
    std::array<std::size_t, fault_kinds> happened_{};
    std::vector<std::uint64_t> touched_; ///< by fault: bits of the nodes that it hit, for its end
    std::vector<std::array<std::int8_t, 16>> cuts_;
    NetworkOptions calm_;
    std::array<int, fault_kinds> active_{};
    bool healed_ = false;
    std::size_t restarts_ = 0;

    // Fault unseat_leaders.
    struct Unseating {
        Random random{0};
        ReplicaId target; ///< the leader that is about to be cut off
        std::uint64_t writes_left = 0;
        ReplicaId cut_off;      ///< the one that is
        bool silent = false;    ///< its incoming paths are cut too
        std::uint64_t turn = 0; ///< of whom an event speaks
    } unseating_;
};

} // namespace rdma_paxos::sim
