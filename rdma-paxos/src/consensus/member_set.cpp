// SPDX-License-Identifier: Apache-2.0
#include "rdma_paxos/membership.h"

#include <fmt/format.h>

namespace rdma_paxos {

bool MemberSet::add(const Member& member) {
    if (size_ == members_.size() || find(member.id))
        return false;
    std::size_t at = size_;
    for (; at > 0 && members_[at - 1].id > member.id; --at)
        members_[at] = members_[at - 1];
    members_[at] = member;
    ++size_;
    return true;
}

const Member* MemberSet::find(ReplicaId id) const {
    const auto found = std::find_if(begin(), end(), [id](const Member& member) { return member.id == id; });
    return found == end() ? nullptr : found;
}

const Member* Membership::find(ReplicaId id) const {
    if (const Member* wanted = target.find(id))
        return wanted;
    return voters.find(id);
}

namespace {

std::string to_string(const MemberSet& set) {
    std::string text;
    for (const Member& member : set)
        text += fmt::format("{}{}{}", text.empty() ? "" : ",", member.id.value(), member.witness ? "w" : "");
    return "{" + text + "}";
}

} // namespace

std::string to_string(const Membership& membership) {
    switch (membership.phase) {
    case Membership::Phase::stable:
        break;
    case Membership::Phase::catching_up:
        return fmt::format("{} (then {})", to_string(membership.voters), to_string(membership.target));
    case Membership::Phase::joint:
        return fmt::format("{} and {}", to_string(membership.voters), to_string(membership.target));
    }
    return to_string(membership.voters);
}

} // namespace rdma_paxos
