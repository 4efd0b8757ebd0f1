// SPDX-License-Identifier: Apache-2.0
//
// What a folder of segments amounts to: the log that can be read, the state, and whether anything that was
// acknowledged may be missing. docs/consensus-formats.md, "What recovery concludes", has the reasoning.
#pragma once

#include "storage/segment_scan.h"

namespace rdma_paxos::disk {

struct Recovery {
    bool fresh = true;
    bool damaged = false; ///< something is not as it was written; a new segment must follow
    bool torn = false;    ///< a write was cut off, and nothing else: likewise
    Standing standing;
    SnapshotPoint base;
    std::vector<Extent> log; ///< in order, without overlaps, from the base on
    std::uint64_t log_end = 0;
    std::string report;

    // How to go on writing.
    struct Kept {
        std::uint64_t number = 0;
        std::string path;
        std::uint64_t log_end = 0; ///< largest end of a stretch in it
        bool damaged = false;
    };
    std::vector<Kept> segments;      ///< those that the log needs, in order
    std::vector<std::string> aside;  ///< damaged and of no use: to be renamed
    std::vector<std::string> unused; ///< never used: to be removed
    std::uint64_t next_segment = 1;
    std::uint64_t next_batch = 1;
    std::uint64_t void_from = 1;    ///< for the header of the next segment
    std::uint64_t append_place = 0; ///< where the last segment goes on, if neither damaged nor torn
    std::uint64_t append_sectors = 0;
};

/// Reads; changes nothing.
tl::expected<Recovery, Error> recover(Syscalls& system, const std::string& folder, const Identity& identity);

} // namespace rdma_paxos::disk
