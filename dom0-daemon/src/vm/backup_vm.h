// SPDX-License-Identifier: Apache-2.0
//
// A replica that follows: the copy NAME--incoming on a backup host, until it is needed.
//
// Made step by step by protect/incoming, as the primary asks for it. See replica_vm.h for threads.
#pragma once

#include "replicate/backup_pump.h"
#include "vm/domain_watch.h"
#include "vm/replica_vm.h"

namespace tripod::vm {

class BackupVm final : public ReplicaVm {
  public:
    // `tell_primary`: carries the news of a divergence to the primary's host, and the last index that the VM
    // applied; may block, called on a task.
    using TellPrimary = std::function<void(const BackupVm& vm, const std::string& detail, uint64_t applied)>;

    BackupVm(Context& context, peer::Prepare prepare, TellPrimary tell_primary);
    ~BackupVm() override;

    static std::string incoming_name(const std::string& name) { return name + "--incoming"; }

    // After open_group(), in this order, each once.
    Result<void> start(const std::vector<group::Member>& members, uint8_t initial_leader);
    // The domain was restored and is paused: it replays from record 0. From here on it is this replica's to
    // destroy, unless that was discarded before: then domid() stays what it was.
    Result<void> follow(xen::Toolstack& toolstack, DomId domid);
    // The primary says that protection stands: from here on this replica may take over.
    void confirm();
    bool confirmed() const { return confirmed_; }

    // Leaves the group and destroys the copy, whatever exists of them. Blocks for seconds. Idempotent.
    void discard();

    // Goes live without the network and without the group. Blocks until the log that has arrived is drained.
    Result<void> go_live_isolated(Progress& progress);
    // Why it cannot be made the primary now: isolated already, its copy strayed or is gone, not confirmed yet.
    // Looks at the copy itself.
    Result<void> fit_to_lead();
    // Until this replica is live on the network. When it is live and cannot be reached that is an error; the
    // attempts go on without a waiter.
    Result<void> wait_for_takeover(Progress& progress);
    // It went live here, isolated or not.
    bool runs_here() const;
    // It is the VM: destroying it would destroy what the world talks to.
    bool serves() const;
    // Leaves the group and lets the VM run on.
    void release();
    // The primary's heartbeats arrive.
    bool primary_alive();
    // It can never take the VM over any more: its copy strayed, or is gone, or missed too much of the log.
    bool unfit() const { return fitness_ != Fitness::fit; }
    // Members that no RDMA connection from here reaches, by their hosts' names.
    std::vector<std::string> unreached();

    const peer::Prepare& prepared() const { return prepare_; }
    const std::vector<group::Member>& members() const { return members_; }
    std::atomic<uint64_t> state_bytes = 0, state_chunks = 0;

    VmStatus status() override;

  protected:
    replicate::Pump* pump() override { return &pump_; }

  private:
    enum class Life : uint8_t { incoming, following, live, network_moved, isolated };
    enum class Fitness : uint8_t {
        fit,
        left_behind, // the log went on without it; the one state that may pass
        diverged,
        lost, // the copy does not run any more
    };

    void watch(rdma_paxos::Replica& replica, std::chrono::nanoseconds now);
    void watch_role(rdma_paxos::Replica& replica);
    void watch_fitness(rdma_paxos::Replica& replica, std::chrono::nanoseconds now);
    void watch_place(rdma_paxos::Replica& replica, std::chrono::nanoseconds now);
    void lose_copy(rdma_paxos::Replica& replica, const std::string& why);
    void go_live(rdma_paxos::Replica& replica);
    void take_over_network();
    Result<void> try_to_take_over_network(const std::vector<replicate::Connection>& connections);
    std::string divergence_text();
    tl::unexpected<Error> unfit_error();
    std::string network_trouble();

    const peer::Prepare prepare_;
    const TellPrimary tell_primary_;
    replicate::BackupPump pump_;
    std::atomic<bool> confirmed_ = false;
    std::atomic<Life> life_ = Life::incoming;
    std::mutex discard_mutex_;
    std::atomic<Fitness> fitness_ = Fitness::fit; // written on the group's thread
    std::mutex trouble_mutex_;
    std::string network_trouble_; // why the VM that is live here cannot be reached; empty: nothing known

    // Of the group's thread, and on_group().
    rdma_paxos::Role last_role_ = rdma_paxos::Role::follower;
    std::unique_ptr<DomainWatch> domain_;
    std::string unfit_text_;
    std::optional<std::chrono::nanoseconds> left_behind_since_;
    bool told_left_behind_ = false;
    bool over_ = false;
};

} // namespace tripod::vm
