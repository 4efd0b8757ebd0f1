// SPDX-License-Identifier: Apache-2.0
//
// The state stream's chunks: a piece of libxc's stream, compressed with lz4.
//
//   offset  size  little-endian
//        0     8  number of the chunk, from 0
//        8     4  bytes of the piece before compression, 1..chunk_raw_max
//       12     4  zero
//       16        one lz4 block
//
// The frame's checksum covers each chunk on its way; state_end carries a digest of the whole raw stream.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/error.h"
#include "peer/messages.h"

namespace tripod::peer {

inline constexpr size_t chunk_raw_max = 1024 * 1024;

class StreamDigest;

class StateEncoder {
  public:
    StateEncoder();
    ~StateEncoder();
    // Body of the next state_chunk; valid until the next call. `piece`: 1..chunk_raw_max bytes.
    std::span<const std::byte> encode(std::span<const std::byte> piece);
    StateEnd finish() const;

  private:
    std::unique_ptr<StreamDigest> digest_;
    std::vector<std::byte> body_;
    StateEnd totals_;
};

class StateDecoder {
  public:
    StateDecoder();
    ~StateDecoder();
    // The piece in a state_chunk's body; valid until the next call. Errors: protocol.
    Result<std::span<const std::byte>> decode(std::span<const std::byte> body);
    // Checks that what was decoded is all there was. Errors: protocol.
    Result<void> finish(const StateEnd& end) const;

  private:
    std::unique_ptr<StreamDigest> digest_;
    std::vector<std::byte> piece_;
    StateEnd totals_;
};

} // namespace tripod::peer
