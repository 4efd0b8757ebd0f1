// SPDX-License-Identifier: Apache-2.0
//
// The clock of those at the edge: whoever ticks a replica passes this, or another that never goes back. The library
// itself looks at no clock, except while Waiter waits.
#pragma once

#include "rdma_paxos/types.h"

#include <ctime>

namespace rdma_paxos {

/// CLOCK_MONOTONIC.
inline Nanoseconds monotonic_now() {
    timespec time{};
    clock_gettime(CLOCK_MONOTONIC, &time);
    return std::chrono::seconds(time.tv_sec) + Nanoseconds(time.tv_nsec);
}

} // namespace rdma_paxos
