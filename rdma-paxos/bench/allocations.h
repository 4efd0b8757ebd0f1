// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace rdma_paxos::bench {

/// Calls of malloc and its kin by this thread since its start, those of operator new included. A program that uses
/// this has its malloc replaced by a counting one. Sanitizers bring their own: then it stays 0.
std::uint64_t allocations_of_this_thread();

} // namespace rdma_paxos::bench
