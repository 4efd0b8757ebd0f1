// SPDX-License-Identifier: Apache-2.0
//
// Conditions that hold unless the program itself is wrong. Checked in release builds too; a violation aborts.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <source_location>

namespace rdma_paxos {

[[noreturn]] inline void broken_invariant(const char* what, const std::source_location& where) {
    std::fprintf(stderr, "rdma-paxos: broken invariant: %s (%s:%u)\n", what, where.file_name(), where.line());
    std::abort();
}

inline void invariant(bool holds, const char* what,
                      const std::source_location& where = std::source_location::current()) {
    if (!holds) [[unlikely]]
        broken_invariant(what, where);
}

} // namespace rdma_paxos
