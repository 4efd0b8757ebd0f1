// SPDX-License-Identifier: Apache-2.0
#include "replicate/primary_pump.h"

#include <atomic>

#include "record/record_view.h"

namespace tripod::replicate {

namespace {

uint64_t load(uint64_t& field) {
    return std::atomic_ref(field).load(std::memory_order_acquire);
}
void store(uint64_t& field, uint64_t value) {
    std::atomic_ref(field).store(value, std::memory_order_release);
}

} // namespace

PrimaryPump::PrimaryPump(const xen::SharedMemory& memory, xen::EventChannel& channel, const XenClock& clock)
    : control_(*memory.control), channel_(channel), clock_(clock), ring_(*memory.control, memory.record),
      next_seq_(memory.control->commit_seq), commit_seq_(memory.control->commit_seq) {}

void PrimaryPump::step(Log& log, Nanoseconds now) {
    if (broken_ || closed())
        return;
    if (!log.leading()) {
        // The lease runs out by itself; records stay in the ring until somebody leads.
        led_ = proposed_handover_ = false;
        return;
    }
    if (proposed_handover_)
        return;
    if (!led_) {
        if (!propose_again(log))
            return;
        led_ = true;
    }
    publish_lease(log, now);
    // Tell Xen when to wake us before looking: a record that comes in between is either seen or announced.
    const bool drained = drain(log);
    flowing_ = drained;
    store(control_.notify_seq, load(control_.record_seq) + (drained ? notify_records : 1));
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (!blocked_ && ring_.pending())
        drain(log);
    if (handing_to_ && !broken_ && !blocked_)
        proposed_handover_ = log.propose(encode_promoted(*handing_to_)) == Log::Proposed::yes;
    wake_waiters(now);
}

Nanoseconds PrimaryPump::next_deadline(Nanoseconds now) const {
    if (broken_ || closed() || !led_)
        return Nanoseconds::max();
    if (flowing_ || blocked_)
        return now + drain_interval;
    if (control_.waits != 0)
        return now + rekick_interval;
    return Nanoseconds::max();
}

// A leadership lost and won again may have cost entries that were proposed and not committed. Everything committed
// is applied here by now, so what is missing is known exactly.
bool PrimaryPump::propose_again(Log& log) {
    while (!uncommitted_.empty() && uncommitted_.front().first_seq < commit_seq_)
        uncommitted_.pop_front();
    for (const auto& lost : uncommitted_)
        // A backup skips what it has already, so proposing some of them twice after "full" is harmless.
        if (log.propose(lost.entry) != Log::Proposed::yes)
            return false;
    return true;
}

// True if at least one record was taken.
bool PrimaryPump::drain(Log& log) {
    blocked_ = false;
    bool any = false;
    while (true) {
        const auto [status, record] = ring_.next();
        if (status == xen::RecordRing::Status::corrupt) {
            broken_ = "the record ring is corrupt";
            return any;
        }
        if (status == xen::RecordRing::Status::empty)
            break;
        const auto view = record::RecordView::parse(record);
        if (!view || view->header().seq != next_seq_) {
            broken_ = view ? "the record ring jumps from " + std::to_string(next_seq_) + " to " +
                                 std::to_string(view->header().seq)
                           : "the record ring holds a bad record: " + view.error().message;
            return any;
        }
        batch_.add(next_seq_, record);
        ++next_seq_;
        if (batch_.size() >= entry_bytes_full && !propose_batch(log))
            return any;
        any = true;
    }
    if (!batch_.empty() && !propose_batch(log))
        return any;
    return any;
}

bool PrimaryPump::propose_batch(Log& log) {
    const auto entry = batch_.finish();
    const uint64_t first_seq = next_seq_ - batch_.count();
    if (log.propose(entry) != Log::Proposed::yes) {
        ring_.rewind();
        next_seq_ = first_seq;
        batch_.clear();
        blocked_ = true;
        return false;
    }
    record::RecordReader reader(entry.subspan(entry_header_bytes));
    for (auto next = reader.next(); next && *next; next = reader.next()) {
        connections_.apply(**next);
        if (tap_)
            tap_((*next)->bytes());
    }
    counters_.records += batch_.count();
    counters_.bytes += entry.size();
    uncommitted_.push_back({first_seq, {entry.begin(), entry.end()}});
    batch_.clear();
    ring_.release();
    made_room_ = true;
    return true;
}

bool PrimaryPump::on_commit(rdma_paxos::Index index, rdma_paxos::Term, rdma_paxos::Bytes body) {
    const auto entry = decode_entry(body);
    if (!entry) {
        broken_ = entry.error();
        return true;
    }
    applied_index_ = index.value();
    if (entry->kind != EntryKind::records) {
        close(*entry);
        return true;
    }
    if (closed())
        return true;
    const uint64_t end = entry->first_seq + entry->count;
    if (end > commit_seq_) {
        commit_seq_ = end;
        store(control_.commit_seq, commit_seq_);
        committed_ = true;
    }
    while (!uncommitted_.empty() && uncommitted_.front().first_seq < commit_seq_)
        uncommitted_.pop_front();
    return true;
}

void PrimaryPump::hold_outputs(bool hold) {
    held_ = hold;
    if (hold)
        store(control_.lease_deadline_ns, 0);
}

void PrimaryPump::publish_lease(const Log& log, Nanoseconds now) {
    if (held_)
        return;
    const uint64_t deadline = clock_.not_after(log.lease_deadline());
    const uint64_t published = load(control_.lease_deadline_ns);
    if (deadline <= published)
        return;
    store(control_.lease_deadline_ns, deadline);
    // Threads wait for the lease only if it had run out.
    if (published < clock_.not_after(now))
        committed_ = true;
}

// Only those are woken whose wait can have ended: one that wakes for nothing wakes us in turn, and that would be a
// second round between guest and dom0 in every commit.
void PrimaryPump::wake_waiters(Nanoseconds now) {
    std::atomic_thread_fence(std::memory_order_seq_cst);
    const uint32_t waits = std::atomic_ref(control_.waits).load(std::memory_order_acquire);
    const bool outputs = (waits & TRIPOD_WAIT_commit) != 0, space = (waits & TRIPOD_WAIT_space) != 0;
    // An output passes when all is committed; what was logged meanwhile brings a commit, and a kick, of its own.
    const bool due = (outputs && committed_ && commit_seq_ >= load(control_.record_seq)) || (space && made_room_);
    committed_ = made_room_ = false;
    if (!outputs && !space)
        waiting_since_.reset();
    else if (!waiting_since_)
        waiting_since_ = now;
    if (!due && (!waiting_since_ || now - *waiting_since_ < rekick_interval))
        return;
    channel_.kick();
    ++counters_.kicks;
    waiting_since_.reset(); // Xen clears what it has woken
}

} // namespace tripod::replicate
