// SPDX-License-Identifier: Apache-2.0
//
// A replica that follows: the copy NAME--incoming on a backup host, until it is needed.
//
// Made step by step by protect/incoming, as the primary asks for it. See replica_vm.h for threads.
#pragma once

#include <condition_variable>

#include "replicate/backup_pump.h"
#include "vm/replica_vm.h"

namespace tripod::vm {

class BackupVm final : public ReplicaVm {
  public:
    // `tell_primary`: carries the news of a divergence to the primary's host; may block, called on a task.
    using TellPrimary = std::function<void(const BackupVm& vm, const std::string& detail)>;

    BackupVm(Context& context, peer::Prepare prepare, TellPrimary tell_primary);
    ~BackupVm() override;

    static std::string incoming_name(const std::string& name) { return name + "--incoming"; }

    // After open_group(), in this order, each once.
    Result<void> start(const std::vector<group::Member>& members, uint8_t initial_leader);
    // The domain was restored and is paused: it replays from record 0.
    Result<void> follow(xen::Toolstack& toolstack, DomId domid);
    // The primary says that protection stands: from here on this replica may take over.
    void confirm();
    bool confirmed() const { return confirmed_; }

    // Leaves the group and destroys the copy, whatever exists of them. Blocks for seconds. Idempotent.
    void discard();

    // Goes live without the network and without the group. Blocks until the log that has arrived is drained.
    Result<void> go_live_isolated(Progress& progress);
    // Why it cannot be made the primary now: isolated already, strayed from the log, not confirmed yet.
    Result<void> fit_to_lead();
    // Until this replica is live on the network.
    Result<void> wait_for_takeover(Progress& progress);
    // It went live here, isolated or not.
    bool runs_here() const;
    // It is the VM: destroying it would destroy what the world talks to.
    bool serves() const;
    // Leaves the group and lets the VM run on.
    void release();
    // The primary's heartbeats arrive.
    bool primary_alive();

    const peer::Prepare& prepared() const { return prepare_; }
    const std::vector<group::Member>& members() const { return members_; }
    std::atomic<uint64_t> state_bytes = 0, state_chunks = 0;

    VmStatus status() override;

  protected:
    replicate::Pump* pump() override { return &pump_; }

  private:
    enum class Life : uint8_t { incoming, following, live, network_moved, isolated };

    void watch(rdma_paxos::Replica& replica, std::chrono::nanoseconds now);
    void watch_role(rdma_paxos::Replica& replica);
    void watch_fitness(rdma_paxos::Replica& replica);
    void go_live();
    void take_over_network();
    std::string divergence_text();

    const peer::Prepare prepare_;
    const TellPrimary tell_primary_;
    replicate::BackupPump pump_;
    std::atomic<bool> confirmed_ = false;
    std::atomic<Life> life_ = Life::incoming;
    std::mutex discard_mutex_;

    // Of the group's thread.
    rdma_paxos::Role last_role_ = rdma_paxos::Role::follower;
    std::atomic<bool> told_unfit_ = false; // and read by others
    bool over_ = false;
};

} // namespace tripod::vm
