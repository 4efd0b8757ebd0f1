// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

namespace rdma_paxos {

/// XXH3-64, the checksum of everything that is written to memories of peers and to disks.
std::uint64_t hash64(const void* input, std::size_t bytes, std::uint64_t seed = 0);

} // namespace rdma_paxos
