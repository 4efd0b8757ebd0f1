// SPDX-License-Identifier: Apache-2.0
//
// The state of a replica, and its parts by subject:
//   replica.cpp      the order of things within a tick, the public face
//   links.cpp        board links, rows, completions
//   election.cpp     doubt, candidacy, vote, fence, adoption
//   transfer.cpp     handing leadership over on request
//   replication.cpp  the leader: proposing, sending, catching up, lease
//   following.cpp    scanning the log, commit index, handing entries to the listener
//   membership.cpp   who counts, majorities, change of membership
//   durability.cpp   the log and the vote on disk, recovery
//   snapshots.cpp    where a state belongs in the log
#pragma once

#include "consensus/board.h"
#include "consensus/handshake.h"
#include "consensus/invariant.h"
#include "consensus/leader_score.h"
#include "consensus/log_ring.h"
#include "consensus/planted_bugs.h"
#include "rdma_paxos/replica.h"

#include <algorithm>
#include <array>
#include <limits>
#include <random>
#include <vector>

namespace rdma_paxos {

/// The name of the memory that a process begins with: odd if it was there when the group was founded.
std::uint64_t name_memory(std::uint64_t life, bool founding);

/// Long ago: before anything can have happened.
inline constexpr Nanoseconds never = Nanoseconds::min() / 4;

class Replica::Impl {
  public:
    Impl(const Config& config, Fabric& fabric, Rendezvous& rendezvous, Listener& listener, Storage* storage,
         const std::optional<SnapshotPoint>& state);

    void tick(Nanoseconds now);
    tl::expected<std::span<std::byte>, ProposeError> reserve(std::size_t bytes);
    tl::expected<Index, ProposeError> propose_reserved();
    tl::expected<Index, ProposeError> propose(Bytes body);
    void flush(Nanoseconds now);
    void set_slow_follower_grace(Nanoseconds grace) { config_.timing.slow_follower_grace = grace; }
    void abstain() {
        abstains_ = true;
        rows_changed(); // whoever would pass leadership on should know at once
    }
    void prefer(ReplicaId leader) { config_.preferred_leader = leader; }
    tl::expected<void, TransferError> transfer_leadership(ReplicaId to);
    tl::expected<void, ChangeError> change_membership(std::span<const Member> members);
    bool cancel_change();
    SnapshotPoint snapshot_point() const;
    tl::expected<void, Error> install_snapshot(const SnapshotPoint& point);
    void snapshot_saved(const SnapshotPoint& point);
    Nanoseconds next_deadline() const;
    Nanoseconds lease_deadline() const;
    PeerStatus status_of(ReplicaId id) const;
    Statistics statistics() const;

    Role role() const { return role_; }
    Term term() const { return term_; }
    ReplicaId leader() const { return role_ == Role::leader ? config_.self : leader_; }
    Index last_index() const { return end_.index; }
    Index commit_index() const { return commit_.index; }
    Index applied_index() const { return applied_.index; }
    Index term_start() const { return role_ == Role::leader ? term_start_.index : Index(); }
    std::uint64_t incarnation() const { return incarnation_; }
    const Counters& counters() const { return counters_; }
    const Membership& membership() const { return membership_; }
    const std::optional<Error>& failure() const { return failure_; }
    void observe(TransitionObserver* observer) { observer_ = observer; }

  private:
    enum class Work : std::uint8_t { row = 1, cell = 2, entries = 3, adoption = 4 };

    /// Another replica that we have met or shall meet: a member, a learner, or an acquaintance that may become one.
    struct alignas(64) Peer {
        Peer(Fabric& fabric, ReplicaId id_)
            : id(id_), board(fabric, id_, Link::board), log(fabric, id_, Link::log) {}

        ReplicaId id;

        // What each commit looks at, in one cache line. First what the membership in effect says: see recount().
        bool listed = false;     ///< it, in this incarnation, is a voter or a learner
        bool counts_old = false; ///< as one of Membership::voters
        bool counts_new = false; ///< as one of Membership::target
        bool sending = false;    ///< the link is up and the follower's log was found to be a part of ours
        bool lagging = false;
        bool had_gap = false; ///< it was lagging, and has not held all that was committed since
        std::uint64_t sent = 0;
        std::uint64_t acked = 0;     ///< up to here it holds our log, by whatever link it came
        std::uint64_t delivered = 0; ///< by the present link; what lies behind may still be read from our ring
        std::vector<std::uint64_t> in_flight; ///< ends of the WRITEs on their way, oldest first

