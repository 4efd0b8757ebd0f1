// SPDX-License-Identifier: Apache-2.0
//
// What is handed over to the disk together, laid out in sectors as it will be written.
#pragma once

#include "storage/disk_format.h"

namespace rdma_paxos::disk {

class Batch {
  public:
    /// Holds this many bytes of records without allocating.
    explicit Batch(std::size_t capacity);

    void clear();
    bool empty() const { return !standing_; }
    bool has_room(std::size_t body) const;

    /// Grows (allocates) if there is no room.
    void add_log(std::uint64_t position, Bytes bytes);
    void add_base(const SnapshotPoint& point, const GroupId& group);
    /// What stands after all that was added.
    void set_standing(const Standing& standing, bool state_changed);

    std::uint64_t sectors() const { return (used_ + sector_payload - 1) / sector_payload; }
    std::uint64_t furthest() const { return furthest_; } ///< largest end of a stretch in it; 0: none
    const std::optional<SnapshotPoint>& base() const { return base_; }
    const std::optional<Standing>& standing() const { return standing_; }

    /// Makes it the batch of that number at that place (in sectors) of a segment. Not empty.
    Bytes seal(std::uint64_t number, std::uint64_t salt, std::uint64_t place);

  private:
    void add(const RecordHeader& header, Bytes body);
    void put(std::size_t at, Bytes bytes);

    std::vector<std::byte> bytes_;
    std::size_t used_ = preamble_bytes; ///< of the payload
    std::uint64_t furthest_ = 0;
    std::optional<SnapshotPoint> base_;
    std::optional<Standing> standing_;
    bool state_changed_ = false;
};

} // namespace rdma_paxos::disk
