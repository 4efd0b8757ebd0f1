// SPDX-License-Identifier: Apache-2.0
//
// Whether the answers that clients got from one register can be explained by some order of their operations in
// which each took effect at a moment between its call and its answer (Herlihy and Wing, "Linearizability").
//
// Threading: none; pure functions.
#pragma once

#include "rdma_paxos/types.h"

#include <optional>
#include <span>
#include <string>

namespace rdma_paxos::checking {

enum class OperationKind : std::uint8_t { read, write, compare_and_set };

const char* to_string(OperationKind kind);

using Value = std::uint64_t;

/// `returned` of an operation whose outcome its client never learned: it may have taken effect at any time after
/// `invoked`, or never.
inline constexpr Nanoseconds never = Nanoseconds::max();

struct Operation {
    std::uint32_t client = 0; ///< for people only
    OperationKind kind = OperationKind::read;
    Value argument = 0;    ///< write, compare_and_set: what to put in
    Value expected = 0;    ///< compare_and_set: what must be there
    Value result = 0;      ///< read, compare_and_set: what was there. A compare_and_set took effect if as expected.
    Nanoseconds invoked{}; ///< all times on one clock
    Nanoseconds returned = never;
};

/// None: linearizable. Otherwise why not: a smallest part of the history that cannot be explained by any order.
/// The register begins with `initial`. Fast if few operations write the same value. At most 64 operations at once.
std::optional<std::string> check_register(std::span<const Operation> history, Value initial = 0);

} // namespace rdma_paxos::checking
