// SPDX-License-Identifier: Apache-2.0
//
// How much may be lost. What a group is promised to survive, it must survive; so no fault destroys more than that,
// and at the end progress can be demanded.
#pragma once

#include "sim/node.h"

#include <vector>

namespace rdma_paxos::sim {

using Nodes = std::vector<std::unique_ptr<Node>>;

class Budget {
  public:
    Budget(const Nodes& nodes, std::size_t ring_bytes) : nodes_(nodes), ring_bytes_(ring_bytes) {}

    /// Its memory (of a volatile group) or its disk is there, as far as it ever was told, and it is that member.
    bool is_intact(const Member& member) const;

    /// Whether, in every membership that some replica believes in, or will when it has read its disk, a majority is
    /// intact without `victim`, and of these one can lead.
    bool can_lose(const Node& victim) const;
    bool suffices(const MemberSet& set, const Node* without) const;

    /// Whether it could lead: who lacks more than others' logs still hold needs a state from somebody who leads.
    bool is_fresh(const Node& node) const;

    /// The node who leads the newest term, if any does.
    Node* leader() const;

  private:
    const Nodes& nodes_;
    std::size_t ring_bytes_;
};

} // namespace rdma_paxos::sim
