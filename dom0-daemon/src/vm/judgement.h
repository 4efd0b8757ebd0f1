// SPDX-License-Identifier: Apache-2.0
//
// What a primary says of its protection, from what it sees. Pure functions: what is shown to an admin as safe is
// decided here and nowhere else.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <rdma_paxos/replica.h>

#include "control/service.h"

namespace tripod::vm {

// Why a backup can take over no more, from what its rows and the log tell; null: it can, as far as is known.
const char* loss_of(const rdma_paxos::PeerStatus& peer);

struct BackupView {
    rdma_paxos::PeerStatus peer;
    bool established = false;              // every backup follows since then
    std::optional<std::string> divergence; // what it said of it
};
// Sets state and reason of `status`.
void judge_backup(const BackupView& view, ReplicaStatus& status);

struct PrimaryView {
    bool established = false;
    bool leads = false;
    bool lease_holds = false;
    std::optional<std::string> broken; // why what its guest does is not logged, or not whole
};
// The worst that is true of it. `why` says it in words, and is empty where nothing is wrong.
VmState judge_primary(const PrimaryView& view, const std::vector<ReplicaStatus>& backups, std::string& why);

} // namespace tripod::vm
