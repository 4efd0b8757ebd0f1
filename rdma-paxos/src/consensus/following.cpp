// SPDX-License-Identifier: Apache-2.0
//
// The log as a follower sees it grow in its own memory, the commit index, and the hand-over to the listener.
#include "consensus/replica_impl.h"

#include "consensus/shared_bytes.h"

#include <algorithm>

namespace rdma_paxos {

// Any change of the cell was written through the log link, so by the one we granted it to.
void Replica::Impl::look_at_cell() {
    LeaderCell cell;
    copy_shared(&cell, cell_memory_.data(), sizeof cell);
    if (cell == seen_cell_)
        return;
    seen_cell_ = cell;
    if (role_ == Role::leader || granted_to_ == nobody || granted_to_ == config_.self)
        return;
    hear_leader(granted_to_);
    if (cell_is_valid(cell, salt_) && Term(cell.term) == term_)
        learn_commit(Index(cell.commit), term_);
    if (Peer* owner = find(granted_to_); owner && owner->row.term == term_ && owner->row.role == Role::leader)
        learn_commit(owner->row.commit_index, term_);
}

void Replica::Impl::scan_log() {
    // Until an entry of the present term stands at the end, what lies behind the commit point may be the remains of
    // an older leader's log, which the present leader is about to overwrite: look at it afresh.
    if (end_.term < term_ && now_ >= next_rescan_) {
        next_rescan_ = now_ + config_.timing.heartbeat / 4;
        end_ = commit_;
    }
    // A commit index in a valid entry speaks of that entry's own predecessors: the chain ties it to them.
    while (const auto entry = ring_.read(end_)) {
        end_ = entry->after;
        advance_commit(Index(entry->header.commit));
    }
    if (commit_hint_term_ == term_ && end_.term == term_)
        advance_commit(commit_hint_);
}

void Replica::Impl::rescan_log() {
    end_ = commit_;
    next_rescan_ = never;
    while (const auto entry = ring_.read(end_)) {
        end_ = entry->after;
        advance_commit(Index(entry->header.commit));
    }
}

// From outside the log, a commit index is only good for the log of the same leader: ours may end in entries of an
// older one with the same indices. It is kept until our end is of that term.
void Replica::Impl::learn_commit(Index hint, Term from) {
    if (commit_hint_term_ != from)
        commit_hint_ = Index();
    commit_hint_term_ = from;
    commit_hint_ = std::max(commit_hint_, hint);
}

void Replica::Impl::advance_commit(Index target) {
    while (commit_.index < target && commit_.position < end_.position) {
        commit_ = ring_.read_known(commit_).after;
        ++counters_.commits;
    }
}

void Replica::Impl::apply_committed() {
    while (applied_.index < commit_.index) {
        const Entry entry = ring_.read_known(applied_);
        if (entry.header.kind == EntryKind::user &&
            !listener_.on_commit(Index(entry.header.index), Term(entry.header.term), entry.body))
            break;
        applied_ = entry.after;
    }
    // A leader that waits for our space should hear of it before the next heartbeat.
    if (applied_.position - applied_published_ > ring_.size() / 8) {
        applied_published_ = applied_.position;
        rows_changed();
    }
}

} // namespace rdma_paxos
