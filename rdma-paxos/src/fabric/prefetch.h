// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>

namespace rdma_paxos {

/// Logs grow forwards: fetches, for writing, what lies behind a write of `bytes`, which the next one will want. It
/// may be in no cache, or in that of a reader who looks ahead.
inline void prefetch_for_write(const std::byte* behind, std::size_t bytes, std::size_t room) {
    constexpr std::size_t line = 64, most = 16 * line;
    const std::size_t ahead = std::min({bytes + line, room, most});
    for (std::size_t i = 0; i < ahead; i += line)
        __builtin_prefetch(behind + i, 1);
}

} // namespace rdma_paxos
