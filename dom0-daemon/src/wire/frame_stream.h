// SPDX-License-Identifier: Apache-2.0
//
// Frames over a connected stream socket, for code that has a thread to wait with: the command, the control server's
// clients, and connections between daemons.
#pragma once

#include <chrono>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <tl/expected.hpp>

#include "base/unique_fd.h"
#include "wire/frame.h"

namespace tripod::wire {

enum class StreamFault : std::uint8_t {
    closed,    // the other side closed in good order, between frames
    truncated, // it closed within a frame
    timed_out,
    malformed, // FrameError
    io,        // errno
};

struct StreamError {
    StreamFault fault{};
    std::string message;
};

// Owns the socket, which it makes non-blocking. One thread may send while another receives; no more than that.
// shut_down() may be called by any thread and ends both.
class FrameStream {
  public:
    // `receives`: what the other side may send.
    FrameStream(UniqueFd socket, Channel receives);

    using Timeout = std::optional<std::chrono::milliseconds>; // nullopt: for ever

    // The next frame. The timeout is for the whole frame, so that a slow sender cannot hold the caller.
    tl::expected<Frame, StreamError> receive(Timeout timeout);
    // Writes all of it or fails; after a failure the stream is of no more use.
    tl::expected<void, StreamError> send(FrameType type, std::uint64_t tag, std::span<const std::byte> body,
                                         Timeout timeout);
    tl::expected<void, StreamError> send(FrameType type, std::uint64_t tag, std::string_view body, Timeout timeout);

    // True once the other side has closed or the stream was shut down. Does not block, takes no bytes.
    bool peer_gone() const;
    void shut_down();
    int fd() const { return socket_.get(); }

  private:
    UniqueFd socket_;
    FrameDecoder decoder_;
    std::vector<std::byte> buffer_;
    std::span<const std::byte> unread_; // of buffer_
};

} // namespace tripod::wire