        // The board link and the peer's row.
        Handshake board;
        LinkOffer board_offer;                     ///< the peer's newest, from the rendezvous
        std::uint64_t life = 0;                    ///< of its present process; 0: not met yet
        std::array<std::uint64_t, 4> past_lives{}; ///< messages of theirs that come late are ignored
        std::uint64_t incarnation = 0;             ///< of its memory, from its row; 0: not known yet
        std::uint64_t first_incarnation = 0;       ///< the one that a founding membership means
        std::uint64_t refused_ring = 0;            ///< the size of its ring, if it is not that of ours
        Nanoseconds last_met = never;
        Nanoseconds next_greeting = never;
        bool was_board_up = false;
        Row row;
        RowImage row_image{};
        Nanoseconds last_heard = never;
        bool row_due = true;
        bool row_in_flight = false;
        Nanoseconds next_row = never;

        // The log link, as the leader sees it.
        Handshake log;
        Nanoseconds log_lost = never; ///< when the link went down, or leadership began
        bool was_log_up = false;
        std::uint64_t lagging_from = 0; ///< its commit point when it was found lagging
        Nanoseconds holds_back = never; ///< since when it is the one that keeps ring space taken
        bool cell_in_flight = false;
        bool cell_due = false;
        Nanoseconds cell_posted = never;    ///< when the heartbeat on its way was posted
        Nanoseconds cell_completed = never; ///< when the newest completed heartbeat was posted
    };

    Peer* find(ReplicaId id);
    const Peer* find(ReplicaId id) const;
    bool is_alive(const Peer& peer) const;
    unsigned stretch() const;
    void tell(TransitionKind kind, Term term, ReplicaId peer = nobody, const Cursor& at = {},
              const Membership* membership = nullptr) const;

    // links.cpp
    void meet_peers();
    void meet(ReplicaId id);
    void begin_life(Peer& peer, std::uint64_t life);
    bool has_same_ring(Peer& peer, std::uint64_t ring_bytes);
    void forget_strangers();
    void keep_board_link(Peer& peer);
    void poll_completions(Link link);
    void complete(Peer& peer, const Completion& completion);
    void lose_board_link(Peer& peer);
    void lose_log_link(Peer& peer);
    void stop_sending(Peer& peer);
    void read_board();
    void accept_row(Peer& peer, const Row& row);
    void write_rows();
    Row own_row(const Peer& peer) const;
    void rows_changed();

    // election.cpp
    void follow_owner();
    void run_election();
    void observe_terms();
    void start_doubt();
    void stand_back();
    void answer_doubts();
    void start_candidacy(Term term, Term released);
    void continue_candidacy();
    void adopt_from(Peer& best);
    void finish_adoption();
    void answer_candidates();
    void abandon_candidacy();
    void become_follower(Term term, ReplicaId leader);
    void become_leader();
    bool fence(Term released = Term());
    bool may_stand() const;
    bool can_adopt_mine(const Row& row) const;
    bool leads_to_our_end(const Row& row) const;
    bool row_says_leader(ReplicaId id) const;
    bool suffices(const MemberSet& set, bool Peer::*counts, bool self_counts, auto&& gives) const;
    bool electorate(auto&& gives) const;
    bool holds(const EntryId& entry) const;
    bool gave_vote(const Peer& peer) const;
    void hear_leader(ReplicaId from, Term term);
    bool leader_is_heard_by_us(ReplicaId except, Term released = Term()) const;
    void reset_election_timer(Nanoseconds extra = {});
    void excuse_pause();
    void hurry();
    void set_role(Role role, Term term);
    Role idle_role() const { return self_listed_ && self_votes() ? Role::follower : Role::learner; }

    // transfer.cpp
    void continue_transfer();
    void accept_handover();

    // replication.cpp
    void lead();
    void lead_quickly();
    void append(EntryKind kind, Bytes body);
    bool make_room(std::size_t bytes, ProposeError& why_not);
    void propose_what_lies_behind_end(std::size_t bytes);
    void keep_log_link(Peer& peer);
    void start_sending(Peer& peer);
    void send_entries(Peer& peer);
    void send_cell(Peer& peer);
    void set_lagging(Peer& peer);
    void drop_followers_behind(std::uint64_t new_end);
    void advance_leader_commit();
    void schedule_commit_push();
    void stamp_flush();
    std::uint64_t held_by(const Peer& peer) const;
    std::uint64_t held_by_self() const;
    Nanoseconds quorum_time() const;
    void remember_lease();
    bool has_quorum(Nanoseconds within) const;
    std::uint64_t free_end();

    // following.cpp
    bool take_entry(Index& committed);
    void end_moved(Index committed);
    void scan_log();
    void rescan_log();
    void look_at_cell();
    void learn_commit(Index hint, Term from);
    void advance_commit(Index target);
    void commit_through(const Entry& entry) {
        commit_ = entry.after;
        ++counters_.commits;
        if (entry.header.kind == EntryKind::membership) [[unlikely]]
            commit_membership();
    }
    void commit_membership();
    void apply_committed();

