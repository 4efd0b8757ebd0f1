// SPDX-License-Identifier: Apache-2.0
//
// One segment file, sector by sector: which batches are in it, whole or broken, and what lies behind them. Judges
// nothing that needs other segments; see recovery.h.
#pragma once

#include "storage/disk_format.h"
#include "storage/syscalls.h"

namespace rdma_paxos::disk {

/// Where the bytes of a log record lie.
struct Extent {
    std::uint64_t position = 0; ///< in the log
    std::uint64_t length = 0;
    std::uint64_t segment = 0;
    std::uint64_t batch_place = 0; ///< first sector of its batch
    std::uint64_t offset = 0;      ///< within the batch's payload
    friend bool operator==(const Extent&, const Extent&) = default;
};

struct FoundBatch {
    std::uint64_t number = 0;
    std::uint64_t place = 0; ///< its first sector
    std::uint32_t count = 0; ///< its sectors
    bool whole = false;
    bool has_blank = false;      ///< one of its sectors was never written
    std::uint64_t bad_place = 0; ///< of the first sector that is not as it was written, if not whole
    bool state_changed = false;
    std::optional<Standing> standing; ///< none: its first sector is gone
    // Of the records that can be read:
    std::vector<Extent> log;
    std::optional<SnapshotPoint> base; ///< the last
};

struct ScannedSegment {
    std::uint64_t number = 0;
    std::string path;
    std::uint64_t sectors = 0;
    bool blank = false;        ///< holds nothing at all
    bool header_blank = false; ///< it was never used
    std::optional<SegmentHeader> header;
    bool header_damaged = false;     ///< one of its copies, or both
    std::uint64_t unreadable = 0;    ///< sectors that the device did not give
    std::vector<FoundBatch> batches; ///< in order of place and number
    std::uint64_t end = 0;           ///< the sector behind the last of them
    bool end_blank = true;           ///< that sector was never written, or the file ends there
    std::uint64_t stray = 0;         ///< sectors behind `end` that are neither blank nor of a batch
};

/// Errors: the file cannot be opened, or belongs to another group, replica or version.
tl::expected<ScannedSegment, Error> scan_segment(Syscalls& system, const std::string& path, std::uint64_t number,
                                                 const Identity& identity);

/// Reads the payload of a record again. False if it is not what it was.
bool read_extent(Syscalls& system, int file, const Extent& extent, const Identity& identity,
                 std::vector<std::byte>& out);

} // namespace rdma_paxos::disk
