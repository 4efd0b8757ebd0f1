// SPDX-License-Identifier: Apache-2.0
//
// The fabric between processes or threads of one machine: a one-sided WRITE is a memcpy into shared memory.
//
// Each replica creates the POSIX shared memory object "/rdma-paxos-<group>-<id>", readable by its user only, and
// removes it when destroyed. A writer holds a gate in the target's memory during its memcpy; reset() closes the
// gate. A process that is stopped (not killed) inside that memcpy delays the reset until it goes on or dies.
#pragma once

#include "rdma_paxos/rendezvous.h"

#include <memory>
#include <tl/expected.hpp>

namespace rdma_paxos {

/// A fabric and the matching meeting place (mailboxes in the same shared memory). The rendezvous uses the fabric's
/// memory: destroy it first.
struct ShmEndpoint {
    std::unique_ptr<Fabric> fabric;
    std::unique_ptr<Rendezvous> rendezvous;
};

/// An object of the same name that an earlier process left behind is replaced.
tl::expected<ShmEndpoint, Error> make_shm_fabric(const GroupId& group, ReplicaId self,
                                                 const std::vector<ReplicaId>& members, const MemoryLayout& layout);

} // namespace rdma_paxos
