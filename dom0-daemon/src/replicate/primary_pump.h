// SPDX-License-Identifier: Apache-2.0
//
// The primary's side: record ring -> log -> commit watermark and lease for Xen.
#pragma once

#include <deque>
#include <optional>
#include <vector>

#include "replicate/entry.h"
#include "replicate/pump.h"
#include "replicate/xen_clock.h"
#include "xen/event_channel.h"
#include "xen/record_ring.h"
#include "xen/shared_pages.h"

namespace tripod::replicate {

class PrimaryPump final : public Pump {
  public:
    // An entry is closed once it has this many bytes, so it has at most one record more.
    static constexpr size_t entry_bytes_full = 128 * 1024;
    // While records flow, Xen wakes us once per so many, and we look after this time by ourselves.
    static constexpr uint64_t notify_records = 32;
    static constexpr Nanoseconds drain_interval = std::chrono::milliseconds(5);
    // A thread that waits is woken again after this time, should a wake-up ever be lost.
    static constexpr Nanoseconds rekick_interval = std::chrono::milliseconds(50);

    // Memory and channel outlive the pump; the channel is only kicked. The clock is sampled by the owner.
    PrimaryPump(const xen::SharedMemory& memory, xen::EventChannel& channel, const XenClock& clock);

    void step(Log& log, Nanoseconds now) override;
    Nanoseconds next_deadline(Nanoseconds now) const override;
    bool on_commit(rdma_paxos::Index index, rdma_paxos::Term term, rdma_paxos::Bytes body) override;

    uint64_t commit_seq() const { return commit_seq_; }

    // Takes the lease back from Xen, or lets it run again: without it no output passes. Reversible.
    void hold_outputs(bool hold);
    // Passes the VM on to the group's replica `to`: once the record ring is drained into the log, step() proposes
    // its promotion, and takes no further records. Outputs are held by then. Not reversible: from here on only the
    // log says where the VM lives.
    void hand_over(uint8_t to) { handing_to_ = to; }
    bool handing_over() const { return handing_to_.has_value(); }

  private:
    bool propose_again(Log& log);
    bool drain(Log& log);
    bool propose_batch(Log& log);
    void publish_lease(const Log& log, Nanoseconds now);
    void wake_waiters(Nanoseconds now);

    // Proposed, and not seen committed yet. Kept because a change of leadership may drop it from the log.
    struct Uncommitted {
        uint64_t first_seq;
        std::vector<std::byte> entry;
    };

    tripod_control& control_;
    xen::EventChannel& channel_;
    const XenClock& clock_;
    xen::RecordRing ring_;
    EntryBuilder batch_;
    std::deque<Uncommitted> uncommitted_;
    uint64_t next_seq_; // of the next record read from the ring
    uint64_t commit_seq_;
    std::optional<uint8_t> handing_to_;
    bool held_ = false;                          // outputs are
    bool proposed_handover_ = false;             // under this leadership
    bool led_ = false;                           // at the last step
    bool flowing_ = false;                       // the last step found records
    bool blocked_ = false;                       // the log had no room at the last step
    bool committed_ = false, made_room_ = false; // since the last look at who waits
    std::optional<Nanoseconds> waiting_since_;   // as seen here, since the last kick
};

} // namespace tripod::replicate
