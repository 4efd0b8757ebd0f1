// SPDX-License-Identifier: Apache-2.0
#include "consensus/hash.h"

#define XXH_DISPATCH_DISABLE_REPLACE
#include <xxh_x86dispatch.h>

namespace rdma_paxos {

// An inlined XXH3 knows the registers of any x86-64 only. The library asks what this processor has, which for long
// inputs is ten times as fast, and for short ones makes no difference.
std::uint64_t hash64(const void* input, std::size_t bytes, std::uint64_t seed) {
    return XXH3_64bits_withSeed_dispatch(input, bytes, seed);
}

} // namespace rdma_paxos
