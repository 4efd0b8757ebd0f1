// SPDX-License-Identifier: Apache-2.0
//
// Framing of every byte stream: between daemons (TCP) and on the local socket. docs/wire-format.md is the
// specification.
//
//   offset  size  little-endian
//        0     4  magic "TPF1"
//        4     2  version, 1
//        6     2  type (frame_types.h)
//        8     4  length of the body in bytes; limited per type
//       12     4  zero
//       16     8  tag: chosen by who asks, repeated in every frame of the answer; 0 where nothing is asked
//       24     8  XXH64, seed 0, of bytes 0..23 and the body
//       32        body
//
// Nothing here throws, blocks or starts threads. Bodies are JSON (control) or raw (state chunks): frame.h does not
// look.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <tl/expected.hpp>

#include "wire/frame_types.h"

namespace tripod::wire {

inline constexpr std::uint32_t frame_magic = 0x31465054; // "TPF1"
inline constexpr std::uint16_t frame_version = 1;
inline constexpr std::size_t frame_header_bytes = 32;

struct Frame {
    FrameType type{};
    std::uint64_t tag = 0;
    std::vector<std::byte> body;

    std::string_view text() const { return {reinterpret_cast<const char*>(body.data()), body.size()}; }
};

enum class FrameFault : std::uint8_t {
    magic,    // not ours at all
    version,  // ours, of another version
    type,     // a type that this channel does not carry
    length,   // longer than the type's limit
    reserved, // a bit that must be zero is set
    checksum, // header or body changed on the way
};

struct FrameError {
    FrameFault fault{};
    std::string message; // with the values seen: "frame of type 17 with 4294967295 bytes, limit 65536"
};

// Header and body of one frame as one string of bytes. A body over the type's limit is
// the caller's bug and aborts.
std::vector<std::byte> encode_frame(FrameType type, std::uint64_t tag, std::span<const std::byte> body);
std::vector<std::byte> encode_frame(FrameType type, std::uint64_t tag, std::string_view body);

// The header alone, for senders that write header and body with one writev and no copy.
struct FrameHeader {
    std::byte bytes[frame_header_bytes];
};
FrameHeader encode_header(FrameType type, std::uint64_t tag, std::span<const std::byte> body);

// Takes the bytes of one direction of one connection, in pieces of any size, and gives whole frames.
// Memory: at most twice the bytes received of the frame under construction, and never more than the largest limit
// of its channel: what a length field promises is not allocated before it arrives.
class FrameDecoder {
  public:
    explicit FrameDecoder(Channel channel) : channel_(channel) {}

    // Takes bytes off the front of `bytes`, at most up to the end of a frame.
    //   a frame:  complete, and checked; there may be bytes left: call again.
    //   nullopt:  all bytes were taken, the frame is not complete yet.
    //   an error: the stream is beyond repair, close it. Every later call returns the same error.
    tl::expected<std::optional<Frame>, FrameError> feed(std::span<const std::byte>& bytes);

    // True between frames: the end of the stream here is no loss.
    bool idle() const { return header_filled_ == 0; }
    // Bytes held now.
    std::size_t buffered() const { return header_filled_ + body_.capacity(); }

  private:
    tl::unexpected<FrameError> broken(FrameFault fault, std::string message);
    std::optional<FrameError> check_header();

    Channel channel_;
    std::byte header_[frame_header_bytes] = {};
    std::size_t header_filled_ = 0;
    std::uint32_t length_ = 0; // of the body; valid once the header is full
    std::vector<std::byte> body_;
    std::optional<FrameError> error_;
};

} // namespace tripod::wire
