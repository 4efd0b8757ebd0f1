// SPDX-License-Identifier: Apache-2.0
//
// What one entry of a VM's replicated log holds: a batch of records, or the word that a backup takes over, or that
// protection ends. The last two close the history: nothing after them counts.
//
//   offset  size  little-endian
//        0     4  magic "TPE1"
//        4     2  version, 1
//        6     2  kind
//        8     8  records: seq of the first one.   promoted: the new primary's replica id.   dissolved: 0
//       16     4  records: how many.               else: 0
//       20     4  bytes that follow
//       24        whole records, oldest first, seq without gaps, no pads
//
// The consensus library checks the bytes' integrity; whoever reads an entry checks its meaning all the same.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <tl/expected.hpp>

namespace tripod::replicate {

enum class EntryKind : uint16_t {
    records = 1,
    promoted = 2,  // the group's replica `first_seq` goes live at this place of the log
    dissolved = 3, // the primary's VM runs on unprotected from this place of the log; nobody goes live
};

inline constexpr size_t entry_header_bytes = 24;

// Writes the header of an entry of records to the front of `entry`, behind which `count` records from `first_seq`
// on fill the rest.
void put_records_header(std::span<std::byte> entry, uint64_t first_seq, uint32_t count);

std::vector<std::byte> encode_promoted(uint8_t replica);
std::vector<std::byte> encode_dissolved();

struct EntryView {
    EntryKind kind{};
    uint64_t first_seq = 0; // or the promoted replica
    uint32_t count = 0;
    std::span<const std::byte> records;
};

// Checks the header, and that as many bytes follow as it says; not the records. The error is for people.
tl::expected<EntryView, std::string> decode_header(std::span<const std::byte> bytes);

} // namespace tripod::replicate
