// SPDX-License-Identifier: Apache-2.0
//
// The replica that runs: the protected VM on its own host.
//
// Made step by step by protect/protector; abandon() undoes whatever was done. See replica_vm.h for threads.
#pragma once

#include <map>
#include <set>

#include "replicate/primary_pump.h"
#include "vm/replica_vm.h"

namespace tripod::vm {

class PrimaryVm final : public ReplicaVm {
  public:
    PrimaryVm(Context& context, xen::DomainConfig config, DomId domid, peer::GroupKey group_key,
              std::map<int, std::string> bridges);
    ~PrimaryVm() override;

    // After open_group(), in this order, each once.
    Result<void> enable(const tripod_profile& profile, uint32_t ring_pages);
    Result<void> start(const std::vector<group::Member>& members, const peer::Timing& timing, uint64_t log_bytes);
    // Until this replica leads; timed_out after `timeout`.
    Result<void> wait_for_leadership(Milliseconds timeout, Progress& progress);
    // The domain is suspended, its state is copied: everything from here on is logged.
    Result<void> record_from_here();
    // Every backup follows.
    void established();

    // Undoes all of the above; the VM runs on unprotected. Not for a group that may go live elsewhere.
    void abandon();

    // Ends protection: decided in the log, so that no backup can take over any more. not_now without a majority.
    Result<void> dissolve(Progress& progress);

    // Passes the VM on to the group's replica `to`, whose copy goes on with it; this one is destroyed. Returns when
    // that is decided in the log. not_now, and nothing changed, where that replica cannot take it, or nobody leads.
    Result<void> hand_over(uint8_t to);

    // What was sent of the state transfer.
    std::atomic<uint64_t> state_bytes = 0, state_chunks = 0;
    // A backup says that its VM strayed.
    void note_diverged(const std::string& host, const std::string& detail);

    VmStatus status() override;

  protected:
    replicate::Pump* pump() override { return pump_.get(); }

  private:
    void watch(rdma_paxos::Replica& replica, std::chrono::nanoseconds now);
    void watch_backups(rdma_paxos::Replica& replica);
    void set_network(bool on);
    void move_network();
    Result<void> check_successor(uint8_t to);
    void give_up_to(const std::string& host);
    void let_backups_hear();

    const xen::DomainConfig config_;
    const std::map<int, std::string> bridges_; // by device id
    replicate::XenClock clock_;
    std::unique_ptr<replicate::PrimaryPump> pump_;
    std::atomic<bool> established_ = false;

    // Of the group's thread.
    bool was_leading_ = false, told_broken_ = false, over_ = false;
    std::set<uint8_t> lost_;                      // members whose death was told
    std::map<std::string, std::string> diverged_; // host to what it said
    std::mutex network_mutex_;                    // tasks that move the vifs, one after the other
    std::atomic<bool> network_wanted_ = true;
};

} // namespace tripod::vm
