// SPDX-License-Identifier: Apache-2.0
#include "sim/budget.h"

#include <algorithm>

namespace rdma_paxos::sim {

bool Budget::is_intact(const Member& member) const {
    if (member.id.value() > nodes_.size())
        return false;
    const Node& node = *nodes_[member.id.value() - 1u];
    const std::uint64_t meant = member.incarnation != 0 ? member.incarnation : node.founding_incarnation();
    return !node.is_damaged() && node.incarnation() != 0 && node.incarnation() == meant;
}

bool Budget::suffices(const MemberSet& set, const Node* without) const {
    if (set.empty())
        return true;
    std::size_t intact = 0;
    bool somebody_leads = false;
    for (const Member& member : set) {
        const Node& node = *nodes_[member.id.value() - 1u];
        if (&node == without || !is_intact(member))
            continue;
        ++intact;
        somebody_leads |= !member.witness && !node.abstains() && is_fresh(node);
    }
    return intact >= set.majority() && somebody_leads;
}

bool Budget::is_fresh(const Node& node) const {
    std::uint64_t newest = 0;
    for (const auto& each : nodes_)
        newest = std::max(newest, each->position());
    return node.position() + ring_bytes_ / 2 >= newest;
}

bool Budget::can_lose(const Node& victim) const {
    return std::all_of(nodes_.begin(), nodes_.end(), [&](const auto& node) {
        const Membership* belief = node->belief();
        return !belief || (suffices(belief->voters, &victim) && suffices(belief->target, &victim));
    });
}

Node* Budget::leader() const {
    Node* newest = nullptr;
    for (const auto& node : nodes_)
        if (node->leads() && (!newest || node->replica()->term() > newest->replica()->term()))
            newest = node.get();
    return newest;
}

} // namespace rdma_paxos::sim
