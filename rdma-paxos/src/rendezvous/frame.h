// SPDX-License-Identifier: Apache-2.0
//
// Rendezvous messages as bytes on a stream. See docs/consensus-formats.md, "Rendezvous messages". What is cut out
// here has the right shape; whether it is true, and from whom, is for key_handshake.h to tell.
#pragma once

#include "rdma_paxos/rendezvous.h"

#include <optional>
#include <tl/expected.hpp>
#include <vector>

namespace rdma_paxos {

/// Who dials has the lower id. He sends hello, confirm; the other one answer. Then both send offers.
enum class FrameType : std::uint16_t { hello = 1, answer = 2, confirm = 3, refusal = 4, offer = 5 };

struct FrameHeader {
    FrameType type{};
    GroupId group{};
    ReplicaId from;
    ReplicaId to;
};

struct Frame {
    FrameHeader header;
    std::vector<std::byte> bytes; ///< all of it, as it travels

    Bytes body() const;
};

enum class FrameError : std::uint8_t { bad_magic, bad_version, bad_type, bad_length, bad_content };

const char* to_string(FrameError error);

inline constexpr std::uint16_t frame_version = 3;
inline constexpr std::size_t frame_header_bytes = 32;
inline constexpr std::size_t proof_bytes = 32;
inline constexpr std::size_t public_key_bytes = 32;
inline constexpr std::size_t seal_bytes = 16; ///< that a seal adds to what it covers
inline constexpr std::size_t offer_bytes = 96;
inline constexpr std::size_t frame_bytes_max = frame_header_bytes + offer_bytes + seal_bytes;

/// Bytes behind the header.
constexpr std::size_t body_bytes(FrameType type) {
    switch (type) {
    case FrameType::hello:
    case FrameType::answer:
        return public_key_bytes + proof_bytes;
    case FrameType::confirm:
        return proof_bytes;
    case FrameType::refusal:
        return 8;
    case FrameType::offer:
        return offer_bytes + seal_bytes;
    }
    return 0;
}

/// The header of a frame of that type; the body's bytes are for the caller to append.
std::vector<std::byte> encode_header(const FrameHeader& header);

/// What an offer carries, before it is sealed: offer_bytes.
std::vector<std::byte> encode_offer(const RendezvousMessage& message);
std::optional<RendezvousMessage> decode_offer(Bytes bytes);

/// Cuts a stream of bytes into frames, and holds at most one of them: whoever reads from a socket asks wanted() how
/// much may come. After an error it is not to be used again.
class FrameReader {
  public:
    /// Bytes until the frame in work is whole, as far as that is known yet: 1..frame_bytes_max.
    std::size_t wanted() const;

    /// At most wanted() bytes.
    void add(Bytes bytes) { buffer_.insert(buffer_.end(), bytes.begin(), bytes.end()); }

    /// The frame, if it is whole; an error as soon as the bytes so far can become none.
    tl::expected<std::optional<Frame>, FrameError> next();

    /// After bad_version: which.
    std::uint16_t version() const;

    bool empty() const { return buffer_.empty(); }

  private:
    std::vector<std::byte> buffer_;
};

} // namespace rdma_paxos
