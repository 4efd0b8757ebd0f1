// SPDX-License-Identifier: Apache-2.0
//
// Rendezvous messages as bytes on a stream. See docs/consensus.md, "Rendezvous messages".
#pragma once

#include "rdma_paxos/rendezvous.h"

#include <optional>
#include <tl/expected.hpp>
#include <vector>

namespace rdma_paxos {

struct Frame {
    GroupId group{};
    ReplicaId from;
    ReplicaId to;
    RendezvousMessage message;
};

enum class FrameError : std::uint8_t { bad_magic, bad_version, bad_type, bad_length, bad_checksum, bad_content };

const char* to_string(FrameError error);

inline constexpr std::size_t frame_header_bytes = 40;
inline constexpr std::size_t frame_body_bytes = 96;
inline constexpr std::size_t frame_bytes = frame_header_bytes + frame_body_bytes;

std::vector<std::byte> encode_frame(const Frame& frame);

/// Cuts a stream of bytes into frames. After an error it is not to be used again.
class FrameReader {
  public:
    void add(Bytes bytes) { buffer_.insert(buffer_.end(), bytes.begin(), bytes.end()); }

    /// The next whole frame; none if more bytes are needed.
    tl::expected<std::optional<Frame>, FrameError> next();

  private:
    std::vector<std::byte> buffer_;
};

} // namespace rdma_paxos
