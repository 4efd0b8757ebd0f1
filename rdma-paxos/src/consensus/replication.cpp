// SPDX-License-Identifier: Apache-2.0
//
// What a leader does: append, send, count, catch followers up, keep its lease.
#include "consensus/replica_impl.h"

#include <algorithm>
#include <cstring>

namespace rdma_paxos {

namespace {

/// Ring space that proposals leave to new leaders' first entries, which nobody may be refused.
constexpr std::uint64_t reserved_room = 4096;

} // namespace

void Replica::Impl::become_leader() {
    if (end_.position + ring_.room_for(end_.position, 0) > applied_.position + ring_.size()) {
        abandon_candidacy(); // our own listener must take entries first
        return;
    }
    for (Peer& peer : peers_) {
        peer.sending = peer.lagging = peer.cell_in_flight = false;
        peer.sent = peer.acked = 0;
        peer.in_flight.clear();
        peer.cell_due = true;
        peer.cell_posted = peer.cell_completed = never;
        peer.log_lost = now_;
    }
    ++counters_.wins;
    leader_ = config_.self;
    adopting_from_ = nobody;
    leading_since_ = now_;
    next_heartbeat_ = now_;
    commit_sent_ = commit_.index;
    push_commit_at_ = Nanoseconds::max();
    // Entries of earlier terms are only committed together with this one: counting their copies is not enough.
    end_ = ring_.append(end_, term_, commit_.index, EntryKind::no_op, {});
    term_start_ = end_;
    newest_commit_in_log_ = commit_.index;
    set_role(Role::leader, term_);
}

// Where the end may go: what a follower that still takes part has not applied must not be overwritten.
std::uint64_t Replica::Impl::free_end() const {
    std::uint64_t applied = applied_.position;
    for (const Peer& peer : peers_) {
        const bool takes_part = is_alive(peer) && !peer.lagging &&
                                (peer.sending || now_ - peer.log_lost < 4 * config_.timing.election_timeout_max);
        if (takes_part)
            applied = std::min(applied, peer.row.applied_position);
    }
    return applied + ring_.size() - reserved_room;
}

// A follower that does not take part loses its place when its bytes are needed. Its link is reset first, so that no
// retransmission can carry recycled bytes.
void Replica::Impl::drop_followers_behind(std::uint64_t new_end) {
    for (Peer& peer : peers_) {
        const std::uint64_t has = std::max(peer.acked, peer.row.commit_position);
        if (peer.lagging || new_end <= has + ring_.size())
            continue;
        peer.lagging = true;
        lose_log_link(peer);
    }
}

tl::expected<Index, ProposeError> Replica::Impl::propose(Bytes body) {
    if (role_ != Role::leader)
        return tl::make_unexpected(ProposeError::not_leader);
    if (body.size() > config_.max_entry_bytes)
        return tl::make_unexpected(ProposeError::too_large);
    const std::uint64_t new_end = end_.position + ring_.room_for(end_.position, body.size());
    if (new_end > free_end())
        return tl::make_unexpected(ProposeError::log_full);
    drop_followers_behind(new_end);
    end_ = ring_.append(end_, term_, commit_.index, EntryKind::user, body);
    newest_commit_in_log_ = commit_.index;
    ++counters_.proposals;
    counters_.proposed_bytes += body.size();
    return end_.index;
}

void Replica::Impl::flush(Nanoseconds now) {
    now_ = std::max(now_, now);
    if (role_ != Role::leader)
        return;
    for (Peer& peer : peers_)
        send_entries(peer);
    if (peers_.empty()) {
        advance_leader_commit();
        apply_committed();
    }
}

void Replica::Impl::lead() {
    for (Peer& peer : peers_) {
        if (peer.lagging && is_alive(peer) && peer.row.commit_position + ring_.size() >= end_.position)
            peer.lagging = false; // its memory was fresher than its last row said
        if (peer.lagging)
            continue;
        keep_log_link(peer);
        if (peer.log.up() && !peer.sending)
            start_sending(peer);
    }
    advance_leader_commit();
    for (Peer& peer : peers_)
        send_entries(peer);

    if (commit_.index > commit_sent_ && push_commit_at_ == Nanoseconds::max())
        push_commit_at_ = now_ + config_.timing.follower_poll; // the next entry may carry it before that
    if (now_ >= next_heartbeat_ || now_ >= push_commit_at_) {
        for (Peer& peer : peers_)
            peer.cell_due = true;
        commit_sent_ = commit_.index;
        push_commit_at_ = Nanoseconds::max();
        next_heartbeat_ = now_ + config_.timing.heartbeat;
    }
    for (Peer& peer : peers_)
        send_cell(peer);
}

void Replica::Impl::keep_log_link(Peer& peer) {
    const bool was_up = peer.log.up();
    if (peer.row.term != term_ || peer.row.granted_to != config_.self) {
        if (was_up)
            lose_log_link(peer);
        return;
    }
    if (!peer.log.drive(peer.row.log_link))
        return;
    peer.row_due = true;
    if (peer.log.up() && !was_up) {
        counters_.reconnects += peer.was_log_up;
        peer.was_log_up = true;
    } else if (was_up && !peer.log.up()) {
        peer.sending = false;
        peer.in_flight.clear();
        peer.cell_in_flight = false;
        peer.log_lost = now_;
        adoption_failed_ |= adopting_from_ == peer.id && adoption_posted_;
    }
}

// A follower is sent everything behind its commit point, whatever else it may hold. That its commit point lies on
// our log, and that our ring still has all that follows, is not assumed but checked: the chain must lead from there
// to our end.
bool Replica::Impl::leads_to_our_end(const Row& row) const {
    const Cursor from{row.commit_position, row.commit_check, row.commit_index, row.commit_term};
    return from.position <= end_.position && end_.position - from.position <= ring_.size() &&
           ring_.scan(from) == end_;
}

void Replica::Impl::start_sending(Peer& peer) {
    if (!leads_to_our_end(peer.row)) {
        peer.lagging = true;
        return;
    }
    peer.sending = true;
    peer.sent = peer.row.commit_position;
    peer.in_flight.clear();
    peer.cell_in_flight = false;
    peer.cell_due = true;
}

void Replica::Impl::send_entries(Peer& peer) {
    if (!peer.sending)
        return;
    const std::uint64_t to = std::min(end_.position, peer.row.applied_position + ring_.size());
    while (peer.sent < to && peer.in_flight.size() < config_.max_in_flight) {
        const auto piece = ring_.piece(peer.sent, to, config_.max_write_bytes);
        if (!fabric_.post_write(peer.id, Link::log, ring_offset + ring_.offset_of(peer.sent), piece,
                                static_cast<WorkId>(Work::entries))) {
            lose_log_link(peer);
            return;
        }
        ++counters_.log_writes;
        peer.sent += piece.size();
        peer.in_flight.push_back(peer.sent);
    }
    if (peer.sent == end_.position && newest_commit_in_log_ > commit_sent_) {
        commit_sent_ = newest_commit_in_log_;
        push_commit_at_ = Nanoseconds::max();
    }
}

void Replica::Impl::send_cell(Peer& peer) {
    if (!peer.sending || !peer.cell_due || peer.cell_in_flight)
        return;
    const LeaderCell cell =
        seal_cell({.term = term_.value(), .beat = ++cell_beat_, .commit = commit_.index.value()}, salt_);
    const auto source =
        fabric_.region(Region::log).subspan(cell_source_offset + peer.slot * sizeof cell, sizeof cell);
    std::memcpy(source.data(), &cell, sizeof cell);
    if (!fabric_.post_write(peer.id, Link::log, 0, source, static_cast<WorkId>(Work::cell))) {
        lose_log_link(peer);
        return;
    }
    ++counters_.heartbeats;
    peer.cell_due = false;
    peer.cell_in_flight = true;
    peer.cell_posted = now_;
}

void Replica::Impl::advance_leader_commit() {
    std::array<std::uint64_t, max_replicas> held{};
    std::size_t count = 0;
    held[count++] = end_.position;
    for (const Peer& peer : peers_)
        held[count++] = peer.acked;
    std::sort(held.begin(), held.end(), std::greater<>()); // what is unused stays behind
    const std::size_t needed = planted_bugs.commit_without_majority ? 1
                               : planted_bugs.wait_for_all          ? count
                                                                    : majority();
    const std::uint64_t committed = held[needed - 1];
    if (committed < term_start_.position && !planted_bugs.commit_old_term)
        return;
    while (commit_.position < committed) {
        const Cursor after = ring_.read_known(commit_).after;
        if (after.position > committed)
            break;
        commit_ = after;
        ++counters_.commits;
    }
}

// The latest moment such that heartbeats sent then, or later, are known to lie in a majority's memory.
Nanoseconds Replica::Impl::quorum_time() const {
    std::array<Nanoseconds, max_replicas> times;
    times.fill(never);
    std::size_t count = 0;
    times[count++] = now_;
    for (const Peer& peer : peers_)
        times[count++] = peer.cell_completed;
    std::sort(times.begin(), times.end(), std::greater<>());
    return times[majority() - 1];
}

bool Replica::Impl::has_quorum(Nanoseconds within) const {
    return now_ - std::max(quorum_time(), leading_since_) < within;
}

Nanoseconds Replica::Impl::lease_deadline() const {
    if (role_ != Role::leader)
        return never;
    const Nanoseconds from = quorum_time();
    return from == never ? never : from + config_.timing.lease;
}

} // namespace rdma_paxos
