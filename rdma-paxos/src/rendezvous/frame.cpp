// SPDX-License-Identifier: Apache-2.0
#include "rendezvous/frame.h"

#include <algorithm>
#include <cstring>

namespace rdma_paxos {

namespace {

constexpr std::uint32_t frame_magic = 0x56525052; // "RPRV"

struct HeaderBytes {
    std::uint32_t magic = frame_magic;
    std::uint16_t version = frame_version;
    std::uint16_t type = 0;
    GroupId group{};
    std::uint8_t from = 0;
    std::uint8_t to = 0;
    std::uint16_t reserved = 0;
    std::uint32_t length = 0; ///< of the body
};
static_assert(sizeof(HeaderBytes) == frame_header_bytes);

struct OfferBytes {
    std::uint64_t incarnation = 0;
    std::uint32_t generation = 0;
    std::uint32_t connected_to = 0;
    std::uint8_t endpoint_size = 0;
    std::uint8_t reserved[3] = {};
    std::uint32_t ring_pages = 0;
    std::byte endpoint[Endpoint::capacity] = {};
};
static_assert(sizeof(OfferBytes) == offer_bytes);
constexpr std::uint64_t page_bytes = 4096; // rings are multiples of it

HeaderBytes header_of(const std::vector<std::byte>& buffer) {
    HeaderBytes header;
    std::memcpy(&header, buffer.data(), std::min(buffer.size(), sizeof header));
    return header;
}

std::size_t whole_frame(const HeaderBytes& header) {
    return frame_header_bytes + body_bytes(static_cast<FrameType>(header.type));
}

// The lower id dials: this alone tells a hello that was sent back to its sender.
bool roles_fit(const HeaderBytes& header) {
    if (static_cast<FrameType>(header.type) == FrameType::refusal)
        return true; // who refuses may not have understood who asked
    if (header.from == 0 || header.to == 0 || header.from == header.to)
        return false;
    switch (static_cast<FrameType>(header.type)) {
    case FrameType::hello:
    case FrameType::confirm:
        return header.from < header.to;
    case FrameType::answer:
        return header.from > header.to;
    default:
        return true;
    }
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
    case FrameError::bad_content:
        return "contradictory content";
    }
    return "?";
}

Bytes Frame::body() const {
    return Bytes(bytes).subspan(frame_header_bytes);
}

std::vector<std::byte> encode_header(const FrameHeader& header) {
    HeaderBytes image;
    image.type = static_cast<std::uint16_t>(header.type);
    image.group = header.group;
    image.from = header.from.value();
    image.to = header.to.value();
    image.length = static_cast<std::uint32_t>(body_bytes(header.type));
    std::vector<std::byte> bytes(sizeof image);
    std::memcpy(bytes.data(), &image, sizeof image);
    return bytes;
}

std::vector<std::byte> encode_offer(const RendezvousMessage& message) {
    OfferBytes offer;
    offer.incarnation = message.incarnation;
    offer.generation = message.board.generation;
    offer.connected_to = message.board.connected_to;
    offer.ring_pages = static_cast<std::uint32_t>(message.ring_bytes / page_bytes);
    offer.endpoint_size = message.board.endpoint.size;
    std::memcpy(offer.endpoint, message.board.endpoint.bytes.data(), Endpoint::capacity);
    std::vector<std::byte> bytes(sizeof offer);
    std::memcpy(bytes.data(), &offer, sizeof offer);
    return bytes;
}

std::optional<RendezvousMessage> decode_offer(Bytes bytes) {
    OfferBytes offer;
    if (bytes.size() != sizeof offer)
        return std::nullopt;
    std::memcpy(&offer, bytes.data(), sizeof offer);
    if (offer.endpoint_size > Endpoint::capacity || offer.incarnation == 0)
        return std::nullopt;
    RendezvousMessage message;
    message.incarnation = offer.incarnation;
    message.ring_bytes = offer.ring_pages * page_bytes;
    message.board.generation = offer.generation;
    message.board.connected_to = offer.connected_to;
    message.board.endpoint.size = offer.endpoint_size;
    std::memcpy(message.board.endpoint.bytes.data(), offer.endpoint, Endpoint::capacity);
    return message;
}

std::size_t FrameReader::wanted() const {
    if (buffer_.size() < frame_header_bytes)
        return frame_header_bytes - buffer_.size();
    return whole_frame(header_of(buffer_)) - buffer_.size();
}

std::uint16_t FrameReader::version() const {
    return header_of(buffer_).version;
}

// Each field is judged as soon as it is there, so that a stranger is turned away by his first bytes, and no length
// is believed before it was compared with the only one that its type has.
tl::expected<std::optional<Frame>, FrameError> FrameReader::next() {
    const std::size_t have = buffer_.size();
    if (have == 0)
        return std::optional<Frame>();
    const HeaderBytes header = header_of(buffer_);
    const auto* magic = reinterpret_cast<const std::byte*>(&frame_magic);
    if (!std::equal(magic, magic + std::min<std::size_t>(have, 4), buffer_.begin()))
        return tl::make_unexpected(FrameError::bad_magic);
    if (have >= 6 && header.version != frame_version)
        return tl::make_unexpected(FrameError::bad_version);
    const auto type = static_cast<FrameType>(header.type);
    if (have >= 8 && body_bytes(type) == 0)
        return tl::make_unexpected(FrameError::bad_type);
    if (have >= frame_header_bytes && header.length != body_bytes(type))
        return tl::make_unexpected(FrameError::bad_length);
    if (have >= frame_header_bytes && (!roles_fit(header) || header.reserved != 0))
        return tl::make_unexpected(FrameError::bad_content);
    if (have < frame_header_bytes || have < whole_frame(header))
        return std::optional<Frame>();

    Frame frame;
    frame.header = {type, header.group, ReplicaId(header.from), ReplicaId(header.to)};
    frame.bytes = std::move(buffer_);
    buffer_.clear();
    return std::optional<Frame>(std::move(frame));
}

} // namespace rdma_paxos
