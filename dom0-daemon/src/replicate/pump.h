// SPDX-License-Identifier: Apache-2.0
//
// A pump moves one VM's records between Xen's rings and the replicated log: PrimaryPump into it, BackupPump out of
// it. Pumps are state machines: no thread, no clock and no system call of their own. All calls come from one
// thread.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>

#include <rdma_paxos/replica.h>

#include "base/log.h"
#include "replicate/connections.h"
#include "replicate/entry.h"
#include "replicate/log.h"

namespace tripod::replicate {

struct PumpCounters {
    uint64_t records = 0; // proposed (primary) or received (backup)
    uint64_t bytes = 0;
    uint64_t kicks = 0;
};

class Pump : public rdma_paxos::Listener {
  public:
    // Gets every record that passes, as it lies in memory; see Service::trace.
    using Tap = std::function<void(std::span<const std::byte> record)>;

    // Moves what can be moved now. Called after every tick of the replica.
    virtual void step(Log& log, Nanoseconds now) = 0;
    // When step() must be called again even if nothing wakes the thread.
    virtual Nanoseconds next_deadline(Nanoseconds now) const = 0;

    // The group has decided that this replica takes the VM over.
    std::optional<uint8_t> promoted() const { return promoted_; }
    // The group has decided that protection ends: the primary runs on, all others go.
    bool dissolved() const { return dissolved_; }
    // One of the two: nothing in the log after that belongs to the VM's history.
    bool closed() const { return promoted_.has_value() || dissolved_; }
    // Why this replica can follow no further, if so.
    const std::optional<std::string>& broken() const { return broken_; }
    // The group's index up to which Xen is known to have applied (backup) or recorded (primary) everything.
    uint64_t applied_index() const { return applied_index_; }

    const ConnectionTable& connections() const { return connections_; }
    const PumpCounters& counters() const { return counters_; }
    rdma_paxos::Role role() const { return role_; }
    rdma_paxos::Term term() const { return term_; }
    void set_tap(Tap tap) { tap_ = std::move(tap); }
    bool has_tap() const { return static_cast<bool>(tap_); }

    void on_role(rdma_paxos::Role role, rdma_paxos::Term term) override {
        role_ = role;
        term_ = term;
        if (role_changed_)
            role_changed_(role, term);
    }
    void on_refused(rdma_paxos::ReplicaId, const rdma_paxos::Error& why) override { log::warning("{}", why.what); }
    // Called from inside the replica: must not call it back.
    void set_role_observer(std::function<void(rdma_paxos::Role, rdma_paxos::Term)> observer) {
        role_changed_ = std::move(observer);
    }

  protected:
    // The first word about the end counts: whoever proposed a later one had not seen it.
    void close(const EntryView& entry) {
        if (closed())
            return;
        if (entry.kind == EntryKind::promoted)
            promoted_ = static_cast<uint8_t>(entry.first_seq);
        else
            dissolved_ = true;
    }

    std::optional<uint8_t> promoted_;
    bool dissolved_ = false;
    std::optional<std::string> broken_;
    uint64_t applied_index_ = 0;
    ConnectionTable connections_;
    PumpCounters counters_;
    Tap tap_;

  private:
    rdma_paxos::Role role_ = rdma_paxos::Role::follower;
    rdma_paxos::Term term_{};
    std::function<void(rdma_paxos::Role, rdma_paxos::Term)> role_changed_;
};

} // namespace tripod::replicate
