// SPDX-License-Identifier: Apache-2.0
#include "replicate/backup_pump.h"

#include <atomic>

#include "record/record_view.h"

namespace tripod::replicate {

void BackupPump::attach(const xen::SharedMemory& memory, xen::EventChannel& channel, uint64_t next_seq) {
    control_ = memory.control;
    channel_ = &channel;
    ring_.emplace(*memory.control, memory.replay);
    next_seq_ = next_seq;
}

void BackupPump::detach() {
    if (ring_)
        follow_applied();
    last_unfit_ = unfit();
    ring_.reset();
    control_ = nullptr;
    channel_ = nullptr;
    detached_ = true;
}

void BackupPump::give_up(std::string why) {
    if (!broken_)
        broken_ = std::move(why);
}

uint32_t BackupPump::unfit() const {
    return control_ == nullptr ? last_unfit_ : std::atomic_ref(control_->unfit).load(std::memory_order_acquire);
}

bool BackupPump::on_commit(rdma_paxos::Index index, rdma_paxos::Term, rdma_paxos::Bytes body) {
    const bool follows = fit();
    if (follows && (!ring_ || paused_))
        return false;
    const auto entry = decode_header(body);
    if (!entry) {
        give_up(entry.error());
        return true;
    }
    if (entry->kind != EntryKind::records) {
        close(*entry);
        return true;
    }
    // A replica that strayed must not hold the others back, and still has to hear of the end.
    if (!follows || closed())
        return true;
    record::RecordReader reader(entry->records);
    for (uint32_t count = 0;; ++count) {
        const auto next = reader.next();
        const bool end = next && !*next;
        if (!next || end != (count == entry->count) ||
            (!end && (*next)->header().seq != entry->first_seq + count)) {
            give_up("log entry that announces " + std::to_string(entry->count) + " records from " +
                    std::to_string(entry->first_seq) +
                    " on: " + (next ? "something else is in it" : next.error().message));
            return true;
        }
        if (end)
            break;
        const record::RecordView& view = **next;
        // Already there: an entry offered again after a full ring, or proposed again by a primary that led twice.
        if (view.header().seq < next_seq_)
            continue;
        if (view.header().seq > next_seq_) {
            broken_ = "the log jumps from record " + std::to_string(next_seq_) + " to " +
                      std::to_string(view.header().seq);
            return true;
        }
        if (view.bytes().size() > ring_->record_bytes_max()) {
            broken_ = "a record of " + std::to_string(view.bytes().size()) + " bytes does not fit the replay ring";
            return true;
        }
        if (!ring_->append(view.bytes()))
            return false;
        ++next_seq_;
        appended_ = true;
        ++counters_.records;
        counters_.bytes += view.bytes().size();
        connections_.apply(view);
        if (tap_)
            tap_(view.bytes());
    }
    appended_entries_.emplace_back(index.value(), next_seq_);
    return true;
}

void BackupPump::step(Log& log, Nanoseconds now) {
    if (!ring_)
        return;
    follow_applied();
    wake_waiters(now);
    // Drained first: a VM that strays on the last stretch must leave the field to another one.
    const bool may = promotable_ && !closed() && fit() && ring_->drained();
    if (!log.leading())
        proposed_promotion_ = false;
    else if (may && !proposed_promotion_ && (!last_look_ || last_look_()))
        proposed_promotion_ = log.propose(encode_promoted(self_)) == Log::Proposed::yes;
}

Nanoseconds BackupPump::next_deadline(Nanoseconds now) const {
    if (!ring_ || broken_)
        return Nanoseconds::max();
    return now + (ring_->drained() ? idle_interval : poll_interval);
}

bool BackupPump::ready_for_life() const {
    return promoted_ == self_ && ring_ && fit() && ring_->drained();
}

void BackupPump::follow_applied() {
    if (control_ == nullptr)
        return;
    const uint64_t seq = std::atomic_ref(control_->replay_seq).load(std::memory_order_acquire);
    while (!appended_entries_.empty() && appended_entries_.front().second <= seq) {
        applied_index_ = appended_entries_.front().first;
        appended_entries_.pop_front();
    }
}

void BackupPump::wake_waiters(Nanoseconds now) {
    std::atomic_thread_fence(std::memory_order_seq_cst);
    const uint32_t waits = std::atomic_ref(control_->waits).load(std::memory_order_acquire);
    const bool overdue = !ring_->drained() && now - last_kick_ >= rekick_interval;
    if ((waits & TRIPOD_WAIT_replay) != 0 && (appended_ || overdue)) {
        channel_->kick();
        ++counters_.kicks;
        last_kick_ = now;
    }
    appended_ = false;
}

} // namespace tripod::replicate
