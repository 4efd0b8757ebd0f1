// SPDX-License-Identifier: Apache-2.0
//
// The replica that runs: the protected VM on its own host.
//
// Made step by step by protect/protector; abandon() undoes whatever was done. See replica_vm.h for threads.
#pragma once

#include <map>
#include <optional>

#include "replicate/primary_pump.h"
#include "vm/replica_vm.h"

namespace tripod::vm {

class PrimaryVm final : public ReplicaVm {
  public:
    PrimaryVm(Context& context, const xen::DomainConfig& config, DomId domid, peer::GroupKey group_key);
    ~PrimaryVm() override;

    // After open_group(), in this order, each once.
    Result<void> enable(const tripod_profile& profile, uint32_t ring_pages);
    Result<void> start(const std::vector<group::Member>& members, const peer::Timing& timing, uint64_t log_bytes);
    // Until this replica leads; timed_out after `timeout`.
    Result<void> wait_for_leadership(Milliseconds timeout, Progress& progress);
    // The domain is suspended, its state is copied: everything from here on is logged, and no frame leaves before
    // what it depends on is committed.
    Result<void> record_from_here();
    // Every backup follows.
    void established();

    // Undoes all of the above; the VM runs on unprotected. Not for a group that may go live elsewhere.
    void abandon();

    // Ends protection: decided in the log, so that no backup can take over any more. not_now without a majority.
    Result<void> dissolve(Progress& progress);

    // Protection has ended by itself, because of what the guest or its domain did; the VM goes on alone, if it
    // lives. Stays in the registry, so that somebody sees it.
    bool ended_by_itself() const { return ended_ && !finished(); }
    void acknowledge_end() { finish(); }

    // Passes the VM on to the group's replica `to`, whose copy goes on with it; this one is destroyed. Returns when
    // that is decided in the log. not_now, and nothing changed, where that replica cannot take it, or nobody leads.
    Result<void> hand_over(uint8_t to);

    // What was sent of the state transfer.
    std::atomic<uint64_t> state_bytes = 0, state_chunks = 0;
    // A backup says that its VM strayed, and the last index that it applied. That it can no longer take over is in
    // the group's rows in any case.
    void note_diverged(const std::string& host, const std::string& detail, std::optional<uint64_t> applied);

    VmStatus status() override;

  protected:
    replicate::Pump* pump() override { return pump_.get(); }

  private:
    void watch(rdma_paxos::Replica& replica, std::chrono::nanoseconds now);
    void watch_backups(rdma_paxos::Replica& replica);
    ReplicaStatus backup_status(const rdma_paxos::Replica& replica, const group::Member& member) const;
    void watch_guest(std::chrono::nanoseconds now);
    void lose_protection(const std::string& why);
    replicate::PrimaryPump::Limits limits() const;
    Result<void> able_to_succeed(const rdma_paxos::Replica* replica, uint8_t to) const;
    void fill_gate(VmCounters& counters) const;
    void give_up_to(const std::string& host);
    void destroy_superseded();
    bool let_backups_hear();
    bool end_protection();
    void open_exit();

    std::unique_ptr<gate::Gate> gate_; // outlives the pump
    std::unique_ptr<replicate::PrimaryPump> pump_;
    std::atomic<bool> exit_shut_ = false; // the rule stands
    std::atomic<bool> established_ = false;

    // Of the group's thread.
    bool was_leading_ = false, told_broken_ = false, over_ = false;
    std::optional<std::string> lost_because_; // protection ends by itself
    std::chrono::nanoseconds guest_looked_at_{};
    std::map<uint8_t, std::string> lost_; // members whose loss was told, and what was told
    struct Stop {
        std::string detail; // what it said of its divergence; empty: nothing
        Index applied{};    // the last index that its VM is known to have applied
    };
    std::map<std::string, Stop> stopped_; // hosts whose copies follow no more

    std::mutex end_mutex_;
    std::atomic<bool> ended_ = false;
};

} // namespace tripod::vm
