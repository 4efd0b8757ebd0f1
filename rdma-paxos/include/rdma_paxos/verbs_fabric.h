// SPDX-License-Identifier: Apache-2.0
//
// The fabric over libibverbs: RC queue pairs on InfiniBand, RoCE or Soft-RoCE (rxe).
#pragma once

#include "rdma_paxos/fabric.h"

#include <memory>
#include <optional>
#include <tl/expected.hpp>

namespace rdma_paxos {

struct VerbsConfig {
    std::string device; ///< as `ibv_devices` lists it, for example "rxe0"
    std::uint8_t port = 1;
    std::optional<int> gid_index;  ///< none: the first RoCE v2 entry with an IPv4-mapped address, else the first v2
    std::uint8_t ack_timeout = 14; ///< 4.096 us * 2^n until a lost packet is sent again (14: 67 ms; rxe is slow)
    /// So often, then the link is down. At most 6: rxe takes 7 for "for ever". Detection of dead peers does not use
    /// it.
    std::uint8_t retry_count = 3;
};

/// An opened device; may serve many groups. Not to be shared between threads without care of the caller.
class VerbsDevice {
  public:
    static tl::expected<std::shared_ptr<VerbsDevice>, Error> open(const VerbsConfig& config);
    virtual ~VerbsDevice() = default;
    virtual std::string description() const = 0; ///< device, port, GID
};

/// Registers and locks the memory, and creates two queue pairs per peer.
///
/// When the device reports that its address (GID) changed, or that its port went down, every connected link fails;
/// after a reset() it can be connected again, from the new address. While the port is down, connect() fails; when
/// the device is lost, so does reset(), for good. Fabric::failure() tells which. Such reports are noticed at
/// reset(), at arm(), and every 64 board writes.
tl::expected<std::unique_ptr<Fabric>, Error> make_verbs_fabric(const std::shared_ptr<VerbsDevice>& device,
                                                               ReplicaId self,
                                                               const std::vector<ReplicaId>& members,
                                                               const MemoryLayout& layout);

} // namespace rdma_paxos