    // membership.cpp
    void configure(const Membership& membership);
    void recount();
    bool counts_self(const MemberSet& set) const;
    bool counts(const Peer& peer, const MemberSet& set) const;
    bool self_votes() const { return self_counts_old_ || self_counts_new_; }
    bool has_majority(auto&& holds) const;
    template <class Value>
    Value majority_value(Value of_self, auto&& of_peer) const;
    void append_membership(Membership membership);
    void continue_change();
    bool caught_up(const Peer& peer) const;
    bool somebody_will_lead(const MemberSet& members) const;
    MemberSet with_known_incarnations(const MemberSet& set) const;

    void begin_from(const SnapshotPoint& point);
    void take_membership_of(const SnapshotPoint& point);

    // durability.cpp
    void begin_from_storage();
    void recover_some();
    bool recover_stretch();
    void store_progress();
    bool store_again();
    bool store_state();
    /// Asks for it, if need be: a vote for oneself may be the one that suffices, before any row has gone out.
    bool state_is_durable() { return !storage_ || store_state(); }
    void check_storage();
    void settle_suspicion();
    HardState hard_state() const;
    bool remembers_membership() const;
    void forget_stored_tail();

    Config config_;
    Fabric& fabric_;
    Rendezvous& rendezvous_;
    Listener& listener_;
    Storage* storage_;
    TransitionObserver* observer_ = nullptr;
    std::uint64_t salt_;
    std::uint64_t life_;        ///< of this process
    std::uint64_t incarnation_; ///< of our memory: in durable mode it survives the process
    std::mt19937_64 random_;
    std::vector<Peer> peers_;             ///< changes only in meet_peers()
    std::array<Completion, 32> polled_{}; ///< of poll_completions(), which would clear it each time
    LogRing ring_;
    std::span<std::byte> cell_memory_;
    std::span<std::byte> board_memory_;
    std::span<std::byte> outbox_;
    Counters counters_;
    Histogram commit_latency_;
    Histogram election_;

    Nanoseconds now_{};
    Nanoseconds born_ = never;
    Nanoseconds last_tick_ = never;
    Nanoseconds next_meeting_ = never;
    Nanoseconds next_look_ = never; ///< leader: until then only completions of the log links matter

    Role role_ = Role::follower;
    Term term_;
    ReplicaId voted_for_;
    ReplicaId granted_to_; ///< who may write our log; ourselves when we stand or lead
    ReplicaId leader_;
    std::uint64_t beat_ = 0;

    // The log. applied_ <= commit_ <= end_.
    Cursor end_;
    Cursor commit_;
    Cursor applied_;
    Cursor told_end_;   ///< of a follower: what the observer was told
    Index commit_hint_; ///< the leader of commit_hint_term_ says that this is committed
    Term commit_hint_term_;
    Nanoseconds next_rescan_ = never;
    std::uint64_t applied_published_ = 0;

    /// What lies before this position is not needed in our ring any more: the listener has it, and so has the
    /// disk's queue. (A disk that failed gets no more.)
    std::uint64_t released() const {
        return storage_ && !failure_ ? std::min(applied_.position, stored_.position) : applied_.position;
    }

    // Membership. The newest entry of its kind in our log is in effect.
    struct PendingMembership {
        EntryId at;
        Membership membership;
    };
    bool newcomer_ = false;  ///< its memory is younger than the group
    bool dismissed_ = false; ///< a leader says that we are not a member
    Membership membership_;
    Membership committed_membership_;
    EntryId committed_membership_at_; ///< since when these decide: an entry from then on; none for the founders
    Membership applied_membership_;
    std::vector<PendingMembership> pending_memberships_; ///< between commit_ and end_
    bool self_listed_ = false;
    bool self_counts_old_ = false;
    bool self_counts_new_ = false;
    bool witness_ = false; ///< for life: it has no state machine

    // Elections.
    bool abstains_ = false; ///< never leads; set once
    LeaderScore score_;
    LeaderCell seen_cell_;
    Nanoseconds leader_heard_ = never;
    ReplicaId leader_heard_from_;
    Term leader_heard_term_;
    Nanoseconds election_deadline_ = never;
    unsigned futile_ = 0;        ///< doubts and candidacies since a leader was there
    bool pause_excused_ = false; ///< the leader's present silence was put down to a pause of ours, once
    Nanoseconds hurries_until_ = never;
    std::uint64_t doubt_ = 0;
    Nanoseconds doubt_began_ = never;
    Nanoseconds candidacy_began_ = never;
    Nanoseconds candidacy_deadline_ = never;
    Term candidacy_released_; ///< the leader of this term gave up its lease in our favour
    ReplicaId adopting_from_;
    Row adopting_;
    std::uint32_t reads_in_flight_ = 0;
    bool adoption_failed_ = false;
    bool adoption_posted_ = false;
    ReplicaId shares_doubt_of_;
    std::uint64_t shared_doubt_ = 0;
    bool handed_over_ = false; ///< our vote in this term was given when we laid leadership down

