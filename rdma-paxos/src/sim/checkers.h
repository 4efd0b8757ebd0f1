// SPDX-License-Identifier: Apache-2.0
//
// What must hold in every run, watched from outside the replicas.
#pragma once

#include "rdma_paxos/replica.h"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace rdma_paxos::sim {

class Checkers {
  public:
    explicit Checkers(std::vector<ReplicaId> members) : members_(std::move(members)) {}

    /// `now` is the simulation's time, the true one.
    void on_leader(ReplicaId id, Term term, Index last_index, Nanoseconds now);
    void on_apply(ReplicaId id, Index index, Term term, Bytes body, Nanoseconds now);

    /// After each step of a replica: how far it says the log is committed, and until when (true time, as its user
    /// would understand it) nobody else leads.
    void on_state(ReplicaId id, bool leads, Index commit, Nanoseconds lease_until, Nanoseconds now);

    /// A replica's memory is gone: what it applied does not count any more.
    void on_crash(ReplicaId id);

    const std::optional<std::string>& violation() const { return violation_; }
    std::size_t applied_by(ReplicaId id) const;
    std::size_t committed() const { return entries_.size(); }
    std::size_t leaderships() const { return leaders_.size(); }
    Index committed_up_to() const { return committed_up_to_; }

  private:
    struct Known {
        Term term;
        std::uint64_t body_hash;
    };
    void fail(Nanoseconds now, std::string what);

    std::vector<ReplicaId> members_;
    std::map<Term, ReplicaId> leaders_;
    std::map<Index, Known> entries_;
    std::map<ReplicaId, Index> last_applied_;
    std::map<ReplicaId, std::size_t> applied_count_;
    std::map<ReplicaId, Nanoseconds> promised_until_; ///< the latest lease that a replica ever announced
    Index committed_up_to_;
    std::optional<std::string> violation_;
};

} // namespace rdma_paxos::sim
