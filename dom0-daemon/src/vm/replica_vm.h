// SPDX-License-Identifier: Apache-2.0
//
// One replica of a protected VM on this host: what PrimaryVm and BackupVm have in common.
//
// Threads: the group's thread drives it through watch(); service threads ask status() and trace(); tasks do the
// long work. Every object is held by shared_ptr, so that a task may outlive its place in the registry.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "control/service.h"
#include "group/group_thread.h"
#include "peer/messages.h"
#include "vm/context.h"
#include "vm/trace_feed.h"
#include "vm/xen_side.h"

namespace tripod::vm {

using Milliseconds = std::chrono::milliseconds;

class ReplicaVm : public std::enable_shared_from_this<ReplicaVm> {
  public:
    virtual ~ReplicaVm();
    ReplicaVm(const ReplicaVm&) = delete;
    ReplicaVm& operator=(const ReplicaVm&) = delete;

    // The VM's own name, the same on all hosts.
    const std::string& name() const { return name_; }
    DomId domid() const { return domid_; }
    const peer::GroupKey& group_key() const { return group_key_; }

    virtual VmStatus status() = 0;
    // No longer of any use: the registry drops it.
    bool finished() const { return finished_; }
    // A second operation on the same VM is answered with not_now.
    std::atomic<bool> busy = false;

    // Streams records to `sink` until it is cancelled or the replica goes.
    Result<void> trace(TraceSink& sink);

    // First of all, once: the group's thread, and the port at which its other members find it.
    Result<void> open_group(const std::string& listen_address);
    uint16_t rendezvous_port() const { return group_->port(); }

  protected:
    ReplicaVm(Context& context, std::string name, peer::GroupKey group_key);

    // The replica's part of the group; replica ids are those of members_.
    Result<void> start_group(const std::vector<group::Member>& members, uint8_t self, uint8_t initial_leader,
                             const peer::Timing& timing, uint64_t log_bytes, group::GroupThread::Watch watch);
    // group_->run(), and after the group's thread has ended one caller at a time all the same: what the replica,
    // the pump and xen_ are asked goes through here. Never from the group's thread, nor from inside itself.
    void on_group(const std::function<void(rdma_paxos::Replica* replica)>& work);
    // All copies stand: whoever leads the group now waits for a slow backup no longer than `slow_backup_ms`.
    void limit_patience();
    // What both roles report in the same way. Inside on_group().
    void fill_status(VmStatus& status, rdma_paxos::Replica* replica);
    // Null until there is one. On the group's thread, or before it runs.
    virtual replicate::Pump* pump() = 0;
    std::string host_of(rdma_paxos::ReplicaId id) const;
    void finish() { finished_ = true; }
    void event(std::string_view what, std::string_view detail = {}) { context_.events.add(name_, what, detail); }

    Context& context_;
    const std::string name_;
    const peer::GroupKey group_key_;
    std::atomic<DomId> domid_{};
    std::vector<group::Member> members_;
    uint8_t self_ = 0;
    std::unique_ptr<group::GroupThread> group_;
    std::unique_ptr<XenSide> xen_;

  private:
    std::atomic<bool> finished_ = false;
    Milliseconds patience_{}; // with slow backups
    std::mutex group_mutex_;  // of on_group()
};

// CLOCK_REALTIME minus Xen's time, from one status call.
int64_t realtime_offset_ns(uint64_t xen_now_ns);

} // namespace tripod::vm
