// SPDX-License-Identifier: Apache-2.0
#include "replicate/primary_pump.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "record/record_view.h"

namespace tripod::replicate {

namespace {

uint64_t load(uint64_t& field) {
    return std::atomic_ref(field).load(std::memory_order_acquire);
}
uint32_t load(uint32_t& field) {
    return std::atomic_ref(field).load(std::memory_order_acquire);
}
template <typename Integer>
void store(Integer& field, Integer value) {
    std::atomic_ref(field).store(value, std::memory_order_release);
}

uint64_t seq_of(std::span<const std::byte> record) {
    uint64_t seq = 0;
    std::memcpy(&seq, record.data() + offsetof(tripod_record, seq), sizeof seq);
    return seq;
}

} // namespace

PrimaryPump::PrimaryPump(const xen::SharedMemory& memory, xen::EventChannel& channel, gate::Gate& gate,
                         const Limits& limits)
    : control_(*memory.control), channel_(channel), gate_(gate), limits_(limits),
      ring_(*memory.control, memory.record), next_seq_(memory.control->record_seq), released_seq_(next_seq_),
      commit_seq_(next_seq_) {}

void PrimaryPump::step(Log& log, Nanoseconds now) {
    // Some may have come while nobody was to be woken by them.
    frames_arrived_ |= deaf_ && (wants_frames() || now - collected_at_ >= retry_interval);
    take_frames(now);
    if (!broken_ && !closed())
        move_records(log, now);
    deaf_ = !wants_frames();
    let_frames_go(log, now);
    wake_waiters(now);
}

uint32_t PrimaryPump::unfit() const {
    return load(control_.unfit);
}

// The order of the looks is the rule's heart: first at the frames, then at whether all that could have influenced
// them is being logged, then at whether all of that is numbered, then at the last number. See public/tripod.h.
void PrimaryPump::take_frames(Nanoseconds now) {
    if (frames_arrived_) {
        frames_arrived_ = false;
        collected_at_ = now;
        marks_.seen(gate_.collect(), now);
    }
    if (guarded_ && marks_.unmarked() && unfit() == 0 && load(control_.exposed) == 0)
        marks_.mark(load(control_.record_seq));
}

void PrimaryPump::move_records(Log& log, Nanoseconds now) {
    if (!log.leading()) {
        // Records stay in the ring, and frames in the gate, until somebody leads.
        led_ = proposed_end_ = false;
        return;
    }
    if (!led_) {
        // A leadership that was lost and won again may have cost entries that were on their way. Everything
        // committed is applied here by now, so what is missing is known exactly: all that the ring still holds.
        forget_sent();
        led_ = true;
    }
    if (proposed_end_)
        return;
    bool emptied = false;
    if (records_due(now)) {
        const uint64_t before = next_seq_;
        emptied = drain(log);
        // While records flow, Xen need not say so: we look again by ourselves.
        flowing_until_ = next_seq_ != before || blocked_ || ring_.pending() ? now + drain_interval : now;
        drain_at_.reset();
    }
    if (!drain_at_ && !wait_for_records(now))
        drain_at_ = now + drain_interval; // nobody waits for them, and others may follow
    // What the guest logs from here on belongs to no history.
    if (ending() && emptied)
        propose_end(log);
}

bool PrimaryPump::records_due(Nanoseconds now) const {
    return marks_.wanted() > next_seq_ || ending() || blocked_ || (drain_at_ && now >= *drain_at_) ||
           load(control_.waits) != 0;
}

// False: there are records, or there may be some soon. True: Xen wakes us at the next one.
bool PrimaryPump::wait_for_records(Nanoseconds now) {
    const bool flowing = ring_.pending() || now < flowing_until_;
    // Told before the last look: a record that comes in between is either seen or announced.
    store(control_.notify_seq, load(control_.record_seq) + (flowing ? notify_records : 1));
    if (flowing)
        return false;
    std::atomic_thread_fence(std::memory_order_seq_cst);
    return !ring_.pending();
}

void PrimaryPump::forget_sent() {
    sent_begin_ = sent_end_;
    ring_.rewind();
    next_seq_ = released_seq_; // some may be committed already: a backup skips what it has
}

// True if the ring was seen empty. A guest that never rests must not put off the end.
bool PrimaryPump::drain(Log& log) {
    blocked_ = false;
    const size_t most = ending() ? sent_.size() : limits_.in_flight;
    while (sent_end_ - sent_begin_ < most)
        if (!propose_batch(log))
            return !blocked_ && !broken_;
    return false;
}

// True if there may be more to propose.
bool PrimaryPump::propose_batch(Log& log) {
    const uint64_t begin = ring_.position(), first_seq = next_seq_;
    const auto put_back = [&] {
        ring_.rewind_to(begin);
        next_seq_ = first_seq;
    };
    // Records lie one behind the other, but for one place: the ring's end.
    std::array<std::span<const std::byte>, 2> pieces;
    size_t bytes = 0, piece = 0;
    while (bytes < entry_bytes_full) {
        const uint64_t before = ring_.position();
        const auto [status, record] = ring_.next();
        if (status == xen::RecordRing::Status::empty)
            break;
        if (status == xen::RecordRing::Status::corrupt) {
            broken_ = "the record ring is corrupt";
            put_back();
            return false;
        }
        if (const uint64_t seq = seq_of(record); seq != next_seq_) {
            broken_ = "the record ring jumps from " + std::to_string(next_seq_) + " to " + std::to_string(seq);
            put_back();
            return false;
        }
        auto& here = pieces[piece];
        if (here.empty())
            here = record;
        else if (here.data() + here.size() == record.data())
            here = {here.data(), here.size() + record.size()};
        else if (piece == 0)
            pieces[++piece] = record;
        else {
            ring_.rewind_to(before); // all around the ring
            break;
        }
        bytes += record.size();
        ++next_seq_;
    }
    if (bytes == 0)
        return false;
    const auto entry = log.reserve(entry_header_bytes + bytes);
    if (entry.empty()) {
        put_back();
        blocked_ = true;
        return false;
    }
    put_records_header(entry, first_seq, static_cast<uint32_t>(next_seq_ - first_seq));
    std::byte* to = entry.data() + entry_header_bytes;
    for (const auto& part : pieces) {
        std::memcpy(to, part.data(), part.size());
        to += part.size();
    }
    if (log.propose_reserved() != Log::Proposed::yes) {
        put_back();
        blocked_ = true;
        return false;
    }
    if (tap_) {
        record::RecordReader reader(entry.subspan(entry_header_bytes));
        for (auto next = reader.next(); next && *next; next = reader.next())
            tap_((*next)->bytes());
    }
    counters_.records += next_seq_ - first_seq;
    counters_.bytes += entry.size();
    sent_[sent_end_++ % sent_.size()] = {next_seq_, ring_.position()};
    return true;
}

void PrimaryPump::propose_end(Log& log) {
    const auto word = dissolving_ ? encode_dissolved() : encode_promoted(*handing_to_);
    proposed_end_ = log.propose(word) == Log::Proposed::yes;
}

bool PrimaryPump::on_commit(rdma_paxos::Index index, rdma_paxos::Term, rdma_paxos::Bytes body) {
    const auto entry = decode_header(body);
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
    ++commits_;
    commit_seq_ = std::max(commit_seq_, entry->first_seq + entry->count);
    for (; sent_begin_ != sent_end_ && sent_[sent_begin_ % sent_.size()].end_seq <= commit_seq_; ++sent_begin_) {
        ring_.release_to(sent_[sent_begin_ % sent_.size()].end_position);
        released_seq_ = sent_[sent_begin_ % sent_.size()].end_seq;
        made_room_ = true;
    }
    return true;
}

bool PrimaryPump::silent(const Log& log, Nanoseconds now) const {
    return !dissolved_ && guarded_ && (held_ || promoted_ || broken_ || now >= log.lease_deadline());
}

void PrimaryPump::let_frames_go(const Log& log, Nanoseconds now) {
    if (!silent(log, now)) {
        const bool by_rule = guarded_ && !dissolved_;
        const uint64_t frame = by_rule ? marks_.releasable(commit_seq_) : marks_.newest();
        if (frame > marks_.last_released() &&
            gate_.release(frame, by_rule ? log.lease_deadline() : gate::no_deadline))
            marks_.released(frame, now);
    }
    const bool full = marks_.held() >= (full_ ? limits_.frames / 2 : limits_.frames);
    if (full == full_)
        return;
    full_ = full;
    store(control_.gate_full, full ? 1u : 0u);
    made_room_ |= !full;
}

Nanoseconds PrimaryPump::next_deadline(Nanoseconds now) const {
    if (broken_ || closed())
        return Nanoseconds::max();
    auto deadline = Nanoseconds::max();
    if (guarded_ && marks_.unmarked() && unfit() == 0)
        deadline = now + exposed_interval;
    if (deaf_)
        deadline = std::min(deadline, collected_at_ + retry_interval);
    if (led_ && drain_at_)
        deadline = std::min(deadline, *drain_at_);
    if (led_ && blocked_)
        deadline = std::min(deadline, now + retry_interval);
    if (led_ && control_.waits != 0)
        deadline = std::min(deadline, now + rekick_interval);
    return deadline;
}

// Only those are woken whose wait can have ended: one that wakes for nothing wakes us in turn, and that would be a
// second round between guest and dom0 in every commit.
void PrimaryPump::wake_waiters(Nanoseconds now) {
    std::atomic_thread_fence(std::memory_order_seq_cst);
    const bool waits = (load(control_.waits) & (TRIPOD_WAIT_space | TRIPOD_WAIT_gate)) != 0;
    const bool due = waits && made_room_;
    made_room_ = false;
    if (!waits)
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
