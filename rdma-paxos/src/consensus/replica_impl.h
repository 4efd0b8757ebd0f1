// SPDX-License-Identifier: Apache-2.0
//
// The state of a replica, and its parts by subject:
//   replica.cpp      the order of things within a tick, the public face
//   links.cpp        board links, rows, completions
//   election.cpp     doubt, candidacy, vote, fence, adoption
//   replication.cpp  the leader: proposing, sending, catching up, lease
//   following.cpp    scanning the log, commit index, handing entries to the listener
#pragma once

#include "consensus/board.h"
#include "consensus/handshake.h"
#include "consensus/invariant.h"
#include "consensus/log_ring.h"
#include "consensus/planted_bugs.h"
#include "rdma_paxos/replica.h"

#include <array>
#include <random>
#include <vector>

namespace rdma_paxos {

/// Long ago: before anything can have happened.
inline constexpr Nanoseconds never = Nanoseconds::min() / 4;

class Replica::Impl {
  public:
    Impl(const Config& config, Fabric& fabric, Rendezvous& rendezvous, Listener& listener);

    void tick(Nanoseconds now);
    tl::expected<Index, ProposeError> propose(Bytes body);
    void flush(Nanoseconds now);
    void abstain() { abstains_ = true; }
    Nanoseconds next_deadline() const;
    Nanoseconds lease_deadline() const;
    PeerStatus status_of(ReplicaId id) const;

    Role role() const { return role_; }
    Term term() const { return term_; }
    ReplicaId leader() const { return role_ == Role::leader ? config_.self : leader_; }
    Index last_index() const { return end_.index; }
    Index commit_index() const { return commit_.index; }
    Index applied_index() const { return applied_.index; }
    Index term_start() const { return role_ == Role::leader ? term_start_.index : Index(); }
    std::uint64_t incarnation() const { return incarnation_; }
    const Counters& counters() const { return counters_; }

  private:
    enum class Work : std::uint8_t { row = 1, cell = 2, entries = 3, adoption = 4 };

    struct Peer {
        Peer(Fabric& fabric, ReplicaId id_, std::size_t slot_)
            : id(id_), slot(slot_), board(fabric, id_, Link::board), log(fabric, id_, Link::log) {}

        ReplicaId id;
        std::size_t slot;

        // The board link and the peer's row.
        Handshake board;
        LinkOffer board_offer;         ///< the peer's newest, from the rendezvous
        std::uint64_t incarnation = 0; ///< 0: not met yet
        bool replaced = false;
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
        bool sending = false; ///< the link is up and the follower's log was found to be a part of ours
        bool lagging = false;
        std::uint64_t sent = 0;
        std::uint64_t acked = 0;
        std::vector<std::uint64_t> in_flight; ///< ends of the WRITEs on their way, oldest first
        bool cell_in_flight = false;
        bool cell_due = false;
        Nanoseconds cell_posted = never;    ///< when the heartbeat on its way was posted
        Nanoseconds cell_completed = never; ///< when the newest completed heartbeat was posted
    };

    std::size_t majority() const { return config_.members.size() / 2 + 1; }
    Peer* find(ReplicaId id);
    const Peer* find(ReplicaId id) const;
    bool is_alive(const Peer& peer) const;

    // links.cpp
    void meet_peers();
    void keep_board_link(Peer& peer);
    void poll_completions();
    void complete(Peer& peer, const Completion& completion);
    void lose_board_link(Peer& peer);
    void lose_log_link(Peer& peer);
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
    void start_candidacy();
    void continue_candidacy();
    void adopt_from(Peer& best);
    void finish_adoption();
    void answer_candidates();
    void abandon_candidacy();
    void become_follower(Term term, ReplicaId leader);
    void become_leader();
    bool fence();
    bool can_adopt_mine(const Row& row) const;
    bool leads_to_our_end(const Row& row) const;
    bool row_says_leader(ReplicaId id) const;
    void hear_leader(ReplicaId from);
    bool leader_is_heard_by_us(ReplicaId except) const;
    void reset_election_timer(Nanoseconds extra = {});
    void set_role(Role role, Term term);

    // replication.cpp
    void lead();
    void keep_log_link(Peer& peer);
    void start_sending(Peer& peer);
    void send_entries(Peer& peer);
    void send_cell(Peer& peer);
    void drop_followers_behind(std::uint64_t new_end);
    void advance_leader_commit();
    Nanoseconds quorum_time() const;
    bool has_quorum(Nanoseconds within) const;
    std::uint64_t free_end() const;

    // following.cpp
    void scan_log();
    void rescan_log();
    void look_at_cell();
    void learn_commit(Index hint, Term from);
    void advance_commit(Index target);
    void apply_committed();

    Config config_;
    Fabric& fabric_;
    Rendezvous& rendezvous_;
    Listener& listener_;
    std::uint64_t salt_;
    std::uint64_t incarnation_;
    std::mt19937_64 random_;
    std::vector<Peer> peers_;
    std::size_t own_slot_ = 0;
    LogRing ring_;
    std::span<std::byte> cell_memory_;
    std::span<std::byte> board_memory_;
    std::span<std::byte> outbox_;
    Counters counters_;

    Nanoseconds now_{};
    Nanoseconds born_ = never;
    Nanoseconds last_tick_ = never;
    Nanoseconds next_meeting_ = never;

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
    Index commit_hint_; ///< the leader of commit_hint_term_ says that this is committed
    Term commit_hint_term_;
    Nanoseconds next_rescan_ = never;
    std::uint64_t applied_published_ = 0;

    // Elections.
    bool abstains_ = false; ///< never leads; set once
    LeaderCell seen_cell_;
    Nanoseconds leader_heard_ = never;
    ReplicaId leader_heard_from_;
    Nanoseconds election_deadline_ = never;
    std::uint64_t doubt_ = 0;
    Nanoseconds doubt_began_ = never;
    Nanoseconds candidacy_deadline_ = never;
    ReplicaId adopting_from_;
    Row adopting_;
    std::uint32_t reads_in_flight_ = 0;
    bool adoption_failed_ = false;
    bool adoption_posted_ = false;
    ReplicaId shares_doubt_of_;
    std::uint64_t shared_doubt_ = 0;

    // Leadership.
    Cursor term_start_;
    Nanoseconds leading_since_ = never;
    Nanoseconds next_heartbeat_ = never;
    Nanoseconds push_commit_at_ = Nanoseconds::max();
    Index commit_sent_; ///< the newest commit index that an entry or cell on its way carries
    std::uint64_t cell_beat_ = 0;
    Index newest_commit_in_log_; ///< carried by our last entry
};

} // namespace rdma_paxos
