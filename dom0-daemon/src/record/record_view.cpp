// SPDX-License-Identifier: Apache-2.0
#include "record/record_view.h"

#include <algorithm>
#include <cstring>

#include <fmt/core.h>

namespace tripod::record {

namespace {

constexpr std::size_t pad_header_bytes = 8; // a pad has only the members `size` and `type`

constexpr std::size_t padded(std::size_t n) {
    return (n + 7) & ~std::size_t{7};
}

tl::unexpected<RecordError> bad(RecordFault fault, std::string message) {
    return tl::unexpected<RecordError>(RecordError{fault, 0, std::move(message)});
}

tripod_segment segment_header(std::span<const std::byte> at) {
    tripod_segment s;
    std::memcpy(&s, at.data(), sizeof s);
    return s;
}

// The length a kind must have; 0: any.
std::size_t fixed_length(std::uint16_t kind) {
    switch (kind) {
    case TRIPOD_SEG_msghdr:
        return sizeof(tripod_msghdr);
    case TRIPOD_SEG_socket:
        return sizeof(tripod_socket);
    default:
        return 0;
    }
}

std::optional<std::string> segments_fault(std::span<const std::byte> rest, unsigned count) {
    if (count > segments_max)
        return fmt::format("{} segments, at most {}", count, segments_max);
    for (unsigned i = 0; i < count; i++) {
        if (rest.size() < sizeof(tripod_segment))
            return fmt::format("segment {} of {} begins past the end", i, count);
        const tripod_segment s = segment_header(rest);
        rest = rest.subspan(sizeof s);
        if (s.kind < TRIPOD_SEG_arg || s.kind > TRIPOD_SEG_socket || s.arg > 5)
            return fmt::format("segment {} of kind {} for argument {}", i, s.kind, s.arg);
        if (const std::size_t want = fixed_length(s.kind); want && s.length != want)
            return fmt::format("segment {} of kind {} has {} bytes, not {}", i, s.kind, s.length, want);
        // In this order: a length near 2^32 must not be rounded up before it is known to be small.
        if (s.length > rest.size() || padded(s.length) > rest.size())
            return fmt::format("segment {} of {} bytes, {} left", i, s.length, rest.size());
        rest = rest.subspan(padded(s.length));
    }
    if (!rest.empty())
        return fmt::format("{} bytes after the last segment", rest.size());
    return std::nullopt;
}

template <typename T>
std::optional<T> as(const SegmentView& s, std::uint16_t kind) {
    if (s.kind != kind || s.bytes.size() != sizeof(T))
        return std::nullopt;
    T value;
    std::memcpy(&value, s.bytes.data(), sizeof value);
    return value;
}

} // namespace

std::optional<tripod_msghdr> SegmentView::msghdr() const {
    return as<tripod_msghdr>(*this, TRIPOD_SEG_msghdr);
}
std::optional<tripod_socket> SegmentView::socket() const {
    return as<tripod_socket>(*this, TRIPOD_SEG_socket);
}

tl::expected<RecordView, RecordError> RecordView::parse(std::span<const std::byte> bytes) {
    if (bytes.size() < pad_header_bytes)
        return bad(RecordFault::truncated, fmt::format("{} bytes are no record", bytes.size()));
    RecordView view;
    std::memcpy(&view.header_, bytes.data(), pad_header_bytes);
    const std::size_t size = view.header_.size;
    const std::uint16_t type = view.header_.type;
    if (type > TRIPOD_REC_socket)
        return bad(RecordFault::type, fmt::format("record of unknown type {}", type));

    // A pad fills what is left of a ring, so it may be larger than any other record; only the span bounds it.
    const bool pad = type == TRIPOD_REC_pad;
    const std::size_t min = pad ? pad_header_bytes : sizeof(tripod_record);
    if (size % 8 || size < min || (!pad && size > record_bytes_max))
        return bad(RecordFault::size, fmt::format("record of type {} with {} bytes", type, size));
    if (size > bytes.size())
        return bad(RecordFault::truncated, fmt::format("record of {} bytes, {} left", size, bytes.size()));
    view.bytes_ = bytes.first(size);
    if (pad) {
        view.header_ = {};
        view.header_.size = static_cast<std::uint32_t>(size);
        return view;
    }
    std::memcpy(&view.header_, bytes.data(), sizeof(tripod_record));
    if (auto fault = segments_fault(view.bytes_.subspan(sizeof(tripod_record)), view.header_.segments))
        return bad(RecordFault::segments, fmt::format("record {}: {}", view.header_.seq, *fault));
    return view;
}

SegmentView RecordView::Iterator::operator*() const {
    const tripod_segment s = segment_header(rest_);
    return {s.kind, s.arg, rest_.subspan(sizeof s, s.length)};
}

RecordView::Iterator& RecordView::Iterator::operator++() {
    const tripod_segment s = segment_header(rest_);
    rest_ = rest_.subspan(sizeof s + padded(s.length));
    left_--;
    return *this;
}

RecordView::Segments RecordView::segments() const {
    const auto rest = is_pad() ? std::span<const std::byte>{} : bytes_.subspan(sizeof(tripod_record));
    return {Iterator{rest, header_.segments}, Iterator{{}, 0}};
}

std::optional<SegmentView> RecordView::segment(std::uint16_t kind) const {
    for (const SegmentView s : segments())
        if (s.kind == kind)
            return s;
    return std::nullopt;
}

std::optional<SegmentView> RecordView::segment(std::uint16_t kind, std::uint16_t arg) const {
    for (const SegmentView s : segments())
        if (s.kind == kind && s.arg == arg)
            return s;
    return std::nullopt;
}

tl::expected<std::optional<RecordView>, RecordError> RecordReader::next() {
    while (offset_ < bytes_.size()) {
        auto view = RecordView::parse(bytes_.subspan(offset_));
        if (!view) {
            view.error().offset = offset_;
            return tl::unexpected<RecordError>(view.error());
        }
        offset_ += view->bytes().size();
        if (!view->is_pad())
            return std::optional<RecordView>(*view);
    }
    return std::optional<RecordView>();
}

} // namespace tripod::record
