// SPDX-License-Identifier: Apache-2.0
//
// The secret that all replicas of a cluster share, and strangers do not know. It proves who belongs to the cluster;
// it does not tell its holders apart. See docs/consensus.md, "Who may join".
#pragma once

#include "rdma_paxos/types.h"

#include <string>
#include <tl/expected.hpp>

namespace rdma_paxos {

class ClusterKey {
  public:
    static constexpr std::size_t size = 32;

    explicit ClusterKey(const std::array<std::byte, size>& secret) : secret_(secret) {}
    ClusterKey(const ClusterKey&) = default;
    ClusterKey& operator=(const ClusterKey&) = default;
    /// Leaves no copy of the secret behind in memory.
    ~ClusterKey();

    /// Reads a file of exactly 32 random bytes that only its owner can read (mode 0600 or stricter), and that
    /// belongs to root or to this process's user. The error names the file, what is wrong with it, and the command
    /// that puts it right.
    static tl::expected<ClusterKey, Error> load(const std::string& path);

    Bytes secret() const { return secret_; }

  private:
    std::array<std::byte, size> secret_;
};

} // namespace rdma_paxos
