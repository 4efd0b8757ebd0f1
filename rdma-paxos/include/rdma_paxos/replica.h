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
#include "rdma_paxos/histogram.h"
#include "rdma_paxos/membership.h"
#include "rdma_paxos/rendezvous.h"
#include "rdma_paxos/snapshot.h"
#include "rdma_paxos/storage.h"
#include "rdma_paxos/transition.h"

#include <memory>
#include <optional>
#include <tl/expected.hpp>

namespace rdma_paxos {

enum class Role : std::uint8_t {
    follower = 0,
    pre_candidate = 1, ///< asks whether others miss the leader too; disturbs nobody
    candidate = 2,
    leader = 3,
    learner = 4, ///< receives the log, but is no member that votes (yet)
};

const char* to_string(Role role);

enum class ProposeError : std::uint8_t {
    not_leader,       ///< see Replica::leader() for whom to ask
    log_full,         ///< a live follower, or this replica's listener, has not applied enough; try after a tick
    too_large,        ///< above Config::max_entry_bytes
    handing_over,     ///< transfer_leadership() is under way
    nothing_reserved, ///< propose_reserved() without reserve(), or after another proposal or a tick
};

const char* to_string(ProposeError error);

enum class ChangeError : std::uint8_t {
    not_leader,
    busy,        ///< another change is under way, or this leader has not committed an entry of its own term yet
    bad_members, ///< not 1, 3, 5 or 7 members with different ids, or only witnesses, or a witness that is none
    unknown,     ///< a new member has not been met yet: make it known to the rendezvous, start it, try again
    unchanged,   ///< the group has just these members already
};

const char* to_string(ChangeError error);

enum class TransferError : std::uint8_t {
    not_leader,
    busy,  ///< a transfer or a change of membership is under way
    unfit, ///< no member that can lead: unknown, a witness, silent, lagging, or abstaining
};

const char* to_string(TransferError error);

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

    /// Another membership is in effect here. It may still be undone by a new leader; then this is told again.
    virtual void on_membership(const Membership& membership) { (void)membership; }

    /// Leader only: `peer` misses more than the log still holds. Ship it the state that belongs to
    /// snapshot_point(), and have it call install_snapshot(). Told once per leadership and gap.
    virtual void on_lagging(ReplicaId peer) { (void)peer; }

    /// `peer` keeps a ring of another size, so it is not connected, and counts for nothing here: entries lie at
    /// different places in the two. `why` names both sizes and what to do. Told once per start of that peer.
    virtual void on_refused(ReplicaId peer, const Error& why) { (void)peer, (void)why; }

    /// The storage failed: this replica acknowledges, votes and leads no more, until it is started anew.
    virtual void on_failure(const Error& error) { (void)error; }
};

struct PeerStatus {
    bool alive = false;    ///< its row moved within the last election time-out
    bool board_up = false; ///< our board link to it is connected
    bool log_up = false;   ///< leader only: our log link to it is connected
    bool lagging = false;  ///< leader only: it missed more than the ring holds; it needs a state transfer
    bool replaced = false; ///< it came back without its memory: no member until the membership says so
    bool suspect = false;  ///< its disk may have lost entries that it acknowledged, until a leader has repaired it
    bool learner = false;  ///< receives the log, does not count
    bool cannot_lead = false;       ///< it says so itself: it abstains, is a witness, or its storage failed
    bool left_us_behind = false;    ///< it leads, and says that we missed more than its ring holds
    Index acked;                    ///< leader only: it holds the log up to here (its memory, not yet its program)
    Index applied;                  ///< its listener has taken entries up to here
    Nanoseconds last_heard{};       ///< when its row last moved
    std::uint64_t incarnation = 0;  ///< of it as it is known here; 0: not met yet
    std::uint64_t refused_ring = 0; ///< it keeps a ring of so many bytes, which is not ours; 0: it is not refused
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
    std::uint64_t votes = 0;              ///< votes given to others
    std::uint64_t fences = 0;             ///< log links reset to shut out a leader
    std::uint64_t adoptions = 0;          ///< entries read from a voter
    std::uint64_t reconnects = 0;         ///< log or board links connected after the first time
    std::uint64_t pauses = 0;             ///< ticks that came so late that this replica must have been stopped
    std::uint64_t transfers = 0;          ///< leaderships handed over on request
    std::uint64_t membership_changes = 0; ///< memberships that took effect here
    std::uint64_t lagging = 0;            ///< followers that lost their place in the log
    std::uint64_t installs = 0;           ///< snapshots installed here
    std::uint64_t refusals = 0;           ///< starts of peers whose ring has another size
    std::uint64_t catch_ups = 0;          ///< followers brought from a gap to the end of the log
};

