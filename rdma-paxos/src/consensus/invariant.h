// SPDX-License-Identifier: Apache-2.0
//
// Conditions that hold unless the program itself is wrong. Checked in release builds too; a violation aborts.
#pragma once

#include <cstdio>
#include <cstdlib>

namespace rdma_paxos {

[[noreturn]] inline void broken_invariant(const char* what, const char* file, int line) {
    std::fprintf(stderr, "rdma-paxos: broken invariant: %s (%s:%d)\n", what, file, line);
    std::abort();
}

inline void invariant(bool holds, const char* what, const char* file = __builtin_FILE(),
                      int line = __builtin_LINE()) {
    if (!holds) [[unlikely]]
        broken_invariant(what, file, line);
}

} // namespace rdma_paxos
