// SPDX-License-Identifier: Apache-2.0
#include "group/fabric_factory.h"

#include <infiniband/verbs.h>

#include <rdma_paxos/shm_fabric.h>
#include <rdma_paxos/verbs_fabric.h>

namespace tripod::group {

namespace {

class VerbsFactory final : public FabricFactory {
  public:
    explicit VerbsFactory(std::string device) : device_(std::move(device)) {}

    Result<Links> make(const rdma_paxos::Config& config, const std::vector<Member>& members,
                       rdma_paxos::TcpRendezvousHub& hub) override {
        // Opened per group: a device object must not be shared between threads.
        rdma_paxos::VerbsConfig verbs;
        verbs.device = device_;
        auto device = rdma_paxos::VerbsDevice::open(verbs);
        if (!device)
            return fail(ErrorCode::host_unfit, device.error().what);
        auto fabric = rdma_paxos::make_verbs_fabric(*device, config.self, config.members,
                                                    rdma_paxos::memory_layout(config.ring_bytes));
        if (!fabric)
            return fail(ErrorCode::host_unfit, fabric.error().what,
                        "see \"ulimit -l\" and free memory in dom0; log_mbytes in tripod.conf is pinned per VM");
        std::map<rdma_paxos::ReplicaId, rdma_paxos::TcpAddress> peers;
        for (const Member& member : members)
            if (rdma_paxos::ReplicaId(member.id) != config.self)
                peers[rdma_paxos::ReplicaId(member.id)] = {member.address, member.port};
        auto rendezvous = hub.join(config.group, config.self, peers);
        if (!rendezvous)
            return fail(ErrorCode::other, rendezvous.error().what);
        return Links{std::move(*fabric), std::move(*rendezvous)};
    }

  private:
    std::string device_;
};

class ShmFactory final : public FabricFactory {
  public:
    Result<Links> make(const rdma_paxos::Config& config, const std::vector<Member>&,
                       rdma_paxos::TcpRendezvousHub&) override {
        auto endpoint = rdma_paxos::make_shm_fabric(config.group, config.self, config.members,
                                                    rdma_paxos::memory_layout(config.ring_bytes));
        if (!endpoint)
            return fail(ErrorCode::host_unfit, endpoint.error().what);
        return Links{std::move(endpoint->fabric), std::move(endpoint->rendezvous)};
    }
};

} // namespace

Result<std::string> find_rdma_device(const std::string& wanted) {
    int count = 0;
    ibv_device** list = ibv_get_device_list(&count);
    std::string found;
    for (int i = 0; list != nullptr && i < count; ++i) {
        const std::string name = ibv_get_device_name(list[i]);
        if (wanted.empty() || name == wanted) {
            found = name;
            break;
        }
    }
    if (list != nullptr)
        ibv_free_device_list(list);
    if (found.empty())
        return fail(ErrorCode::host_unfit,
                    wanted.empty() ? "this host has no RDMA device"
                                   : "this host has no RDMA device named " + wanted,
                    "see ibv_devices; \"rdma link add rxe0 type rxe netdev ETH\" makes one of any Ethernet card");
    return found;
}

std::unique_ptr<FabricFactory> make_verbs_factory(std::string device) {
    return std::make_unique<VerbsFactory>(std::move(device));
}
std::unique_ptr<FabricFactory> make_shm_factory() {
    return std::make_unique<ShmFactory>();
}

} // namespace tripod::group
