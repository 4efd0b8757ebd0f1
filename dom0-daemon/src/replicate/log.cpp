// SPDX-License-Identifier: Apache-2.0
#include "replicate/log.h"

#include <rdma_paxos/replica.h>

namespace tripod::replicate {

namespace {

class ReplicaLog final : public Log {
  public:
    explicit ReplicaLog(rdma_paxos::Replica& replica) : replica_(replica) {}

    Proposed propose(std::span<const std::byte> entry) override { return outcome(replica_.propose(entry)); }
    std::span<std::byte> reserve(std::size_t bytes) override {
        const auto place = replica_.reserve(bytes);
        return place ? *place : std::span<std::byte>{};
    }
    Proposed propose_reserved() override { return outcome(replica_.propose_reserved()); }
    bool leading() const override {
        return replica_.role() == rdma_paxos::Role::leader && replica_.applied_index() >= replica_.term_start();
    }
    Nanoseconds lease_deadline() const override { return replica_.lease_deadline(); }

  private:
    static Proposed outcome(const tl::expected<rdma_paxos::Index, rdma_paxos::ProposeError>& proposed) {
        if (proposed)
            return Proposed::yes;
        return proposed.error() == rdma_paxos::ProposeError::not_leader ? Proposed::not_leader : Proposed::full;
    }

    rdma_paxos::Replica& replica_;
};

} // namespace

std::unique_ptr<Log> make_log(rdma_paxos::Replica& replica) {
    return std::make_unique<ReplicaLog>(replica);
}

} // namespace tripod::replicate
