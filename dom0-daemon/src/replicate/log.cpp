// SPDX-License-Identifier: Apache-2.0
#include "replicate/log.h"

#include <rdma_paxos/replica.h>

namespace tripod::replicate {

namespace {

class ReplicaLog final : public Log {
  public:
    explicit ReplicaLog(rdma_paxos::Replica& replica) : replica_(replica) {}

    Proposed propose(std::span<const std::byte> entry) override {
        const auto index = replica_.propose(entry);
        if (index)
            return Proposed::yes;
        return index.error() == rdma_paxos::ProposeError::not_leader ? Proposed::not_leader : Proposed::full;
    }
    bool leading() const override {
        return replica_.role() == rdma_paxos::Role::leader && replica_.applied_index() >= replica_.term_start();
    }
    Nanoseconds lease_deadline() const override { return replica_.lease_deadline(); }

  private:
    rdma_paxos::Replica& replica_;
};

} // namespace

std::unique_ptr<Log> make_log(rdma_paxos::Replica& replica) {
    return std::make_unique<ReplicaLog>(replica);
}

} // namespace tripod::replicate
