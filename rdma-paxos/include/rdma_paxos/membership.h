// SPDX-License-Identifier: Apache-2.0
//
// Who is in a group. Changed through the log: see docs/consensus.md, "Change of membership".
#pragma once

#include "rdma_paxos/types.h"

#include <algorithm>
#include <span>
#include <string>
#include <utility>

namespace rdma_paxos {

struct Member {
    ReplicaId id;
    bool witness = false; ///< stores and votes, but never leads and has no state machine
    /// Which life of that id is meant: a replica that lost its memory comes back as another incarnation, and is not
    /// this member. 0 in a founding membership: the first that anybody meets.
    std::uint64_t incarnation = 0;
    friend bool operator==(const Member&, const Member&) = default;
};

/// Up to max_replicas members, in order of their ids. A value; no memory of its own.
class MemberSet {
  public:
    MemberSet() = default;

    /// Keeps the order. False if it is full or has the id already.
    bool add(const Member& member);
    const Member* find(ReplicaId id) const;
    Member* find(ReplicaId id) { return const_cast<Member*>(std::as_const(*this).find(id)); }

    std::size_t size() const { return size_; }
    bool empty() const { return size_ == 0; }
    std::size_t majority() const { return size_ / 2u + 1u; }
    const Member* begin() const { return members_.data(); }
    const Member* end() const { return members_.data() + size_; }
    friend bool operator==(const MemberSet& left, const MemberSet& right) {
        return std::equal(left.begin(), left.end(), right.begin(), right.end());
    }

  private:
    std::array<Member, max_replicas> members_{};
    std::uint8_t size_ = 0;
};

/// The membership that is in effect from one entry of the log on, whether that entry is committed or not.
struct Membership {
    enum class Phase : std::uint8_t {
        stable = 0,
        catching_up = 1, ///< `voters` decide; those of `target` who are new receive the log (learners)
        joint = 2,       ///< everything needs a majority of `voters` and a majority of `target`
    };
    Phase phase = Phase::stable;
    MemberSet voters{};
    MemberSet target{}; ///< empty while stable
    Index index{};      ///< of the entry; 0: the founding membership

    /// The member of that id, wanted in either set.
    const Member* find(ReplicaId id) const;
    bool is_voter(ReplicaId id) const { return voters.find(id) || (phase == Phase::joint && target.find(id)); }
    friend bool operator==(const Membership&, const Membership&) = default;
};

std::string to_string(const Membership& membership);

} // namespace rdma_paxos
