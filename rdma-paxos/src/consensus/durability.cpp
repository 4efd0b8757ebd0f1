// SPDX-License-Identifier: Apache-2.0
//
// The log and the vote on disk. Nothing here waits: bytes are handed to the storage as they come, and rows (which
// carry votes, terms and acknowledgements) go out when the storage reports what they say as durable.
// See docs/consensus.md, "Durability".
#include "consensus/replica_impl.h"

#include <algorithm>
#include <cstring>

namespace rdma_paxos {

namespace {

/// Handed over at once: small enough for the storage's queue, large enough for a batch.
constexpr std::uint64_t stretch_bytes_max = 1u << 20;

} // namespace

// What a fresh storage is told first makes it tell the same replica from then on.
void Replica::Impl::begin_from_storage() {
    const Recovered& found = storage_->recovered();
    if (found.fresh) {
        if (state_at_birth_)
            begin_from(*state_at_birth_);
        if (state_at_birth_ || config_.founding)
            (void)storage_->store_base({.index = end_.index,
                                        .term = end_.term,
                                        .position = end_.position,
                                        .check = end_.check,
                                        .membership = membership_});
        return;
    }
    term_ = found.state.term;
    if (found.state_suspect) {
        // It may have voted in a term that it has forgotten. So it is somebody else now, whom nobody counts on.
        incarnation_ = name_memory(life_, false);
        voted_for_ = config_.self;
    } else if (found.state.incarnation != 0) { // else it said nothing to anybody yet
        incarnation_ = found.state.incarnation;
        voted_for_ = found.state.voted_for;
        stored_state_ = found.state;
    }
    newcomer_ = incarnation_ % 2 == 0;
    suspect_ = found.suspect && !planted_bugs.drop_rotten;
    begin_from(found.base);
    read_to_ = end_.position;
    recovering_ = true;
}

// Fills the ring with what the storage has kept, and shows the listener what is known to be committed, as far as it
// takes it: the ring need not hold the whole log at once.
void Replica::Impl::recover_some() {
    for (;;) {
        if (!stretch_) {
            stretch_ = storage_->read_back();
            stretch_done_ = 0;
            if (!stretch_)
                break;
            const bool replaces = stretch_->position != read_to_;
            read_to_ = stretch_->position + stretch_->bytes.size();
            if (replaces) {
                if (stretch_->position < commit_.position)
                    stretch_done_ =
                        std::min<std::size_t>(commit_.position - stretch_->position, stretch_->bytes.size());
                end_ = commit_;
                pending_memberships_.clear();
                Index committed;
                while (end_.position < stretch_->position && take_entry(committed)) {
                }
                if (end_.position < stretch_->position) { // what lies between could not be read
                    stretch_.reset();
                    continue;
                }
            }
        }
        if (!recover_stretch())
            return; // the listener takes no more now
        stretch_.reset();
    }
    recovering_ = false;
    configure(pending_memberships_.empty() ? committed_membership_ : pending_memberships_.back().membership);
    if (state_at_birth_ && state_at_birth_->position > end_.position) {
        end_ = commit_ = applied_ = cursor_of(*state_at_birth_);
        take_membership_of(*state_at_birth_);
        applied_membership_ = committed_membership_;
        pending_memberships_.clear();
        configure(committed_membership_);
        state_gate_ = storage_->store_base(*state_at_birth_);
    }
    stored_ = durable_ = told_end_ = end_;
    if (end_.term > term_) { // a vote that was not stored cannot have been counted, but may not be given again
        term_ = end_.term;
        voted_for_ = config_.self;
    }
    suspect_term_ = term_;
    const EntryId& remembered = storage_->recovered().state.membership;
    if (suspect_ && !holds(remembered))
        lost_membership_ = remembered;
    tell(TransitionKind::recover, term_, voted_for_, end_);
    apply_committed();
    recount();
    reset_election_timer();
}

// One entry at a time: each tells how far the log was committed when it was written, and so which ring space is
// free.
bool Replica::Impl::recover_stretch() {
    const Bytes bytes = stretch_->bytes;
    while (stretch_done_ < bytes.size()) {
        const std::uint64_t position = stretch_->position + stretch_done_;
        const std::uint64_t to_ring_end = ring_.size() - ring_.offset_of(position);
        std::uint64_t length = std::min<std::uint64_t>(to_ring_end, bytes.size() - stretch_done_);
        if (length >= sizeof(EntryHeader)) {
            EntryHeader header;
            std::memcpy(&header, bytes.data() + stretch_done_, sizeof header);
            if (header.kind != EntryKind::filler)
                length = std::min<std::uint64_t>(length, sizeof header + (header.length + 7u) / 8u * 8u);
            advance_commit(Index(header.commit));
        }
        apply_committed();
        if (position + length > applied_.position + ring_.size())
            return false;
        std::memcpy(ring_.piece(position, position + length, length).data(), bytes.data() + stretch_done_, length);
        stretch_done_ += length;
        Index committed;
        while (take_entry(committed)) {
        }
        if (!pending_memberships_.empty())
            membership_ = pending_memberships_.back().membership;
        advance_commit(committed);
    }
    return true;
}

void Replica::Impl::check_storage() {
    if (failure_)
        return;
    durable_ticket_ = planted_bugs.ack_before_write ? ~Ticket{} : storage_->durable();
    while (storing_done_ != storing_begun_ && storing_[storing_done_ % storing_.size()].ticket <= durable_ticket_) {
        durable_ = storing_[storing_done_++ % storing_.size()].end;
        rows_changed(); // the acknowledgement
    }
    if (suspect_)
        settle_suspicion();
    if (storage_->failure()) {
        failure_ = storage_->failure();
        listener_.on_failure(*failure_);
    }
}

// The log of a leader of our term, or a later one, holds all that was committed before, so all that we may have
// lost. Once it is on our disk as far as it went when we first heard of that leader, we speak for it again.
void Replica::Impl::settle_suspicion() {
    const Peer* leader = find(leader_);
    if (role_ == Role::leader)
        suspect_until_ = term_start_.index;
    else if (leader && leader->row.role == Role::leader && leader->row.term == term_ && term_ >= suspect_term_) {
        if (suspect_until_ == Index() || suspect_leader_ != leader->life) {
            suspect_until_ = leader->row.end_index;
            suspect_leader_ = leader->life;
        }
    } else
        return;
    if (commit_.index < suspect_until_ || durable_.index < suspect_until_)
        return;
    suspect_ = false;
    suspect_until_ = Index();
    lost_membership_ = {};
    (void)storage_->store_repaired();
    rows_changed();
}

// What a write supersedes on disk, and what of it is in our log still, may have been acknowledged long ago: so it
// must not be away from the disk for a moment. It is written again by one write, which is there as a whole or not.
bool Replica::Impl::store_again() {
    Cursor to = stored_;
    while (to.position < std::min(superseded_to_, end_.position))
        to = ring_.read_known(to).after;
    std::vector<std::byte> bytes;
    bytes.reserve(to.position - stored_.position);
    while (stored_.position + bytes.size() < to.position) {
        const std::uint64_t at = stored_.position + bytes.size();
        const auto piece = ring_.piece(at, to.position, to.position - at);
        bytes.insert(bytes.end(), piece.begin(), piece.end());
    }
    const Ticket ticket = storage_->store_log(stored_.position, bytes);
    if (ticket == 0)
        return false; // its queue is full
    superseded_to_ = 0;
    stored_ = to;
    storing_[storing_begun_++ % storing_.size()] = {ticket, to};
    return true;
}

// Hands over what has come since, in whole entries.
void Replica::Impl::store_progress() {
    if (failure_ || stored_.position >= end_.position || storing_begun_ - storing_done_ == storing_.size())
        return;
    if (stored_.position < superseded_to_ && !store_again())
        return;
    while (!failure_ && stored_.position < end_.position && storing_begun_ - storing_done_ < storing_.size()) {
        const std::uint64_t ring_end = stored_.position + ring_.size() - ring_.offset_of(stored_.position);
        const std::uint64_t limit = std::min(stored_.position + stretch_bytes_max, ring_end);
        Cursor to = stored_;
        while (to.position < end_.position) {
            const Cursor after = ring_.read_known(to).after;
            if (after.position > limit && to.position > stored_.position)
                break;
            to = after;
            if (to.position > limit)
                break; // one entry: it lies behind the ring's end, or is larger than the limit
        }
        // Up to two pieces: a filler before the ring's end belongs to the entry behind it.
        Ticket ticket = 0;
        for (std::uint64_t at = stored_.position; at < to.position;) {
            const auto piece = ring_.piece(at, to.position, to.position - at);
            ticket = storage_->store_log(at, piece);
            if (ticket == 0)
                return; // its queue is full; what was taken is taken again later
            at += piece.size();
        }
        stored_ = to;
        storing_[storing_begun_++ % storing_.size()] = {ticket, to};
    }
}

// The log that was handed over is not ours any more behind the commit point.
void Replica::Impl::forget_stored_tail() {
    if (!storage_)
        return;
    superseded_to_ = std::max(superseded_to_, stored_.position);
    stored_ = commit_;
    if (durable_.position > commit_.position)
        durable_ = commit_;
    storing_begun_ = storing_done_;
}

// Whatever else rots: who has lost a membership shall know that there was one. Its entry must be on disk first, so
// that a write that was torn, which nobody acknowledged, does not look like such a loss. It is forgotten when a
// leader has cut it off our log, so when it never was committed; of what we lost, only a leader can tell us that.
// While learners catch up, the same members decide as before.
HardState Replica::Impl::hard_state() const {
    EntryId newest = committed_membership_at_;
    for (const auto& [at, membership] : pending_memberships_)
        if (membership.phase != Membership::Phase::catching_up &&
            (at.index <= durable_.index || at == stored_state_.membership))
            newest = at;
    if (newest.index < lost_membership_.index)
        newest = lost_membership_;
    return {.incarnation = incarnation_,
            .term = term_,
            .voted_for = voted_for_,
            .membership = newest,
            .ring_bytes = ring_.size()};
}

// Only then our disk counts. (For others' eyes: rows wait for the state.)
bool Replica::Impl::remembers_membership() const {
    return hard_state().membership == stored_state_.membership && state_gate_ <= durable_ticket_;
}

// True if all that the next rows will say of term and vote is on disk.
bool Replica::Impl::store_state() {
    if (failure_)
        return false;
    const HardState now = hard_state();
    if (!(now == stored_state_)) {
        const Ticket ticket = storage_->store_state(now);
        if (ticket == 0)
            return false;
        stored_state_ = now;
        state_gate_ = ticket;
    }
    return state_gate_ <= durable_ticket_;
}

} // namespace rdma_paxos