    // Leadership.
    static constexpr std::uint64_t nowhere = ~std::uint64_t{0};
    std::uint64_t reserved_at_ = nowhere; ///< our end when a place behind it was handed out
    std::size_t reserved_bytes_ = 0;
    Cursor term_start_;
    Nanoseconds leading_since_ = never;
    Nanoseconds next_heartbeat_ = never;
    Nanoseconds push_commit_at_ = Nanoseconds::max();
    Index commit_sent_; ///< the newest commit index that an entry or cell on its way carries
    std::uint64_t cell_beat_ = 0;
    Index newest_commit_in_log_;          ///< carried by our last entry
    Nanoseconds change_appended_ = never; ///< our newest membership entry
    ReplicaId handing_to_;
    Nanoseconds handing_deadline_ = never;
    Nanoseconds lease_floor_ = never; ///< heartbeats posted before count for no lease
    Nanoseconds lease_given_ = never; ///< the newest quorum_time() before the present members counted
    struct Stamp {
        std::uint64_t end = 0;
        Nanoseconds at{};
    };
    std::array<Stamp, 64> stamps_{}; ///< when what was sent: a ring, for the commit latency
    std::uint32_t stamps_begun_ = 0;
    std::uint32_t stamps_done_ = 0;

    // Durability.
    struct Stored {
        Ticket ticket = 0;
        Cursor end;
    };
    std::optional<Error> failure_;
    bool recovering_ = false;
    std::optional<SnapshotPoint> state_at_birth_; ///< of the listener; entries up to there are not shown to it
    std::optional<Storage::Stretch> stretch_;     ///< read back, and not all in the ring yet
    std::size_t stretch_done_ = 0;
    std::uint64_t read_to_ = 0; ///< behind the last stretch: a filler at its end has no index, and moves no cursor
    HardState stored_state_;
    Ticket state_gate_ = 0; ///< rows may go out when this ticket is durable
    Ticket durable_ticket_ = 0;
    Cursor stored_;                    ///< handed to the storage up to here
    std::uint64_t superseded_to_ = 0;  ///< what was handed over between here and stored_, before, is on disk still
    Cursor durable_;                   ///< on disk up to here
    std::array<Stored, 64> storing_{}; ///< a ring
    std::uint32_t storing_begun_ = 0;
    std::uint32_t storing_done_ = 0;
    bool suspect_ = false; ///< our disk lost what may have been acknowledged in suspect_term_ or before
    Term suspect_term_;
    Index suspect_until_; ///< what we must hold again, by the word of the leader whose process is...
    std::uint64_t suspect_leader_ = 0;
    EntryId lost_membership_; ///< our disk lost the newest membership that it ever held; until repaired
};

// True if `holds(peer)` does for a majority of every set that decides; we ourselves are taken to hold.
bool Replica::Impl::has_majority(auto&& holds) const {
    std::size_t old_count = self_counts_old_;
    std::size_t new_count = self_counts_new_;
    for (const Peer& peer : peers_)
        if ((peer.counts_old || peer.counts_new) && holds(peer)) {
            old_count += peer.counts_old;
            new_count += peer.counts_new;
        }
    return !membership_.voters.empty() && old_count >= membership_.voters.majority() &&
           (membership_.phase != Membership::Phase::joint || new_count >= membership_.target.majority());
}

// The largest value that a majority of every set that decides has reached; Value's least if there is none.
template <class Value>
Value Replica::Impl::majority_value(Value of_self, auto&& of_peer) const {
    const auto of_set = [&](const MemberSet& set, bool self_counts, bool Peer::*counts) {
        std::array<Value, max_replicas> values{};
        std::size_t known = 0;
        const auto insert = [&](Value value) { // keeps the order, largest first
            std::size_t at = known++;
            for (; at > 0 && values[at - 1] < value; --at)
                values[at] = values[at - 1];
            values[at] = value;
        };
        if (self_counts)
            insert(of_self);
        for (const Peer& peer : peers_)
            if (peer.*counts)
                insert(of_peer(peer));
        return known < set.majority() ? std::numeric_limits<Value>::min() : values[set.majority() - 1];
    };
    const Value by_old = of_set(membership_.voters, self_counts_old_, &Peer::counts_old);
    if (membership_.phase != Membership::Phase::joint)
        return by_old;
    return std::min(by_old, of_set(membership_.target, self_counts_new_, &Peer::counts_new));
}

} // namespace rdma_paxos
