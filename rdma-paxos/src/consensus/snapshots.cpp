// SPDX-License-Identifier: Apache-2.0
//
// Where the listener's state belongs in the log, and starting anew from such a point.
#include "consensus/replica_impl.h"

#include <fmt/format.h>

namespace rdma_paxos {

SnapshotPoint Replica::Impl::snapshot_point() const {
    return {.index = applied_.index,
            .term = applied_.term,
            .position = applied_.position,
            .check = applied_.check,
            .membership = applied_membership_};
}

// The term of the membership's own entry is not known; whoever holds the point's last entry holds that one too.
void Replica::Impl::take_membership_of(const SnapshotPoint& point) {
    const bool same = point.membership.index == committed_membership_.index; // both are committed
    committed_membership_ = point.membership;
    if (!same)
        committed_membership_at_ = {point.index, point.term};
}

// What is in a snapshot was committed. So if our log leads through the point, everything behind it stays as it is;
// if not, what we hold beyond our commit point belongs to nobody.
tl::expected<void, Error> Replica::Impl::install_snapshot(const SnapshotPoint& point) {
    if (role_ == Role::leader || role_ == Role::candidate || recovering_)
        return tl::make_unexpected(Error{fmt::format("install a snapshot: not as {}", to_string(role_))});
    if (point.position < applied_.position || point.index < applied_.index)
        return tl::make_unexpected(Error{fmt::format("install a snapshot of index {}: {} is applied already",
                                                     point.index.value(), applied_.index.value())});
    const Cursor at = cursor_of(point);
    const bool ahead = at.position > commit_.position;
    bool leads_through = !ahead;
    for (auto entry = ring_.read(commit_); entry && !leads_through; entry = ring_.read(entry->after))
        leads_through = entry->after == at;
    if (storage_) {
        // What is stored behind the point may continue another log.
        const bool cut = leads_through || storage_->store_log(at.position, {}) != 0;
        const Ticket ticket = cut ? storage_->store_base(point) : 0;
        if (ticket == 0)
            return tl::make_unexpected(Error{"install a snapshot: the storage is busy; try again"});
        state_gate_ = ticket;
    }
    applied_ = at;
    applied_membership_ = point.membership;
    if (ahead) {
        commit_ = at;
        take_membership_of(point);
    }
    tell(TransitionKind::install, term_, nobody, at, &applied_membership_); // before what follows from it
    if (ahead)
        rescan_log();
    if (storage_) {
        forget_stored_tail();
        stored_ = durable_ = at;
    }
    ++counters_.installs;
    rows_changed();
    return {};
}

void Replica::Impl::snapshot_saved(const SnapshotPoint& point) {
    if (storage_ && !failure_ && point.position <= applied_.position)
        (void)storage_->store_base(point); // refused: the next snapshot will do
}

} // namespace rdma_paxos
