// SPDX-License-Identifier: Apache-2.0
//
// The reader of the record ring: the pages that Xen fills with a protected VM's intercepted calls.
//
// Pure memory code over the layout of public/tripod.h; no system call, no clock. One reader per ring, one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <public/tripod.h>

namespace tripod::xen {

class RecordRing {
  public:
    // `control` and `ring` must outlive the object; ring.size() is a power of two and a multiple of 8.
    RecordRing(tripod_control& control, std::span<const std::byte> ring);

    enum class Status {
        record,  // `record` is the next record: header and segments, in one piece
        empty,   // nothing more now
        corrupt, // Xen broke the layout: stop following this VM
    };
    struct Next {
        Status status;
        std::span<const std::byte> record;
    };

    // The next record. Its bytes stay valid until release() gives them back. Pads are skipped.
    Next next();

    // How far next() has come, in bytes that only grow.
    uint64_t position() const { return read_; }

    // Records read by next() and not yet released are given back to Xen, which may overwrite them: all of them, or
    // those before `position`, which position() has returned.
    void release() { release_to(read_); }
    void release_to(uint64_t position);

    // Puts back what next() returned since the last release, or since position() was this: it will be returned
    // again.
    void rewind() { read_ = released_; }
    void rewind_to(uint64_t position) { read_ = position; }

    // True if Xen has put records into the ring that next() has not returned.
    bool pending() const;

  private:
    tripod_control& control_;
    std::span<const std::byte> ring_;
    uint64_t released_; // what Xen was told
    uint64_t read_;     // what next() has returned
};

} // namespace tripod::xen
