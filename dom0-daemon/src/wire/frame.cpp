// SPDX-License-Identifier: Apache-2.0
#include "wire/frame.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <fmt/core.h>
#define XXH_STATIC_LINKING_ONLY // for a hash state on the stack
#include <xxhash.h>

namespace tripod::wire {

namespace {

// As the bytes lie on the wire; the only machine is little-endian x86-64.
struct Layout {
    std::uint32_t magic;
    std::uint16_t version;
    std::uint16_t type;
    std::uint32_t length;
    std::uint32_t zero;
    std::uint64_t tag;
    std::uint64_t checksum;
};
static_assert(sizeof(Layout) == frame_header_bytes);
constexpr std::size_t checksummed_header_bytes = offsetof(Layout, checksum);

std::uint64_t checksum(const void* header, std::span<const std::byte> body) {
    XXH64_state_t state;
    XXH64_reset(&state, 0);
    XXH64_update(&state, header, checksummed_header_bytes);
    if (!body.empty())
        XXH64_update(&state, body.data(), body.size());
    return XXH64_digest(&state);
}

std::uint32_t largest_limit(std::uint16_t type) {
    std::uint32_t limit = 0;
    for (Channel c : {Channel::local_request, Channel::local_reply, Channel::peer})
        limit = std::max(limit, body_limit(c, type).value_or(0));
    return limit;
}

} // namespace

std::optional<std::uint32_t> body_limit(Channel channel, std::uint16_t type) {
    switch (static_cast<FrameType>(type)) {
    case FrameType::request:
        return channel == Channel::local_request ? std::optional(request_body_max) : std::nullopt;
    case FrameType::progress:
    case FrameType::error:
    case FrameType::trace_start:
    case FrameType::trace_lost:
        return channel == Channel::local_reply ? std::optional(request_body_max) : std::nullopt;
    case FrameType::result:
        return channel == Channel::local_reply ? std::optional(result_body_max) : std::nullopt;
    case FrameType::records:
        return channel == Channel::local_reply ? std::optional(records_body_max) : std::nullopt;
    case FrameType::peer_hello:
    case FrameType::peer_request:
    case FrameType::peer_reply:
    case FrameType::peer_error:
    case FrameType::peer_notice:
    case FrameType::state_begin:
    case FrameType::state_end:
        return channel == Channel::peer ? std::optional(json_body_max) : std::nullopt;
    case FrameType::state_chunk:
        return channel == Channel::peer ? std::optional(state_chunk_max) : std::nullopt;
    }
    return std::nullopt;
}

FrameHeader encode_header(FrameType type, std::uint64_t tag, std::span<const std::byte> body) {
    const auto raw_type = static_cast<std::uint16_t>(type);
    if (body.size() > largest_limit(raw_type)) {
        fmt::print(stderr, "frame of type {} with {} bytes, limit {}: a bug in the sender\n", raw_type, body.size(),
                   largest_limit(raw_type));
        std::abort();
    }
    Layout h{frame_magic, frame_version, raw_type, static_cast<std::uint32_t>(body.size()), 0, tag, 0};
    h.checksum = checksum(&h, body);
    FrameHeader out;
    std::memcpy(out.bytes, &h, sizeof h);
    return out;
}

std::vector<std::byte> encode_frame(FrameType type, std::uint64_t tag, std::span<const std::byte> body) {
    const FrameHeader header = encode_header(type, tag, body);
    // Sized once and copied into: g++ 12 takes insert() after reserve() for an overflow.
    std::vector<std::byte> out(frame_header_bytes + body.size());
    std::memcpy(out.data(), header.bytes, frame_header_bytes);
    if (!body.empty())
        std::memcpy(out.data() + frame_header_bytes, body.data(), body.size());
    return out;
}

std::vector<std::byte> encode_frame(FrameType type, std::uint64_t tag, std::string_view body) {
    return encode_frame(type, tag, std::as_bytes(std::span(body)));
}

tl::unexpected<FrameError> FrameDecoder::broken(FrameFault fault, std::string message) {
    error_ = FrameError{fault, std::move(message)};
    std::vector<std::byte>().swap(body_);
    return tl::unexpected<FrameError>(*error_);
}

std::optional<FrameError> FrameDecoder::check_header() {
    Layout h;
    std::memcpy(&h, header_, sizeof h);
    if (h.magic != frame_magic)
        return FrameError{FrameFault::magic, fmt::format("not a Tripod frame (magic {:#010x})", h.magic)};
    if (h.version != frame_version)
        return FrameError{FrameFault::version,
                          fmt::format("frame of version {}, this side speaks {}", h.version, frame_version)};
    const auto limit = body_limit(channel_, h.type);
    if (!limit)
        return FrameError{FrameFault::type,
                          fmt::format("frame of type {} does not belong on this connection", h.type)};
    if (h.length > *limit)
        return FrameError{FrameFault::length,
                          fmt::format("frame of type {} with {} bytes, limit {}", h.type, h.length, *limit)};
    if (h.zero)
        return FrameError{FrameFault::reserved, fmt::format("frame with reserved bits {:#x}", h.zero)};
    length_ = h.length;
    return std::nullopt;
}

tl::expected<std::optional<Frame>, FrameError> FrameDecoder::feed(std::span<const std::byte>& bytes) {
    if (error_)
        return tl::unexpected<FrameError>(*error_);

    if (header_filled_ < frame_header_bytes) {
        const std::size_t n = std::min(frame_header_bytes - header_filled_, bytes.size());
        if (n)
            std::memcpy(header_ + header_filled_, bytes.data(), n);
        header_filled_ += n;
        bytes = bytes.subspan(n);
        if (header_filled_ < frame_header_bytes)
            return std::nullopt;
        if (auto error = check_header())
            return broken(error->fault, std::move(error->message));
    }

    const std::size_t n = std::min(length_ - body_.size(), bytes.size());
    if (body_.size() + n > body_.capacity()) {
        // Grow with what arrives, never to what the header merely promises; doubling keeps the copying linear.
        const std::size_t wanted = std::max(body_.size() + n, body_.capacity() * 2);
        body_.reserve(std::min<std::size_t>(length_, wanted));
    }
    body_.insert(body_.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(n));
    bytes = bytes.subspan(n);
    if (body_.size() < length_)
        return std::nullopt;

    Layout h;
    std::memcpy(&h, header_, sizeof h);
    if (const std::uint64_t found = checksum(header_, body_); found != h.checksum)
        return broken(FrameFault::checksum,
                      fmt::format("frame of type {} with {} bytes: checksum {:#018x}, header says "
                                  "{:#018x}",
                                  h.type, h.length, found, h.checksum));
    Frame frame{static_cast<FrameType>(h.type), h.tag, std::move(body_)};
    body_ = {};
    header_filled_ = 0;
    length_ = 0;
    return std::optional<Frame>(std::move(frame));
}

} // namespace tripod::wire
