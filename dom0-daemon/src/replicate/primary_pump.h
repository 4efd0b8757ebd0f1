// SPDX-License-Identifier: Apache-2.0
//
// The primary's side: record ring -> log, and the gate: no frame leaves the VM before every record that could have
// influenced it is committed, and while the lease does not hold.
//
// Records are proposed when a frame waits for them, or have waited for drain_interval. So whatever gathers while a
// commit is on its way shares the next one. A record stays in its ring until it is committed: should a leadership
// be lost, it is proposed again from there.
#pragma once

#include <array>
#include <optional>

#include "gate/frame_marks.h"
#include "gate/gate.h"
#include "replicate/entry.h"
#include "replicate/pump.h"
#include "xen/event_channel.h"
#include "xen/record_ring.h"
#include "xen/shared_pages.h"

namespace tripod::replicate {

class PrimaryPump final : public Pump {
  public:
    // An entry is closed once it has this many bytes, so it has at most one record more.
    static constexpr size_t entry_bytes_full = 128 * 1024;
    // Entries on their way at once, at most. What comes meanwhile goes in one.
    static constexpr size_t in_flight_max = 4;
    // While records flow, Xen wakes us once per so many, and we look after this time by ourselves: long enough for
    // what an idle guest does in one go, so that its copies, too, wake once for it.
    static constexpr uint64_t notify_records = 256;
    static constexpr Nanoseconds drain_interval = std::chrono::milliseconds(20);
    // A log without room is tried again after this time, and frames are collected that nobody wanted to be woken
    // by.
    static constexpr Nanoseconds retry_interval = std::chrono::milliseconds(5);
    // Frames that cannot be marked yet are looked at again after this time.
    static constexpr Nanoseconds exposed_interval = std::chrono::milliseconds(1);
    // A thread that waits is woken again after this time, should a wake-up ever be lost.
    static constexpr Nanoseconds rekick_interval = std::chrono::milliseconds(50);

    struct Limits {
        uint64_t frames = 8192; // held by the gate before the guest's outputs wait for room
        // Entries on their way. One, where dom0 has a single processor: nothing is gained there by starting a round
        // before the last one has ended, and each round costs the same whether it carries much or little.
        size_t in_flight = in_flight_max;
    };

    // All of them outlive the pump; the channel is only kicked.
    PrimaryPump(const xen::SharedMemory& memory, xen::EventChannel& channel, gate::Gate& gate,
                const Limits& limits);

    void step(Log& log, Nanoseconds now) override;
    Nanoseconds next_deadline(Nanoseconds now) const override;
    bool on_commit(rdma_paxos::Index index, rdma_paxos::Term term, rdma_paxos::Bytes body) override;

    // The gate's descriptor was readable.
    void notice_frames() { frames_arrived_ = true; }
    // Whether it is worth to be woken by frames: not while as much is on its way as may be. They are collected when
    // that is committed, or after retry_interval.
    bool wants_frames() const { return !led_ || sent_end_ - sent_begin_ < limits_.in_flight; }
    // Until here frames pass: nothing is recorded yet. From here on the rule holds, for all that has not left.
    void guard() { guarded_ = true; }
    // Protection is undone, by whoever knows that no backup can take the VM over: frames pass.
    void let_pass() { guarded_ = false; }

    uint64_t commit_seq() const { return commit_seq_; }
    uint64_t commits() const { return commits_; } // entries of records
    const gate::FrameMarks& frames() const { return marks_; }
    // Nothing leaves, for whatever reason: no lease, held, over.
    bool silent(const Log& log, Nanoseconds now) const;

    // What Xen says of the guest; an enum tripod_reason, 0: all is logged. Once set, nothing is marked any more.
    uint32_t unfit() const;

    // Holds all frames, or lets them go by the rule again. Reversible.
    void hold_frames(bool hold) { held_ = hold; }
    // Passes the VM on to the group's replica `to`: once the record ring is drained into the log, step() proposes
    // its promotion, and takes no further records. Frames are held by then. Not reversible: from here on only the
    // log says where the VM lives.
    void hand_over(uint8_t to) { handing_to_ = to; }
    bool handing_over() const { return handing_to_.has_value(); }
    // Ends protection: step() proposes that. When it is committed, dissolved() is true and frames pass.
    void dissolve() { dissolving_ = true; }
    bool dissolving() const { return dissolving_; }

  private:
    // One entry on its way.
    struct Sent {
        uint64_t end_seq, end_position; // of its last record
    };

    void take_frames(Nanoseconds now);
    void move_records(Log& log, Nanoseconds now);
    bool records_due(Nanoseconds now) const;
    bool wait_for_records(Nanoseconds now);
    bool drain(Log& log);
    bool ending() const { return handing_to_ || dissolving_; }
    bool propose_batch(Log& log);
    void propose_end(Log& log);
    void let_frames_go(const Log& log, Nanoseconds now);
    void wake_waiters(Nanoseconds now);
    void forget_sent();

    tripod_control& control_;
    xen::EventChannel& channel_;
    gate::Gate& gate_;
    const Limits limits_;
    xen::RecordRing ring_;
    gate::FrameMarks marks_;
    std::array<Sent, 64> sent_{}; // a ring: numbers sent_begin_ to sent_end_; nearly all of it is for the end
    uint64_t sent_begin_ = 0, sent_end_ = 0;
    uint64_t next_seq_;     // of the next record read from the ring
    uint64_t released_seq_; // of the oldest record that the ring still holds
    uint64_t commit_seq_;
    uint64_t commits_ = 0;
    std::optional<uint8_t> handing_to_;
    bool dissolving_ = false;
    bool proposed_end_ = false; // under this leadership
    bool led_ = false;          // at the last step
    bool guarded_ = false, held_ = false;
    bool frames_arrived_ = true; // some may have come before anybody looked
    bool deaf_ = false;          // nobody wakes us for frames
    Nanoseconds collected_at_{};
    bool full_ = false;                   // the gate: as Xen was told
    bool blocked_ = false;                // the log had no room at the last step
    bool made_room_ = false;              // in the ring or the gate, since the last look at who waits
    std::optional<Nanoseconds> drain_at_; // records are looked for then; none: Xen kicks at the next one
    Nanoseconds flowing_until_{};
    std::optional<Nanoseconds> waiting_since_; // as seen here, since the last kick
};

} // namespace tripod::replicate
