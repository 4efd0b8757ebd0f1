// SPDX-License-Identifier: Apache-2.0
//
// Writes what the replicas of one group do as a trace for rdma-paxos/model (the format: trace.h there).
#pragma once

#include "rdma_paxos/replica.h"
#include "rdma_paxos/storage.h"

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace rdma_paxos::checking {

/// Of one group whose replicas all run on one thread, so that the order of calls is the order of events. More than
/// `lives_max` lives are outside the model. A replica that finds its incarnation on its disk goes on with its life.
class TraceRecorder {
  public:
    static constexpr std::size_t lives_max = 24;

    /// `voters` found the group.
    explicit TraceRecorder(std::vector<ReplicaId> voters);
    ~TraceRecorder();
    TraceRecorder(const TraceRecorder&) = delete;
    TraceRecorder& operator=(const TraceRecorder&) = delete;

    /// Of a group with disks, before the replica is made: watches what its storage, which it is to use through what
    /// is returned, takes and reports as durable. Goes before the recorder does.
    std::unique_ptr<Storage> watch(ReplicaId id, std::uint64_t ring_bytes, std::unique_ptr<Storage> storage);
    /// Observes `replica` from its birth (before its first tick) until on_crash() or the recorder's end. `state`:
    /// of its user, given to it.
    void on_start(ReplicaId id, bool founding, Replica& replica, Index state = Index());
    /// Its memory is about to be lost. The trace does not tell: who never does anything again, and comes back as
    /// somebody else, cannot be told from one that is stopped. Writes that landed before may be counted later.
    void on_crash(ReplicaId id);

    /// The whole trace so far, complete.
    std::string text();
    /// Why this run cannot be told to the model; empty: it can.
    const std::string& unfit() const { return unfit_; }

  private:
    struct Step {
        const char* kind;
        int self;
        int peer;
        std::uint64_t term;
        std::uint64_t index;
        std::uint64_t entry_term;
        int number;
    };
    struct Life;
    class WatchedStorage;

    Life& life_at(ReplicaId id, bool founding, Replica& replica);
    void tell_recovery(Life& life, const Transition& transition);
    void write_down(const Step& step);
    void on_transition(Life& life, const Transition& transition);
    void tell(const Step& step);
    void tell_acknowledgements(const Life& leader, const Transition& commit);
    void tell_change(Life& life, const Transition& transition, int number);
    void flush();
    int number_of(const Membership& membership);
    int life_of(const Member& member);
    std::uint64_t lives_of(const MemberSet& set);

    std::vector<ReplicaId> voters_;
    std::vector<std::unique_ptr<Life>> lives_;
    std::map<ReplicaId, int> present_; ///< the life of each id that goes on
    std::map<ReplicaId, WatchedStorage*> storages_;
    std::map<std::string, int> memberships_;
    std::vector<Step> run_; ///< the newest steps, all of one replica
    std::string text_;
    std::string unfit_;
};

} // namespace rdma_paxos::checking
