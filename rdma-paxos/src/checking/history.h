// SPDX-License-Identifier: Apache-2.0
//
// Histories of several registers as text, one operation per line:
//
//   rdma-paxos history 1
//   CLIENT KEY read|lease-read FOUND INVOKED RETURNED
//   CLIENT KEY write VALUE INVOKED RETURNED
//   CLIENT KEY compare-and-set EXPECTED VALUE FOUND INVOKED RETURNED
//
// Times in nanoseconds of one clock. Of an operation without answer RETURNED and FOUND are "-". All decimal.
#pragma once

#include "checking/linearizability.h"

#include <istream>
#include <tl/expected.hpp>
#include <vector>

namespace rdma_paxos::checking {

struct Record {
    std::uint32_t key = 0;
    bool lease = false; ///< a read under the leader's lease
    Operation operation;
};

inline constexpr const char* history_title = "rdma-paxos history 1";

/// One line, without its end.
std::string to_line(const Record& record);

tl::expected<std::vector<Record>, Error> read_history(std::istream& in);

/// Registers are independent, and linearizable together if each one is: they are judged one by one. None: all are.
std::optional<std::string> check_history(std::span<const Record> records);

} // namespace rdma_paxos::checking
