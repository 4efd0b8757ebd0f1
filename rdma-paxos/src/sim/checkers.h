// SPDX-License-Identifier: Apache-2.0
//
// What must hold in every run, watched from outside the replicas: by what they tell their users, and by the bytes
// in their memories.
#pragma once

#include "consensus/log_ring.h"
#include "rdma_paxos/replica.h"
#include "sim/command.h"

#include <optional>
#include <string>
#include <vector>

namespace rdma_paxos::sim {

class Checkers {
  public:
    explicit Checkers(const GroupId& group) : genesis_{0, genesis_check(group), Index(), Term()} {}

    /// A replica begins: where the log that it shall be judged by does, and up to which index its state is
    /// complete.
    void on_start(ReplicaId id, const Cursor& from, Index applied);
    /// It goes on from a state that it was given. `now` is always the simulation's time, the true one.
    void on_install(ReplicaId id, const SnapshotPoint& point, Nanoseconds now);
    /// Its memory is gone.
    void on_crash(ReplicaId id);

    /// It gives up its lease, to hand leadership over.
    void on_lease_given_up(ReplicaId id, Nanoseconds now);

    void on_leader(const Replica& replica, ReplicaId id, const LogRing& ring, Nanoseconds now);
    void on_apply(ReplicaId id, Index index, Term term, Bytes body, Nanoseconds now);

    /// After each step of a replica. `lease_until` is in true time, as its user would understand it.
    void on_step(const Replica& replica, ReplicaId id, const LogRing& ring, Nanoseconds lease_until,
                 Nanoseconds now);

    void fail(Nanoseconds now, std::string what);
    const std::optional<std::string>& violation() const { return violation_; }

    const Cursor& genesis() const { return genesis_; }
    std::size_t applied() const { return applied_entries_; } ///< entries of users, by any replica
    std::size_t leaderships() const { return leaderships_; }
    Index committed_up_to() const { return Index(committed_.size()); }
    std::uint64_t leases_seen() const { return leases_seen_; }

  private:
    struct Entry {
        std::uint64_t check = 0;
        std::uint64_t position = 0;
        Term term;
        Term committed_in; ///< the term of whoever first knew it to be committed
    };
    struct Applied {
        Term term; ///< 0: not applied yet
        std::uint64_t body_hash = 0;
    };
    struct Watched {
        bool exists = false;
        Cursor known;    ///< up to here its log was compared and is committed
        Index last;      ///< its end when its log was last read, ...
        Index committed; ///< ... and up to where it said that it is committed
        Index last_applied;
        Nanoseconds promised_until = Nanoseconds::min(); ///< the latest lease that it ever announced ...
        Term promised_in;                                ///< ... and as leader of which term
    };

    Watched& watched(ReplicaId id) { return watched_[id.value()]; }
    void read_log(const Replica& replica, ReplicaId id, const LogRing& ring, Nanoseconds now);
    bool skip_to(ReplicaId id, const SnapshotPoint& point, Nanoseconds now);
    void see(ReplicaId id, const Cursor& entry, Nanoseconds now);
    void holds_what_is_committed(const Replica& replica, ReplicaId id, const LogRing& ring, Nanoseconds now);
    void commit(ReplicaId id, const Cursor& entry, Term term, Nanoseconds now);

    Cursor genesis_;
    std::array<Watched, max_replica_id + 1u> watched_{};
    std::vector<ReplicaId> leader_of_term_;
    std::vector<std::vector<Entry>> seen_; ///< by index: every entry that ever stood in a log; one for each term
    std::vector<Entry> committed_;         ///< by index - 1
    std::vector<Applied> applied_;         ///< by index - 1
    std::size_t applied_entries_ = 0;
    std::size_t leaderships_ = 0;
    std::uint64_t leases_seen_ = 0;
    std::optional<std::string> violation_;
};

} // namespace rdma_paxos::sim