struct Statistics {
    Counters counters;
    FabricStats fabric;
    Histogram commit_latency; ///< leader: from flush() (or tick()) to the moment when the commit is known
    Histogram election;       ///< winner: from its candidacy to its leadership
};

class Replica {
  public:
    /// `fabric` has the memory_layout() of `config.ring_bytes` and fresh (zeroed) memory. All of them outlive it.
    /// With a `storage` the replica is durable; its first ticks read back what is stored there. The listener's
    /// state must then be that of `state`, which must not lie before the storage's base (none: the very beginning).
    /// Fails if the configuration contradicts itself or the storage.
    static tl::expected<std::unique_ptr<Replica>, Error>
    create(const Config& config, Fabric& fabric, Rendezvous& rendezvous, Listener& listener,
           Storage* storage = nullptr, const std::optional<SnapshotPoint>& state = std::nullopt);
    ~Replica();
    Replica(const Replica&) = delete;
    Replica& operator=(const Replica&) = delete;

    /// Does everything that is due: completions, memory, links, heartbeats, time-outs, commits. Cheap when idle.
    void tick(Nanoseconds now);

    /// Leader only: appends to the log. Nothing is sent before flush() or tick(), so several proposals share a
    /// WRITE. An entry that was accepted may still be lost if leadership is lost before it commits.
    tl::expected<Index, ProposeError> propose(Bytes body);

    /// For a proposal that is built where it will lie, so that it is never copied here: the place for its body in
    /// the log's memory. Fill it and call propose_reserved() before any other call that is not const; after tick()
    /// the place may be somebody else's, and must not be written any more.
    tl::expected<std::span<std::byte>, ProposeError> reserve(std::size_t bytes);

    /// Proposes all bytes that were reserved last.
    tl::expected<Index, ProposeError> propose_reserved();

    /// Sends what was proposed, as far as max_in_flight allows; the rest follows with the completions.
    void flush(Nanoseconds now);

    /// From the next tick on this replica never leads: it goes on storing, committing and voting, but does not
    /// stand, and if it leads it steps down and leaves the field to the others. For good.
    void abstain();

    /// From now on Timing::slow_follower_grace is this.
    void set_slow_follower_grace(Nanoseconds grace);

    /// Whom to let lead when a leader is missed (Config::preferred_leader).
    void prefer(ReplicaId leader);

    /// Leader only: hands leadership to that member: no more proposals are taken, and as soon as it holds the whole
    /// log it is told to stand, with this replica's vote. Given up, and proposals taken again, if that has not
    /// happened after election_timeout_max.
    tl::expected<void, TransferError> transfer_leadership(ReplicaId to);

    /// Leader only: makes these the members of the group. New ones first catch up as learners; then old and new
    /// majorities decide together; then the new one alone. As long as none of the new ones that can lead has all
    /// that is committed, the change waits. Returns at once; membership() tells how far it is. A later leader
    /// finishes what one began. A member whose incarnation is 0 means the one that this replica has met.
    tl::expected<void, ChangeError> change_membership(std::span<const Member> members);

    /// Leader only: takes back a change whose learners have not caught up yet. False if there is none.
    bool cancel_change();

    /// What belongs to the state of the listener as it is now.
    SnapshotPoint snapshot_point() const;

    /// The listener's state is now that of `point`: forget the log up to there. In durable mode the user has that
    /// state on disk already: after a restart the stored log begins there. Fails, and changes nothing, on a leader,
    /// if this replica has applied more already, or if the storage's queue is full (try again).
    tl::expected<void, Error> install_snapshot(const SnapshotPoint& point);

    /// Durable mode: the user can restore its state as of `point`, so the storage may forget the log up to there.
    void snapshot_saved(const SnapshotPoint& point);

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

    const Membership& membership() const; ///< in effect here, committed or not
    PeerStatus peer(ReplicaId id) const;
    Counters counters() const;
    Statistics statistics() const;
    const std::optional<Error>& failure() const; ///< of the storage
    void observe(TransitionObserver* observer);  ///< null: nobody
    std::uint64_t incarnation() const;

  private:
    class Impl;
    explicit Replica(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

} // namespace rdma_paxos
