// SPDX-License-Identifier: Apache-2.0
//
// What a leader does: append, send, count, catch followers up, keep its lease.
#include "consensus/replica_impl.h"

#include <algorithm>
#include <cstring>
#include <limits>

namespace rdma_paxos {

namespace {

/// Ring space that proposals leave to new leaders' first entries, which nobody may be refused.
constexpr std::uint64_t reserved_room = 4096;

} // namespace

void Replica::Impl::become_leader() {
    if (end_.position + ring_.room_for(end_.position, 0) > released() + ring_.size()) {
        abandon_candidacy(); // our own listener, or disk, must take entries first
        return;
    }
    for (Peer& peer : peers_) {
        stop_sending(peer);
        peer.lagging = peer.had_gap = false;
        peer.holds_back = never;
        peer.sent = peer.acked = 0;
        peer.cell_due = true;
        peer.cell_posted = peer.cell_completed = never;
    }
    ++counters_.wins;
    election_.record(now_ - candidacy_began_);
    leader_ = config_.self;
    futile_ = 0;
    adopting_from_ = nobody;
    candidacy_released_ = Term();
    handing_to_ = nobody;
    lease_floor_ = lease_given_ = never;
    leading_since_ = change_appended_ = now_;
    next_heartbeat_ = now_;
    commit_sent_ = commit_.index;
    push_commit_at_ = Nanoseconds::max();
    stamps_done_ = stamps_begun_;
    tell(TransitionKind::lead, term_, config_.self, end_);
    // Entries of earlier terms are only committed together with this one: counting their copies is not enough.
    append(EntryKind::no_op, {});
    term_start_ = end_;
    set_role(Role::leader, term_);
}

void Replica::Impl::append(EntryKind kind, Bytes body) {
    end_ = ring_.append(end_, term_, commit_.index, kind, body);
    newest_commit_in_log_ = commit_.index;
    tell(TransitionKind::append, term_, nobody, end_);
}

// Where the end may go: what a live follower has not applied is kept for slow_follower_grace, no longer. What we
// have not applied ourselves is kept in any case, and with it what a majority may still need.
std::uint64_t Replica::Impl::free_end() {
    std::uint64_t applied = released();
    const Nanoseconds grace = config_.timing.slow_follower_grace;
    if (grace > 0ns)
        for (Peer& peer : peers_) {
            const bool takes_part =
                is_alive(peer) && peer.listed && !peer.lagging &&
                (peer.sending || now_ - peer.log_lost < 4 * config_.timing.election_timeout_max);
            const bool is_full = end_.position + ring_.size() / 8 >= peer.row.applied_position + ring_.size();
            if (!takes_part || !is_full || peer.row.applied_position >= applied_.position)
                peer.holds_back = never;
            else if (peer.holds_back == never)
                peer.holds_back = now_;
            if (takes_part && (peer.holds_back == never || now_ - peer.holds_back < grace))
                applied = std::min(applied, peer.row.applied_position);
        }
    return applied + ring_.size() - reserved_room;
}

void Replica::Impl::set_lagging(Peer& peer) {
    peer.lagging = peer.had_gap = true;
    peer.lagging_from = peer.row.commit_position;
    ++counters_.lagging;
    lose_log_link(peer);
    listener_.on_lagging(peer.id);
}

// A follower that does not take part loses its place when its bytes are needed. Its link is reset first, so that no
// retransmission can carry recycled bytes. (A new link sends again what an earlier one has brought already:
// recycled bytes would lie over entries that the follower knows.)
void Replica::Impl::drop_followers_behind(std::uint64_t new_end) {
    for (Peer& peer : peers_) {
        const std::uint64_t has = peer.sending ? peer.delivered : std::max(peer.acked, peer.row.commit_position);
        if (peer.listed && !peer.lagging && new_end > has + ring_.size())
            set_lagging(peer);
    }
}

// Behind this, there is room for an entry of that size.
bool Replica::Impl::make_room(std::size_t bytes, ProposeError& why_not) {
    if (role_ != Role::leader || handing_to_ != nobody) {
        why_not = role_ != Role::leader ? ProposeError::not_leader : ProposeError::handing_over;
        return false;
    }
    if (bytes > config_.max_entry_bytes) {
        why_not = ProposeError::too_large;
        return false;
    }
    const std::uint64_t new_end = end_.position + ring_.room_for(end_.position, bytes);
    if (new_end > free_end()) {
        why_not = ProposeError::log_full;
        return false;
    }
    drop_followers_behind(new_end);
    return true;
}

void Replica::Impl::propose_what_lies_behind_end(std::size_t bytes) {
    end_ = ring_.seal(end_, term_, commit_.index, EntryKind::user, bytes);
    newest_commit_in_log_ = commit_.index;
    tell(TransitionKind::append, term_, nobody, end_);
    ++counters_.proposals;
    counters_.proposed_bytes += bytes;
}

tl::expected<Index, ProposeError> Replica::Impl::propose(Bytes body) {
    ProposeError why_not;
    if (!make_room(body.size(), why_not))
        return tl::make_unexpected(why_not);
    if (!body.empty())
        std::memcpy(ring_.body_place(end_, body.size()).data(), body.data(), body.size());
    propose_what_lies_behind_end(body.size());
    return end_.index;
}

tl::expected<std::span<std::byte>, ProposeError> Replica::Impl::reserve(std::size_t bytes) {
    reserved_at_ = nowhere;
    ProposeError why_not;
    if (!make_room(bytes, why_not))
        return tl::make_unexpected(why_not);
    reserved_at_ = end_.position;
    reserved_bytes_ = bytes;
    return ring_.body_place(end_, bytes);
}

tl::expected<Index, ProposeError> Replica::Impl::propose_reserved() {
    if (role_ != Role::leader || reserved_at_ != end_.position)
        return tl::make_unexpected(role_ != Role::leader ? ProposeError::not_leader
                                                         : ProposeError::nothing_reserved);
    propose_what_lies_behind_end(reserved_bytes_);
    return end_.index;
}

void Replica::Impl::flush(Nanoseconds now) {
    now_ = std::max(now_, now);
    if (role_ != Role::leader)
        return;
    stamp_flush();
    for (Peer& peer : peers_)
        send_entries(peer);
    if (storage_)
        store_progress();
    else if (self_counts_old_ && membership_.voters.size() == 1) {
        advance_leader_commit();
        apply_committed();
    }
}

// When the bytes up to here were sent, for the commit latency.
void Replica::Impl::stamp_flush() {
    const bool news =
        stamps_begun_ == stamps_done_ || stamps_[(stamps_begun_ - 1) % stamps_.size()].end < end_.position;
    if (news && end_.position > commit_.position && stamps_begun_ - stamps_done_ < stamps_.size())
        stamps_[stamps_begun_++ % stamps_.size()] = {end_.position, now_};
}

void Replica::Impl::lead() {
    for (Peer& peer : peers_) {
        if (!peer.listed) {
            if (peer.log.up() || peer.sending)
                lose_log_link(peer);
            continue;
        }
        // Its memory was fresher than its last row said, or it installed a snapshot.
        if (peer.lagging && is_alive(peer) && peer.row.commit_position != peer.lagging_from &&
            peer.row.commit_position + ring_.size() >= end_.position)
            peer.lagging = false;
        if (peer.lagging)
            continue;
        keep_log_link(peer);
        if (peer.log.up() && !peer.sending)
            start_sending(peer);
        if (peer.had_gap && caught_up(peer)) {
            peer.had_gap = false;
            ++counters_.catch_ups;
        }
    }
    advance_leader_commit();
    continue_change();
    if (role_ != Role::leader)
        return;
    stamp_flush();
    for (Peer& peer : peers_)
        send_entries(peer);

    schedule_commit_push();
    if (now_ >= next_heartbeat_ || now_ >= push_commit_at_) {
        for (Peer& peer : peers_)
            peer.cell_due = true;
        commit_sent_ = commit_.index;
        push_commit_at_ = Nanoseconds::max();
        next_heartbeat_ = now_ + config_.timing.heartbeat;
    }
    for (Peer& peer : peers_)
        send_cell(peer);
    continue_transfer();
    if (role_ == Role::leader)
        next_look_ = std::min({now_ + config_.timing.follower_poll, next_heartbeat_, push_commit_at_});
}

// Between two looks at the boards a leader cares for nothing but what its followers' memories acknowledge.
void Replica::Impl::lead_quickly() {
    poll_completions(Link::log);
    const std::uint64_t before = commit_.position;
    advance_leader_commit();
    for (Peer& peer : peers_)
        send_entries(peer);
    if (commit_.position == before)
        return;
    schedule_commit_push();
    next_look_ = std::min(next_look_, push_commit_at_);
    apply_committed();
}

void Replica::Impl::schedule_commit_push() {
    if (commit_.index > commit_sent_ && push_commit_at_ == Nanoseconds::max())
        push_commit_at_ = now_ + config_.timing.follower_poll; // the next entry may carry it before that
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
        stop_sending(peer);
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
        set_lagging(peer);
        return;
    }
    peer.sending = true;
    peer.sent = peer.delivered = peer.row.commit_position;
    peer.acked = std::max(peer.acked, peer.sent); // what it knows to be committed it holds, and never gives up
    peer.in_flight.clear();
    peer.cell_in_flight = false;
    peer.cell_due = true;
}

