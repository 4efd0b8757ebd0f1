// SPDX-License-Identifier: Apache-2.0
//
// Records as text: as strace prints system calls, or one JSON object a line.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "record/record_view.h"

namespace tripod::record {

enum class Timestamps : std::uint8_t { none, clock, clock_us, epoch_us }; // strace's -t, -tt, -ttt

struct FormatOptions {
    std::size_t string_max = 32; // bytes of a buffer that are shown; the rest becomes "..."
    Timestamps timestamps = Timestamps::none;
    std::int64_t realtime_offset_ns = 0; // added to tripod_record.time_ns
};

// One line without newline: `[pid 231] read(7, "*3\r\n"..., 16384) = 41`. Arguments that the record does not hold
// are
// "..."; the bytes of outputs, of which only length and digest are logged, are `<5 bytes, xxh64 0x…>`. Whatever the
// record's bytes are, the line has printable ASCII alone.
std::string format_record(const RecordView& record, const FormatOptions& options);

// One line of JSON without newline, with all bytes in hexadecimal; docs/commands.md has the members.
std::string format_record_json(const RecordView& record, const FormatOptions& options);

} // namespace tripod::record
