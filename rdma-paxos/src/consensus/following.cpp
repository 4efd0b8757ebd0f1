// SPDX-License-Identifier: Apache-2.0
//
// The log as a follower sees it grow in its own memory, the commit index, and the hand-over to the listener.
#include "consensus/replica_impl.h"

#include "consensus/membership_codec.h"
#include "consensus/shared_bytes.h"

#include <algorithm>

namespace rdma_paxos {

namespace {

std::optional<Membership> membership_in(const Entry& entry) {
    auto membership = decode_membership(entry.body);
    if (membership)
        membership->index = Index(entry.header.index);
    return membership;
}

} // namespace

// Any change of the cell was written through the log link, so by the one we granted it to.
void Replica::Impl::look_at_cell() {
    LeaderCell cell;
    copy_shared(&cell, cell_memory_.data(), sizeof cell);
    if (cell == seen_cell_)
        return;
    seen_cell_ = cell;
    if (role_ == Role::leader || granted_to_ == nobody || granted_to_ == config_.self)
        return;
    const bool valid = cell_is_valid(cell, salt_);
    hear_leader(granted_to_, valid ? Term(cell.term) : term_);
    if (valid && Term(cell.term) == term_)
        learn_commit(Index(cell.commit), term_);
    if (Peer* owner = find(granted_to_); owner && owner->row.term == term_ && owner->row.role == Role::leader)
        learn_commit(owner->row.commit_index, term_);
}

// The next entry behind our end, if it has arrived. A commit index in a valid entry speaks of that entry's own
// predecessors: the chain ties it to them. A membership is in effect as soon as it stands in the log.
bool Replica::Impl::take_entry(Index& committed) {
    const auto entry = ring_.read(end_);
    if (!entry)
        return false;
    end_ = entry->after;
    if (entry->header.kind == EntryKind::membership) [[unlikely]] {
        if (const auto membership = membership_in(*entry))
            pending_memberships_.push_back({{end_.index, end_.term}, *membership});
    }
    committed = std::max(committed, Index(entry->header.commit));
    return true;
}

void Replica::Impl::scan_log() {
    // Until an entry of the present term stands at the end, what lies behind the commit point may be the remains of
    // an older leader's log, which the present leader is about to overwrite: look at it afresh.
    if (end_.term < term_ && now_ >= next_rescan_) {
        rescan_log();
        next_rescan_ = now_ + config_.timing.heartbeat / 4;
        return;
    }
    Index committed;
    const std::uint64_t before = end_.position;
    while (take_entry(committed)) {
    }
    if (end_.position != before)
        end_moved(committed);
    if (commit_hint_term_ == term_ && end_.term == term_)
        advance_commit(commit_hint_);
}

void Replica::Impl::rescan_log() {
    end_ = commit_;
    next_rescan_ = never;
    pending_memberships_.clear();
    bool stored_is_ours = stored_.position <= end_.position; // a slow disk: the rest of what is committed follows
    Index committed;
    while (take_entry(committed))
        stored_is_ours |= stored_ == end_;
    if (!stored_is_ours)
        forget_stored_tail();
    end_moved(committed);
    if (commit_hint_term_ == term_ && end_.term == term_)
        advance_commit(commit_hint_);
}

void Replica::Impl::end_moved(Index committed) {
    if (!(end_ == told_end_))
        tell(TransitionKind::hold, term_, nobody, end_);
    told_end_ = end_;
    configure(pending_memberships_.empty() ? committed_membership_ : pending_memberships_.back().membership);
    advance_commit(committed);
}

// From outside the log, a commit index is only good for the log of the same leader: ours may end in entries of an
// older one with the same indices. It is kept until our end is of that term.
void Replica::Impl::learn_commit(Index hint, Term from) {
    if (commit_hint_term_ != from)
        commit_hint_ = Index();
    commit_hint_term_ = from;
    commit_hint_ = std::max(commit_hint_, hint);
}

void Replica::Impl::commit_membership() {
    while (!pending_memberships_.empty() && pending_memberships_.front().at.index <= commit_.index) {
        committed_membership_ = pending_memberships_.front().membership;
        if (committed_membership_.phase != Membership::Phase::catching_up)
            committed_membership_at_ = pending_memberships_.front().at;
        pending_memberships_.erase(pending_memberships_.begin());
    }
}

void Replica::Impl::advance_commit(Index target) {
    const Cursor before = commit_;
    while (commit_.index < target && commit_.position < end_.position) {
        const Entry entry = ring_.read_known(commit_);
        commit_through(entry);
    }
    if (!(commit_ == before))
        tell(TransitionKind::commit, term_, nobody, commit_);
}

void Replica::Impl::apply_committed() {
    while (applied_.index < commit_.index) {
        const Entry entry = ring_.read_known(applied_);
        const bool shown = entry.header.kind == EntryKind::user && !witness_ &&
                           !(state_at_birth_ && entry.header.index <= state_at_birth_->index.value());
        if (shown && !listener_.on_commit(Index(entry.header.index), Term(entry.header.term), entry.body))
            break;
        if (entry.header.kind == EntryKind::membership) [[unlikely]]
            applied_membership_ = membership_in(entry).value_or(applied_membership_);
        applied_ = entry.after;
    }
    // A leader that waits for our space should hear of it before the next heartbeat.
    if (released() > applied_published_ + ring_.size() / 8) {
        applied_published_ = released();
        rows_changed();
    }
}

} // namespace rdma_paxos