void Replica::Impl::send_entries(Peer& peer) {
    if (!peer.sending || peer.sent == end_.position)
        return;
    const std::uint64_t to = std::min(end_.position, peer.row.applied_position + ring_.size());
    while (peer.sent < to && peer.in_flight.size() < config_.max_in_flight) {
        // What runs over the ring's end goes out in two pieces by one doorbell.
        const auto piece = ring_.piece(peer.sent, to, config_.max_write_bytes);
        std::uint64_t sent = peer.sent + piece.size();
        const std::uint64_t room = config_.max_write_bytes - piece.size();
        const bool wraps = sent < to && ring_.offset_of(sent) == 0 && room > 0;
        bool posted = fabric_.post_write(peer.id, Link::log, ring_offset + ring_.offset_of(peer.sent), piece,
                                         static_cast<WorkId>(Work::entries), wraps);
        if (posted && wraps) {
            const auto rest = ring_.piece(sent, to, room);
            posted = fabric_.post_write(peer.id, Link::log, ring_offset, rest, static_cast<WorkId>(Work::entries));
            sent += rest.size();
        }
        if (!posted) {
            lose_log_link(peer);
            return;
        }
        ++counters_.log_writes;
        peer.sent = sent;
        peer.in_flight.push_back(sent);
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
    const auto source = fabric_.region(Region::log).subspan(cell_source_offset(peer.id), sizeof cell);
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

// Up to where a replica holds our log so that it counts: in its memory, or, for a durable group, on its disk. What
// is on a disk is known to be ours once an entry of our own term is.
std::uint64_t Replica::Impl::held_by(const Peer& peer) const {
    if (!storage_)
        return peer.acked;
    return peer.row.term == term_ && peer.row.durable_term == term_ ? peer.row.durable_position : 0;
}

std::uint64_t Replica::Impl::held_by_self() const {
    if (!storage_)
        return end_.position;
    return durable_.term == term_ && remembers_membership() ? durable_.position : 0;
}

void Replica::Impl::advance_leader_commit() {
    const std::uint64_t own = held_by_self();
    std::uint64_t committed =
        majority_value<std::uint64_t>(own, [this](const Peer& peer) { return held_by(peer); });
    if (planted_bugs.wait_for_all)
        for (const Peer& peer : peers_)
            committed = peer.listed ? std::min(committed, held_by(peer)) : committed;
    if (planted_bugs.commit_without_majority)
        for (const Peer& peer : peers_)
            committed = std::max({committed, own, held_by(peer)});
    if (committed < term_start_.position && !planted_bugs.commit_old_term)
        return;
    const std::uint64_t before = commit_.position;
    if (committed == end_.position && pending_memberships_.empty()) {
        counters_.commits += end_.index.value() - commit_.index.value();
        commit_ = end_;
    }
    while (commit_.position < committed) {
        const Entry entry = ring_.read_known(commit_);
        if (entry.after.position > committed)
            break;
        commit_through(entry);
    }
    if (commit_.position == before)
        return;
    tell(TransitionKind::commit, term_, nobody, commit_);
    while (stamps_done_ != stamps_begun_ && stamps_[stamps_done_ % stamps_.size()].end <= commit_.position)
        commit_latency_.record(now_ - stamps_[stamps_done_++ % stamps_.size()].at);
}

// The latest moment such that heartbeats sent then, or later, are known to lie in a majority's memory.
Nanoseconds Replica::Impl::quorum_time() const {
    const auto time =
        majority_value<std::int64_t>(now_.count(), [](const Peer& peer) { return peer.cell_completed.count(); });
    return std::max(Nanoseconds(time), never);
}

// Who counts is about to change, and with it the time above. A lease that was told to our user runs on all the
// same.
void Replica::Impl::remember_lease() {
    if (role_ == Role::leader)
        lease_given_ = std::max(lease_given_, quorum_time());
}

bool Replica::Impl::has_quorum(Nanoseconds within) const {
    return now_ - std::max(quorum_time(), leading_since_) < within;
}

Nanoseconds Replica::Impl::lease_deadline() const {
    if (role_ != Role::leader || handing_to_ != nobody)
        return never;
    const Nanoseconds from = quorum_time();
    return from == never || from < lease_floor_ ? never : from + config_.timing.lease;
}

} // namespace rdma_paxos
