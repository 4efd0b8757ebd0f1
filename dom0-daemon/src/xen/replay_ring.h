// SPDX-License-Identifier: Apache-2.0
//
// The writer of the replay ring: the pages from which Xen answers a backup VM's calls.
//
// Pure memory code over the layout of public/tripod.h; no system call, no clock. One writer per ring, one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <public/tripod.h>

namespace tripod::xen {

class ReplayRing {
  public:
    // `control` and `ring` must outlive the object; ring.size() is a power of two and a multiple of 8.
    ReplayRing(tripod_control& control, std::span<std::byte> ring);

    // Copies one whole record (size a multiple of 8, at least a header) to the ring's end and shows it to Xen.
    // False, and nothing changed, when there is no room now.
    bool append(std::span<const std::byte> record);

    // True once Xen has applied everything that was appended.
    bool drained() const;

    // The longest record that can ever fit: half of the ring, since a pad may take up to the other half.
    size_t record_bytes_max() const { return ring_.size() / 2; }

  private:
    tripod_control& control_;
    std::span<std::byte> ring_;
    uint64_t prod_;
};

} // namespace tripod::xen
