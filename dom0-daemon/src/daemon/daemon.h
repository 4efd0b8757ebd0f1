// SPDX-License-Identifier: Apache-2.0
//
// The daemon itself: what the command and other hosts' daemons can ask for, over the replicas on this host.
#pragma once

#include <memory>

#include "control/service.h"
#include "daemon/registry.h"
#include "protect/incoming.h"
#include "vm/context.h"

namespace tripod::daemon {

class Daemon final : public Service {
  public:
    // `context` outlives this.
    explicit Daemon(vm::Context& context);
    // shut_down()s.
    ~Daemon() override;

    Result<VmStatus> protect(const ProtectRequest& request, Progress& progress) override;
    Result<void> unprotect(const std::string& vm, Progress& progress) override;
    Result<std::vector<VmStatus>> list() override;
    Result<VmStatus> status(const std::string& vm) override;
    Result<VmStatus> failover(const FailoverRequest& request, Progress& progress) override;
    Result<void> trace(const std::string& vm, TraceSink& sink) override;
    Result<InfoReply> info() override;

    // Serves one connection from another host's daemon, on the calling thread, until it ends.
    void serve_peer(peer::Connection& connection);

    // Ends protection of what runs here and destroys the copies, so that no guest waits for a daemon that is gone.
    // VMs that went live here run on.
    void shut_down();

    // Destroys copies that an earlier daemon left behind; they can follow no log any more. Protected VMs that it
    // left wait until it is known where they live.
    void clean_up_leftovers();

  private:
    // The replica, marked busy until the guard goes. Errors: no_such_vm, not_protected, not_now.
    class Busy;
    Result<std::shared_ptr<vm::ReplicaVm>> find(const std::string& vm);
    void tell_primary(const vm::BackupVm& vm, const std::string& detail, uint64_t applied);
    void make_room_for(const vm::BackupVm& vm);
    void note_diverged(const peer::Diverged& notice);
    // On the primary, and on the backup that asks it.
    Result<void> hand_over(const peer::HandOver& request);
    bool runs_here(const peer::Whereabouts& question);
    // A protected VM whose daemon crashed: destroyed as soon as another host says that it runs there. On a task.
    void settle_leftover(DomId domid, const peer::Whereabouts& vm);
    bool runs_elsewhere(const peer::Whereabouts& vm);
    Result<void> ask_for(vm::BackupVm& vm, Progress& progress);

    vm::Context& context_;
    Registry registry_;
    protect::IncomingRegistry incoming_;
};

} // namespace tripod::daemon
