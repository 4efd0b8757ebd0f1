// SPDX-License-Identifier: Apache-2.0
//
// Entries of the VM's log, as a test wants them.
#pragma once

#include <vector>

#include "replicate/entry.h"

namespace tripod::testing {

// An entry that says of itself that it holds records from `first_seq` on.
inline std::vector<std::byte> entry_of(uint64_t first_seq, const std::vector<std::vector<std::byte>>& records) {
    std::vector<std::byte> entry(replicate::entry_header_bytes);
    for (const auto& record : records)
        entry.insert(entry.end(), record.begin(), record.end());
    replicate::put_records_header(entry, first_seq, static_cast<uint32_t>(records.size()));
    return entry;
}

} // namespace tripod::testing
