// SPDX-License-Identifier: Apache-2.0
//
// Reads records (struct tripod_record and its segments, see the public header tripod.h) out of a span of bytes that
// is not trusted: every size is checked before it is used, nothing outside the span is touched, nothing is
// allocated.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include <tl/expected.hpp>

#include "public/tripod.h"

namespace tripod::record {

// No record has more; a larger claim is a fault. Xen uses four at most (recvmsg).
inline constexpr std::size_t segments_max = 16;
// Header, payload, and room for what comes beside it: segment headers, padding, addresses and control data.
inline constexpr std::size_t record_bytes_max = sizeof(tripod_record) + TRIPOD_PAYLOAD_MAX + 8192 + 64;

struct SegmentView {
    std::uint16_t kind = 0; // enum tripod_segment_kind
    std::uint16_t arg = 0;
    std::span<const std::byte> bytes; // without padding

    // The fixed-size kinds; nullopt when this segment is of another kind.
    std::optional<tripod_msghdr> msghdr() const;
    std::optional<tripod_socket> socket() const;
};

enum class RecordFault : std::uint8_t {
    truncated, // the span ends inside the record
    size,      // not a multiple of 8, smaller than its header or larger than record_bytes_max
    type,      // no enum tripod_record_type
    segments,  // segments do not fill the record exactly, or too many, or of an unknown kind
};

struct RecordError {
    RecordFault fault{};
    std::size_t offset = 0; // of the record in the span
    std::string message;    // with the values seen
};

// One record, checked. The header is a copy (so unaligned spans are fine); segments point into the span, which must
// outlive this.
class RecordView {
  public:
    // The record at the front of `bytes`, which may hold more. A pad record is a valid one, with `size` and `type`
    // only.
    static tl::expected<RecordView, RecordError> parse(std::span<const std::byte> bytes);

    const tripod_record& header() const { return header_; }
    // The whole record as it lies in the span.
    std::span<const std::byte> bytes() const { return bytes_; }
    bool is_pad() const { return header_.type == TRIPOD_REC_pad; }

    // Forward iteration: `for (const SegmentView& s : record.segments())`.
    class Iterator {
      public:
        SegmentView operator*() const;
        Iterator& operator++();
        bool operator==(const Iterator& other) const { return left_ == other.left_; }

      private:
        friend class RecordView;
        Iterator(std::span<const std::byte> rest, unsigned left) : rest_(rest), left_(left) {}
        std::span<const std::byte> rest_;
        unsigned left_;
    };
    struct Segments {
        Iterator first, last;
        Iterator begin() const { return first; }
        Iterator end() const { return last; }
    };
    Segments segments() const;
    // The first segment of this kind (and for this argument).
    std::optional<SegmentView> segment(std::uint16_t kind) const;
    std::optional<SegmentView> segment(std::uint16_t kind, std::uint16_t arg) const;

  private:
    RecordView() = default;
    tripod_record header_{};
    std::span<const std::byte> bytes_;
};

// Goes through a span of whole records, one after the other; skips pad records.
class RecordReader {
  public:
    explicit RecordReader(std::span<const std::byte> bytes) : bytes_(bytes) {}
    // The next record; nullopt at the end; an error stays.
    tl::expected<std::optional<RecordView>, RecordError> next();
    // Bytes taken so far: the end of the last record given.
    std::size_t offset() const { return offset_; }

  private:
    std::span<const std::byte> bytes_;
    std::size_t offset_ = 0;
};

} // namespace tripod::record
