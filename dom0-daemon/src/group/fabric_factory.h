// SPDX-License-Identifier: Apache-2.0
//
// Where a group's memory links come from: verbs on real hosts, shared memory in tests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <rdma_paxos/config.h>
#include <rdma_paxos/fabric.h>
#include <rdma_paxos/rendezvous.h>
#include <rdma_paxos/tcp_rendezvous.h>

#include "base/error.h"

namespace tripod::group {

// One member of a group, as all members know it.
struct Member {
    uint8_t id = 0;      // 1..255
    std::string host;    // name, for people
    std::string address; // numeric, of its rendezvous
    uint16_t port = 0;
};

// The meeting place may refer to the fabric: it is destroyed first.
struct Links {
    std::unique_ptr<rdma_paxos::Fabric> fabric;
    std::unique_ptr<rdma_paxos::Rendezvous> rendezvous;
};

class FabricFactory {
  public:
    virtual ~FabricFactory() = default;
    // Called once per group, on the thread that will use the links. `hub` is that thread's.
    virtual Result<Links> make(const rdma_paxos::Config& config, const std::vector<Member>& members,
                               rdma_paxos::TcpRendezvousHub& hub) = 0;
};

// The name of the RDMA device to use: `wanted`, or the first one where `wanted` is empty. host_unfit when there is
// none.
Result<std::string> find_rdma_device(const std::string& wanted);

std::unique_ptr<FabricFactory> make_verbs_factory(std::string device);
std::unique_ptr<FabricFactory> make_shm_factory();

} // namespace tripod::group
