// SPDX-License-Identifier: Apache-2.0
//
// One member of a replicated, ordered log of byte strings.
//
// Threading: none. All calls on one Replica come from one thread at a time; listener calls come out of tick(),
// flush() and propose() on that thread, and may call the const members and propose(), nothing else.
// Time: passed in, on the caller's monotonic clock, never decreasing.
// Failures: a broken peer or link is expected and handled inside; a broken invariant aborts the program.
#pragma once

#include "rdma_paxos/config.h"
#include "rdma_paxos/fabric.h"
#include "rdma_paxos/rendezvous.h"

#include <memory>
#include <optional>
#include <tl/expected.hpp>

namespace rdma_paxos {

enum class Role : std::uint8_t {
    follower = 0,
    pre_candidate = 1, ///< asks whether others miss the leader too; disturbs nobody
    candidate = 2,
    leader = 3,
    observer = 4, ///< lost its memory (Config::founding false): takes no part
};

const char* to_string(Role role);

enum class ProposeError : std::uint8_t {
    not_leader, ///< see Replica::leader() for whom to ask
    log_full,   ///< a live follower, or this replica's listener, has not applied enough; try after a tick
    too_large,  ///< above Config::max_entry_bytes
};

const char* to_string(ProposeError error);

/// What the user of a replica is told.
class Listener {
  public:
    virtual ~Listener() = default;

    /// A committed entry; on every replica, leader included, in index order, each exactly once. Indices may skip:
    /// the library's own entries are not shown. `body` is valid during the call. Returning false means "not now":
    /// the same entry is offered again at the next tick, and its ring space stays taken (back-pressure).
    virtual bool on_commit(Index index, Term term, Bytes body) = 0;

    /// The role or term of this replica changed. Role::leader is announced when elected; everything that earlier
    /// leaders committed has been applied here once applied_index() >= Replica::term_start().
    virtual void on_role(Role role, Term term) = 0;
};

struct PeerStatus {
    bool alive = false;       ///< its row moved within the last election time-out
    bool board_up = false;    ///< our board link to it is connected
    bool log_up = false;      ///< leader only: our log link to it is connected
    bool lagging = false;     ///< leader only: it missed more than the ring holds; it needs a state transfer
    bool replaced = false;    ///< it came back without its memory and is kept out
    Index acked;              ///< leader only: it holds the log up to here (its memory, not yet its program)
    Index applied;            ///< its listener has taken entries up to here
    Nanoseconds last_heard{}; ///< when its row last moved
};

struct Counters {
    std::uint64_t proposals = 0;
    std::uint64_t proposed_bytes = 0;
    std::uint64_t commits = 0;    ///< entries that became committed here
    std::uint64_t log_writes = 0; ///< WRITEs of entries
    std::uint64_t heartbeats = 0; ///< WRITEs of the leader's cell
    std::uint64_t row_writes = 0; ///< WRITEs of rows
    std::uint64_t pre_votes = 0;  ///< doubts raised
    std::uint64_t elections = 0;  ///< candidacies
    std::uint64_t wins = 0;
    std::uint64_t votes = 0;      ///< votes given to others
    std::uint64_t fences = 0;     ///< log links reset to shut out a leader
    std::uint64_t adoptions = 0;  ///< entries read from a voter
    std::uint64_t reconnects = 0; ///< log or board links connected after the first time
    std::uint64_t pauses = 0;     ///< ticks that came so late that this replica must have been stopped
};

class Replica {
  public:
    /// `fabric` has the memory_layout() of `config.ring_bytes` and fresh (zeroed) memory. All three outlive it.
    /// Fails if the configuration contradicts itself.
    static tl::expected<std::unique_ptr<Replica>, Error> create(const Config& config, Fabric& fabric,
                                                                Rendezvous& rendezvous, Listener& listener);
    ~Replica();
    Replica(const Replica&) = delete;
    Replica& operator=(const Replica&) = delete;

    /// Does everything that is due: completions, memory, links, heartbeats, time-outs, commits. Cheap when idle.
    void tick(Nanoseconds now);

    /// Leader only: appends to the log. Nothing is sent before flush() or tick(), so several proposals share a
    /// WRITE. An entry that was accepted may still be lost if leadership is lost before it commits.
    tl::expected<Index, ProposeError> propose(Bytes body);

    /// Sends what was proposed, as far as max_in_flight allows; the rest follows with the completions.
    void flush(Nanoseconds now);

    /// From the next tick on this replica never leads: it goes on storing, committing and voting, but does not
    /// stand, and if it leads it steps down and leaves the field to the others. For good.
    void abstain();

    /// When tick() must be called at the latest. Before that, only completions (Fabric::event_fds) matter.
    Nanoseconds next_deadline() const;

    Role role() const;
    Term term() const;
    ReplicaId leader() const;    ///< nobody if unknown
    Index last_index() const;    ///< of the local log, committed or not
    Index commit_index() const;  ///< known here to be committed
    Index applied_index() const; ///< taken by the listener
    Index term_start() const;    ///< leader only: index of the first entry of its own term

    /// Leader only: until this moment of the local clock no other replica can have become leader, if all clocks
    /// keep within Timing::clock_drift_ppm. In the past when unknown or not leader.
    Nanoseconds lease_deadline() const;

    PeerStatus peer(ReplicaId id) const;
    Counters counters() const;
    std::uint64_t incarnation() const;

  private:
    class Impl;
    explicit Replica(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

} // namespace rdma_paxos
