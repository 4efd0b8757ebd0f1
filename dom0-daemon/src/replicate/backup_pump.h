// SPDX-License-Identifier: Apache-2.0
//
// A backup's side: log -> replay ring, and the decision to take the VM over.
#pragma once

#include <deque>
#include <utility>

#include "replicate/entry.h"
#include "replicate/pump.h"
#include "xen/event_channel.h"
#include "xen/replay_ring.h"
#include "xen/shared_pages.h"

namespace tripod::replicate {

class BackupPump final : public Pump {
  public:
    static constexpr Nanoseconds poll_interval = std::chrono::milliseconds(5);
    static constexpr Nanoseconds idle_interval = std::chrono::milliseconds(200);
    static constexpr Nanoseconds rekick_interval = std::chrono::milliseconds(50);

    explicit BackupPump(uint8_t self) : self_(self) {}

    // The restored VM is ready: from here on entries go to its replay ring, and before that they wait in the log.
    // Both stay until detach().
    void attach(const xen::SharedMemory& memory, xen::EventChannel& channel, uint64_t next_seq);
    bool attached() const { return ring_.has_value(); }
    // The VM's pages go away. From here on the log is only followed to the word about its end.
    void detach();

    // Records wait in the log, which fills up; reversible. So the VM can come to rest at the end of what it has.
    void pause(bool paused) { paused_ = paused; }
    // The VM can follow no further, for a reason that its pages do not tell: it is never promoted.
    void give_up(std::string why);
    // Asked right before this replica proposes its promotion: there is no way back from that.
    void set_last_look(std::function<bool()> fit) { last_look_ = std::move(fit); }

    // Whether this replica may take the VM over when it leads.
    void allow_promotion(bool allowed) { promotable_ = allowed; }

    void step(Log& log, Nanoseconds now) override;
    Nanoseconds next_deadline(Nanoseconds now) const override;
    bool on_commit(rdma_paxos::Index index, rdma_paxos::Term term, rdma_paxos::Bytes body) override;

    // This replica was promoted, and its VM has applied every record: time to go live.
    bool ready_for_life() const;
    // Everything that was put into the replay ring is applied by the VM.
    bool drained() const { return ring_ && ring_->drained(); }
    // Brings applied_index() up to date; step() does so too.
    void follow_applied();
    // Xen's verdict that the VM strayed from the log; an enum tripod_reason, 0: none.
    uint32_t unfit() const;

  private:
    void wake_waiters(Nanoseconds now);
    bool fit() const { return !broken_ && !detached_ && unfit() == 0; }

    uint8_t self_;
    bool promotable_ = true;
    bool paused_ = false;
    bool detached_ = false;
    uint32_t last_unfit_ = 0; // when it was detached
    std::function<bool()> last_look_;
    bool proposed_promotion_ = false;
    bool appended_ = false; // since the last kick
    tripod_control* control_ = nullptr;
    xen::EventChannel* channel_ = nullptr;
    std::optional<xen::ReplayRing> ring_;
    uint64_t next_seq_ = 0;
    std::deque<std::pair<uint64_t, uint64_t>> appended_entries_; // index, seq after its last record
    Nanoseconds last_kick_{};
};

} // namespace tripod::replicate
