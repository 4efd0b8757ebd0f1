// SPDX-License-Identifier: Apache-2.0
//
// Copies of bytes that a peer may be writing at the same moment. The copy may be torn; its reader must check it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace rdma_paxos {

/// Reads each 8-byte word once. Sizes and addresses are multiples of 8.
inline void copy_shared(void* to, const void* from, std::size_t bytes) {
    auto* target = static_cast<std::byte*>(to);
    const auto* source = static_cast<const volatile std::uint64_t*>(from);
    for (std::size_t word = 0; word < bytes / 8; ++word) {
        const std::uint64_t value = source[word];
        std::memcpy(target + 8 * word, &value, 8);
    }
}

} // namespace rdma_paxos
