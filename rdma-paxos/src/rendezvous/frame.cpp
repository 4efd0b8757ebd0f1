// SPDX-License-Identifier: Apache-2.0
#include "rendezvous/frame.h"

#include <algorithm>
#include <cstring>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace rdma_paxos {

namespace {

constexpr std::uint32_t frame_magic = 0x56525052; // "RPRV"
constexpr std::uint16_t frame_version = 1;
constexpr std::uint16_t type_offer = 1;

struct FrameHeader {
    std::uint32_t magic = frame_magic;
    std::uint16_t version = frame_version;
    std::uint16_t type = type_offer;
    GroupId group{};
    std::uint8_t from = 0;
    std::uint8_t to = 0;
    std::uint16_t reserved = 0;
    std::uint32_t length = 0;
    std::uint64_t check = 0; ///< XXH3-64 of the whole frame with this field 0
};
static_assert(sizeof(FrameHeader) == frame_header_bytes);

struct OfferBody {
    std::uint64_t incarnation = 0;
    std::uint32_t generation = 0;
    std::uint32_t connected_to = 0;
    std::uint8_t endpoint_size = 0;
    std::uint8_t reserved[7] = {};
    std::byte endpoint[Endpoint::capacity] = {};
};
static_assert(sizeof(OfferBody) == frame_body_bytes);

std::uint64_t check_of(FrameHeader header, const OfferBody& body) {
    header.check = 0;
    std::array<std::byte, frame_bytes> image;
    std::memcpy(image.data(), &header, sizeof header);
    std::memcpy(image.data() + sizeof header, &body, sizeof body);
    return XXH3_64bits(image.data(), image.size());
}

} // namespace

const char* to_string(FrameError error) {
    switch (error) {
    case FrameError::bad_magic:
        return "not a rendezvous message";
    case FrameError::bad_version:
        return "another version";
    case FrameError::bad_type:
        return "unknown message type";
    case FrameError::bad_length:
        return "wrong length";
    case FrameError::bad_checksum:
        return "wrong checksum";
    case FrameError::bad_content:
        return "contradictory content";
    }
    return "?";
}

std::vector<std::byte> encode_frame(const Frame& frame) {
    FrameHeader header;
    header.group = frame.group;
    header.from = frame.from.value();
    header.to = frame.to.value();
    header.length = sizeof(OfferBody);
    OfferBody body;
    body.incarnation = frame.message.incarnation;
    body.generation = frame.message.board.generation;
    body.connected_to = frame.message.board.connected_to;
    body.endpoint_size = frame.message.board.endpoint.size;
    std::memcpy(body.endpoint, frame.message.board.endpoint.bytes.data(), Endpoint::capacity);
    header.check = check_of(header, body);
    std::vector<std::byte> bytes(frame_bytes);
    std::memcpy(bytes.data(), &header, sizeof header);
    std::memcpy(bytes.data() + sizeof header, &body, sizeof body);
    return bytes;
}

// Each field is judged as soon as it is there, so that a stranger is turned away by his first bytes, and no length
// is believed before it was compared with the only one there is.
tl::expected<std::optional<Frame>, FrameError> FrameReader::next() {
    FrameHeader header;
    const std::size_t have = buffer_.size();
    if (have == 0)
        return std::optional<Frame>();
    std::memcpy(&header, buffer_.data(), std::min(have, sizeof header));
    if (have >= 4 && header.magic != frame_magic)
        return tl::make_unexpected(FrameError::bad_magic);
    if (have >= 6 && header.version != frame_version)
        return tl::make_unexpected(FrameError::bad_version);
    if (have >= 8 && header.type != type_offer)
        return tl::make_unexpected(FrameError::bad_type);
    if (have >= sizeof header && header.length != sizeof(OfferBody))
        return tl::make_unexpected(FrameError::bad_length);
    if (have < frame_bytes)
        return std::optional<Frame>();

    OfferBody body;
    std::memcpy(&body, buffer_.data() + sizeof header, sizeof body);
    if (header.check != check_of(header, body))
        return tl::make_unexpected(FrameError::bad_checksum);
    if (body.endpoint_size > Endpoint::capacity || header.from == 0 || header.to == 0 || header.from == header.to ||
        body.incarnation == 0)
        return tl::make_unexpected(FrameError::bad_content);
    buffer_.erase(buffer_.begin(), buffer_.begin() + frame_bytes);

    Frame frame;
    frame.group = header.group;
    frame.from = ReplicaId(header.from);
    frame.to = ReplicaId(header.to);
    frame.message.incarnation = body.incarnation;
    frame.message.board.generation = body.generation;
    frame.message.board.connected_to = body.connected_to;
    frame.message.board.endpoint.size = body.endpoint_size;
    std::memcpy(frame.message.board.endpoint.bytes.data(), body.endpoint, Endpoint::capacity);
    return std::optional<Frame>(frame);
}

} // namespace rdma_paxos
