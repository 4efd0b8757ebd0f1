// SPDX-License-Identifier: Apache-2.0
//
// Puts batches into segment files: begins them, fills them, removes those that the base has passed. Blocks; no
// threads.
#pragma once

#include "storage/batch.h"
#include "storage/recovery.h"

namespace rdma_paxos::disk {

class SegmentWriter {
  public:
    SegmentWriter(Syscalls& system, std::string folder, const Identity& identity, std::uint64_t segment_bytes);
    ~SegmentWriter();
    SegmentWriter(const SegmentWriter&) = delete;
    SegmentWriter& operator=(const SegmentWriter&) = delete;

    /// Goes on where a recovery ended; sets damaged files aside.
    tl::expected<void, Error> resume(const Recovery& found);

    /// When it returns, the batch is on disk. After an error, nothing more may be written.
    tl::expected<void, Error> write(Batch& batch);

  private:
    tl::expected<void, Error> begin_segment(std::uint64_t sectors_needed);
    tl::expected<void, Error> allocate(const std::string& path, std::uint64_t bytes);
    tl::expected<void, Error> write_all(const std::string& path, Bytes bytes, std::uint64_t offset);
    tl::expected<void, Error> sync_folder();
    tl::expected<void, Error> set_aside(const std::string& path);
    tl::expected<void, Error> remove_passed();
    void close_file();

    Syscalls& system_;
    std::string folder_;
    Identity identity_;
    std::uint64_t segment_bytes_;

    std::vector<Recovery::Kept> segments_; ///< the last one is being filled
    int file_ = -1;
    std::uint64_t salt_ = 0;
    std::uint64_t place_ = 0;   ///< sector of the next batch
    std::uint64_t sectors_ = 0; ///< of the file
    std::uint64_t next_segment_ = 1;
    std::uint64_t next_batch_ = 1;
    std::uint64_t void_from_ = 0; ///< for the next segment's header; 0: nothing is void
    Standing standing_;
    SnapshotPoint base_;
};

} // namespace rdma_paxos::disk
