// SPDX-License-Identifier: Apache-2.0
#include "vm/judgement.h"

#include "control/json.h"

namespace tripod::vm {

const char* loss_of(const rdma_paxos::PeerStatus& peer) {
    if (peer.cannot_lead)
        return "its copy can take over no more";
    if (peer.lagging)
        return "lagging beyond the log";
    return nullptr;
}

void judge_backup(const BackupView& view, ReplicaStatus& status) {
    const char* loss = loss_of(view.peer);
    if (!view.established) {
        status.state = ReplicaState::syncing;
    } else if (!view.peer.alive || view.peer.replaced) {
        status.state = ReplicaState::dead;
    } else if (view.divergence) {
        status.state = ReplicaState::diverged;
        status.reason = view.divergence;
    } else if (loss != nullptr) {
        status.state = ReplicaState::lost;
        status.reason = loss;
    } else {
        // What it holds is known only through a link to its log.
        status.state = view.peer.log_up ? ReplicaState::ok : ReplicaState::catching_up;
    }
}

VmState judge_primary(const PrimaryView& view, const std::vector<ReplicaStatus>& backups, std::string& why) {
    size_t alive = 1, ok = 0;
    std::string others;
    for (const auto& backup : backups) {
        alive += backup.state != ReplicaState::dead;
        ok += backup.state == ReplicaState::ok;
        if (backup.state != ReplicaState::ok)
            others +=
                (others.empty() ? "" : ", ") + backup.host + " is " + control::replica_state_name(backup.state);
    }
    why.clear();
    if (!view.established)
        return VmState::protecting;
    if (view.broken) {
        why = *view.broken;
        return VmState::broken;
    }
    if (2 * alive <= backups.size() + 1)
        why = "no majority of its group answers";
    else if (!view.leads)
        why = "this host does not lead its group now";
    else if (!view.lease_holds)
        why = "a majority of its group is late to answer";
    if (!why.empty())
        return VmState::stalled;
    if (ok == backups.size() && ok != 0)
        return VmState::protected_;
    why = ok == 0 ? "no backup can take over: " + others : others;
    return VmState::degraded;
}

} // namespace tripod::vm
